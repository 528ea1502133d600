"""`longembed calibrate`."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import longembed
from compare import difference
from small_models import WORDS

import longembed_st as le
from longembed_bench.calibrate import candidate_methods, sample_data
from longembed_bench.data import PASSAGE_WORDS, passages_as_queries
from longembed_st.errors import ConfigError, InputError


def write_documents(folder: Path, start: int, end: int) -> None:
    draw = random.Random(start)
    for number in range(start, end):
        words = [draw.choice(WORDS) for _ in range(150)]
        (folder / f"{number:02d}.txt").write_text(" ".join(words))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    write_documents(folder, 0, 12)
    return folder


@pytest.fixture
def calibrate(tmp_path, small_model, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    model = str(small_model("bert"))

    def call(*arguments: str):
        words = ["calibrate", model, "--data", str(folder), "--device", "cpu", *arguments]
        return longembed(*words)

    return call


def test_the_choice_is_a_config_that_load_takes(calibrate, tmp_path) -> None:
    result = calibrate("--queries", "24", "--out", "choice.json")
    assert result.exit_code == 0, result.stderr
    table = re.findall(r"│ ([a-z]\S+) +│ +([\d.]+) │ +([\d.]+)% │", result.stdout)
    scores = {label: float(score) for label, score, _ in table}
    assert list(scores) == sorted(scores, key=lambda label: -scores[label])
    assert {label.split(":")[0] for label in scores} == {"none", "pcw", "gp", "pi", "rp"}
    assert {label: read for label, _, read in table}["none"] == f"{100 * 64 / 152:.1f}"
    verdict, best = re.search(r"(Use|Keep) ([a-z_]+\S*): ", result.stdout).groups()
    assert best == (next(iter(scores)) if verdict == "Use" else "pcw:window_size=64")

    config = json.loads((tmp_path / "choice.json").read_text())["model"]
    always = {"model_name_or_path", "dtype", "method", "max_seq_length"}
    always |= {"original_max_seq_length", "logn_scaling"}
    assert config.keys() >= always
    assert config["dtype"] == "float32"
    model = le.load(**config, device="cpu")
    name, _, option = best.partition(":")
    assert model.long_transformer.extension.method == name
    text = " ".join(WORDS[:40] * 4)
    key, _, value = option.partition("=")
    same = le.load(
        config["model_name_or_path"], name, device="cpu", **{key: int(value)} if key else {}
    )
    assert difference(model.encode([text]), same.encode([text])) < 1e-6


def test_the_config_has_all_that_the_method_was_given(calibrate, tmp_path) -> None:
    given = 'pcw:window_size=32,truncate_dim=8,prompts={"query": "query "}'
    assert calibrate("-m", given, "-m", given + ",overlap=8", "--queries", "2").exit_code == 0
    config = json.loads((tmp_path / "longembed.json").read_text())["model"]
    assert (config["window_size"], config["truncate_dim"]) == (32, 8)
    assert config["prompts"] == {"query": "query "}
    assert not {"on_overflow", "token_budget", "device"} & config.keys()
    assert le.load(**config, device="cpu").encode("ban").shape == (8,)


def test_methods_that_are_asked_for(calibrate) -> None:
    result = calibrate("-m", "none", "-m", "pcw", "--queries", "4")
    assert set(re.findall(r"│ (none|pcw|gp) ", result.stdout)) == {"none", "pcw"}
    assert "Wrote longembed.json" in result.stdout
    alone = calibrate("-m", "pcw")
    assert alone.exit_code == 1
    assert "a comparison needs two methods, not 1" in " ".join(alone.stderr.split())
    words = calibrate("-m", "pcw", "-m", "pcw:hybrid=true")
    assert words.exit_code == 1
    assert "Compare it with `longembed bench`" in " ".join(words.stderr.split())


def test_windows_halve_and_reach_the_longest_document(small_model) -> None:
    model = le.load(str(small_model("bert", positions=256)), "none", device="cpu")
    every = [method.label for method in candidate_methods(model, 700)]
    labels = [label for label in every if "whiten" not in label]
    # All but the unextended model also whitened, and first: what they read serves the others.
    assert every[: len(labels) - 1] == [f"{label},whiten=true" for label in labels[1:]]
    assert labels[:4] == ["none", *(f"pcw:window_size={n}" for n in (256, 128, 64))]
    assert set(labels[4:]) == {f"{name}:max_seq_length=768" for name in ("gp", "pi", "rp")}
    longest = candidate_methods(model, 10**6)
    assert longest[-1].settings.max_seq_length == 2048
    with pytest.raises(ConfigError, match="Use method='none'"):
        candidate_methods(model, 256)


def test_passages_come_from_all_depths_and_are_no_copies() -> None:
    documents = {f"d{n}": " ".join(f"{n}-{place}" for place in range(1000)) for n in range(5)}
    data = passages_as_queries({**documents, "short": "too short"}, 100)
    assert len(data.queries) == 100
    starts = []
    for query, text in data.queries.items():
        ((document, _),) = data.qrels[query].items()
        places = [int(word.split("-")[1]) for word in text.split()]
        assert {f"d{word.split('-')[0]}" for word in text.split()} == {document}
        assert len(places) == PASSAGE_WORDS // 2
        assert places == sorted(places)
        assert places[-1] - places[0] < PASSAGE_WORDS
        # In the passage itself, no three words follow each other.
        assert all(c - a > 2 for a, c in zip(places, places[2:], strict=False))
        starts.append((document, places[0]))
    for document in documents:
        of_one = sorted(place for name, place in starts if name == document)
        assert of_one[0] < 150
        assert of_one[-1] > 800
        assert np.diff(of_one).max() < 200
    assert passages_as_queries(documents, 100).to_bytes() == data.to_bytes().replace(
        b'["document", "short", "too short", null]\n', b""
    )
    with pytest.raises(InputError, match="nothing to calibrate"):
        passages_as_queries({"short": "too short"}, 10)


def test_the_users_own_questions_are_used(tmp_path) -> None:
    rows = {
        "corpus": [{"doc_id": f"d{n}", "text": f"text {n}"} for n in range(30)],
        "queries": [{"qid": f"q{n}", "text": f"question {n}"} for n in range(30)],
        "qrels": [{"qid": f"q{n}", "doc_id": f"d{n}"} for n in range(30)],
    }
    for stem, lines in rows.items():
        (tmp_path / f"{stem}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = sample_data(tmp_path, documents=10, queries=6, seed=0)
    assert len(data.documents) == 10
    assert len(data.queries) == 6
    for query, grades in data.qrels.items():
        assert list(grades) == [query.replace("q", "d")]
        assert grades.keys() <= data.documents.keys()
    assert sample_data(tmp_path, 10, 6, seed=0) == data
    assert sample_data(tmp_path, 10, 6, seed=1) != data


def test_every_method_is_also_tried_whitened(calibrate, folder, tmp_path, monkeypatch) -> None:
    write_documents(folder, 12, 40)  # Enough to be whitened by.
    read = []
    encode = le.LongSentenceTransformer.encode_with_coverage

    def noting(self, texts, *, role=None, **options):
        read.append(role)
        return encode(self, texts, role=role, **options)

    monkeypatch.setattr(le.LongSentenceTransformer, "encode_with_coverage", noting)
    result = calibrate("-m", "pcw:whiten=true", "-m", "pcw", "--queries", "10")
    assert result.exit_code == 0, result.output
    assert "pcw:whiten=true" in result.stdout
    assert set(read) == {"query"}, "the fit read the documents, and nothing read them again"
    whitened = calibrate(
        "-m", "pcw:whiten=true", "-m", "pcw:whiten=true,dimensions=4", "--queries", "10"
    )
    assert whitened.exit_code == 0, whitened.output
    config = json.loads((tmp_path / "longembed.json").read_text())["model"]
    model = le.load(**config, device="cpu")
    assert model.get_embedding_dimension() in (4, 32)
    assert config["whitening"] == str(tmp_path / "longembed.whitening.safetensors")


def test_too_few_documents_leave_whitening_out(calibrate) -> None:
    result = calibrate("--queries", "4")
    assert result.exit_code == 0, result.output
    assert "whiten" not in result.stdout
    named = calibrate("-m", "pcw:whiten=true", "-m", "pcw")
    assert named.exit_code == 1
    assert "12 of 12 documents" in " ".join(named.stderr.split())


def test_a_choice_of_version_0_1_is_loaded(small_model) -> None:
    fixtures = Path(__file__).parents[1] / "fixtures" / "v0_1"
    choice = json.loads((fixtures / "calibrate.json").read_text())
    choice["model_name_or_path"] = str(small_model("bert"))
    extension = le.load(**choice, device="cpu").long_transformer.extension
    assert (extension.method, extension.method_options["overlap"]) == ("pcw", 4)
