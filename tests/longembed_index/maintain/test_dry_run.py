from __future__ import annotations

import hashlib

import pytest
from index_fakes import FakeModel, sources

from longembed_index.documents.parsed import LeftOut, Parsed
from longembed_index.maintain import dry_run as dry_runs
from longembed_st.base.settings import ModelSettings


def test_nothing_is_embedded_but_a_sample(monkeypatch) -> None:
    documents = sources(old="known", changed="now", empty=" ", short="a b c", long="word " * 30_000)
    known = {"old": hashlib.sha256(documents[0].content()).hexdigest(), "changed": "0"}
    model = FakeModel(ModelSettings(model_name="a", max_seq_length=20_000, on_overflow="truncate"))
    monkeypatch.setattr(dry_runs, "coverage_of", lambda m, texts: [m._coverage(t) for t in texts])
    looked_at: list[int] = []
    result = dry_runs.dry_run(documents, known, model, lambda: looked_at.append(1))
    assert (result.new, result.unchanged) == (["changed", "short", "long"], 1)
    assert result.failed == [("empty", "has no text")]
    assert (result.tokens, result.tokens_read, result.characters) == (30_004, 20_004, 150_008)
    assert 0 < result.share_read < 1
    assert len(looked_at) == 5
    assert sum(map(len, model.embedded)) <= dry_runs.SAMPLE_CHARACTERS + dry_runs.WARMING_CHARACTERS
    assert result.seconds is not None
    nothing = dry_runs.dry_run(documents[:1], known, model)
    assert (nothing.seconds, nothing.share_read) == (None, 1.0)


class TimedSource:
    """A source of one type; reading it takes a second per 100 bytes on the injected clock."""

    title, metadata = "", {}

    def __init__(self, number: int, size: int, clock: list[float]) -> None:
        self.id, self.size, self._clock = f"/{number:05}.pdf", size, clock
        self.reads = 0

    def content(self) -> bytes:
        return b"x" * self.size

    def read(self, content: bytes) -> Parsed:
        self.reads += 1
        self._clock[0] += self.size / 100
        return Parsed("word " * self.size, left_out=(LeftOut("page 1", "pictures"),))


def test_a_few_files_of_each_type_stand_for_all(monkeypatch) -> None:
    clock = [0.0]
    documents = [TimedSource(n, 100 + n % 3 * 100, clock) for n in range(3000)]
    model = FakeModel()
    monkeypatch.setattr(dry_runs, "coverage_of", lambda m, texts: [m._coverage(t) for t in texts])
    others = sources(**{"a.txt": "one text"})
    result = dry_runs.dry_run([*documents, *others], {}, model, clock=lambda: clock[0])
    assert sum(document.reads > 0 for document in documents) == dry_runs.SAMPLE_FILES
    assert (len(result.new), result.sampled) == (3001, dry_runs.SAMPLE_FILES + 1)
    assert result.is_estimate
    assert result.tokens == 600_000 + 2
    assert result.reading_seconds == pytest.approx(6000)
    assert result.seconds == result.reading_seconds
    assert len(result.left_out) == dry_runs.SAMPLE_FILES
    assert result.to_dict()["left_out"][0]["what"] == "pictures"


def test_large_files_are_read_only_if_there_are_no_others(monkeypatch) -> None:
    large, clock = dry_runs.SAMPLE_BYTES + 1, [0.0]
    documents = [TimedSource(n, size, clock) for n, size in enumerate((large, 10, large + 1))]
    monkeypatch.setattr(dry_runs, "coverage_of", lambda m, texts: [m._coverage(t) for t in texts])
    dry_runs.dry_run(documents, {}, FakeModel(), clock=lambda: clock[0])
    assert [document.reads > 0 for document in documents] == [False, True, False]
    dry_runs.dry_run(documents[::2], {}, FakeModel(), clock=lambda: clock[0])
    assert [document.reads > 0 for document in documents] == [True, True, False]


def test_all_files_are_read_if_that_takes_a_moment(monkeypatch) -> None:
    clock = [0.0]
    documents = [TimedSource(n, 10 + n, clock) for n in range(20)]
    monkeypatch.setattr(dry_runs, "coverage_of", lambda m, texts: [m._coverage(t) for t in texts])
    result = dry_runs.dry_run(documents, {}, FakeModel(), clock=lambda: clock[0])
    assert (result.sampled, result.is_estimate) == (20, False)
    assert result.tokens == sum(document.size for document in documents)
