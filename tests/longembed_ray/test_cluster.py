"""How the cores are shared out; how a host process is left as it was is in test_pipeline.py."""

from __future__ import annotations

import pytest

from longembed_ray.cluster import Actors, actors_for
from longembed_st.errors import ConfigError


def test_an_actor_has_a_gpu_or_a_group_of_cores() -> None:
    expected = {
        (2, 0, None): Actors(1, 2, 0),
        (2, 0, 2): Actors(2, 1, 0),
        (64, 0, None): Actors(16, 4, 0),
        (16, 2, None): Actors(2, 4, 1),
        (1, 0, None): Actors(1, 1, 0),
    }
    assert {machine: actors_for(*machine) for machine in expected} == expected


def test_more_actors_than_cores_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 actors were asked for, but there are only 2 cores"):
        actors_for(2, 0, 3)
