"""A card about several calls, read back call by call: which line belongs to which call, and what each call is.

Layer: core/turn. Source: the guard's cards: a line's name begins with the number of its call ("2. path"), titles are
joined by "; ", and each call's tool and arguments are one line of `exact`.
Law: a title that holds the joint itself never shifts a line to another call.
"""

from __future__ import annotations

import re

_OF_CALL = re.compile(r"([0-9]{1,4})\. (.+)", re.DOTALL)


def call_of(name: str, calls: int) -> tuple[int, str]:
    """The call that a line's name says, from 0, and the name without it; the first call when it says none."""
    found = _OF_CALL.fullmatch(name) if calls > 1 else None
    if found is None or not 1 <= int(found[1]) <= calls:
        return 0, name
    return int(found[1]) - 1, found[2]


def call_titles(title: str, exact: str, calls: int) -> tuple[str, ...]:
    """What each call does: its part of the title, or its tool's name where the title does not part cleanly."""
    if calls <= 1:
        return (title,)
    tools = tuple(line.split(" ", 1)[0] for line in exact.split("\n"))
    titles = tuple(title.split("; "))
    return next((found for found in (titles, tools) if len(found) == calls), ("",) * calls)
