"""What the package imports is what it declares, and arrows between its parts point inward."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
OWN = {
    "langchain_longembed": ("integrations/langchain-longembed", "langchain", "langchain-core"),
    "llama_index": ("integrations/llama-index", "llama-index", "llama-index-core"),
    "haystack_integrations": ("integrations/longembed-haystack", "haystack", "haystack-ai"),
}
"""Distributions of their own: folder, extra, and what they extend."""


def toml(folder: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf8"))


PROJECT = toml(".")["project"]

PARTS = {
    "longembed_st": ("longembed_st", ["openvino"]),
    "longembed_methods": ("plugins/longembed_methods", []),
    "longembed_index": ("plugins/longembed_index", ["index", "parquet", "testing"]),
    "longembed_ray": ("plugins/longembed_ray", ["ray"]),
    "longembed_bench": ("plugins/longembed_bench", ["bench", "index"]),
    "longembed_serve": ("plugins/longembed_serve", ["mcp", "serve"]),
    "longembed_tuning": ("plugins/longembed_tuning", ["train", "index"]),
    "chroma_longembed": ("integrations/chroma_longembed", ["chroma", "index"]),
    "lancedb_longembed": ("integrations/lancedb_longembed", ["lancedb"]),
    "langchain_longembed": ("integrations/langchain-longembed/langchain_longembed", ["index"]),
    "llama_index": ("integrations/llama-index/llama_index", ["index"]),
    "haystack_integrations": ("integrations/longembed-haystack/haystack_integrations", ["index"]),
}
"""Where each part lies, and the extras that bring what it needs."""

MAY_IMPORT = {
    "longembed_st": set(),
    "longembed_methods": {"longembed_st"},
    "longembed_index": {"longembed_st"},
    "longembed_ray": {"longembed_st", "longembed_index"},
    "longembed_bench": {"longembed_st", "longembed_index"},
    "longembed_serve": {"longembed_st", "longembed_index"},
    "longembed_tuning": {"longembed_st", "longembed_index"},
    "chroma_longembed": {"longembed_st", "longembed_index"},
    "lancedb_longembed": {"longembed_st", "longembed_index"},
    "langchain_longembed": {"longembed_st", "longembed_index"},
    "llama_index": {"longembed_st", "longembed_index"},
    "haystack_integrations": {"longembed_st", "longembed_index"},
}


def imported(folder: Path) -> set[str]:
    """Top-level names that the modules of a folder import, anywhere."""
    names: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names)


def declared(extras: list[str]) -> set[str]:
    """Distributions that are installed with some extras."""
    extra_lists = [PROJECT["optional-dependencies"][extra] for extra in extras]
    lines = [*PROJECT["dependencies"], *(line for lines in extra_lists for line in lines)]
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in lines}


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_what_is_imported_is_declared() -> None:
    providers = packages_distributions()
    for part, (folder, extras) in PARTS.items():
        known = declared(extras)
        if part in OWN:
            folder_of_own, _, theirs = OWN[part]
            lines = toml(folder_of_own)["project"]["dependencies"]
            known |= {normal(line.split(">")[0]) for line in lines}
            assert theirs in known
        for name in imported(ROOT / folder) - PARTS.keys() - {"_typeshed"}:
            brought = {normal(distribution) for distribution in providers.get(name, [])}
            assert brought & known, f"{part} imports {name}, of {brought or 'nothing installed'}"


def test_distributions_of_their_own_are_no_part_of_our_wheel() -> None:
    packages = toml(".")["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(Path(folder).name for folder in packages) == sorted(PARTS.keys() - OWN.keys())
    for folder, extra, _ in OWN.values():
        theirs = toml(folder)["project"]
        assert PROJECT["optional-dependencies"][extra] == [f"{theirs['name']}>=0.3"]
        assert theirs["version"] == PROJECT["version"]


def test_arrows_point_inward() -> None:
    for part, (folder, _) in PARTS.items():
        assert imported(ROOT / folder) & PARTS.keys() - {part} <= MAY_IMPORT[part], part


def test_private_api_of_dependencies_is_in_one_place() -> None:
    """Private names that are looked up are our own, outside compat.py."""
    files = [file for folder, _ in PARTS.values() for file in (ROOT / folder).rglob("*.py")]
    trees = {file: list(ast.walk(ast.parse(file.read_text(encoding="utf8")))) for file in files}
    # `os._exit` is documented.
    ours = {"_exit"}
    for nodes in trees.values():
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                ours.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                ours.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                ours.add(node.target.id)
    foreign = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.attr}"
        for file, nodes in trees.items()
        if file.name != "compat.py"
        for node in nodes
        if isinstance(node, ast.Attribute)
        and re.fullmatch(r"_[a-z]\w*", node.attr)
        and node.attr not in ours
    ]
    assert foreign == []
