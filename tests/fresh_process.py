"""Run a piece of Python in a new process and get its answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

_PRELUDE = """
import json, sys, warnings
arguments = json.loads(sys.argv[1])
class _Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in arguments["blocked"]:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked by the test)")
sys.meta_path.insert(0, _Blocked())
given = arguments["given"]
def answer(value):
    with open(arguments["answer"], "w") as file:
        json.dump(value, file)
"""


def run_fresh(
    code: str,
    folder: Path,
    *,
    given: Any = None,
    blocked: tuple[str, ...] = (),
    cwd: Path | None = None,
    **environment: str,
) -> Any:
    """Run code that calls `answer(value)` once; it finds `given` as a variable.

    Args:
        code: The program.
        folder: A folder for its files.
        given: What it is told; JSON-serialisable.
        blocked: Top-level packages that cannot be imported there.
        cwd: Its working directory.
        **environment: Variables added to the environment.

    Returns:
        What it answered.
    """
    program, reply = folder / "program.py", folder / "answer.json"
    program.write_text(_PRELUDE + textwrap.dedent(code))
    reply.unlink(missing_ok=True)
    arguments = {"given": given, "blocked": blocked, "answer": str(reply)}
    done = subprocess.run(
        [sys.executable, str(program), json.dumps(arguments)],
        cwd=cwd or folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(reply.read_text())
