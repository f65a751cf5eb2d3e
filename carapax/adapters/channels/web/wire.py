"""What the page sends and what it is sent.

Layer: adapters/channels/web; pure. Owns the forms of the page's requests, its cookie and its events (HTML Living Standard,
"Server-sent events"; RFC 6265). Absent: who may ask, and what is kept.
Laws: nothing but Malformed is raised; a visitor's id is the SHA-256 of a key that only the browser has; no text can begin
a field of an event.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from carapax.adapters.channels.fields import name, parse_object, prose, word
from carapax.core.terms.channel import Button, HookRequest
from carapax.core.terms.error import Malformed

COOKIE = "carapax-visitor"
KEY = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits in base64url
SAID_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")
MAX_SAID_BYTES = 512 << 10
MAX_FILES = 10


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was put down already."""

    ref: str
    name: str
    type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Said:
    """What a visitor sends. `id` is the page's own, the same for every attempt; `press` is a button's data on `message`."""

    id: str
    text: str = ""
    press: str = ""
    message: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a conversation. A change of it has the same `id` and a larger `seq`."""

    seq: int
    id: str
    mine: bool  # the visitor wrote it
    text: str
    at_ms: int
    buttons: tuple[Button, ...] = ()
    files: tuple[str, ...] = ()  # names


def parse_said(body: bytes) -> Said:
    """A message from the page. Raises Malformed."""
    if len(body) > MAX_SAID_BYTES:
        raise Malformed("This message is too large.")
    given = parse_object(body)
    files = given.get("files") or []
    if not isinstance(files, list) or len(files) > MAX_FILES or not all(_is_ref(ref) for ref in files):
        raise Malformed("The files are no list of files.")
    said = Said(
        word(given, "id", 64), prose(given, "text"), word(given, "press", 64), word(given, "message", 64), tuple(files)
    )
    if not SAID_ID.fullmatch(said.id):
        raise Malformed("The id of the message is not one.")
    if not (said.text.strip() or said.press or said.files):
        raise Malformed("There is nothing in this message.")
    return said


def parse_upload(query: str, type: str) -> tuple[str, str]:
    """Name and type of a file that is put down. Raises Malformed."""
    try:
        found = parse_qs(query[:2_000], max_num_fields=5)
    except ValueError:
        raise Malformed("The file has no readable name.") from None
    shown = name({"name": (found.get("name") or ["file"])[0]}, "name").replace("/", "_").replace("\\", "_")
    return shown.strip(". ") or "file", type if re.fullmatch(r"[\w.+-]{1,60}/[\w.+-]{1,60}", type) else ""


def find_key(request: HookRequest) -> str:
    """The visitor's key from the cookie; "" when there is none, two, or something else."""
    found = [
        value.strip()
        for part in request.header("cookie")[:8_000].split(";")
        for key, _, value in [part.partition("=")]
        if key.strip() == COOKIE
    ]
    return found[0] if len(found) == 1 and KEY.fullmatch(found[0]) else ""


def visitor_of(key: str) -> str:
    """The id of whoever holds this key."""
    return hashlib.sha256(key.encode()).hexdigest()


def event_of(visitor: str, said: str) -> str:
    """The id of a message and of its delivery: another visitor's same id is another."""
    return hashlib.sha256(f"{visitor}/{said}".encode()).hexdigest()[:32]


def is_same_origin(request: HookRequest, configured: str) -> bool:
    """Whether a page of ours asks: by Origin, which only browsers set and no page can choose."""
    origin = request.header("origin")
    if request.header("sec-fetch-site") not in ("", "same-origin"):
        return False
    if configured:
        return origin == configured
    try:
        asked, here = urlsplit(origin), urlsplit(request.url)
    except ValueError:
        return False
    place = here.netloc or request.header("host")
    return asked.scheme in ("http", "https") and bool(place) and asked.netloc.lower() == place.lower()


def set_cookie(key: str, path: str, *, secure: bool) -> str:
    """The cookie that makes a browser a visitor, for a year."""
    return f"{COOKIE}={key}; Path={path}; Max-Age=31536000; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")


def prefers_french(request: HookRequest) -> bool:
    """Whether French stands before English in Accept-Language."""
    ranked: list[tuple[float, str]] = []
    for part in request.header("accept-language")[:500].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            ranked.append((-float(weight or 1), tag.strip().lower()[:2]))
        except ValueError:
            continue
    known = [tag for _, tag in sorted(ranked, key=lambda pair: pair[0]) if tag in ("en", "fr")]
    return known[:1] == ["fr"]


def parse_last(request: HookRequest) -> int:
    """Up to where the page has read; 0 for from the start."""
    given = request.header("last-event-id")
    return int(given) if re.fullmatch(r"[0-9]{1,15}", given) else 0


def render_item(item: Item) -> bytes:
    """An event. JSON has no raw line end, so a text cannot begin a field."""
    return f"id: {item.seq}\nevent: line\ndata: {json.dumps(_plain(item))}\n\n".encode()


def render_typing(active: bool) -> bytes:
    """Whether an answer is being written; without an id, so it is never sent again."""
    return f"event: typing\ndata: {json.dumps(active)}\n\n".encode()


def render_items(items: Sequence[Item], last_seq: int) -> bytes:
    """A conversation as kept."""
    return json.dumps({"last": last_seq, "items": [{"seq": item.seq, **_plain(item)} for item in items]}).encode()


def parse_items(raw: bytes | None) -> tuple[list[Item], int]:
    """The inverse of `render_items`; an empty one for what does not parse."""
    try:
        given = json.loads(raw or b'{"items": [], "last": 0}')
        items = [
            Item(
                int(each["seq"]), str(each["id"]), bool(each["mine"]), str(each["text"]), int(each["at"]),
                tuple(Button(str(label), str(data)) for label, data in each["buttons"]), tuple(map(str, each["files"])),
            )
            for each in given["items"]
        ]  # fmt: skip
        return items, int(given["last"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return [], 0


def _plain(item: Item) -> dict[str, object]:
    buttons = [(button.label, button.data) for button in item.buttons]
    shown = {"id": item.id, "mine": item.mine, "text": item.text, "at": item.at_ms}
    return {**shown, "buttons": buttons, "files": list(item.files)}


def _is_ref(ref: object) -> bool:
    return isinstance(ref, str) and bool(SAID_ID.fullmatch(ref))
