"""Reading typed values out of the tree: the key says what a scalar must be, never its looks.

Layer: core/policy. Owns the words for what is wrong. Only `true` and `false` are booleans, dates are ISO, whole numbers
are decimal digits (underscores between them allowed), money has at most two decimals.
Law: every refusal names line, key and remedy.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from carapax.core.policy.tree import Node, fault

E = TypeVar("E", bound=StrEnum)

MAX_NUMBER = 10**15
MAX_TEXT = 2_000
"""Characters of one text, the raw rules excepted."""

_WHOLE = re.compile(r"[0-9]+(_[0-9]+)*")
_MONEY = re.compile(r"([0-9]+(?:_[0-9]+)*)(?:\.([0-9]{1,2}))?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def fields(node: Node, known: Sequence[str], required: Sequence[str] = ()) -> Mapping[str, Node]:
    """The values of a map that may hold only `known` keys and must hold `required` ones."""
    found = entries(node)
    for name, value in found.items():
        if name not in known:
            raise fault(value, "this key is not known here", f"write one of {_listed(known)}")
    missing = next((name for name in required if name not in found), None)
    if missing is not None:
        raise fault(node, f"{missing} is missing", f"add `{missing}:`")
    return found


def entries(node: Node) -> Mapping[str, Node]:
    """The values of a map whose keys are free."""
    if node.fields is None and not (node.text == "" and not node.quoted):
        raise fault(node, "this must be a map", "write `key: value` lines below it, or {}")
    return node.fields or {}


def items(node: Node) -> tuple[Node, ...]:
    """The values of a list."""
    if node.items is None:
        raise fault(node, "this must be a list", "write it as [a, b], or [] for none")
    return node.items


def text(node: Node, most: int = MAX_TEXT) -> str:
    """A text that is not empty, of at most `most` characters."""
    if node.text is None or not node.text.strip():
        raise fault(node, "this must be a text", "write a text here")
    if len(node.text) > most:
        raise fault(node, f"this has {len(node.text)} characters", f"write at most {most}")
    return node.text.strip()


def name(node: Node) -> str:
    """A name of ours: letters, digits, `_`, `.` and `-`, at most 64."""
    found = text(node)
    check_name(node, found)
    return found


def check_name(node: Node, found: str) -> None:
    """Refuse a key that is not a name."""
    if not _NAME.fullmatch(found):
        raise fault(node, f"{found[:70]!r} is not a name", "use letters, digits, `_`, `.` and `-`, a letter first")


def texts(node: Node) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(item) for item in items(node))


def truth(node: Node) -> bool:
    """true or false, nothing else."""
    if node.quoted or node.text not in ("true", "false"):
        raise fault(node, f"{_shown(node)} is neither true nor false", "write true or false")
    return node.text == "true"


def whole(node: Node, least: int = 0) -> int:
    """A whole number in decimal digits."""
    if node.quoted or node.text is None or not _WHOLE.fullmatch(node.text) or len(node.text) > 24:
        raise fault(node, f"{_shown(node)} is not a whole number", "write digits, like 40 or 400_000")
    if node.text.startswith("0") and node.text != "0":
        raise fault(node, f"{node.text} begins with 0", "write it without the 0")
    number = int(node.text.replace("_", ""))
    if not least <= number <= MAX_NUMBER:
        raise fault(node, f"{number} is out of range", f"write a number from {least} to {MAX_NUMBER}")
    return number


def whole_or_none(node: Node, least: int = 0) -> int | None:
    """A whole number, or the word `none` for no bound."""
    return None if node.text == "none" and not node.quoted else whole(node, least)


def cents(node: Node) -> int | None:
    """An amount of money in hundredths, or None for the word `none`."""
    if node.text == "none" and not node.quoted:
        return None
    match = _MONEY.fullmatch(node.text or "")
    if match is None or node.quoted or len(match[0]) > 20:
        raise fault(node, f"{_shown(node)} is not an amount", "write an amount like 50 or 49.90, or none")
    return int(match[1].replace("_", "")) * 100 + int((match[2] or "0").ljust(2, "0"))


def date(node: Node) -> datetime.date:
    """A day as YYYY-MM-DD."""
    try:
        if node.text is not None and _DATE.fullmatch(node.text):
            return datetime.date.fromisoformat(node.text)
    except ValueError:
        pass
    raise fault(node, f"{_shown(node)} is not a date", "write it as YYYY-MM-DD")


def word(node: Node, words: Sequence[str]) -> str:
    """One of the words."""
    if node.text is None or node.text not in words:
        raise fault(node, f"{_shown(node)} is not known here", f"write one of {_listed(words)}")
    return node.text


def member(node: Node, kind: type[E]) -> E:
    """One member of an enumeration, by its value."""
    return kind(word(node, [known.value for known in kind]))


def members(node: Node, kind: type[E]) -> tuple[E, ...]:
    """A list of members."""
    return tuple(member(item, kind) for item in items(node))


def _shown(node: Node) -> str:
    if node.text is None:
        return "a list or map"
    return f"`{node.text[:60]}`" if node.text else "nothing"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
