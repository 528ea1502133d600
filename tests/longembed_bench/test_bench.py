"""`longembed bench` from end to end: what is measured, kept, resumed, drawn and refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import mteb
import numpy as np
import pytest
from command_line import longembed
from longembed_bench_data import write_data

import longembed_st as le
from longembed_bench import plots, retrievers, runner, vectors
from longembed_bench.plots import accuracy_by_depth, spread
from longembed_bench.results import ResultFolder
from longembed_bench.runs import MethodChoice, ModelSource, plan
from longembed_bench.tasks import hub_task, passkey_task
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, InputError


@pytest.fixture
def bench(tmp_path, small_model, monkeypatch):
    """Runs `longembed bench`; "MODEL" among the arguments stands for a model's folder.

    Pictures would take most of the time; the test that looks at them draws them.
    """
    monkeypatch.setattr("longembed_bench.report.draw_all", lambda results, folder: [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    folder = small_model("bert")

    def call(*arguments: str):
        words = [word.replace("MODEL", str(folder)) for word in arguments]
        return longembed("bench", *words, "--device", "cpu")

    return call


@pytest.fixture
def encoded(monkeypatch) -> list[str]:
    """The texts that any model was really given."""
    given: list[str] = []
    encode = le.LongSentenceTransformer.encode_with_coverage

    def counting(self, texts, **kwargs):
        given.extend(texts)
        return encode(self, texts, **kwargs)

    monkeypatch.setattr(le.LongSentenceTransformer, "encode_with_coverage", counting)
    return given


def row(result, label: str) -> list[str]:
    (line,) = [line for line in result.stdout.splitlines() if line.startswith(f"{label}  ")]
    return line.removeprefix(label).split()


METHODS = ("-m", "none", "-m", "pcw", "-m", "pcw:window_size=32")


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


def test_scores_are_in_mtebs_own_form(bench, tmp_path) -> None:
    write_data(tmp_path / "mydata")
    result = bench("small=MODEL", "-m", "pcw", "--data", "mydata", "--out", "out")
    loaded = mteb.ResultCache(tmp_path / "out" / "mteb").load_results()
    scores = {one.model_name: one.task_results[0].get_score() for one in loaded.model_results}
    names = {"small pcw": "small-pcw", "small chunks": "small-chunks", "BM25": "BM25"}
    assert {name.removeprefix("longembed/") for name in scores} == set(names.values())
    for label, name in names.items():
        assert row(result, label)[0] == f"{100 * scores[f'longembed/{name}']:.1f}"


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
    compute = vectors.VectorCache._compute
    groups = []

    def killed(self, *rest):
        if len(groups) == 10:
            raise KeyboardInterrupt
        groups.append(rest)
        return compute(self, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(vectors.VectorCache, "_compute", killed)
        assert bench(*arguments).exit_code == 130
    assert len(encoded) == 50
    # One run was complete, so there is a report of it already.
    assert "bert none" in (tmp_path / "out" / "report.html").read_text()
    assert bench(*arguments).exit_code == 0
    assert len(encoded) == 4 * 20 + 3 * 20 + 20


def test_lengths_join_the_results_of_earlier_ones(bench, tmp_path) -> None:
    arguments = ("MODEL", "-m", "none", "--no-baselines", "--out", "out", "-t", "passkey")
    first = bench(*arguments, "-l", "64", "-l", "128")
    second = bench(*arguments, "-l", "256")
    assert row(second, "bert none")[:2] == row(first, "bert none")[:2]
    results = ResultFolder(tmp_path / "out").results()
    assert sorted(result.length for result in results) == [64, 128, 256]
    for result in results:
        assert len(result.hits) == 50
        assert sum(hit for _, hit in result.hits) / 50 == pytest.approx(result.score)


def test_report_holds_everything_in_itself(bench, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("longembed_bench.report.draw_all", plots.draw_all)
    result = bench("small=MODEL", "-m", "none", "--out", "out", "-l", "64", "-l", "128")
    assert result.exit_code == 0, result.stderr
    html = (tmp_path / "out" / "report.html").read_text()
    assert "src=" in html
    assert set(re.findall(r'src="(.{14})', html)) == {"data:image/png"}
    assert not re.search(r'(href|src)="(?!data:)', html)
    for run in ResultFolder(tmp_path / "out").settings():
        assert run["mteb_revision"] in html
    pictures = {path.name for path in (tmp_path / "out" / "pictures").iterdir()}
    names = [f"passkey-{kind}" for kind in ("lengths", "methods", "depths", "time")]
    assert pictures == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}
    svg = (tmp_path / "out" / "pictures" / "passkey-lengths.svg").read_text()
    assert svg.startswith("<?xml")


def test_a_truncated_model_is_stopped(bench, tmp_path, monkeypatch) -> None:
    measured = []

    def reads_beginnings(run, retriever, task, folder, watcher) -> None:
        # A model that is right exactly when the needle lies in the first 64 of n tokens.
        measured.append((run.label, task.label))
        if task.label != "passkey":
            return
        for split, data in task.data.items():
            length = int(split.removeprefix("test_"))
            found = {
                query: {document if data.depths[document] * length < 64 else "another": 1.0}
                for query, grades in data.qrels.items()
                for document in grades
            }
            reading = retrievers.Reading(100, 100, 100 * length, 6400, 1.0, 1.0)
            folder.write_reading(retriever.mteb_model_meta, task, split, found, reading)
        curve = {f"test_{n}": [scored(64 / n)] for n in (64, 128, 256, 512)}
        result = mteb.TaskResult.from_task_results(
            task.mteb_task, {split: {"default": rows[0]} for split, rows in curve.items()}, 1.0
        )
        folder.cache.save_to_cache(result, retriever.mteb_model_meta)

    def scored(accuracy: float) -> dict:
        return {"ndcg_at_1": accuracy, "main_score": accuracy}

    monkeypatch.setattr(runner, "_evaluate", reads_beginnings)
    write_data(tmp_path / "mydata")
    lengths = [word for n in (64, 128, 256, 512) for word in ("-l", str(n))]
    arguments = ("small=MODEL", "-m", "gp", "--no-baselines", "-t", "passkey", *lengths)
    arguments = (*arguments, "--data", "mydata", "--out", "out")
    result = bench(*arguments)
    assert result.exit_code == 1
    assert re.search(r"small gp: .* cut at about \d+ tokens", result.stderr.replace("\n", " "))
    assert measured == [("small gp", "passkey")]
    assert (tmp_path / "out" / "report.html").exists()
    assert bench(*arguments, "--allow-truncation").exit_code == 0
    assert measured[-1] == ("small gp", "mydata")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("MODEL", "-t", "nothing"), "--task 'nothing': there are passkey, needle, qmsum"),
        (("MODEL", "-t", "passkey=folder"), "passkey is generated and takes no folder"),
        (("MODEL", "-t", "qmsum=nowhere"), "nowhere is not a folder"),
        (("MODEL", "-m", "nothing"), "unknown method 'nothing'"),
        (("MODEL", "-m", "pcw:window"), "write name=value"),
        (("MODEL", "-m", "pcw:windows=3"), "windows"),
        (("MODEL", "-m", "ntk"), "which model type 'bert' does not offer"),
        (("MODEL", "-m", ":a=1"), "write a method"),
        (("MODEL", "-m", "pcw:method=pi"), "method is named outside the settings"),
        (("MODEL", "-m", "pi:max_seq_length=many"), "max_seq_length='many'"),
        (("MODEL", "-m", "bm25:k1=2"), "--method 'bm25:k1=2': leave the settings out"),
        (("MODEL", "-l", "8"), "length 8"),
        (("MODEL", "MODEL"), "two models are called 'bert'"),
        (("MODEL", "--out", "file"), "--out file is a file"),
        (("=MODEL",), "write MODEL or NAME=MODEL"),
        (("nowhere/at/all",), "nowhere/at/all"),
        (("MODEL", "-t", "passkey", "-t", "passkey"), "two tasks have one name"),
        (("MODEL", "-t", "needle", "--haystack", "nowhere"), "no .txt file"),
    ],
)
def test_mistakes_end_in_one_line(bench, arguments, message) -> None:
    Path("file").write_text("")
    result = bench("--out", "out", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert message in line
    assert "Traceback" not in result.stderr


def test_missing_extra(tmp_path) -> None:
    code = (
        "import sys; sys.modules['bm25s'] = None\n"
        "from pathlib import Path\n"
        "from longembed_bench.cli import bench\n"
        "from longembed_st.errors import LongEmbedError\n"
        "try: bench(['m'], Path('out'))\n"
        "except LongEmbedError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "longembed-st[bench]"' in done.stdout, done.stderr


def test_importing_the_commands_is_light() -> None:
    code = (
        "import sys, longembed_bench.cli\n"
        "print({'torch', 'mteb', 'matplotlib', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_plan() -> None:
    runs = plan(["a=x/y", "b"], ["pcw", "pcw:window_size=256"], baselines=True)
    assert [run.label for run in runs] == [
        *("a pcw", "a pcw:window_size=256", "a chunks"),
        *("b pcw", "b pcw:window_size=256", "b chunks"),
        "BM25",
    ]
    alone = plan(["a"], ["bm25", "none"], baselines=False)
    assert [run.label for run in alone] == ["a none", "BM25"]
    assert runs[1].method == MethodChoice(
        "pcw:window_size=256", "pcw", ModelSettings.from_keywords(method="pcw", window_size=256)
    )
    assert runs[1].full_name == "longembed/a-pcw-window_size=256".replace("_", "-")
    assert ModelSource.parse("org/name") == ModelSource("org/name", "org/name")
    with pytest.raises(ConfigError, match="chunks are as long"):
        MethodChoice.parse("chunks:window_size=3")


def test_real_tasks_are_mtebs_own_classes(tmp_path) -> None:
    folder = write_data(tmp_path / "mydata")
    task = hub_task("qmsum", folder)
    assert type(task.mteb_task).__name__ == "LEMBQMSumRetrieval"
    assert task.main_score == "ndcg_at_10"
    # The copy has a revision of its own, and the class keeps that of the hub.
    assert task.revision != type(task.mteb_task).metadata.revision
    with pytest.raises(InputError, match="--task narrativeqa=FOLDER"):
        hub_task("narrativeqa")


def test_a_task_has_the_split_that_mteb_measures(tmp_path) -> None:
    folder = write_data(tmp_path / "mydata")
    for name, split in (("summscreenfd", "validation"), ("qmsum", "test")):
        task = hub_task(name, folder)
        assert list(task.data) == task.mteb_task.metadata.eval_splits == [split]


def test_seed_and_revision_belong_together() -> None:
    assert passkey_task([64], 0).revision == passkey_task([128], 0).revision
    assert passkey_task([64], 0).revision != passkey_task([64], 1).revision


def test_accuracy_by_depth() -> None:
    hits = [(0.0, True), (0.1, False), (0.39, True), (0.99, True), (1.0, False)]
    found = accuracy_by_depth(hits)
    assert found[[0, 1, 4]].tolist() == [50, 100, 50]
    assert all(value != value for value in found[2:4])


def test_labels_are_spread() -> None:
    assert spread([10, 50, 90], 5, 0, 100) == [10, 50, 90]
    assert spread([50, 50, 50], 5, 0, 100) == [50, 55, 60]
    assert spread([100, 100, 1], 5, 0, 100) == [95, 100, 1]
    crowded = spread([100.0] * 11, 20, 0, 100)
    assert crowded == pytest.approx(list(range(0, 101, 10)))


def test_whitened_on_the_corpus_or_by_an_earlier_fit(bench, tmp_path, small_model) -> None:
    data = write_data(tmp_path / "mine", 40)
    line = ("MODEL", "--data", str(data), "--out", "out", "--no-baselines", "-m", "pcw")
    result = bench(*line, "-m", "pcw:whiten=true", "-m", "pcw:whiten=true,dimensions=8")
    assert result.exit_code == 0, result.output
    assert "fitted on the corpus that is searched, no labels" in result.stdout
    of = {result.method: result for result in ResultFolder(tmp_path / "out").results()}
    assert of["pcw"].reading.bytes_per_document == 4 * 32
    assert of["pcw:whiten=true,dimensions=8"].reading.bytes_per_document == 4 * 8
    # The same fit, outside: the scores are those of its vectors.
    texts = [json.loads(line)["text"] for line in (data / "corpus.jsonl").open()]
    model = le.load(str(small_model("bert")), "pcw", device="cpu")
    (fitted,) = [
        le.fit_whitening(model, texts, dimensions=8).whitening,
    ]
    fitted.write(tmp_path / "fit.safetensors")
    again = bench(*line, "-m", "pcw:whiten=fit.safetensors")
    assert again.exit_code == 0, again.output
    of = {result.method: result for result in ResultFolder(tmp_path / "out").results()}
    assert of["pcw:whiten=fit.safetensors"].score == pytest.approx(
        of["pcw:whiten=true,dimensions=8"].score
    )
    assert "fit.safetensors" in (tmp_path / "out" / "report.html").read_text()


def test_a_fit_is_not_made_twice(bench, tmp_path, monkeypatch) -> None:
    data = write_data(tmp_path / "mine", 40)
    line = ("MODEL", "--data", str(data), "--out", "out", "--no-baselines", "-m", "pcw:whiten=true")
    assert bench(*line).exit_code == 0
    for path in tmp_path.glob("out/mteb/**/*.json"):
        path.unlink()
    monkeypatch.setattr(retrievers.Whitened, "_fit", lambda *arguments: pytest.fail("fitted"))
    assert bench(*line).exit_code == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [("pcw:whiten=3", "whiten=true, or whiten=FOLDER"), ("chunks:whiten=true", "leave")],
)
def test_what_cannot_be_whitened_is_said(text, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        MethodChoice.parse(text)


def test_spans_beside_the_documents_vectors(bench, tmp_path, small_model) -> None:
    """Each score by hand, from the spans that the model gives."""
    data = write_data(tmp_path / "mine")
    methods = ["pcw:spans=true", "pcw:spans=16,score=best", "pcw:spans=true,score=document", "pcw"]
    line = ["MODEL", "--data", str(data), "--out", "out", "--no-baselines"]
    result = bench(*line, *(word for method in methods for word in ("-m", method)))
    assert result.exit_code == 0, result.output
    of = {result.method: result for result in ResultFolder(tmp_path / "out").results()}
    model = le.load(str(small_model("bert")), "pcw", device="cpu")

    def column(name: str, field: str = "text") -> list[str]:
        return [json.loads(line)[field] for line in (data / f"{name}.jsonl").open()]

    queries = model.encode_query(column("queries"))

    def score(tokens: int | None, weigh) -> float:
        found = model.encode_spans(column("corpus"), span_tokens=tokens)
        own = queries @ np.array([one.document for one in found]).T
        best = np.array([(one.vectors @ queries.T).max(axis=0) for one in found]).T
        scores = weigh(own, best)
        ranks = (scores > np.diag(scores)[:, None]).sum(axis=1)
        return float(np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean())

    assert of["pcw:spans=true"].score == pytest.approx(
        score(None, lambda a, b: (a + b) / 2), abs=1e-4
    )
    assert of["pcw:spans=16,score=best"].score == pytest.approx(score(16, lambda a, b: b), abs=1e-4)
    assert of["pcw:spans=true,score=document"].score == pytest.approx(of["pcw"].score, abs=1e-4)
    assert of["pcw:spans=true"].reading.vectors_per_document > 2
    assert of["pcw:spans=16,score=best"].reading.bytes_per_document > 4 * 32 * 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pcw:score=best", "spans=true"),
        ("pcw:spans=few", "spans=128"),
        ("pcw:spans=true,score=worst", "average, best, document"),
    ],
)
def test_what_spans_cannot_be_is_said(text, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        MethodChoice.parse(text)
