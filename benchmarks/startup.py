"""What `import longembed_st` adds to importing sentence_transformers, and `longembed --help`.

python benchmarks/startup.py [--runs 5]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from measure import interleaved

ADDED = """
import time, sentence_transformers
start = time.perf_counter()
{statement}
print(time.perf_counter() - start)
"""


def import_milliseconds(statement: str) -> float:
    """Return the milliseconds of a statement in a new process that has sentence_transformers."""
    code = ADDED.format(statement=statement)
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    return 1000 * float(output.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    command = str(Path(sys.executable).with_name("longembed"))
    (help_seconds,) = interleaved(
        runs, lambda: subprocess.run([command, "--help"], capture_output=True, check=True)
    )
    bare = min(import_milliseconds("import longembed_st") for _ in range(runs))
    used = min(import_milliseconds("from longembed_st import load") for _ in range(runs))
    print(f"import longembed_st            {bare:6.1f} ms after sentence_transformers (goal: 50)")
    print(f"from longembed_st import load  {used:6.1f} ms after sentence_transformers")
    print(f"longembed --help               {help_seconds:6.2f} s (goal: 1)")


if __name__ == "__main__":
    main()
