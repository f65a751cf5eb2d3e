"""Port: the workspace with its versions, so that a turn can be undone, also after a shell command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NewType, Protocol

from carapax.core.terms.action import Change
from carapax.core.terms.ids import CallId

Mark = NewType("Mark", int)


@dataclass(frozen=True, slots=True)
class Reverted:
    """What an undo did: files put back, files left alone because they changed since, files whose old bytes were not kept."""

    changes: tuple[Change, ...]  # what the undo itself changed, so that it can be undone too
    conflicts: tuple[str, ...]
    lost: tuple[str, ...]


class Workspace(Protocol):
    root: Path

    async def before(self, call: CallId) -> Mark:
        """Keep the present bytes of every file that changed since the last mark. Durable against a killed gateway.

        Ceilings (docs/limits.md): files, bytes per file, bytes in all; over them a change is still listed, with `kept=False`.
        """
        ...

    async def after(self, mark: Mark) -> Sequence[Change]:
        """What differs from the mark, in path order. The mark stays until `settle`, so a killed gateway can ask again."""
        ...

    async def settle(self, mark: Mark) -> None:
        """Close a mark whose changes are recorded."""
        ...

    async def unfinished(self) -> Sequence[tuple[CallId, Sequence[Change]]]:
        """Marks that were never settled (the gateway died), with what differs since; closes them."""
        ...

    async def revert(self, changes: Sequence[Change]) -> Reverted:
        """Put back the state before `changes`, newest first. A file that changed since is left and named as a conflict."""
        ...
