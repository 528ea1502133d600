from __future__ import annotations

import hashlib

from index_fakes import FakeModel, sources

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
    assert sum(map(len, model.embedded)) <= dry_runs.SAMPLE_CHARACTERS + 200
    assert result.seconds is not None
    nothing = dry_runs.dry_run(documents[:1], known, model)
    assert (nothing.seconds, nothing.share_read) == (None, 1.0)
