"""Words in a chat that answer an approval card, in English and French.

Layer: core/channel; pure. Owns what counts as an answer. Absent: whether the answer is complete (`core.turn.answer`).
Laws: nothing but the forms below is an answer; a longer sentence never is; a yes without its card's code counts only for
the one card that waits and was the newest message; what was typed reaches the judge as it was written.

    yes K7M2Q                  no K7M2Q, whatever follows
    yes K7M2Q 1,3-4            lines that are picked
    yes K7M2Q DE89 3704 …      a value that the card leaves open; several: a line each
    … code 123456              the one-time code, at the end or on a line of its own
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from carapax.core.terms.approval import Answer, Approval
from carapax.core.turn.answer import fills, read_picks

MOST_CHARS = 20_000
MOST_LINES = 200

YES = frozenset({"yes", "y", "oui", "ok", "okay", "approve", "approuve", "accepte", "d'accord", "daccord"})
NO = frozenset({"no", "n", "non", "deny", "refuse", "reject"})
BARE = frozenset({"yes", "oui", "no", "non"})
"""What counts without a card's code, and only where it cannot mean anything else."""

_PLAIN = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "’": "'", "‘": "'", "“": '"', "”": '"'})
_ID = re.compile(r"[A-Za-z0-9]{4,6}\Z")
_CODE = re.compile(r"(?:\A|[ \n;,]+)(?:one-time )?code:? *([0-9]{3} ?[0-9]{3})[.!]*\s*\Z", re.IGNORECASE)
_PUNCTUATION = " .,;:!…\"'«»()[]*_`"
_QUOTES = {'"': '"', "“": "”", "«": "»", "'": "'", "‘": "’", "`": "`"}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer in words. `values` are lines as they were typed; what they fill, the card says (`fill`)."""

    approve: bool
    card: str  # the card's code, in capitals
    values: tuple[str, ...] = ()
    code: str = ""


def read_answer(text: str, *, ids: Collection[str], alone: str = "") -> Answered | None:
    """The answer that a message is; None when it is anything else.

    `ids`: the codes of the cards that wait for this person. `alone`: the code of the only one in this conversation, when
    it was shown as the newest message there; "" otherwise. A code with a digit that no card has is an answer too: to a
    card that waits no more.
    """
    if len(text) > MOST_CHARS or text.count("\n") > MOST_LINES:
        return None
    body, code = _without_code(text.strip())
    first, rest = _first_word(body)
    if not body and code and alone:
        return Answered(True, alone.upper(), code=code)
    if first not in YES | NO:
        return None
    approve = first in YES
    if not rest.translate(_PLAIN).strip(_PUNCTUATION + "\n"):
        bare = alone and first in BARE and (approve or not code)
        return Answered(approve, alone.upper(), code=code) if bare else None
    named, values = _first_word(rest)
    card = named.upper()
    if not _ID.match(card) or (card not in {each.upper() for each in ids} and not any(c.isdigit() for c in card)):
        return None
    return Answered(approve, card, _lines(values) if approve else (), code if approve else "")


def fill(answered: Answered, card: Approval) -> Answer:
    """What the words give to this card: picked lines first where it has choices, then the typed values in order.

    A full stop at the end of a value is left out when only then it is the value that is asked.
    """
    if not answered.approve:
        return Answer(False)
    values = list(answered.values)
    picked: tuple[int, ...] = ()
    if card.choices and values and (read := read_picks(values[0])) is not None:
        values, picked = values[1:], read
    typed = [_sentence_end(value, card, at) if at < len(card.blanks) else value for at, value in enumerate(values)]
    return Answer(True, tuple(typed), picked, answered.code)


def _sentence_end(value: str, card: Approval, at: int) -> str:
    blank, shorter = card.blanks[at], value.rstrip(".!")
    return shorter if shorter != value and not fills(blank, value) and fills(blank, shorter) else value


def _without_code(text: str) -> tuple[str, str]:
    """The text before the one-time code, and its digits; the whole text and "" when there is none."""
    found = _CODE.search(text.translate(_PLAIN))
    return (text[: found.start()].rstrip(), found[1].replace(" ", "")) if found else (text, "")


def _first_word(text: str) -> tuple[str, str]:
    """The first word in plain small letters, and what stands behind it, untouched."""
    text = text.strip()
    found = re.match(r"\S+", text.translate(_PLAIN))  # the table maps sign to sign, so places stay
    if not found:
        return "", ""
    return found.group().strip(_PUNCTUATION).lower(), text[found.end() :]


def _lines(text: str) -> tuple[str, ...]:
    return tuple(_unquoted(line.strip(" \t\u00a0\u202f")) for line in text.split("\n") if line.strip())


def _unquoted(line: str) -> str:
    quoted = len(line) > 2 and _QUOTES.get(line[0]) == line[-1]
    return line[1:-1].strip(" \u00a0") if quoted else line
