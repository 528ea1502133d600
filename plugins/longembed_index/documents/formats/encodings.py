"""Decode bytes as the Web does: https://encoding.spec.whatwg.org."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress

from longembed_index.documents.formats.guessing import guess_encoding
from longembed_index.documents.parsed import LeftOut, Parsed
from longembed_st.errors import InputError
from longembed_st.extras import needs_extra

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # Before UTF-16, whose little-endian mark is the beginning of this one.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_ENCODINGS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
"""Python's codecs that turn bytes into text and are not encodings of text."""
_WIDER = {"gbk": "gb18030", "euc_jp": "euc-jp-ms", "iso2022_jp": "iso-2022-jp-ms"}
"""The Web reads more characters by these names than Python does."""
_MULTIBYTE = (
    "hz",
    "iso2022_kr",
    "utf-7",
    "gb18030",
    "big5hkscs",
    "cp932",
    "cp949",
    "euc-jp-ms",
    "iso-2022-jp-ms",
)

_JIS_ESCAPE = re.compile(rb"(\x1b\$[@B]|\x1b\([BJI])")
_BINARY = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f]")
"""Control characters that texts do not have. They may have an escape character: terminals do."""
_PAIRED_NULS = re.compile(r"(?:[^\0]\0){4,}")
"""UTF-16 behind other text, as programs leave it that append to a file of another encoding."""
_MOST_BINARY, _MOST_NULS, _MOST_INVALID = 0.02, 0.3, 0.4
"""Shares of such characters, of NUL, and of invalid places, from which on a file is not text."""


def decode(data: bytes, declared: str = "") -> Parsed:
    """Return bytes as text, and what of them could not be read or had to be guessed.

    A byte order mark comes first, then UTF-8 where the bytes are valid UTF-8, then the declared
    encoding. The last resort is a guess.

    Args:
        data: The file, or a part of it.
        declared: The name of the encoding that it declares; empty if it does not.

    Raises:
        InputError: If it is binary, or if no encoding makes a text of it.
    """
    for mark, codec in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decode_as(data[len(mark) :], codec)
    codec = _codec(declared)
    if codec.startswith("utf-16") or b"\0" in data:
        unmarked = _utf_16_without_mark(data, codec)
        if unmarked is not None:
            return Parsed(unmarked)
    if not codec and data.isascii() and _JIS_ESCAPE.search(data):
        codec = "iso-2022-jp-ms"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _decode_legacy(data, codec, error)
    # Two bytes of an East Asian encoding can be a valid character, too, but never one of three.
    if codec in _MULTIBYTE and not any(character >= "\u0800" for character in text):
        return _decode_as(data, codec)
    return _as_text(text, ())


def _codec(label: str) -> str:
    """Return the codec of a declared name; empty for UTF-8 and for unknown names."""
    label = label.strip().strip("\"'").lower()
    if not label:
        return ""
    # Emacs writes "iso-latin-1-unix".
    label = re.sub(r"-(?:unix|dos|mac)$", "", label)
    label = re.sub(r"^(?:iso-)?latin[-_](?=\d)", "latin", label)
    with needs_extra("index", "webencodings"):
        import webencodings  # type: ignore[import-untyped]

    encoding = webencodings.lookup(label)
    if encoding is None or encoding.name == "replacement":
        try:
            codec = codecs.lookup(label).name
            # Raises `LookupError` for codecs that do not give text.
            b"a".decode(codec)
        except (LookupError, ValueError):
            return ""
        if codec in _NOT_ENCODINGS:
            return ""
        # "iso_8859_1_1987" is a name of Python only.
        encoding = webencodings.lookup(codec)
    if encoding is not None and encoding.name != "replacement":
        codec = encoding.codec_info.name
    return "" if codec.startswith("utf-8") else _WIDER.get(codec, codec)


def _decode_legacy(data: bytes, codec: str, error: UnicodeDecodeError) -> Parsed:
    """Decode what is not UTF-8."""
    if codec and not codec.startswith("utf-16"):
        return _decode_as(data, codec)
    try:
        # Java and some databases write each half of a UTF-16 pair as three bytes.
        halves = data.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        pass
    else:
        return _decode_as(halves, "utf-16-le")
    text = data.decode("utf-8", "replace")
    invalid = text.count("\ufffd")
    if 2 * invalid <= sum(not character.isascii() for character in text):
        return _decode_as(data, "utf-8")
    _refuse_binary(data.decode("latin-1"))
    guess = guess_encoding(data)
    if guess is None:
        raise InputError(
            f"is not UTF-8 text (byte {data[error.start]:#04x} at offset {error.start}), and its "
            "encoding cannot be guessed. Save it as UTF-8"
        )
    parsed = _decode_as(data, guess)
    guessed = LeftOut("", f"bytes in an encoding that was guessed ({guess})", _high(data))
    return Parsed(parsed.text, left_out=(guessed, *parsed.left_out))


def _decode_as(data: bytes, codec: str) -> Parsed:
    if codec == "iso-2022-jp-ms":
        data, codec = _euc_of_jis(data), "euc-jp-ms"
    if codec == "euc-jp-ms":
        text = data.decode("euc_jp", "longembed_nec")
    else:
        text = data.decode(codec, "replace")
    if codec == "utf-7":
        # It can write half of a character.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    undecodable = text.count("\ufffd")
    if undecodable:
        with suppress(LookupError, UnicodeError):
            undecodable -= data.count("\ufffd".encode(codec))
    name = re.sub("-(?:ms|le|be)$", "", codec).upper()
    if undecodable > _MOST_INVALID * len(text):
        raise InputError(f"is not {name} text: {undecodable:,} places of it are not valid")
    lost = (LeftOut("", f"places with bytes that are not valid {name}", undecodable),)
    return _as_text(text, lost if undecodable > 0 else ())


def _as_text(text: str, left_out: tuple[LeftOut, ...]) -> Parsed:
    """Return a decoded text, unless it is binary."""
    _refuse_binary(text)
    nuls = text.count("\0")
    if nuls:
        left_out = (*left_out, LeftOut("", "NUL characters", nuls))
        text = _PAIRED_NULS.sub(lambda match: match[0].replace("\0", ""), text)
        text = text.replace("\0", " ")
    return Parsed(text, left_out=left_out)


def _refuse_binary(text: str) -> None:
    if "\0" in text and text.count("\0") > _MOST_NULS * len(text):
        raise InputError("is binary, not text: it has NUL characters")
    unusual = sum(1 for _ in _BINARY.finditer(text))
    # Few control characters are damage to a text, unless it has NUL as well.
    if unusual > (0 if "\0" in text else max(_MOST_BINARY * len(text), 2)):
        raise InputError("is binary, not text: it has control characters")


def _utf_16_without_mark(data: bytes, declared: str) -> str | None:
    """Return the text of UTF-16 without a byte order mark; None if it is something else."""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if declared.startswith("utf-16") and not even + odd:
        codec = declared
    elif max(even, odd) > 10 * min(even, odd):
        codec = "utf-16-be" if even > odd else "utf-16-le"
    else:
        return None
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        return None
    printable = sum(character.isprintable() or character.isspace() for character in text)
    is_utf_8 = not even + odd and _is_utf_8(data)
    return text if printable > 0.97 * len(text) and "\0" not in text and not is_utf_8 else None


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _high(data: bytes) -> int:
    return len(data) - len(data.translate(None, bytes(range(128, 256))))


def _euc_of_jis(data: bytes) -> bytes:
    """Return ISO-2022-JP, whose escapes switch between sets of characters, as EUC-JP."""
    parts = []
    state = b"\x1b(B"
    for part in _JIS_ESCAPE.split(data):
        if _JIS_ESCAPE.fullmatch(part):
            state = part
        elif state.startswith(b"\x1b$"):
            parts.append(bytes(byte | 0x80 if 0x20 < byte < 0x7F else byte for byte in part))
        elif state == b"\x1b(I":
            parts.append(b"".join(b"\x8e%c" % (byte | 0x80) for byte in part))
        else:
            parts.append(part)
    return b"".join(parts)


def _nec_characters(error: UnicodeError) -> tuple[str, int]:
    """Decode two bytes of EUC-JP that Python's codec does not know, such as a circled number."""
    assert isinstance(error, UnicodeDecodeError)
    pair = error.object[error.start : error.start + 2]
    if len(pair) == 2 and min(pair) > 0xA0:
        row, cell = pair[0] - 0xA1, pair[1] - 0xA1
        lead = row // 2 + (0x81 if row < 62 else 0xC1)
        trail = cell + (0x9F if row % 2 else 0x40 + (cell > 62))
        try:
            return bytes((lead, trail)).decode("cp932"), error.start + 2
        except UnicodeDecodeError:
            pass
    return "\ufffd", error.start + 1


codecs.register_error("longembed_nec", _nec_characters)
