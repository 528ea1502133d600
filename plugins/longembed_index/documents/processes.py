"""Python processes of our own, for work that may crash, hang or take all memory."""

from __future__ import annotations

import sys


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in a new Python with the same import path.

    `python -m` would import from the working folder first, where the documents of strangers may be
    called like a library.

    Args:
        module: Run as `__main__`.
        *arguments: Its arguments.
    """
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        f"import runpy; runpy.run_module({module!r}, run_name='__main__')"
    )
    return [sys.executable, "-c", code, *arguments]
