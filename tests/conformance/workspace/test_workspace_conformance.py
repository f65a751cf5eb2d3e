"""What every implementation of ports.workspace.Workspace keeps, seen through the port alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from carapax.adapters.workspace.adapter import KeptWorkspace
from carapax.core.terms.action import ChangeKind
from carapax.core.terms.ids import CallId
from carapax.ports.workspace import Workspace
from tests.fakes.tree import tree_of

Make = Callable[[Path, Path], Workspace]
IMPLEMENTATIONS: dict[str, Make] = {"kept": KeptWorkspace}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make(request: pytest.FixtureRequest) -> Make:
    return IMPLEMENTATIONS[request.param]


def run(make: Make, folder: Path, journey: Callable[[Workspace], Awaitable[None]]) -> None:
    (folder / "work").mkdir()
    (folder / "work/old.txt").write_text("old")

    async def whole() -> None:
        workspace = make(folder / "work", folder / "state")
        await journey(workspace)
        await workspace.close()  # type: ignore[attr-defined]

    asyncio.run(whole())


def test_what_a_call_did_is_listed_once_and_can_be_taken_back(make: Make, tmp_path: Path) -> None:
    async def journey(workspace: Workspace) -> None:
        before = tree_of(workspace.root)
        mark = await workspace.before(CallId("1"))
        (workspace.root / "old.txt").write_text("new")
        (workspace.root / "made.txt").write_text("made")
        changes = await workspace.after(mark)
        assert [(c.path, c.kind) for c in changes] == [
            ("made.txt", ChangeKind.CREATED),
            ("old.txt", ChangeKind.MODIFIED),
        ]
        await workspace.settle(mark)
        assert await workspace.unfinished() == ()
        undone = await workspace.revert(changes)
        assert (undone.conflicts, undone.lost) == ((), ())
        assert tree_of(workspace.root) == before
        await workspace.revert(undone.changes)
        assert (workspace.root / "old.txt").read_text() == "new"

    run(make, tmp_path, journey)


def test_what_a_person_did_between_calls_is_nobodys_change(make: Make, tmp_path: Path) -> None:
    async def journey(workspace: Workspace) -> None:
        await workspace.after(await workspace.before(CallId("1")))
        (workspace.root / "mine.txt").write_text("mine")
        assert list(await workspace.after(await workspace.before(CallId("2")))) == []

    run(make, tmp_path, journey)


def test_an_unclosed_mark_is_found_by_the_next_gateway(make: Make, tmp_path: Path) -> None:
    async def journey(workspace: Workspace) -> None:
        await workspace.before(CallId("lost"))
        (workspace.root / "old.txt").unlink()
        following = make(workspace.root, tmp_path / "state")
        ((call, changes),) = await following.unfinished()
        assert (call, [(c.path, c.kind) for c in changes]) == ("lost", [("old.txt", ChangeKind.DELETED)])
        assert list(await following.unfinished()) == []
        await following.revert(changes)
        assert (workspace.root / "old.txt").read_text() == "old"
        await following.close()  # type: ignore[attr-defined]

    run(make, tmp_path, journey)


def test_a_file_that_changed_since_is_left_and_named(make: Make, tmp_path: Path) -> None:
    async def journey(workspace: Workspace) -> None:
        mark = await workspace.before(CallId("1"))
        (workspace.root / "old.txt").write_text("agent")
        changes = await workspace.after(mark)
        (workspace.root / "old.txt").write_text("person")
        assert (await workspace.revert(changes)).conflicts == ("old.txt",)
        assert (workspace.root / "old.txt").read_text() == "person"

    run(make, tmp_path, journey)
