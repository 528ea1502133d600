"""`longembed bench` from end to end: what is measured, kept, resumed and refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from class_models import late
from command_line import longembed
from longembed_bench_data import write_data

import longembed_st as le
from longembed_bench import runner, vectors
from longembed_bench.results import Result, ResultFile
from longembed_bench.retrievers import Cost, WholeDocuments

METHODS = ("-m", "none", "-m", "pcw", "-m", "pcw:window_size=32")


@pytest.fixture
def bench(tmp_path, small_model, monkeypatch):
    """Runs `longembed bench`; "MODEL" among the arguments stands for a model's folder."""
    # Plots would take most of the time.
    monkeypatch.setattr("longembed_bench.plot.write_plots", lambda results, folder: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    folder = small_model("bert")

    def call(*arguments: str):
        words = [str(word).replace("MODEL", str(folder)) for word in arguments]
        return longembed("bench", *words, "--device", "cpu")

    return call


@pytest.fixture
def encoded(monkeypatch) -> list[str]:
    """The texts that any model was really given."""
    texts_given: list[str] = []
    encode = le.LongSentenceTransformer.encode_with_coverage

    def counting(self, texts, **kwargs):
        texts_given.extend(texts)
        return encode(self, texts, **kwargs)

    monkeypatch.setattr(le.LongSentenceTransformer, "encode_with_coverage", counting)
    return texts_given


def row(result, label: str) -> list[str]:
    (line,) = [line for line in result.stdout.splitlines() if line.startswith(f"{label}  ")]
    return line.removeprefix(label).split()


def results_of(folder: Path) -> dict[str, Result]:
    return {result.label: result for result in ResultFile(folder / "results.jsonl").all()}


def test_twenty_documents(bench, tmp_path, encoded) -> None:
    write_data(tmp_path / "mydata")
    arguments = ("small=MODEL", *METHODS, "--data", "mydata", "--out", "out")
    result = bench(*arguments)
    assert result.exit_code == 0, result.stderr
    # score, read, vectors a document, seconds a document; a word is a token, and two are special.
    assert row(result, "small none")[1:3] == [f"{64 / 102:.1%}", "1.0"]
    assert row(result, "small pcw")[1:3] == ["100%", "1.0"]
    assert row(result, "small chunks")[1:3] == ["100%", "2.0"]
    # The words of a query are in its document for sure, and in half of the others each.
    assert float(row(result, "BM25")[0]) > 75
    assert len(encoded) == 4 * 20 + 3 * 20 + 20

    encoded.clear()
    again = bench(*arguments)
    assert again.stdout == result.stdout
    assert encoded == []

    added = bench("small=MODEL", "-m", "gp", "--data", "mydata", "--out", "out")
    assert row(added, "small pcw") == row(result, "small pcw")
    assert row(added, "small gp")[1] == "100%"
    assert len(encoded) == 40


def test_changed_data_are_measured_anew(bench, tmp_path) -> None:
    folder = write_data(tmp_path / "mydata")
    arguments = ("MODEL", "-m", "none", "--data", "mydata", "--out", "out", "--no-baselines")
    assert row(bench(*arguments), "bert none")[1] == f"{64 / 102:.1%}"
    lines = (folder / "corpus.jsonl").read_text().splitlines()
    short = [json.dumps({"doc_id": f"d{n}", "text": "ban den"}) for n in range(len(lines))]
    (folder / "corpus.jsonl").write_text("\n".join(short))
    assert row(bench(*arguments), "bert none")[1] == "100%"


def test_killed_and_restarted_it_repeats_nothing(bench, tmp_path, encoded, monkeypatch) -> None:
    write_data(tmp_path / "mydata")
    monkeypatch.setattr(vectors, "GROUP_TEXTS", 5)
    arguments = ("MODEL", *METHODS, "--data", "mydata", "--out", "out")
    counting = le.LongSentenceTransformer.encode_with_coverage

    def killed(self, texts, **kwargs):
        if len(encoded) == 50:
            raise KeyboardInterrupt
        return counting(self, texts, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(le.LongSentenceTransformer, "encode_with_coverage", killed)
        stopped = bench(*arguments)
    assert stopped.exit_code == 130
    # One run was complete, so it is shown.
    assert row(stopped, "bert none")[1] == f"{64 / 102:.1%}"
    assert bench(*arguments).exit_code == 0
    assert len(encoded) == 4 * 20 + 3 * 20 + 20


def test_lengths_join_the_results_of_earlier_ones(bench, tmp_path) -> None:
    arguments = ("MODEL", "-m", "none", "--no-baselines", "--out", "out", "-t", "passkey")
    first = bench(*arguments, "-l", "64", "-l", "128")
    second = bench(*arguments, "-l", "256")
    assert row(second, "bert none")[:2] == row(first, "bert none")[:2]
    results = ResultFile(tmp_path / "out" / "results.jsonl").all()
    assert [result.length for result in results] == [64, 128, 256]
    for result in results:
        assert len(result.hits) == 50
        assert sum(hit for _, hit in result.hits) / 50 == pytest.approx(result.score)


def test_a_truncated_model_is_stopped(bench, tmp_path, monkeypatch) -> None:
    measured = []

    def reads_beginnings(retriever, data):
        # A model that is right exactly when the needle lies in the first 64 of n tokens.
        measured.append(len(data.documents))
        retriever.cost = lambda: Cost(100, 100, 51200, 6400, 1.0, 8)
        if not data.depths:
            return {key: {"d0": 1.0} for key in data.queries}
        length = max(len(text.split()) for text in data.documents.values()) / 0.75
        return {
            query: {document if data.depths[document] * length < 64 else "another": 1.0}
            for query, grades in data.qrels.items()
            for document in grades
        }

    monkeypatch.setattr(runner, "find", reads_beginnings)
    write_data(tmp_path / "mydata")
    lengths = [word for n in (64, 128, 256, 512) for word in ("-l", str(n))]
    arguments = ("small=MODEL", "-m", "gp", "--no-baselines", "-t", "passkey", *lengths)
    arguments = (*arguments, "--data", "mydata", "--out", "out")
    result = bench(*arguments)
    assert result.exit_code == 1
    assert re.search(r"small gp: .* cut at about \d+ tokens", result.stderr.replace("\n", " "))
    assert measured == [100] * 4
    assert bench(*arguments, "--allow-truncation").exit_code == 0
    assert measured == [100] * 4 + [20]


def test_mistakes_end_in_one_line(bench) -> None:
    Path("file").write_text("")
    for arguments, message in (
        (("MODEL", "-t", "nothing"), "--task 'nothing' is unknown: choose among passkey, needle"),
        (("MODEL", "-m", "pcw:windows=3"), "windows"),
        (("MODEL", "-m", "ntk"), "which model type 'bert' does not offer"),
        (("MODEL", "MODEL"), "two models are called 'bert'"),
        (("MODEL", "--out", "file"), "--out file is a file"),
        (("MODEL", "-t", "passkey", "-t", "passkey"), "two tasks have one name"),
    ):
        result = bench("--out", "out", *arguments)
        assert result.exit_code == 1
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert message in line
        assert "Traceback" not in result.stderr


def test_importing_the_commands_is_light() -> None:
    code = (
        "import sys, longembed_bench.cli\n"
        "print({'torch', 'mteb', 'matplotlib', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_whitened_on_the_corpus_or_by_an_earlier_fit(bench, tmp_path, small_model) -> None:
    data = write_data(tmp_path / "mine", 40)
    line = ("MODEL", "--data", str(data), "--out", "out", "--no-baselines", "-m", "pcw")
    result = bench(*line, "-m", "pcw:whiten=true", "-m", "pcw:whiten=true,dimensions=8")
    assert result.exit_code == 0, result.output
    assert "fitted on the corpus that is searched, no labels" in result.stdout
    results = results_of(tmp_path / "out")
    assert results["bert pcw"].cost.bytes_per_document == 4 * 32
    assert results["bert pcw:whiten=true,dimensions=8"].cost.bytes_per_document == 4 * 8
    # The same fit, outside: the scores are those of its vectors.
    texts = [json.loads(line)["text"] for line in (data / "corpus.jsonl").open()]
    model = le.load(str(small_model("bert")), "pcw", device="cpu")
    le.fit_whitening(model, texts, dimensions=8).whitening.write(tmp_path / "fit.safetensors")
    again = bench(*line, "-m", "pcw:whiten=fit.safetensors")
    assert again.exit_code == 0, again.output
    assert results_of(tmp_path / "out")["bert pcw:whiten=fit.safetensors"].score == pytest.approx(
        results["bert pcw:whiten=true,dimensions=8"].score
    )


def test_a_fit_is_not_repeated(bench, tmp_path, monkeypatch) -> None:
    data = write_data(tmp_path / "mine", 40)
    line = ("MODEL", "--data", str(data), "--out", "out", "--no-baselines", "-m", "pcw:whiten=true")
    assert bench(*line).exit_code == 0
    (tmp_path / "out" / "results.jsonl").unlink()
    monkeypatch.setattr(WholeDocuments, "_fit_on", lambda *arguments: pytest.fail("fitted"))
    assert bench(*line).exit_code == 0


def test_a_model_without_one_vector_for_each_text_is_refused(bench, tmp_path) -> None:
    write_data(tmp_path / "data")
    ended = bench(str(late("bert")), "--no-baselines", "--data", "data", "--out", "out")
    assert ended.exit_code == 1
    assert "is a MultiVectorEncoder" in " ".join(ended.stderr.split())
