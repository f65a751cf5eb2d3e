"""Whatever a call does to the workspace, its undo puts back what was there, and undoing that brings it back."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.workspace.names import parse_path, render_path
from carapax.adapters.workspace.versions import Versions
from carapax.core.terms.action import Change
from carapax.core.terms.error import Malformed
from carapax.core.terms.ids import CallId
from carapax.core.terms.plain import canonical_json
from tests.fakes.tree import tree_of

NAMES = st.sampled_from(["a", "b", "c", "é", "n\nl", "\udcff"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), PATHS, st.binary(max_size=6)),
    st.tuples(st.just("remove"), PATHS, st.just(b"")),
    st.tuples(st.just("folder"), PATHS, st.just(b"")),
    st.tuples(st.just("link"), PATHS, st.sampled_from([b"a", b"../outside", b"/etc"])),
    st.tuples(st.just("mode"), PATHS, st.sampled_from([b"\x07", b"\x05", b"\x00"])),
    st.tuples(st.just("rename"), PATHS, st.sampled_from([b"a", b"b", b"c/moved"])),
)
Operation = tuple[str, str, bytes]


def carry_out(root: Path, operation: Operation) -> None:
    """One thing a program may do; what is impossible is not done."""
    what, path, content = operation
    place = root / path
    try:
        inside = place.parent.resolve().is_relative_to(root)
    except RuntimeError:  # a link that leads to itself: nobody can write through it
        inside = False
    if not inside:
        return  # a real program's link leads into its sandbox, not to our disk
    try:
        if what == "remove":
            shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
        elif what == "mode":
            if not place.is_symlink():
                place.chmod((0o700 if place.is_dir() else 0o400) | content[0])
        elif what == "rename":
            place.rename(root / os.fsdecode(content))
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            if what == "write" and not place.is_symlink():
                place.write_bytes(content)
            elif what == "folder":
                place.mkdir()
            elif what == "link":
                place.symlink_to(os.fsdecode(content))
    except OSError:
        return


@settings(max_examples=100, deadline=None)
@given(
    st.lists(OPERATIONS, max_size=6), st.lists(st.lists(OPERATIONS, max_size=5), min_size=1, max_size=3), st.booleans()
)
def test_undo_puts_back_what_was_there(
    first: list[Operation], calls: list[list[Operation]], newest_first: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "work"
        root.mkdir()
        for operation in first:
            carry_out(root, operation)
        before = tree_of(root)
        versions = Versions(root, Path(folder) / "state")
        parts: list[tuple[Change, ...]] = []
        for call in calls:
            mark = versions.before(CallId("c"))
            for operation in call:
                carry_out(root, operation)
            parts.append(versions.after(mark))
            versions.settle(mark)
        after = tree_of(root)
        ordered = parts[::-1] if newest_first else parts
        undone = versions.revert([change for part in ordered for change in part])
        assert (undone.conflicts, undone.lost) == ((), ())
        assert tree_of(root) == before
        again = versions.revert(undone.changes)
        assert (again.conflicts, again.lost) == ((), ())
        assert tree_of(root) == after
        assert sorted(os.listdir(folder)) == ["state", "work"]
        versions.close()


@given(st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw))
def test_every_name_is_shown_recordably_and_read_back(raw: bytes) -> None:
    path = os.fsdecode(raw.replace(b"/", b"_").replace(b".", b"_"))
    shown = render_path(path)
    assert parse_path(shown) == path
    canonical_json(shown)
    assert "\n" not in shown


@given(st.lists(st.sampled_from([*"ab./\\xu{}0e2fé\n"]), max_size=12).map("".join) | st.text(max_size=12))
def test_a_shown_path_is_read_as_one_inside_or_refused(shown: str) -> None:
    try:
        path = parse_path(shown)
    except Malformed:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")
