"""sentence-transformers' own tests, with a `pcw` extension in the place of each stock model.

    python tests/peers/run.py CHECKOUT

CHECKOUT is a copy of its repository, at the tag of the version that is installed: its source
distribution has no tests. Each test that passes with the stock class must pass with ours, or be in
refused.toml with the reason. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
TESTS = (
    "sentence_transformer",
    "base/samplers",
    "base/test_data_collator.py",
    "base/test_model.py",
    "base/test_model_card.py",
    "util",
)
"""Those that make a SentenceTransformer."""

TOO_LONG = ("sentence_transformer/test_train_stsb.py",)
"""Trains on data of the hub."""


def passed(checkout: Path, work: Path, mode: str) -> set[str]:
    """The tests that pass.

    Args:
        checkout: Copy of the repository.
        work: A folder for the models that stand in for those of the hub.
        mode: "stock" or "ours".
    """
    report = work / f"{mode}.xml"
    environment = {
        **os.environ,
        "HF_HOME": str(work / "hub"),
        "HF_HUB_OFFLINE": "1",
        "LONGEMBED_PEERS": mode,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE),
        "TOKENIZERS_PARALLELISM": "false",
    }
    tests = [str(checkout / "tests" / name) for name in TESTS]
    options = ["-p", "stand_ins", "-p", "no:cacheprovider", "-q", "-n", "auto", "-W", "ignore"]
    options += ["-o", "addopts=", f"--junitxml={report}"]
    options += [f"--ignore={checkout / 'tests' / name}" for name in TOO_LONG]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=checkout,
        env=environment,
        check=False,
    )
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return {
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if not any(child.tag in ("failure", "error", "skipped") for child in case)
    }


def main() -> int:
    """Run both, and tell what was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    checkout = parser.parse_args().checkout.resolve()
    if not (checkout / "tests" / "sentence_transformer").is_dir():
        parser.error(f"{checkout} is no copy of the repository of sentence-transformers")
    refused = tomllib.loads((HERE / "refused.toml").read_text(encoding="utf8"))
    with tempfile.TemporaryDirectory() as work:
        stock = passed(checkout, Path(work), "stock")
        ours = passed(checkout, Path(work), "ours")
    lost = sorted(stock - ours)
    reasons = {
        test: next((why for name, why in refused.items() if name in test), None) for test in lost
    }
    print(f"\n{len(stock)} tests pass with the stock class, {len(stock & ours)} of them with ours.")
    for test, reason in reasons.items():
        print(f"  {test}: {reason or 'LOST'}")
    return int(any(reason is None for reason in reasons.values()))


if __name__ == "__main__":
    sys.exit(main())
