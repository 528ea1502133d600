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
    """Run code in a new process, and return the value with which it calls `answer`.

    It finds `given` as a variable. Packages that are blocked cannot be imported there.
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
