"""Places: which files of the workspace the policy declares, and what follows for a file that no call wrote.

Layer: adapters/workspace. Pure. A glob is matched against the whole relative path: "*" and "?" stay within one name,
"**" is any number of folders, "[ab]" and "[!ab]" are one character; case counts.
Law: of several places that match, the least integrity counts, and every data class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from heapq import nsmallest

from carapax.adapters.workspace.names import render_path
from carapax.core.flow.lattice import MAX_SOURCES
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source
from carapax.core.terms.tables import Place

_NO_CLASS: frozenset[str] = frozenset()
_PIECE = re.compile(r"\*+|\?|\[!?[^\]/]+\]|.", re.DOTALL)


@lru_cache(maxsize=512)
def compile_glob(glob: str) -> re.Pattern[str]:
    """The glob as a pattern for `fullmatch`; any text is a glob."""
    *folders, last = glob.removeprefix("./").strip("/").split("/")
    begin = "".join("(?:[^/]+/)*" if name == "**" else _name(name) + "/" for name in folders)
    return re.compile(begin + (".+" if last == "**" else _name(last)), re.DOTALL)


def _name(name: str) -> str:
    return "".join(map(_piece, _PIECE.findall(name)))


def _piece(piece: str) -> str:
    if piece[0] == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) == 1:
        return re.escape(piece)
    one_of = piece[1:-1]
    negated = one_of.startswith("!")
    chosen = re.sub(r"([\\\[\]^&~|])", r"\\\1", one_of[negated:])
    pattern = f"(?!/)[{'^' if negated else ''}{chosen}]"
    try:
        re.compile(pattern)
    except re.error:  # a range that runs backwards means its own characters
        return re.escape(piece)
    return pattern


class Declared:
    """Places made ready to be asked about many paths."""

    __slots__ = ("_any", "_groups")

    def __init__(self, places: Sequence[Place]) -> None:
        globs: dict[tuple[Integrity | None, str], list[str]] = {}
        for place in places:
            globs.setdefault((place.integrity, place.data_class), []).append(f"(?:{compile_glob(place.glob).pattern})")
        self._groups = [(what, re.compile("|".join(found), re.DOTALL)) for what, found in globs.items()]
        # Most files lie in no place: one match tells.
        self._any = re.compile("|".join(one for found in globs.values() for one in found), re.DOTALL)

    def of_path(self, path: str) -> tuple[Integrity, frozenset[str]]:
        """What is declared: EXTERNAL and no class where nothing is."""
        if not self._groups or not self._any.fullmatch(path):
            return Integrity.EXTERNAL, _NO_CLASS
        found = [what for what, pattern in self._groups if pattern.fullmatch(path)]
        levels = [level for level, _ in found if level is not None]
        return min(levels, default=Integrity.EXTERNAL), frozenset(name for _, name in found if name)


@lru_cache(maxsize=8)
def declare(places: tuple[Place, ...]) -> Declared:
    """The places made ready; the same places cost nothing again."""
    return Declared(places)


def unwritten(integrity: Integrity, classes: frozenset[str], paths: Sequence[str]) -> Label:
    """The label of files that no call wrote and whose places declare this."""
    shown = nsmallest(MAX_SOURCES, map(render_path, paths))  # a join keeps no more, and these
    return Label(integrity, OWNER_ONLY, frozenset(Source("file", path) for path in shown), classes)
