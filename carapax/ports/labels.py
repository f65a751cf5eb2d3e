"""Port: the labels of the workspace's files, kept by content, so that they survive copies, moves, undo and restarts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from carapax.core.terms.action import Change
from carapax.core.terms.label import Label


class FileLabels(Protocol):
    async def label(self, paths: Sequence[str]) -> Label:
        """The join over every file at or under these workspace paths ("." is all).

        A file's label is the join of every label its present bytes were ever written under. A file that no call of
        Carapax wrote is EXTERNAL, or what the policy declares for its place.
        """
        ...

    async def keep(self, changes: Sequence[Change], label: Label) -> None:
        """Remember that the files these changes left were written under this label. Durable when it returns."""
        ...
