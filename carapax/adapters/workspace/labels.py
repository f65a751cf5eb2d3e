"""WorkspaceLabels: what the workspace's files are labelled, by their present bytes.

Layer: adapters/workspace; implements ports.labels.FileLabels over the store's labels of content. A name carries text
too: a folder, an empty file and a file whose bytes could not be read are remembered by their path.
Identical bytes share one label, the join of all they were written under; so bytes that stood unlabelled in the
workspace keep what they were when a call writes them again (a copy, a move, bytes taken out of an archive).
Absent: what a command read; the caller puts that into the label it keeps.
Laws: keep never raises a label; what could not be seen is EXTERNAL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from carapax.adapters.workspace.adapter import KeptWorkspace
from carapax.adapters.workspace.blobs import digest_of
from carapax.adapters.workspace.content import Look, Sight
from carapax.adapters.workspace.names import parse_path, render_path
from carapax.adapters.workspace.places import Declared, declare, unwritten
from carapax.core.flow.lattice import join_all
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.error import Malformed
from carapax.core.terms.ids import Digest
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source
from carapax.core.terms.tables import Place
from carapax.ports.store import Store

EMPTY = digest_of(b"")
NOTHING_THERE = Label(Integrity.SYSTEM, OWNER_ONLY)
_AT_ONCE = 2_000  # digests in one question to the store


@dataclass(slots=True)
class _Touched:
    """What a call touched: where it wrote, what it left (bytes, or a name's key), and which bytes it took from where.

    `unread` are the left ones that the versions did not read: perhaps copies of something unlabelled, nobody can tell.
    """

    written: set[str] = field(default_factory=set)
    left: set[Digest] = field(default_factory=set)
    taken: list[tuple[str, Digest]] = field(default_factory=list)
    unread: dict[Digest, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store knows of a look: by bytes and, under each path's key, by name."""

    bytes: Mapping[Digest, Label]
    keys: Mapping[str, Digest]
    names: Mapping[Digest, Label]


class WorkspaceLabels:
    """Implements ports.labels.FileLabels. Raises StoreUnavailable."""

    def __init__(self, workspace: KeptWorkspace, store: Store, places: Callable[[], Sequence[Place]] = tuple) -> None:
        self._versions = workspace.versions
        self._store = store
        self._places = places

    async def label(self, paths: Sequence[str]) -> Label:
        """The join over every file at or under these paths; at most 2,000 files and 64 MB of bytes not yet known."""
        sight = await asyncio.to_thread(Look(self._versions).see, tuple(paths))
        kept = await self._kept(digest for digest in sight.files.values() if digest is not None)
        by_name = (path for path, digest in sight.files.items() if digest not in kept)
        keys = {path: name_key(path) for path in (*by_name, *sight.folders)}
        known = _Known(kept, keys, await self._kept(keys.values()))
        return join_all(self._parts(sight, known)) if sight != Sight() else NOTHING_THERE

    async def keep(self, changes: Sequence[Change], label: Label) -> None:
        """Join the label with what is known of the bytes and names that these changes left."""
        touched = await asyncio.to_thread(self._touch, changes)
        kept = await self._kept((*touched.left, *(digest for _, digest in touched.taken)))
        new = touched.left - kept.keys()
        held = await asyncio.to_thread(self._versions.holders, new) if new else []
        before = [*touched.taken, *((path, digest) for path, digest in held if path not in touched.written)]
        await self._store.join_content_labels(self._joined(touched, label, [b for b in before if b[1] not in kept]))

    async def _kept(self, digests: Iterable[Digest]) -> dict[Digest, Label]:
        asked = list(dict.fromkeys(digests))
        found: dict[Digest, Label] = {}
        for start in range(0, len(asked), _AT_ONCE):
            found |= await self._store.content_labels(asked[start : start + _AT_ONCE])
        return found

    def _parts(self, sight: Sight, known: _Known) -> set[Label]:
        declared = declare(tuple(self._places()))
        parts = _of_files(declared, sight, known)
        parts |= {_worst(path, "unseen") for path in sight.blind}
        parts |= {known.names[key] for path in sight.folders if (key := known.keys[path]) in known.names}
        # Names were put there by whoever wrote what lies below, so they lower nothing by themselves.
        level = Integrity.USER if parts else NOTHING_THERE.integrity
        return parts | {Label(level, OWNER_ONLY, frozenset({_source(f, "names")})) for f in sight.asked}

    def _touch(self, changes: Sequence[Change]) -> _Touched:
        look, touched = Look(self._versions), _Touched()
        for change in changes:
            path = _path(change)
            if path is None:
                continue
            if change.before is not None and change.before != EMPTY:
                touched.taken.append((path, change.before))
            if change.kind is not ChangeKind.DELETED:
                touched.written.add(path)
                touched.left.add(_left(touched, change, path, look))
        return touched

    def _joined(self, touched: _Touched, label: Label, before: Iterable[tuple[str, Digest]]) -> dict[Digest, Label]:
        """The call's label on what it left; `before` is unlabelled bytes with where they stood, which stay what they were."""
        declared = declare(tuple(self._places()))
        parts: dict[Digest, set[Label]] = {digest: {label} for digest in touched.left}
        for digest, path in touched.unread.items():
            parts[digest].add(_worst(path))
        for path, digest in before:
            parts.setdefault(digest, set()).add(unwritten(*declared.of_path(path), [path]))
        return {digest: join_all(found) for digest, found in parts.items()}


def name_key(path: str) -> Digest:
    """Under what the label of a path itself is kept."""
    return digest_of(b"carapax path\0" + path.encode("utf-8", "surrogateescape"))


def _left(touched: _Touched, change: Change, path: str, look: Look) -> Digest:
    """Under what a change's outcome is remembered."""
    if change.after is not None:
        return name_key(path) if change.after == EMPTY else change.after
    if change.path.endswith("/"):
        return name_key(path)
    key = look.digest(path) or name_key(path)
    touched.unread[key] = path
    return key


def _path(change: Change) -> str | None:
    try:
        return parse_path(change.path)
    except Malformed:
        return None


def _of_files(declared: Declared, sight: Sight, known: _Known) -> set[Label]:
    """The labels of the files seen; those that nobody wrote share one for what their places say."""
    parts: set[Label] = set()
    alike: dict[tuple[Integrity, frozenset[str]], list[str]] = {}
    for path, digest in sight.files.items():
        level, classes = declared.of_path(path)
        label = known.bytes.get(digest) if digest else None
        if label is None:
            label = known.names.get(known.keys[path])
            if label is None or digest != EMPTY:
                alike.setdefault((Integrity.EXTERNAL if digest is None else level, classes), []).append(path)
        if label is not None:
            parts.add(label if classes <= label.classes else replace(label, classes=label.classes | classes))
    return parts | {unwritten(level, classes, paths) for (level, classes), paths in alike.items()}


def _worst(path: str, part: str = "") -> Label:
    return Label(Integrity.EXTERNAL, OWNER_ONLY, frozenset({_source(path, part)}))


def _source(path: str, part: str = "") -> Source:
    return Source("file", render_path(path or ".", folder=part == "names"), part)
