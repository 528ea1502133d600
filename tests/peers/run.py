"""sentence-transformers' own tests, with a `pcw` extension in the place of each stock model.

    python tests/peers/run.py CHECKOUT

CHECKOUT is a copy of its repository, at the tag of the version that is installed: its source
distribution has no tests. Each test that passes with the stock class must pass with ours, or fail
with the error that refused.toml gives for it. Takes about half an hour on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
TESTS = (
    "sentence_transformer",
    "sparse_encoder",
    "multi_vector_encoder",
    "cross_encoder",
    "base/samplers",
    "base/test_data_collator.py",
    "base/test_model.py",
    "base/test_model_card.py",
    "util",
)
"""Those that make a model."""

TOO_LONG = tuple(
    f"{kind}/{name}"
    for kind in ("sentence_transformer", "sparse_encoder", "cross_encoder", "multi_vector_encoder")
    for name in ("test_train_stsb.py", "test_pretrained.py", "test_backends.py")
)
"""They need data, models and backends that are not there."""


def outcomes(
    checkout: Path, work: Path, mode: str, only: list[str], workers: str
) -> dict[str, str | None]:
    """Run the tests.

    Args:
        checkout: Copy of the repository.
        work: A folder for the models that stand in for those of the hub.
        mode: "stock" or "ours".
        only: Files and folders of its tests.
        workers: Processes, as pytest-xdist takes them.

    Returns:
        By the full name of each test that was not skipped, its error; None if it passed.
    """
    report = work / f"{mode}.jsonl"
    report.touch()
    environment = {
        **os.environ,
        "HF_HOME": str(work / "hub"),
        "HF_HUB_OFFLINE": "1",
        "LONGEMBED_PEERS": mode,
        "LONGEMBED_PEERS_REPORT": str(report),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.getenv("PYTHONPATH")])]),
        "TOKENIZERS_PARALLELISM": "false",
    }
    tests = [str(checkout / "tests" / name) for name in only]
    options = ["-p", "stand_ins", "-p", "no:cacheprovider", "-q", "-n", workers, "-W", "ignore"]
    options += ["-o", "addopts=", f"--rootdir={checkout}", "--tb=short"]
    options += [f"--ignore={checkout / 'tests' / name}" for name in TOO_LONG]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=checkout,
        env=environment,
        check=False,
    )
    return dict(map(json.loads, report.read_text(encoding="utf8").splitlines()))


def read_refused() -> dict[str, dict[str, str]]:
    """Return by the full name of a test the reason (`why`) and a part of the `error`."""
    reasons = tomllib.loads((HERE / "refused.toml").read_text(encoding="utf8"))["refused"]
    return {test: reason for reason in reasons for test in reason["tests"]}


def main() -> int:
    """Run both, and report what was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("tests", nargs="*", help="only these files and folders of its tests")
    parser.add_argument("-n", dest="workers", default="auto", help="processes")
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    if not (checkout / "tests" / "sentence_transformer").is_dir():
        parser.error(f"{checkout} is not a copy of the repository of sentence-transformers")
    refused = read_refused()
    only = options.tests or list(TESTS)
    with tempfile.TemporaryDirectory() as work:
        stock, ours = (
            outcomes(checkout, Path(work), mode, only, options.workers)
            for mode in ("stock", "ours")
        )
    passing = {test for test, error in stock.items() if error is None}
    errors = {test: ours.get(test, "was not run") for test in sorted(passing)}
    lost = {test: error for test, error in errors.items() if error is not None}
    kept = len(passing) - len(lost)
    print(f"\n{len(passing)} tests pass with the stock class, {kept} of them with ours.")
    unexplained = 0
    for test, error in lost.items():
        reason = f"LOST: {error[:300]!r}"
        if test in refused and refused[test]["error"] in error:
            reason = refused[test]["why"]
        else:
            unexplained += 1
        print(f"  {test}: {reason}")
    stale = sorted(test for test in refused.keys() & passing if test not in lost)
    for test in stale:
        print(f"  {test}: passes, take it out of refused.toml")
    return int(bool(unexplained or stale))


if __name__ == "__main__":
    sys.exit(main())
