"""Carrying out an undo's steps, in an order in which folders and their contents never stand in each other's way.

Layer: adapters/workspace. Just before each write the path is looked at again; what is no longer what the plan saw is
left alone and named. Every write goes through `beneath`.
Law: a step that fails changes nothing at its path, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from carapax.adapters.workspace import beneath
from carapax.adapters.workspace.nodes import FOLDER, LINK, Node, Stamp, bare_node
from carapax.adapters.workspace.plan import Step
from carapax.core.terms.ids import Digest

FindBytes = Callable[[Digest], bytes | None]


class _Lost(Exception):
    """The bytes were dropped or damaged since the plan."""


def apply_steps(root: Path, steps: Sequence[Step], find_bytes: FindBytes) -> tuple[list[str], list[str]]:
    """Carry out the steps; returns (conflicts, lost) as rendered paths."""
    conflicts: list[str] = []
    lost: list[str] = []
    failed: set[str] = set()

    def attempt(chosen: Sequence[Step], act: Callable[[Step], None]) -> None:
        for step in chosen:
            if step.path in failed:
                continue
            try:
                act(step)
            except _Lost:
                failed.add(step.path)
                lost.append(step.shown)
            except OSError:
                failed.add(step.path)
                conflicts.append(step.shown)

    shallow = sorted(steps, key=lambda step: (step.path.count("/"), step.path))
    folders = [s for s in shallow if s.target is not None and s.target.kind == FOLDER]
    kept = [s for s in folders if s.present is not None and s.present.kind == FOLDER]
    attempt(kept, lambda s: beneath.set_mode(root, s.path, 0o700 | _mode(s)))  # writable while we work in it
    attempt([s for s in reversed(shallow) if _goes(s)], lambda s: _remove(root, s))
    attempt([s for s in folders if s not in kept], lambda s: _make_folder(root, s))
    attempt(
        [s for s in shallow if s.target is not None and s.target.kind != FOLDER], lambda s: _put(root, s, find_bytes)
    )
    attempt(folders[::-1], lambda s: beneath.set_mode(root, s.path, _mode(s)))
    return conflicts, lost


def _mode(step: Step) -> int:
    return step.target.mode if step.target is not None else 0


def _goes(step: Step) -> bool:
    """Whether what is there must go first: nothing shall be there, or a folder is on one side only."""
    if step.present is None:
        return False
    return step.target is None or (step.present.kind == FOLDER) != (step.target.kind == FOLDER)


def _check(root: Path, path: str, expected: Node | None) -> None:
    found = beneath.look(root, path)
    if found is None or expected is None:
        if found is not None or expected is not None:
            raise OSError("changed since it was looked at")
        return
    now = bare_node(Stamp(found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino))
    if expected.kind == FOLDER:
        if now.kind != FOLDER:
            raise OSError("changed since it was looked at")
    elif (now.kind, now.mode, now.size_bytes, now.mtime_ns, now.inode) != (
        expected.kind,
        expected.mode,
        expected.size_bytes,
        expected.mtime_ns,
        expected.inode,
    ):
        raise OSError("changed since it was looked at")


def _remove(root: Path, step: Step) -> None:
    _check(root, step.path, step.present)
    beneath.remove(root, step.path, folder=step.present is not None and step.present.kind == FOLDER)


def _make_folder(root: Path, step: Step) -> None:
    _check(root, step.path, None)
    beneath.make_folder(root, step.path)


def _put(root: Path, step: Step, find_bytes: FindBytes) -> None:
    target, present = step.target, step.present
    if target is None:
        return
    _check(root, step.path, None if _goes(step) else present)
    if (
        present is not None
        and present.kind == target.kind != LINK
        and present.same_bytes(target)
        and _one_name(root, step)
    ):
        beneath.set_mode(root, step.path, target.mode)
        return
    content = find_bytes(target.digest) if target.digest is not None else None
    if content is None:
        raise _Lost
    if target.kind == LINK:
        beneath.replace_link(root, step.path, content)
    else:
        beneath.replace_file(root, step.path, content, target.mode)


def _one_name(root: Path, step: Step) -> bool:
    found = beneath.look(root, step.path)
    return found is not None and found.st_nlink == 1
