from __future__ import annotations

import pytest

from longembed_index.documents.formats.encodings import decode
from longembed_index.documents.formats.plain import read_text
from longembed_st.errors import InputError


def test_text_is_read_unaltered_in_every_unicode_encoding() -> None:
    text = "Zwölf Boxkämpfer\n\n  日本語 🙂 שלום\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert read_text(text.encode(encoding)).text == text


DECLARED = [
    ("latin1", "cp1252", "it’s “quoted” – 5 €"),
    ("gb_2312-80", "gb18030", "鎔基"),
    ("x-sjis", "cp932", "①㈱ソフト"),
    ("ks_c_5601-1987", "cp949", "뷁 펲시"),
    ("big5", "big5hkscs", "會議喺"),
    ("tis-620", "cp874", "คณะกรรมการ"),
    ("'windows-1255'", "cp1255", "שלום"),
    ("utf-7", "utf-7", "Größe"),
    ("hz-gb-2312", "hz", "会议"),
    ("unicode", "utf-8", "Größe"),
    ("iso-8859-1", "utf-8", "Größe"),
    ("no-such-name", "utf-8", "Größe"),
    ("hex", "utf-8", "Größe"),
]


def test_a_declared_name_means_what_it_means_on_the_web() -> None:
    for declared, codec, text in DECLARED:
        parsed = decode(text.encode(codec), declared)
        assert (declared, parsed.text) == (declared, text)
        assert not parsed.left_out


def test_characters_that_japanese_programs_added_to_euc_jp_and_iso_2022_jp() -> None:
    assert decode(b"\xad\xa1\xa4\xa2", "euc-jp").text == "①あ"
    for declared in ("iso-2022-jp", ""):
        assert decode(b'a \x1b$B-!$"\x1b(B b\x1b(I1\x1b(B', declared).text == "a ①あ bｱ"


def test_utf_16_without_a_mark() -> None:
    for text in ("Ein Satz.", "Ответ: да", "会議で\n決まった\n"):
        for codec in ("utf-16-le", "utf-16-be"):
            assert decode(text.encode(codec)).text == text


GUESSED = [
    ("cp1252", "Déjà vu: el señor Núñez – für 5 € – está aquí"),
    ("cp1250", "Žádný učený z nebe nespadl, říká přísloví"),
    ("cp1254", "Işıklı şehirde çocuklar ağlıyor"),
    ("cp1251", "Мы встретились вчера у моря"),
    ("koi8-r", "Мы встретились вчера у моря"),
    ("cp1253", "Η θάλασσα είναι ήρεμη σήμερα"),
    ("cp1255", "הספינה עזבה את הנמל אתמול בבוקר"),
    ("cp1256", "غادرت السفينة الميناء صباح أمس"),
    ("gb18030", "船昨天早上离开了港口，没有人知道为什么"),
    ("big5", "船昨天早上離開了港口，沒有人知道為什麼"),
    ("cp932", "船は昨日の朝に港を出ました"),
    ("euc_jp", "船は昨日の朝に港を出ました"),
    ("cp949", "배는 어제 아침에 항구를 떠났습니다"),
]


def test_an_encoding_that_is_not_declared_is_guessed_and_named() -> None:
    for codec, text in GUESSED:
        parsed = decode(text.encode(codec))
        assert (codec, parsed.text) == (codec, text)
        assert "bytes in an encoding that was guessed" in parsed.left_out[0].what


def test_bytes_that_are_not_valid_are_counted() -> None:
    for data, declared, text, lost in (
        ("schöne Grüße".encode() + b" \xff.", "", "schöne Grüße \ufffd.", 1),
        (b"\xff\xfea\0\x00\xd8b\0", "", "a\ufffdb", 1),
        (b"caf\x81", "windows-1252", "caf\ufffd", 1),
        ("fine \ufffd".encode(), "", "fine \ufffd", 0),
        (b"half \xed\xa0\xbd, whole \xed\xa0\xbd\xed\xb8\x80", "", "half \ufffd, whole 😀", 1),
    ):
        parsed = decode(data, declared)
        assert parsed.text == text
        assert sum(part.count for part in parsed.left_out) == lost, text


def test_a_few_nuls_in_a_text_are_named() -> None:
    parsed = decode(b"the first day\n\0\0\0\nthe second day" + "\nlater".encode("utf-16-le"))
    assert parsed.text.split() == ["the", "first", "day", "the", "second", "day", "later"]
    assert parsed.left_out[0].what == "NUL characters"


def test_what_is_binary_or_no_text_of_its_encoding_is_refused() -> None:
    for data in (bytes(range(256)) * 4, b"PK\3\4" + bytes(20), b"\0\1", b"\0\0a"):
        with pytest.raises(InputError, match="is binary"):
            decode(data)
    with pytest.raises(InputError, match="is not UTF-16 text"):
        decode(b"\xff\xfe\xfa", "")
    with pytest.raises(InputError, match="is not CP1252 text"):
        decode(b"\x81\x8d\x8f\x90", "windows-1252")
