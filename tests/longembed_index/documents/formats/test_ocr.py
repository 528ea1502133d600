from __future__ import annotations

import shlex
import sys
from pathlib import Path

import psutil
import pytest
from office_files import make_pages
from pdf_files import PICTURE, at, pdf_of

from longembed_index.documents.formats.pdf import read_pdf
from longembed_index.documents.parsing import Limits, Parser
from longembed_st.errors import ConfigError, InputError

SCAN = pdf_of(at(72, 720, "Annual report"), PICTURE)


def command(tmp_path: Path, code: str, arguments: str) -> str:
    script = tmp_path / "a reader.py"
    script.write_text(code)
    return f"{shlex.quote(sys.executable)} -S {shlex.quote(str(script))} {arguments}"


def test_a_command_reads_the_page_as_a_picture(tmp_path) -> None:
    code = (
        "import struct, sys\n"
        "png = open(sys.argv[1], 'rb').read()\n"
        "width, height = struct.unpack('>II', png[16:24])\n"
        "dots, = struct.unpack('>I', png[png.index(b'pHYs') + 4:][:4])\n"
        "print('The quay is', round(width, -2), round(height, -2), round(dots * 0.0254))"
    )
    parsed = read_pdf(SCAN, command(tmp_path, code, "{image}"))
    assert parsed.text == "Annual report\f\nThe quay is 2600 3300 300\f"
    assert parsed.left_out == ()


def test_a_command_that_is_not_needed_does_not_run() -> None:
    assert "text" in read_pdf(make_pages(["text"], []), "no-such-program {image}").text


def test_a_command_converts_the_whole_file_once(tmp_path) -> None:
    made = tmp_path / "made.pdf"
    made.write_bytes(make_pages(["Annual report"], ["The quay wall"]))
    code = f"import shutil, sys; shutil.copy({str(made)!r}, sys.argv[2])"
    parsed = read_pdf(SCAN, command(tmp_path, code, "{pdf} {output}"))
    assert "The quay wall" in parsed.text
    assert parsed.left_out == ()


def test_its_failure_is_that_of_the_file(tmp_path) -> None:
    code = "import sys; sys.exit('no language\\nand more')"
    with pytest.raises(InputError, match=r"fails on page 2 \(exit status 1\): no language$"):
        read_pdf(SCAN, command(tmp_path, code, "{image}"))
    with pytest.raises(InputError, match="cannot run 'no-such-program'"):
        read_pdf(SCAN, "no-such-program {image}")
    with pytest.raises(InputError, match="wrote no file"):
        read_pdf(SCAN, command(tmp_path, "", "{pdf} {output}"))


def test_a_command_that_does_not_say_where_files_go_is_refused() -> None:
    for text in (" ", "tesseract", "a {image} {pdf}", "a {pdf}", "a '{image}"):
        with pytest.raises(ConfigError, match="--ocr"):
            Limits(ocr=text)


def test_the_parser_hands_it_over_and_ends_it_in_time(tmp_path) -> None:
    parser = Parser(Limits(ocr=command(tmp_path, "print('The quay')", "{image}")))
    assert "The quay" in parser.read(".pdf", SCAN).text
    parser.close()
    number = tmp_path / "number"
    code = f"import os, time; open({str(number)!r}, 'w').write(str(os.getpid())); time.sleep(900)"
    parser = Parser(Limits(seconds=4, ocr=command(tmp_path, code, "{image}")))
    with pytest.raises(InputError, match="--reader-seconds"):
        parser.read(".pdf", SCAN)
    # On a very busy machine, the command has not begun by then.
    if number.exists() and psutil.pid_exists(process := int(number.read_text() or 0)):
        psutil.wait_procs([psutil.Process(process)], timeout=300)
        assert not psutil.pid_exists(process)


def test_the_parser_says_what_was_left_out() -> None:
    parser = Parser()
    assert parser.read(".pdf", SCAN) == read_pdf(SCAN)
    assert read_pdf(SCAN).left_out
    parser.close()
