"""The Dockerfile and the compose file: what they say, and those of their commands that run here.

No image is built: that needs Docker.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

pytest.importorskip("fastapi")

from command_line import longembed
from serving import FakeIndex, running

from longembed_serve.application import GRACE_SECONDS, application
from longembed_serve.service import Service

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf8"))


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each instruction of the last stage, and of those before it."""
    text = (ROOT / "Dockerfile").read_text("utf8")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(re.split(r"\s+", line, maxsplit=1)) for line in joined.splitlines()]


INSTRUCTIONS = instructions()
LAST_STAGE = dict(
    INSTRUCTIONS[max(n for n, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM") :]
)


def listed(arguments: str) -> list[str]:
    """A command in the form of a list, which needs no shell."""
    words = json.loads(arguments)
    assert all(isinstance(word, str) for word in words)
    return words


def test_it_runs_as_a_user_and_keeps_models_and_stores_in_volumes() -> None:
    known = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE"}
    known |= {"HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in INSTRUCTIONS} == known
    assert LAST_STAGE["USER"] == "1000"
    assert "--uid 1000" in LAST_STAGE["RUN"]
    assert listed(LAST_STAGE["VOLUME"]) == ["/store", "/models"]
    variables = dict(word.split("=", 1) for word in shlex.split(LAST_STAGE["ENV"]))
    assert variables["HF_HOME"].startswith("/models/")
    assert variables["LONGEMBED_CACHE"].startswith("/models/")
    # Docker waits 10 seconds before it kills.
    assert GRACE_SECONDS < 10


def test_what_is_copied_is_there_and_what_is_installed_is_an_extra() -> None:
    wanted = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    assert {"pyproject.toml", "constraints.txt", "README.md"} <= set(wanted)
    assert all((ROOT / name).exists() for name in wanted)
    (install,) = [arguments for name, arguments in INSTRUCTIONS if "pip install" in arguments]
    words = shlex.split(install.split(" && ")[1].replace("${TORCH_INDEX}", "INDEX"))
    assert words[:4] == ["/opt/longembed/bin/python", "-m", "pip", "install"]
    options, package = words[4:-1], words[-1]
    constraints = ["--constraint", "constraints.txt"]
    assert options == ["--no-cache-dir", *constraints, "--extra-index-url", "INDEX"]
    extras = Requirement(f"longembed-st{package.removeprefix('.')}").extras
    assert extras
    assert extras <= set(metadata("longembed-st").get_all("Provides-Extra"))
    lines = (ROOT / "constraints.txt").read_text("utf8").splitlines()
    assert all(Requirement(line).specifier for line in lines if line and line[0] != "#")


def test_the_command_of_the_image_is_a_command(monkeypatch) -> None:
    assert listed(LAST_STAGE["ENTRYPOINT"]) == ["longembed"]
    command = listed(LAST_STAGE["CMD"])
    monkeypatch.delenv("LONGEMBED_API_KEY", raising=False)
    without_key = longembed(*command)
    assert without_key.exit_code == 1
    assert "set LONGEMBED_API_KEY" in without_key.stderr
    monkeypatch.setenv("LONGEMBED_API_KEY", "secret")
    # All options are understood; only the volume is missing.
    assert "no index in /store/index" in longembed(*command).stderr
    assert COMPOSE["services"]["server"]["environment"].keys() == {"LONGEMBED_API_KEY"}


def test_the_health_check_tells_a_server_from_none() -> None:
    _, words = LAST_STAGE["HEALTHCHECK"].split("CMD", 1)
    python, *check = listed(words)
    assert python == "python"

    def ask(address: str) -> int:
        own = [word.replace("http://127.0.0.1:8080", address) for word in check]
        return subprocess.run([sys.executable, *own], capture_output=True, check=False).returncode

    # The check has no key, and needs none.
    app = application(Service(FakeIndex()), max_bytes=1_000, key="secret", hosts=["*"])
    with running(app) as address:
        assert ask(address) == 0
    assert ask(address) == 1


def test_the_services_share_their_volumes_and_have_few_rights(tmp_path, minilm_folder) -> None:
    services = COMPOSE["services"]
    assert set(COMPOSE["volumes"]) == {"store", "models"}
    for service in services.values():
        assert service["image"] == "longembed"
        assert service["volumes"] == ["store:/store", "models:/models", "./documents:/documents:ro"]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    # Other machines reach it only if somebody says so.
    assert services["server"]["ports"] == ["127.0.0.1:8080:8080"]
    (tmp_path / "report.txt").write_text("The council approved the budget.")
    places = {
        "/documents": str(tmp_path),
        "/store/index": str(tmp_path / "index"),
        "${MODEL:-thenlper/gte-small}": str(minilm_folder),
    }
    done = longembed(*(places.get(word, word) for word in services["index"]["command"]))
    assert done.exit_code == 0, done.stderr
