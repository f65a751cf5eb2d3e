"""A mail's bytes as a message, and a message as a mail's bytes.

Layer: adapters/channels/mail; pure. Owns the bounds on mails and what is ignored so that no two machines write to each other
for ever. Absent: IMAP and SMTP. Sources: RFC 5322, RFC 2045, RFC 3834 (automatic answers).
Laws: anything that is no mail is Malformed, never another exception; what is sent is text/plain with files, and a value
from outside cannot end a header line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import SMTP, compat32
from email.utils import formatdate, parsedate_to_datetime

from carapax.adapters.channels.fields import plain
from carapax.adapters.channels.mail.address import Fields, all_of, decode_words, judge_evidence, parse_sender
from carapax.adapters.channels.mail.html import html_to_text
from carapax.adapters.channels.mail.quotes import split_quoted
from carapax.core.terms.channel import Attached, Outgoing, Person, Place, Received
from carapax.core.terms.error import Malformed, TooLarge

MAIL_BYTES = 16 << 20
TEXT_BYTES = 256 << 10
MAX_PARTS = 100
MAX_DEPTH = 12
MAX_FIELDS = 500
SUBJECT_CHARS = 300
MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")


@dataclass(frozen=True, slots=True)
class Mailed:
    """A mail as read. `ignored` says why nobody is told of it; "" when it counts."""

    received: Received
    subject: str
    ignored: str = ""


def parse_mail(raw: bytes, *, channel: str, own: str, authserv: str, ref: str) -> Mailed:
    """A mail. `own` is the agent's address; `ref` finds the mail again, for its files.

    Raises Malformed: no single sender, too many parts or levels. TooLarge: over 16 MiB.
    """
    message = parse_message(raw)
    fields = fields_of(message)
    sender = parse_sender(fields)
    subject = one_line(decode_words(_first(fields, "subject")))[:SUBJECT_CHARS]
    number = _first_id(_first(fields, "message-id"))
    chain = MESSAGE_ID.findall(_first(fields, "references")[:8_000]) or MESSAGE_ID.findall(
        _first(fields, "in-reply-to")
    )
    text, files = _content(message, ref)
    words, quoted = split_quoted(text)
    answers = _first_id(_first(fields, "in-reply-to")) or (chain[-1] if chain else "")
    received = Received(
        place=Place(channel, sender.id, thread=(chain[0] if chain else number)),
        sender=sender,
        event=hashlib.sha256(_head(raw)).hexdigest()[:32],
        text=plain(f"{subject}\n\n{words}".strip() if subject and not chain else words),
        sent_ms=_date_ms(_first(fields, "date")),
        message=number,
        evidence=judge_evidence(fields, sender.id, authserv),
        reply_to=answers,
        quoted=plain(quoted),
        files=files,
    )
    return Mailed(received, subject, _why_ignored(message, fields, sender, own))


def parse_message(raw: bytes) -> Message:
    """The structure of a mail. Raises Malformed, TooLarge."""
    if len(raw) > MAIL_BYTES:
        raise TooLarge(f"This mail is larger than {MAIL_BYTES >> 20} MiB.")
    # Every open boundary is compared with every line: counted before, because parsing is where they cost.
    if len(re.findall(rb"boundary\s*\*?0?\*?\s*=", raw, re.IGNORECASE)) > MAX_DEPTH * 2:
        raise Malformed("This mail has too many parts inside parts.")
    try:
        message = message_from_bytes(raw, policy=compat32)
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError, IndexError) as error:
        raise Malformed(f"This is not a mail: {type(error).__name__}.") from None
    if len(message.items()) > MAX_FIELDS:
        raise Malformed(f"This mail has more than {MAX_FIELDS} header fields.")
    return message


def fields_of(message: Message) -> Fields:
    """The header, top first, as text."""
    return [(str(name), str(value)) for name, value in message.items()]


def find_file(message: Message, number: int) -> bytes:
    """The bytes of one part. Raises Malformed when there is none."""
    for at, part in enumerate(_leaves(message)):
        if at == number:
            return _decoded(part)
    raise Malformed("This mail has no such file.")


def render_mail(outgoing: Outgoing, *, own: str, subject: str, now_ms: int) -> tuple[str, bytes]:
    """A mail to the person of the place: its Message-ID (made from the key) and its bytes."""
    mail = EmailMessage(policy=SMTP)
    number = message_id(outgoing.key, own)
    mail["From"] = own
    mail["To"] = outgoing.place.chat
    title = one_line(subject)[:SUBJECT_CHARS] or "Carapax"
    mail["Subject"] = title if re.match(r"(?i)re\s?:", title) or not outgoing.place.thread else f"Re: {title}"
    mail["Date"] = formatdate(now_ms / 1000)
    mail["Message-ID"] = number
    chain = [part for part in (outgoing.place.thread, outgoing.reply_to) if MESSAGE_ID.fullmatch(part)]
    if chain:
        mail["In-Reply-To"] = chain[-1]
        mail["References"] = " ".join(dict.fromkeys(chain))
    mail["Auto-Submitted"] = "auto-replied"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(plain(outgoing.text), cte="quoted-printable")
    for file in outgoing.files:
        kind, _, form = (file.type if re.fullmatch(r"[\w.+-]{1,60}/[\w.+-]{1,60}", file.type) else "").partition("/")
        # a file is bytes: nothing in a reader should open it by itself
        if kind in ("", "text", "multipart", "message"):
            kind, form = "application", "octet-stream"
        mail.add_attachment(file.content, maintype=kind, subtype=form, filename=_file_name(file.name))
    return number, mail.as_bytes()


def message_id(key: str, own: str) -> str:
    """The Message-ID that a key always gives."""
    return f"<{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:40]}@{own.rpartition('@')[2]}>"


def one_line(text: str) -> str:
    """Text for a header: one line, no control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _why_ignored(message: Message, fields: Fields, sender: Person, own: str) -> str:
    given: Mapping[str, str] = {name.lower(): value.strip() for name, value in fields}
    submitted = given.get("auto-submitted", "no").partition(";")[0].strip().lower()
    if sender.id == own.lower():
        return "it is the agent's own"
    if "return-path" in given and given["return-path"] in ("<>", ""):
        return "it is a notice of delivery"
    if submitted != "no" or message.get_content_type() == "multipart/report":
        return "a machine wrote it"
    if (
        given.get("precedence", "").lower() in ("bulk", "list", "junk")
        or {"list-id", "list-unsubscribe"} & given.keys()
    ):
        return "it was sent to a list"
    return "the sender's name is a machine's" if re.match(r"(?:mailer-daemon|postmaster)@", sender.id) else ""


def _content(message: Message, ref: str) -> tuple[str, tuple[Attached, ...]]:
    bare: list[str] = []
    rich: list[str] = []
    files: list[Attached] = []
    for at, part in enumerate(_leaves(message)):
        kind = part.get_content_type()
        name = _part_name(part)
        inline = (part.get_content_disposition() or "inline") == "inline" and not name
        if inline and kind == "text/plain":
            bare.append(_text_of(part))
        elif inline and kind == "text/html":
            rich.append(_text_of(part))
        elif kind not in ("application/pgp-signature", "application/pkcs7-signature"):
            size = len(_decoded(part))
            voice = kind.startswith("audio/")
            files.append(Attached(f"{ref}.{at}", name=name, type=kind[:100], size_bytes=size, voice=voice))
    text = "\n".join(bare).strip()
    return text or html_to_text("\n".join(rich)), tuple(files)


def _leaves(message: Message) -> Iterator[Message]:
    """Every part that holds something itself. Raises Malformed over the bounds."""
    count = 0
    waiting = [(message, 0)]
    while waiting:
        part, depth = waiting.pop()
        count += 1
        if count > MAX_PARTS or depth > MAX_DEPTH:
            raise Malformed(f"This mail has more than {MAX_PARTS} parts, or parts more than {MAX_DEPTH} levels deep.")
        payload = part.get_payload()
        # A mail inside a mail is a file, not words of this sender.
        if isinstance(payload, list) and part.get_content_maintype() == "multipart":
            waiting += [(inner, depth + 1) for inner in reversed(payload) if isinstance(inner, Message)]
        else:
            yield part


def _decoded(part: Message) -> bytes:
    payload = part.get_payload()
    if isinstance(payload, list):
        return b"\n".join(_as_bytes(inner) for inner in payload if isinstance(inner, Message))
    try:
        found = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError, IndexError, UnicodeError):
        found = b""
    return found if isinstance(found, bytes) else b""


def _as_bytes(message: Message) -> bytes:
    try:
        return message.as_bytes()
    except (ValueError, LookupError, TypeError, UnicodeError, RecursionError, AttributeError, KeyError):
        return b""


def _text_of(part: Message) -> str:
    content = _decoded(part)[: TEXT_BYTES * 4]
    try:
        return content.decode(part.get_content_charset() or "utf-8", "replace")
    except (LookupError, ValueError):
        return content.decode("utf-8", "replace")


def _part_name(part: Message) -> str:
    try:
        name = part.get_filename() or ""
    except (ValueError, LookupError, TypeError, AttributeError, IndexError):
        name = ""
    return _file_name(decode_words(name)) if name else ""


def _file_name(name: str) -> str:
    return re.sub(r"[/\\:]", "_", one_line(name))[:120].strip(". ") or "file"


def _head(raw: bytes) -> bytes:
    ends = [at for at in (raw.find(b"\r\n\r\n"), raw.find(b"\n\n")) if at >= 0]
    return raw[: min(ends)] if ends else raw


def _first(fields: Fields, name: str) -> str:
    return next(iter(all_of(fields, name)), "")


def _first_id(value: str) -> str:
    found = MESSAGE_ID.search(value[:2_000])
    return found[0] if found else ""


def _date_ms(value: str) -> int:
    try:
        return max(0, int(parsedate_to_datetime(value).timestamp() * 1000))
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return 0
