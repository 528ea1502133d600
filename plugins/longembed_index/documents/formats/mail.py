"""The reader of e-mails."""

from __future__ import annotations

import base64
import email
import email.policy
import quopri
import re
from contextlib import suppress
from email.message import Message
from email.utils import parsedate_to_datetime

from longembed_index.documents.formats.encodings import decode
from longembed_index.documents.formats.html import read_html
from longembed_index.documents.parsed import LeftOut, Parsed, clean_title, date_field, read_as
from longembed_st.errors import InputError

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_EVENT = ("SUMMARY", "DTSTART", "DTEND", "LOCATION", "ORGANIZER", "ATTENDEE", "DESCRIPTION")
_SIGNATURES = tuple(
    f"application/{name}" for name in ("pgp-signature", "pkcs7-signature", "x-pkcs7-signature")
)
_PICTURES = ("image/", "audio/", "video/")
_DEEPEST = 50

_ENCODED_WORD = re.compile(r"=\?([^?\s]+)\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?[^?\s]+\?[bBqQ]\?)")
_SAME_CHARSET = re.compile(r"=\?([^?\s]+)\?[qQ]\?([^?]*)\?==\?\1\?[qQ]\?")
_WORD = re.compile(r"\w+")


def read_mail(data: bytes) -> Parsed:
    """Read an e-mail: its headers, all of its texts, and the mails that it forwards.

    Returns:
        The mail; attachments that are not text are named in the text and in `left_out`.

    Raises:
        InputError: If it cannot be read, or has neither headers nor a text.
    """
    with read_as("EML"):
        message = email.message_from_bytes(
            data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n"), policy=email.policy.compat32
        )
        reader = _MailReader()
        reader.read_message(message, 0)
        text = "\n".join(reader.lines).strip("\n")
        if not text and reader.left_out:
            raise InputError(f"cannot be read as EML: {reader.left_out[0].what}")
        title = clean_title(_header(message, "Subject"))
        return Parsed(text, title, tuple(reader.left_out), _date(message))


def _date(message: Message) -> dict[str, str]:
    # A date that cannot be understood is not an error.
    with suppress(TypeError, ValueError, OverflowError):
        return date_field(parsedate_to_datetime(_header(message, "Date")).isoformat())
    return {}


class _MailReader:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.left_out: list[LeftOut] = []

    def read_message(self, message: Message, depth: int) -> None:
        headers = ((name, _header(message, name)) for name in _HEADERS)
        self.lines += [*(f"{name}: {value}" for name, value in headers if value), ""]
        self._read_part(message, depth)

    def _read_part(self, part: Message, depth: int) -> None:
        kind = part.get_content_type()
        payload = part.get_payload()
        children = [child for child in payload if isinstance(child, Message)]
        if depth > _DEEPEST:
            self._leave_out(part, "parts that are nested too deep")
        elif children and kind == "message/rfc822":
            for message in children:
                self.read_message(message, depth + 1)
        elif children and kind == "message/delivery-status":
            fields = (field for block in children for field in block.raw_items())
            self.lines += [*(_decoded_header(f"{name}: {value}") for name, value in fields), ""]
        elif children:
            if kind == "multipart/alternative":
                children = _without_copies(children)
            for child in children:
                self._read_part(child, depth + 1)
            # Mailing lists write below the last part.
            epilogue = str(part.epilogue or "").encode("utf-8", "surrogateescape")
            with suppress(InputError):
                self._add(decode(epilogue))
        elif kind.startswith(("text/", "multipart/", "message/")):
            try:
                self._add(_text_of(part))
            except InputError as error:
                self._leave_out(part, f"texts that cannot be read: {error}")
        elif kind not in _SIGNATURES:
            name = _file_name(part)
            self.lines.append(f"Attached, not read: {name or 'without a name'}")
            # Pictures inside the text belong to it, as those of a web page do.
            is_inside = part.get("Content-ID") or "inline" in str(part.get("Content-Disposition"))
            if not (kind.startswith(_PICTURES) and is_inside):
                self._leave_out(part, f"attachments ({kind})")

    def _leave_out(self, part: Message, what: str) -> None:
        self.left_out.append(LeftOut(_file_name(part), what))

    def _add(self, text: Parsed) -> None:
        if text.text.strip():
            self.lines += [text.text.strip("\r\n"), ""]
        self.left_out += text.left_out


def _without_copies(parts: list[Message]) -> list[Message]:
    """Return the parts of a mail that has its text in several forms, without those said twice."""
    pages = [part for part in parts if _has_html(part)]
    plain = [part for part in parts if part.get_content_type() == "text/plain"]
    others = [part for part in parts if part not in pages and part not in plain]
    others = [
        part
        for part in others
        if part.get_content_type() not in ("text/x-amp-html", "text/watch-html")
    ]
    if not pages or not plain:
        return [*plain, *pages, *others]
    words = _words(plain)
    page_words = _words(pages)
    has_attachments = any(
        child.get_content_maintype() not in ("multipart", "text", "image")
        for page in pages
        for child in page.walk()
    )
    if len(page_words - words) <= 0.3 * len(page_words) and not has_attachments:
        return [*plain, *others]
    # A short text beside it says to use another program.
    differs = len(words - page_words) > 0.5 * len(words) and len(words) > 40
    return [*(plain if differs else []), *pages, *others]


def _has_html(part: Message) -> bool:
    return any(child.get_content_type() == "text/html" for child in part.walk())


def _words(parts: list[Message]) -> set[str]:
    reader = _MailReader()
    for part in parts:
        reader._read_part(part, 0)
    return set(_WORD.findall("\n".join(reader.lines).lower()))


def _text_of(part: Message) -> Parsed:
    data = _bytes_of(part)
    kind = part.get_content_type()
    declared = part.get_content_charset() or ""
    if kind in ("text/html", "text/enriched") and not declared:
        return read_html(data)
    text = decode(data, declared)
    if kind in ("text/html", "text/enriched"):
        return Parsed(read_html(text.text.encode()).text, left_out=text.left_out)
    if kind == "text/calendar":
        return Parsed(_event(text.text), left_out=text.left_out)
    return text


def _bytes_of(part: Message) -> bytes:
    transfer = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if transfer == "base64":
        return _from_base64(str(part.get_payload()).encode("utf-8", "surrogateescape"))
    decoded = part.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def _from_base64(encoded: bytes) -> bytes:
    """Decode what there is: lines may be lost, or several texts follow each other."""
    letters = re.sub(rb"[^A-Za-z0-9+/=]", b"", encoded)
    if len(letters) < 0.9 * len(b"".join(encoded.split())) or b" " in encoded.strip():
        return encoded
    runs = [run[: len(run) - (len(run) % 4 == 1)] for run in re.split(rb"=+", letters)]
    return b"".join(base64.b64decode(run + b"=" * (-len(run) % 4)) for run in runs)


def _header(message: Message, name: str) -> str:
    values = [value for key, value in message.raw_items() if key.lower() == name.lower()]
    return ", ".join(_decoded_header(str(value)) for value in values)


def _decoded_header(value: str) -> str:
    """Return a header in one line, its encoded words decoded."""
    text = _readable(value.encode("utf-8", "surrogateescape"))
    text = _BETWEEN_WORDS.sub(r"\1", text)
    # A character may be cut in two, each half in a word of its own.
    while _SAME_CHARSET.search(text):
        text = _SAME_CHARSET.sub(r"=?\1?Q?\2", text)
    return " ".join(_ENCODED_WORD.sub(_decoded_word, text).split())


def _decoded_word(match: re.Match[str]) -> str:
    charset, form, letters = match.groups()
    encoded = letters.encode()
    is_base64 = form in "bB"
    data = _from_base64(encoded) if is_base64 else quopri.decodestring(encoded, header=True)
    return _readable(data, charset.partition("*")[0])


def _readable(data: bytes, declared: str = "") -> str:
    """Return a piece of a header; what is not valid in it is replaced."""
    try:
        return decode(data, declared).text
    except InputError:
        return data.decode("ascii", "replace")


def _file_name(part: Message) -> str:
    try:
        return _decoded_header(str(part.get_filename() or ""))
    except (LookupError, ValueError, TypeError):
        return ""


def _event(calendar: str) -> str:
    """Return what a person asks about the events of a calendar, a line each."""
    lines = []
    for line in re.sub(r"\r?\n[ \t]", "", calendar).splitlines():
        name, _, value = line.partition(":")
        field = name.partition(";")[0].upper()
        if field in _EVENT:
            value = re.sub(r"\\[nN]", "\n", value)
            text = re.sub(r"\\(.)", r"\1", value)
            lines.append(f"{field.capitalize()}: {text}")
    return "\n".join(lines)
