"""docs/EXTENDING.md works as it stands: its package is written out, installed and used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fresh_process import run_fresh
from small_models import build_tokenizer, text_of

PAGE = Path(__file__).parents[2] / "docs" / "EXTENDING.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with the page's files, and with the record that pip would leave."""
    folder = tmp_path_factory.mktemp("zigzag")
    blocks = re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", PAGE.read_text("utf8"), re.DOTALL)
    for name, text in blocks:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf8")
    assert len(blocks) == 5
    record = folder / "zigzag-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: zigzag\nVersion: 1.0\n")
    groups = re.findall(
        r'\[project\.entry-points\."(\S+)"\]\n(.+?)\n(?:\n|$)',
        (folder / "pyproject.toml").read_text("utf8"),
        re.DOTALL,
    )
    lines = [f"[{group}]\n" + rows.replace('"', "") for group, rows in groups]
    assert len(lines) == 3
    (record / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def ernie(tmp_path_factory) -> tuple[str, str]:
    """A small ERNIE as a sentence-transformers folder, and a text of 100 tokens for it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
    from transformers import AutoModel, ErnieConfig

    parts, folder = tmp_path_factory.mktemp("parts"), tmp_path_factory.mktemp("ernie")
    config = ErnieConfig(
        vocab_size=1000,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.4,
        pad_token_id=0,
    )
    AutoModel.from_config(config).save_pretrained(parts)
    tokenizer = build_tokenizer("bert", 64, "right")
    tokenizer.save_pretrained(parts)
    modules = [Transformer(str(parts)), Pooling(32, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder))
    return str(folder), text_of(100, tokenizer)


def test_the_method_and_the_family_are_found_and_used(package, ernie, tmp_path) -> None:
    folder, text = ernie
    code = """
        import longembed_st as le, numpy as np
        folder, text = given
        plain, long = le.load(folder, "none"), le.load(folder, "zigzag")
        inside = le.load(folder, "zigzag", margin=8)
        short = text[:100]
        try:
            le.load(folder, "zigzag", margin=-1)
        except le.ConfigError as error:
            refused = str(error)
        answer({
            "auto": le.load(folder)[0].extension.method,
            "takes": le.families()["ernie"].takes(le.methods()["zigzag"]),
            "window": long[0].max_seq_length,
            "short": float(np.abs(plain.encode(short) - long.encode(short)).max()),
            "long": float(np.abs(plain.encode(text) - long.encode(text)).max()),
            "margin": float(np.abs(inside.encode(text) - long.encode(text)).max()),
            "prints": len({le.fingerprint(model) for model in (plain, long, inside)}),
            "refused": refused,
        })
    """
    found = run_fresh(code, tmp_path, given=[folder, text], PYTHONPATH=str(package))
    assert found.pop("refused").startswith("method 'zigzag': margin=-1")
    assert found.pop("long") > 1e-3
    assert found.pop("margin") > 1e-3
    assert found == {"auto": "pcw", "takes": True, "window": 512, "short": 0.0, "prints": 3}


def test_positions_go_forth_and_back(package, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(package))
    from zigzag.method import Zigzag

    import longembed_st as le

    places = Zigzag(margin=1).position_ids(9, le.Context(original=4, extended=16))
    assert places.tolist() == [0, 1, 2, 2, 1, 0, 0, 1, 2]


def test_a_session_registers_them_by_hand(package, ernie, tmp_path) -> None:
    code = """
        import sys
        sys.path.insert(0, given[2])
        import longembed_st as le
        from zigzag.family import ERNIE
        from zigzag.method import Zigzag
        # The entry points of the package are in the same folder: nothing is taken twice.
        le.register_method(Zigzag), le.register_family(ERNIE)
        errors = []
        for wrong in (
            lambda: le.register_family(le.Family("bert", "unknown")),
            lambda: le.register_method(type("Other", (le.Method,), {"name": "pcw"})),
            lambda: le.register_method("pcw"),
        ):
            try:
                wrong()
            except le.ConfigError as error:
                errors.append(str(error))
        answer([le.load(given[0], "zigzag")[0].extension.method, errors])
    """
    given = [*ernie, str(package)]
    method, errors = run_fresh(code, tmp_path, given=given)
    assert method == "zigzag"
    assert [re.search("taken|not a longembed_st.Method", error)[0] for error in errors] == [
        "taken",
        "taken",
        "not a longembed_st.Method",
    ]


def test_the_store_keeps_every_promise(package, tmp_path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    done = subprocess.run(
        [*command, "--rootdir", str(package), str(package / "test_zigzag_store.py")],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 10


def test_the_commands_index_and_search_in_it(package, minilm_folder, tmp_path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "budget.txt").write_text("The committee approved the budget.")
    (documents / "garden.txt").write_text("Tomatoes need sun and water.")
    store = tmp_path / "store"
    code = """
        import subprocess
        app = [sys.executable, "-c", "from longembed_st.command.app import main; main()"]
        answer([
            (lambda done: [done.returncode, done.stdout, done.stderr[-2000:]])(
                subprocess.run([*app, *line], capture_output=True, text=True)
            )
            for line in given
        ])
    """
    new = ["--store-kind", "json", "--model", str(minilm_folder)]
    lines = [
        ["index", str(documents), "--store", str(store), *new],
        ["search", "who decides about money?", "--store", str(store), "--json"],
    ]
    indexed, searched = run_fresh(code, tmp_path, given=lines, PYTHONPATH=str(package))
    assert indexed[0] == 0, indexed
    assert len(json.loads((store / "documents.zigzag").read_text())["rows"]) == 2
    assert searched[0] == 0, searched
    assert json.loads(searched[1])[0]["title"] == "budget.txt"
