from __future__ import annotations

import json

from longembed_index.maintain.report import (
    Outcome,
    Report,
    write_failures,
)


def test_outcomes_are_counted() -> None:
    report = Report()
    report.add(Outcome("a", "added", 10, tokens=100, tokens_read=60))
    report.add(Outcome("b", "replaced", 10, tokens=100, tokens_read=100))
    report.add(Outcome("c", "unchanged", 10))
    report.add_failed([("d", "cannot be listed")])
    assert report.counts == {"added": 1, "replaced": 1, "unchanged": 1, "failed": 1}
    assert report.share_read == 0.8
    plain = report.to_dict()
    assert plain["partly_read"] == [{"document": "a", "tokens": 100, "read": 60}]
    assert plain["failed"] == [{"document": "d", "reason": "cannot be listed"}]
    assert json.loads(json.dumps(plain)) == plain
    assert Report().share_read == 1.0


def test_failures_are_written_as_json_lines(tmp_path) -> None:
    path = tmp_path / "lists" / "failed.jsonl"
    write_failures(path, [("a", "is empty"), ("é\udce9", "has no text")])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[1] == {"document": "é\udce9", "reason": "has no text"}
    write_failures(path, [])
    assert path.read_text() == ""
