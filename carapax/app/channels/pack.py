"""What is kept of a message while it waits: JSON of our own, read back as strictly as it was written.

Layer: app; pure. Law: `unpack_x(pack_x(value)) == value`. Rows of an earlier release are read too: what it did not write
has the default of its field.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from carapax.core.terms.channel import Attached, Button, Evidence, Person, Place, Received
from carapax.core.terms.error import Malformed
from carapax.core.terms.plain import plain


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that goes out: its bytes lie in the outbox under their digest."""

    name: str
    type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way out. `edits`: it replaces this message of ours. `about`: the card it shows, for its answer."""

    place: Place
    text: str
    reply_to: str = ""
    buttons: tuple[Button, ...] = ()
    files: tuple[Blob, ...] = ()
    edits: str = ""
    about: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class Back:
    """Where the reply to a message goes."""

    place: Place
    message: str = ""


MOST_BYTES = 200_000
"""Of a message while it waits; the engine keeps 256 KiB."""

_NAME_CHARS = 200


def lane_of(place: Place) -> str:
    """The name of a place's queue: its key, or a digest of one that is too long to be a name."""
    return (
        place.key if len(place.key) <= _NAME_CHARS else hashlib.sha256(place.key.encode("utf-8", "replace")).hexdigest()
    )


def event_key(received: Received) -> str:
    """The one name of a message, over all redeliveries."""
    event = received.event
    if len(event) > _NAME_CHARS:
        event = hashlib.sha256(event.encode("utf-8", "replace")).hexdigest()
    return f"{received.place.channel}:{event}"


def fit_received(received: Received) -> Received:
    """The message, with its texts cut until it can be kept."""
    while len(pack_received(received).encode("utf-8", "replace")) > MOST_BYTES:
        longest = max(len(received.text), len(received.quoted))
        if longest < 1_000:
            return replace(received, files=received.files[:1], text=received.text[:500], quoted="", pressed="")
        most = longest * 3 // 4
        received = replace(received, text=received.text[:most], quoted=received.quoted[:most])
    return received


def pack_received(received: Received) -> str:
    return json.dumps(plain(received), ensure_ascii=False, separators=(",", ":"))


def unpack_received(text: str) -> Received:
    """Raises Malformed."""
    given = _object(text)
    try:
        return Received(
            place=Place(**given.pop("place")),
            sender=Person(**given.pop("sender")),
            evidence=Evidence(given.pop("evidence", Evidence.PLATFORM.value)),
            files=tuple(Attached(**each) for each in given.pop("files", ())),
            **given,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise Malformed(f"a kept message cannot be read: {error}") from error


def pack_letter(letter: Letter) -> str:
    return json.dumps(plain(letter), ensure_ascii=False, separators=(",", ":"))


def unpack_letter(text: str) -> Letter:
    """Raises Malformed."""
    given = _object(text)
    try:
        return Letter(
            place=Place(**given.pop("place")),
            buttons=tuple(Button(**each) for each in given.pop("buttons", ())),
            files=tuple(Blob(**each) for each in given.pop("files", ())),
            **given,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise Malformed(f"a kept letter cannot be read: {error}") from error


def pack_back(back: Back) -> str:
    return json.dumps(plain(back), ensure_ascii=False, separators=(",", ":"))


def unpack_back(text: str) -> Back | None:
    """None for a message that came from no channel. Raises Malformed."""
    if not text:
        return None
    given = _object(text)
    try:
        return Back(Place(**given.pop("place")), **given)
    except (TypeError, KeyError) as error:
        raise Malformed(f"a kept address cannot be read: {error}") from error


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("what was kept is not JSON") from error
    if not isinstance(given, dict):
        raise Malformed("what was kept is no object")
    return given
