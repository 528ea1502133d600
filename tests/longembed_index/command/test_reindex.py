"""`longembed reindex`."""

from __future__ import annotations

from command_line import hits, row


def test_reindex_changes_the_settings_of_a_store(run, docs) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "none")
    refused = run("index", docs, "--store", "STORE", "--method", "pcw")
    assert refused.exit_code == 1
    assert "longembed reindex" in refused.stderr
    result = run("reindex", "--store", "STORE", "--method", "pcw", "--window-size", "128")
    assert result.exit_code == 0, result.stderr
    assert row(result, "documents embedded") == "5"
    assert row(result, "share of tokens read") == "100%"
    assert "kept as 'replaced-1'" in result.stdout
    assert "Loading " in result.stderr
    assert hits(run("search", "animals", "--store", "STORE", "--json"))[0] == "pets.md"
    again = run("index", docs, "--store", "STORE")
    assert row(again, "documents unchanged") == "5"
    assert "method pcw" in again.stderr
    verified = run("index", docs, "--store", "STORE", "--verify")
    assert "Verified: 5" in verified.stdout
    dropped = run("reindex", "--store", "STORE", "--drop-old")
    assert dropped.stdout == "Deleted: replaced-1\n"
    assert run("reindex", "--store", "STORE", "--drop-old").stdout == "There are no old vectors.\n"


def test_mistakes_with_reindex_end_in_one_line(run, docs) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    for arguments, message in (
        (("--store", "STORE"), "name what is to change"),
        (("--store", "STORE", "--method", "pcw"), "have these settings already"),
        (("--store", "STORE", "--collection", "papers", "--method", "pi"), "no index in"),
        (("--store", "STORE", "--method", "ntk"), "ntk"),
    ):
        result = run("reindex", *arguments)
        assert result.exit_code == 1
        assert message in result.stderr
        assert "Traceback" not in result.output
    assert hits(run("search", "animals", "--store", "STORE", "--json"))[0] == "pets.md"
