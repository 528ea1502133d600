"""Files of a store are damaged at random: a search gives an answer or an error that helps."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PROGRAM = """
import sys
from test_damaged_stores import main
main(*sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("kind", "damages"),
    [
        ("sqlite", 10),
        pytest.param("sqlite", 300, marks=pytest.mark.slow),
        pytest.param("lancedb", 300, marks=pytest.mark.slow),
    ],
)
def test_an_error_names_the_store_and_a_way_out(tmp_path, kind, damages) -> None:
    pytest.importorskip("lancedb" if kind == "lancedb" else "sqlite3")
    places = [str(Path(__file__).parent), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path), kind, str(damages)],
        env={**os.environ, "PYTHONPATH": ":".join(places), "RUST_LOG": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    print(done.stdout)
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert outcomes.pop("wrong", []) == []
    assert sum(outcomes.values()) == damages


def main(folder: str, kind: str, damages: str) -> None:
    """Damage copies of a store, search each in a child, and print what became of it."""
    from chaos import warm_up
    from index_fakes import use_fake_models

    use_fake_models()
    warm_up(kind)
    good, bad, draw = Path(folder, "good"), Path(folder, "bad"), random.Random(0)
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    in_child(lambda: build(good, kind))
    _, expected = in_child(lambda: ask(good))
    for _ in range(int(damages)):
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(good, bad)
        what = damage(bad, draw)
        status, answer = in_child(lambda: ask(bad))
        if status == 0:
            outcomes["same answer" if answer == expected else "other answer"] += 1
        elif status == 3 and str(bad) in answer and re.search("from a copy|a new folder", answer):
            outcomes["error"] += 1
        else:
            wrong.append(f"{what}: {status} {answer[:300]}")
    print(json.dumps({**outcomes, "wrong": wrong}))


def build(place: Path, kind: str) -> None:
    from longembed_index import Document, Index

    with Index.open(place, "some/one", kind=kind, units=True, language="english") as index:
        for start in (0, 20):
            numbers = range(start, start + 20)
            texts = [f"The crane number {n} is in the harbour. It is large." for n in numbers]
            index.add_documents([Document(f"d{n}", text) for n, text in enumerate(texts, start)])
        index.search("harbour")


def ask(place: Path) -> str:
    from longembed_index import Index

    with Index.open(place) as index:
        found = [
            (hit.document.id, hit.document.text, round(hit.score, 3), len(hit.passages))
            for mode in ("dense", "lexical", "hybrid")
            for hit in index.search("crane 12", k=5, mode=mode)
        ]
        return json.dumps([found, sorted(entry.id for entry in index.documents())])


def damage(place: Path, draw: random.Random) -> str:
    """Flip bits of a file, cut it, write zeros into it, or remove it; return what was done."""
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.stat().st_size)
    file, how = draw.choice(files), draw.choice(["flip", "flip", "cut", "zeros", "remove"])
    data = bytearray(file.read_bytes())
    start = draw.randrange(len(data))
    if how == "flip":
        for _ in range(draw.choice([1, 8])):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif how == "cut":
        del data[start:]
    elif how == "zeros":
        data[start : start + 64] = bytes(len(data[start : start + 64]))
    file.write_bytes(data)
    if how == "remove":
        file.unlink()
    return f"{how} {file.relative_to(place)}"


def in_child(work: Callable[[], object]) -> tuple[int, str]:
    """Return the exit status of a forked child, and what its work returned or raised."""
    from longembed_st.errors import LongEmbedError

    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        # What hangs ends here.
        signal.alarm(120)
        status, answer = 1, ""
        try:
            answer, status = str(work()), 0
        except LongEmbedError as error:
            answer, status = str(error), 3
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        with os.fdopen(write, "w") as file:
            file.write(answer)
        os._exit(status)
    os.close(write)
    with os.fdopen(read) as file:
        answer = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), answer
