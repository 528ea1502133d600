from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from office_files import make_docx, make_pdf

from longembed_index.documents import parsing
from longembed_index.documents.files import find_files
from longembed_index.documents.formats.docx import read_docx
from longembed_index.documents.formats.html import read_html
from longembed_index.documents.formats.pdf import read_pdf
from longembed_index.documents.parsed import Parsed
from longembed_index.documents.parsing import Limits, Parser
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError

PAGE = b"<h1>A title</h1><p>and a paragraph"


@pytest.fixture(scope="module")
def parser():
    parser = Parser()
    yield parser
    parser.close()


LONG = make_docx(*["word " * 1000] * 9000)
"""A small DOCX that takes much memory."""


def started_by(parser: Parser) -> int:
    assert parser._process is not None
    return parser._process.pid


READ = [
    (".html", PAGE, read_html),
    (".pdf", make_pdf("quick brown fox"), read_pdf),
    (".docx", make_docx("Zwölf Boxkämpfer 🙂"), read_docx),
]


def test_the_text_is_that_of_the_reader(parser) -> None:
    for suffix, data, read in READ:
        parsed = parser.read(suffix, data)
        assert parsed == read(data)
        assert parsed.text


def test_one_process_serves_all_files(parser) -> None:
    parser.read(".html", PAGE)
    first = started_by(parser)
    for _ in range(3):
        parser.read(".html", PAGE)
    with pytest.raises(InputError, match="cannot be read as PDF"):
        parser.read(".pdf", b"junk")
    assert started_by(parser) == first


def test_plain_text_needs_no_process(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("plain")
    parser = Parser()
    (file,) = find_files([tmp_path], parser=parser).files
    assert file.read(file.content()) == Parsed("plain")
    assert parser._process is None


def test_what_hangs_costs_one_file(monkeypatch, tmp_path) -> None:
    # The process starts within its first file's time: on a busy machine, that takes many seconds.
    (tmp_path / "lxml.py").write_text("import time\nwhile True: time.sleep(1)")
    parser = Parser(Limits(seconds=3))
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)

        def kill_and_linger(process) -> None:
            kill(process)
            time.sleep(0.5)

        # The reason is the time, also if the thread that kills has not ended yet.
        kill = parsing._kill_group
        patch.setattr(parsing, "_kill_group", kill_and_linger)
        with pytest.raises(InputError, match=r"longer than 3 seconds.*--reader-seconds"):
            parser.read(".html", PAGE)
    parser.limits = Limits()
    assert "A title" in parser.read(".html", PAGE).text
    parser.close()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_what_takes_all_memory_costs_one_file() -> None:
    parser = Parser(Limits(megabytes=400))
    with pytest.raises(InputError, match=r"more than 400 MB of memory.*--reader-memory"):
        parser.read(".docx", LONG)
    assert "A title" in parser.read(".html", PAGE).text
    parser.close()


def test_what_gives_too_much_text_is_refused() -> None:
    parser = Parser(Limits(characters=1000))
    with pytest.raises(InputError, match=r"5,000 characters.*--reader-characters"):
        parser.read(".html", b"<p>" + b"a" * 5000)
    assert "A title" in parser.read(".html", PAGE).text
    parser.close()


def test_a_process_that_dies_costs_one_file(parser) -> None:
    parser.read(".html", PAGE)
    os.kill(started_by(parser), signal.SIGSEGV)
    parser._process.wait()
    with pytest.raises(InputError, match=r"ends the process.*exit status -11"):
        parser.read(".html", PAGE)
    assert "A title" in parser.read(".html", PAGE).text


def test_threads_get_their_own_answers(parser) -> None:
    found: dict[int, str] = {}

    def read(number: int) -> None:
        found[number] = parser.read(".html", f"<p>page {number}".encode()).text.strip()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"page {number}" for number in range(20)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork_the_child_has_a_process_of_its_own(parser) -> None:
    parser.read(".html", PAGE)
    child = os.fork()
    if not child:
        right = False
        try:
            right = "A title" in parser.read(".html", PAGE).text
            parser.close()
        finally:
            os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert "A title" in parser.read(".html", PAGE).text


def test_it_ends_with_the_one_who_asks() -> None:
    code = (
        "from longembed_index.documents.parsing import Parser\n"
        "import os, signal\n"
        "parser = Parser()\n"
        "parser.read('.html', b'<p>a')\n"
        "print(parser._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    process = int(done.stdout)
    for _ in range(600):
        if not Path(f"/proc/{process}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the process outlives the one who started it")


def test_a_library_that_is_not_installed_is_named(monkeypatch, tmp_path) -> None:
    (tmp_path / "lxml.py").write_text("raise ModuleNotFoundError(name='lxml')")
    monkeypatch.syspath_prepend(tmp_path)
    parser = Parser()
    with pytest.raises(MissingExtraError, match=r'pip install "longembed-st\[index\]"'):
        parser.read(".html", PAGE)
    parser.close()


def test_nothing_is_imported_from_the_working_folder(monkeypatch, tmp_path) -> None:
    """Documents of strangers may be called like a library."""
    for name in ("lxml", "webencodings", "json", "struct", "longembed_index"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    parser = Parser()
    assert "A title" in parser.read(".html", PAGE).text
    parser.close()
    assert not (tmp_path / "imported").exists()


def test_a_file_goes_through_the_parser_that_was_given(tmp_path) -> None:
    (tmp_path / "a.html").write_bytes(b"<p>" + b"a" * 50)
    parser = Parser(Limits(characters=10))
    (file,) = find_files([tmp_path], parser=parser).files
    with pytest.raises(InputError, match="more than the 10"):
        file.read(file.content())
    parser.close()


def test_a_parser_that_nobody_has_any_more_ends_its_process() -> None:
    parser = Parser()
    parser.read(".html", PAGE)
    process = parser._process
    assert process is not None
    assert process.poll() is None
    del parser
    gc.collect()
    assert process.poll() is not None
