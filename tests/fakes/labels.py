"""MemoryLabels: the labels of files in dictionaries, for tests of everything above them.

It passes the same conformance suite as WorkspaceLabels. Absent: a disk; `stand` says what a person put there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from carapax.core.flow.lattice import join, join_all
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.ids import Digest
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source


class MemoryLabels:
    """FileLabels in memory. `kept` is every label that was kept, with the paths it was kept for."""

    def __init__(self, files: Mapping[str, Label] | None = None) -> None:
        self.kept: list[tuple[tuple[str, ...], Label]] = []
        self._held: dict[str, Digest] = {}
        self._labels: dict[Digest, Label] = {}
        for path, label in (files or {}).items():
            self.stand(path, Digest(f"bytes of {path}"), label)

    def stand(self, path: str, digest: Digest, label: Label | None = None) -> None:
        """These bytes stand there, written by nobody we know, or put back."""
        self._held[path] = digest
        outside = Label(Integrity.EXTERNAL, OWNER_ONLY, frozenset({Source("file", path)}))
        self._labels.setdefault(digest, label or outside)

    def remove(self, path: str) -> None:
        """Nothing stands there any more."""
        self._held.pop(path, None)

    async def label(self, paths: Sequence[str]) -> Label:
        asked = [posixpath.normpath(path) for path in paths]
        if any(path.startswith(("/", "..")) for path in asked):
            return Label(Integrity.EXTERNAL, OWNER_ONLY, frozenset({Source("file", p) for p in asked}))
        found = [
            self._labels[digest]
            for path, digest in self._held.items()
            if any(p in (".", path) or path.startswith(p + "/") for p in asked)
        ]
        return join_all(found) if found else Label(Integrity.SYSTEM, OWNER_ONLY)

    async def keep(self, changes: Sequence[Change], label: Label) -> None:
        self.kept.append((tuple(change.path for change in changes), label))
        for change in changes:
            if change.kind is ChangeKind.DELETED:
                self.remove(change.path)
            elif change.after is not None:
                known = self._labels.get(change.after)
                self._labels[change.after] = label if known is None else join(known, label)
                self._held[change.path] = change.after
