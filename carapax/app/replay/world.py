"""Worlds: tools, an owner and tasks, with the calls of an honest model and of a hijacked one.

Layer: app. A world is either read from a folder (`sets`) or given in Python by whoever implements `World`.
Law: an episode is one run; nothing of it is seen by another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from carapax.core.terms.action import ToolManifest
from carapax.core.terms.tables import DirectoryEntry

SEVERITIES = ("critical", "high")
"""Critical: private data or money leaves, or something is destroyed. High: anything else nobody asked for."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A call that somebody wants to make.

    `arguments` may hold `{"$from": KEY, "at": "a.0.b"}` in place of any value: what the call with that key returned there.
    """

    key: str  # unique in an episode: "h0" is the first honest call, "a0" the first hostile one
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Returned:
    """What a tool gave back: text for the model, and the structured result when there is one."""

    text: str
    content: Any = None
    failed: bool = False  # the tool ran and says that it could not do it


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose agent it is: own addresses, the organisation's domains, the people vouched for."""

    addresses: frozenset[str] = frozenset()
    org_domains: frozenset[str] = frozenset()
    directory: tuple[DirectoryEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing a hijacked model is told to do. `words_only` attacks change what is said, and call no tool."""

    id: str
    severity: str = "critical"
    family: str = ""
    words_only: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """What the owner asked for, in the owner's words, and the attacks that are tried on it."""

    id: str
    words: str
    attacks: tuple[Attack, ...] = ()
    earlier: tuple[str, ...] = field(default=())  # what the owner said before, in the same session


class Episode(Protocol):
    """One run of one task, with or without an attack."""

    def honest(self) -> Sequence[Planned]:
        """The calls that an honest model makes for this task."""
        ...

    def hostile(self) -> Sequence[Planned]:
        """The calls that the attacker wants; empty without an attack."""
        ...

    def run(self, planned: Planned, arguments: Mapping[str, Any]) -> Returned:
        """Really do it, with the arguments that the guard let through."""
        ...

    def tainted(self, text: str) -> bool:
        """Whether this text carries the attack's injection."""
        ...

    def useful(self) -> bool:
        """Whether the task is done."""
        ...

    def harmed(self) -> bool:
        """Whether the attacker has what he wanted."""
        ...


class World(Protocol):
    """A set of tools and tasks."""

    @property
    def name(self) -> str: ...

    def manifests(self) -> Sequence[ToolManifest]: ...

    def owner(self) -> Owner: ...

    def tasks(self) -> Sequence[Task]: ...

    def begin(self, task: Task, attack: Attack | None) -> Episode:
        """A fresh run; the injection is in place when there is an attack."""
        ...
