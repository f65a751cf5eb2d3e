"""What is kept of a message while it waits: JSON of our own, read back as strictly as it was written.

Layer: app; pure. Law: `unpack_x(pack_x(value)) == value`. Rows of an earlier release are read too: what it did not write
has the default of its field.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
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
