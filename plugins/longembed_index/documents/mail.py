"""The reader of e-mails."""

from __future__ import annotations

import email
import email.policy

from longembed_index.documents.markup import parse_html
from longembed_index.documents.parsed import Parsed, clean_title, read_as

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read_mail(data: bytes) -> Parsed:
    """Read an e-mail: its headers, its text, and the names of its attachments, which are not read.

    Args:
        data: The file, as RFC 5322 has it.

    Raises:
        InputError: If it cannot be read, or has neither headers nor a text.
    """
    with read_as("EML"):
        message = email.message_from_bytes(data, policy=email.policy.default)
        lines = [f"{name}: {message[name]}" for name in _HEADERS if message[name]]
        body = message.get_body(("plain", "html"))
        text = "" if body is None else str(body.get_content())
        if body is not None and body.get_content_subtype() == "html":
            text = parse_html(text).text
        attached = [part.get_filename() or "without a name" for part in message.iter_attachments()]
        lines += [f"Attached, not read: {name}" for name in attached]
        if not lines:
            raise ValueError("it has no headers")
        return Parsed("\n".join([*lines, "", text]), clean_title(message["Subject"]))
