"""What Windows does not have is used only where the code has asked whether it is there.

None of this runs on Windows here: the source is read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PureWindowsPath

from docs_snippets import PACKAGES, ROOT

from longembed_index.document import Document
from longembed_index.patterns import matches_pattern

POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "readline", "resource", "termios", "tty"}
POSIX_NAMES = {
    "os": {
        *("O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "chown", "fork", "getpgid", "getuid"),
        *("geteuid", "killpg", "mkfifo", "register_at_fork", "sched_getaffinity", "setsid"),
        *("statvfs", "sysconf", "uname", "wait", "WIFEXITED"),
    },
    "signal": {"SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE", "SIGQUIT", "alarm"},
    "socket": {"AF_UNIX", "socketpair"},
}
"""Names that are missing on Windows."""

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def guarded(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether a node is in an `if` or a `try` that asks for it, or in `except`."""
    while node in parents:
        child, node = node, parents[node]
        if isinstance(node, ast.If) and child not in node.orelse and child is not node.test:
            test = ast.unparse(node.test)
            if "hasattr(" in test or "os.name" in test or "sys.platform" in test:
                return True
        if isinstance(node, ast.Try):
            caught = " ".join(
                ast.unparse(handler.type) for handler in node.handlers if handler.type
            )
            if "ImportError" in caught or "AttributeError" in caught:
                return True
        if isinstance(node, ast.With) and any(
            "suppress(ImportError" in ast.unparse(item) for item in node.items
        ):
            return True
    return False


def findings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Uses of what is missing on Windows, and files of text without an encoding."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        names: set[str] = set()
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names} & POSIX_MODULES
        elif isinstance(node, ast.ImportFrom):
            names = {str(node.module)} & POSIX_MODULES
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = {node.attr} & POSIX_NAMES.get(node.value.id, set())
        if names and not guarded(node, parents):
            yield node.lineno, f"{', '.join(names)} is not there on Windows"
        if isinstance(node, ast.Call) and is_text_without_encoding(node):
            yield node.lineno, "Windows reads and writes other encodings: say which"


def is_text_without_encoding(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in keywords:
        return False
    if name == "read_text":
        return not call.args
    if name == "write_text":
        return isinstance(call.func, ast.Attribute) and len(call.args) == 1
    if name == "open" and isinstance(call.func, ast.Name):
        mode = keywords.get("mode") or (call.args[1] if len(call.args) > 1 else None)
        return mode is None or "b" not in ast.unparse(mode)
    return False


def test_nothing_is_used_that_windows_does_not_have() -> None:
    answers = [
        f"{file.relative_to(ROOT)}:{line}: {what}"
        for file in FILES
        for line, what in findings(ast.parse(file.read_text(encoding="utf8")))
    ]
    assert answers == []


def test_the_search_finds_what_it_looks_for() -> None:
    for code, count in (
        ("import fcntl", 1),
        ("try:\n    import resource\nexcept ImportError:\n    resource = None", 0),
        ("import os\nos.killpg(1, 9)", 1),
        ("import os\nif os.name == 'posix':\n    os.killpg(1, 9)\nelse:\n    os.fork()", 1),
        ("import os\nif hasattr(os, 'fork'):\n    os.fork()", 0),
        ("path.read_text()\npath.write_text('x')\nopen('f')", 3),
        ("path.read_text('utf8')\npath.write_text('x', encoding='utf8')\nopen('f', 'rb')", 0),
    ):
        assert len(list(findings(ast.parse(code)))) == count, code


def test_paths_of_windows_are_matched_by_patterns() -> None:
    path = str(PureWindowsPath(r"C:\reports\2019") / "budget.pdf")
    assert matches_pattern(path, r"*\2019\*")
    assert matches_pattern(path, "*.pdf")
    assert not matches_pattern(path, r"*\2020\*")
    assert Document(path, "text").id == path


def test_the_metadata_of_the_package_states_no_system_that_was_not_run() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf8")
    systems = [line.strip(' ",') for line in text.splitlines() if "Operating System ::" in line]
    assert systems == ["Operating System :: POSIX :: Linux"]
