"""Nodes: what one path of the workspace is (file, link or folder), and how two of them differ.

Layer: adapters/workspace. Owns the comparison, the change made from two nodes, and the stored form. Pure.
A digest is the SHA-256 of a file's bytes or of a link's target; None when the bytes were not read (too large,
too many, unreadable). Folders have none, and are told apart in a Change by the "/" at the end of the path.
Law: make_change(p, a, b) is None exactly when a and b are the same.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from typing import NamedTuple

from carapax.adapters.workspace.names import render_path
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.ids import Digest

FILE, LINK, FOLDER = "file", "link", "folder"


class Stamp(NamedTuple):
    """What a look without reading tells; any write moves it, because nobody can set ctime."""

    mode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Node:
    """One file, link or folder at one time. `kept`: its bytes went into the store."""

    kind: str
    mode: int  # permission bits only: set-id and sticky bits are never restored
    size_bytes: int
    digest: Digest | None
    kept: bool
    mtime_ns: int
    inode: int

    def same(self, other: Node | None) -> bool:
        """Whether both are the same to a person: kind, permissions and bytes."""
        if other is None or self.kind != other.kind or self.mode != other.mode:
            return False
        return self.same_bytes(other)

    def same_bytes(self, other: Node) -> bool:
        """Whether both hold the same bytes; for bytes that were not read, size, time and inode stand in."""
        if self.kind == FOLDER or other.kind == FOLDER:
            return self.kind == other.kind
        if self.digest is not None and other.digest is not None:
            return self.digest == other.digest and self.kind == other.kind
        return (self.size_bytes, self.mtime_ns, self.inode) == (other.size_bytes, other.mtime_ns, other.inode)


def kind_of(mode: int) -> str | None:
    """The kind of a stat mode; None for sockets, pipes and devices, which have no versions."""
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISDIR(mode):
        return FOLDER
    return LINK if stat.S_ISLNK(mode) else None


def bare_node(stamp: Stamp, digest: Digest | None = None, kept: bool = False) -> Node:
    """A node of a stamp, with what is known about its bytes."""
    kind = kind_of(stamp.mode) or FILE
    mode = 0o777 if kind == LINK else stat.S_IMODE(stamp.mode) & 0o777
    size = 0 if kind == FOLDER else stamp.size_bytes
    times = (0, 0) if kind == FOLDER else (stamp.mtime_ns, stamp.inode)
    return Node(kind, mode, size, digest, kept or kind == FOLDER, *times)


def same_node(one: Node | None, other: Node | None) -> bool:
    return other is None if one is None else one.same(other)


def make_change(path: str, before: Node | None, after: Node | None) -> Change | None:
    """The change between two nodes of a path; None when there is none."""
    present = after if after is not None else before
    if present is None or same_node(before, after):
        return None
    kind = ChangeKind.CREATED if before is None else ChangeKind.DELETED if after is None else ChangeKind.MODIFIED
    return Change(
        path=render_path(path, folder=present.kind == FOLDER),
        kind=kind,
        before=before.digest if before else None,
        after=after.digest if after else None,
        size_bytes=present.size_bytes,
        kept=before is None or before.kept,
    )


def node_text(node: Node | None) -> str:
    """The stored form; parse_node is its inverse."""
    if node is None:
        return ""
    return json.dumps([node.kind, node.mode, node.size_bytes, node.digest, node.kept, node.mtime_ns, node.inode])


def parse_node(text: str) -> Node | None:
    return Node(*json.loads(text)) if text else None
