"""Commands that people type in a chat: `/help`, `/stop`, `/pair CODE`, in English and French.

Layer: core/channel; pure. Owns the words. Absent: who may use which, and what they do (`app`).
Laws: a message is a command only when it begins with "/" and a word; a word that is none is answered with the nearest,
never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from carapax.core.channel.pairing import read_code
from carapax.core.channel.queue import QueueMode


class CommandName(StrEnum):
    HELP = "help"
    STOP = "stop"
    QUEUE = "queue"
    NEW = "new"
    UNDO = "undo"
    APPROVALS = "approvals"
    WHOAMI = "whoami"
    LINK = "link"
    PAIR = "pair"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Command:
    """One command, understood. `person`: whose account it is to be (`/pair CODE as NAME`)."""

    name: CommandName
    argument: str = ""  # a code without its dash, or a mode's value
    person: str = ""


class Flaw(StrEnum):
    """Why a command was not understood."""

    UNKNOWN = "unknown"
    NO_CODE = "no_code"
    NOT_A_CODE = "not_a_code"
    NO_MODE = "no_mode"
    TOO_MUCH = "too_much"  # words behind a command that takes none


@dataclass(frozen=True, slots=True)
class Misread:
    """Something that looks like a command. `word` is what was typed; `near` what may have been meant."""

    flaw: Flaw
    word: str
    near: tuple[str, ...] = ()


_WORDS: dict[str, CommandName] = {
    **{name.value: name for name in CommandName},
    "start": CommandName.HELP, "commands": CommandName.HELP, "aide": CommandName.HELP,
    "cancel": CommandName.STOP, "arret": CommandName.STOP, "arrete": CommandName.STOP,
    "arreter": CommandName.STOP, "file": CommandName.QUEUE, "reset": CommandName.NEW, "nouveau": CommandName.NEW,
    "nouvelle": CommandName.NEW, "annule": CommandName.UNDO, "annuler": CommandName.UNDO,
    "accords": CommandName.APPROVALS, "approbations": CommandName.APPROVALS, "quisuisje": CommandName.WHOAMI,
    "moi": CommandName.WHOAMI, "lier": CommandName.LINK, "associer": CommandName.PAIR,
    "etat": CommandName.STATUS,
}  # fmt: skip
_MODES: dict[str, QueueMode] = {
    **{mode.value: mode for mode in QueueMode},
    "followup": QueueMode.FOLLOW_UP, "guider": QueueMode.STEER, "suite": QueueMode.FOLLOW_UP,
    "grouper": QueueMode.COLLECT, "interrompre": QueueMode.INTERRUPT,
}  # fmt: skip
_UNACCENTED = str.maketrans("àâäéèêëîïôöùûüç", "aaaeeeeiioouuuc")
_COMMAND = re.compile(r"/([^\W\d_][\w-]{0,31})(?:@[\w.:-]{1,128})?(?:\s+(\S.*))?\Z", re.DOTALL)
_PAIR = re.compile(r"(?P<code>.*?)(?:\s+(?:as|comme)\s+(?P<person>\S(?:.{0,62}\S)?))?\Z", re.IGNORECASE | re.DOTALL)
_SHOWN_CHARS = 32


def read_command(text: str) -> Command | Misread | None:
    """The command that a message is; None when it is none ("/etc/hosts is wrong" is a sentence)."""
    found = _COMMAND.match(text.strip().replace("\u00a0", " "))
    if found is None:
        return None
    word, rest = found[1].lower().translate(_UNACCENTED), (found[2] or "").strip()
    name = _WORDS.get(word)
    if name is None:
        return Misread(Flaw.UNKNOWN, found[1][:_SHOWN_CHARS], _near(word, _WORDS))
    if word == "start" and rest:
        name = CommandName.LINK  # a messenger's link to the agent carries its code so
    match name:
        case CommandName.QUEUE:
            return _queue(rest)
        case CommandName.LINK:
            return _link(rest)
        case CommandName.PAIR:
            return _pair(rest)
        case _:
            return Misread(Flaw.TOO_MUCH, name.value) if rest else Command(name)


def _near(word: str, known: dict[str, CommandName] | dict[str, QueueMode]) -> tuple[str, ...]:
    found = get_close_matches(word[:_SHOWN_CHARS], list(known), n=2, cutoff=0.7)
    return tuple(dict.fromkeys(known[each].value for each in found))


def _queue(rest: str) -> Command | Misread:
    word = rest.lower().translate(_UNACCENTED).replace("_", "-")
    if not word:
        return Command(CommandName.QUEUE)
    mode = _MODES.get(word)
    if mode is None:
        return Misread(Flaw.NO_MODE, rest[:_SHOWN_CHARS], _near(word, _MODES))
    return Command(CommandName.QUEUE, mode.value)


def _link(rest: str) -> Command | Misread:
    code = read_code(rest) if rest else ""
    return Command(CommandName.LINK, code) if code is not None else Misread(Flaw.NOT_A_CODE, CommandName.LINK.value)


def _pair(rest: str) -> Command | Misread:
    found = _PAIR.match(rest)
    given = found["code"] if found else rest
    if not given.strip():
        return Misread(Flaw.NO_CODE, CommandName.PAIR.value)
    code = read_code(given)
    if code is None:
        return Misread(Flaw.NOT_A_CODE, CommandName.PAIR.value)
    return Command(CommandName.PAIR, code, (found["person"] or "") if found else "")
