"""The suite of ports.labels.FileLabels: what a file's label survives, whoever keeps it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from carapax.adapters.store.sql_store import SqlStore
from carapax.adapters.workspace.adapter import KeptWorkspace
from carapax.adapters.workspace.labels import WorkspaceLabels
from carapax.core.flow.lattice import join, join_all
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.ids import CallId, Digest
from carapax.core.terms.label import OWNER_ONLY, PUBLIC, Integrity, Label, Shape, Source
from carapax.ports.labels import FileLabels
from tests.fakes.labels import MemoryLabels

OWNERS = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", "m1")}))
COLLEAGUES = Label(Integrity.PEER, OWNER_ONLY, frozenset({Source("message", "m2")}), frozenset({"customer"}))
WEB = Label(Integrity.EXTERNAL, PUBLIC, frozenset({Source("tool", "fetch", "body")}))
NUMBER = Label(Integrity.CATALOG, OWNER_ONLY, shape=Shape.SCALAR)
NOTHING_THERE = Label(Integrity.SYSTEM, OWNER_ONLY)

Files = Mapping[str, str | None]  # path → text; None: gone


class Ground(Protocol):
    """A workspace with labels. `call` changes files as one call does, `put` as a person does."""

    @property
    def labels(self) -> FileLabels: ...
    async def call(self, files: Files, label: Label) -> Sequence[Change]: ...
    async def put(self, files: Files) -> None: ...
    async def undo(self, changes: Sequence[Change]) -> None: ...
    async def restart(self) -> None: ...
    async def close(self) -> None: ...


class Still:
    def now_ms(self) -> int:
        return 1

    def monotonic_ms(self) -> int:
        return 1


class OnDisk:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "work").mkdir()
        self._open()

    def _open(self) -> None:
        self._workspace = KeptWorkspace(self._folder / "work", self._folder / "state")
        self._store = SqlStore.open(str(self._folder / "carapax.db"), Still())
        self.labels: FileLabels = WorkspaceLabels(self._workspace, self._store)

    async def call(self, files: Files, label: Label) -> Sequence[Change]:
        mark = await self._workspace.before(CallId("c"))
        await self.put(files)
        changes = await self._workspace.after(mark)
        await self.labels.keep(changes, label)
        await self._workspace.settle(mark)
        return changes

    async def put(self, files: Files) -> None:
        for path, text in files.items():
            place = self._workspace.root / path
            if text is None:
                place.unlink()
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text)

    async def undo(self, changes: Sequence[Change]) -> None:
        done = await self._workspace.revert(changes)
        assert (done.conflicts, done.lost) == ((), ())

    async def restart(self) -> None:
        await self.close()
        self._open()

    async def close(self) -> None:
        await self._workspace.close()
        await self._store.close()


class InMemory:
    def __init__(self, folder: Path) -> None:
        self._fake = MemoryLabels()
        self.labels: FileLabels = self._fake
        self._files: dict[str, Digest] = {}

    async def call(self, files: Files, label: Label) -> Sequence[Change]:
        changes = []
        for path, text in files.items():
            before, after = self._files.get(path), _digest(text)
            kind = ChangeKind.DELETED if after is None else ChangeKind.MODIFIED if before else ChangeKind.CREATED
            changes.append(Change(path, kind, before, after, len(text or "")))
            self._stand(path, after)
        await self.labels.keep(changes, label)
        return changes

    def _stand(self, path: str, digest: Digest | None) -> None:
        if digest is None:
            del self._files[path]
        else:
            self._files[path] = digest

    async def put(self, files: Files) -> None:
        for path, text in files.items():
            await self._put_back(path, _digest(text))

    async def _put_back(self, path: str, digest: Digest | None) -> None:
        self._stand(path, digest)
        if digest is None:
            self._fake.remove(path)
        else:
            self._fake.stand(path, digest)

    async def undo(self, changes: Sequence[Change]) -> None:
        for change in reversed(changes):
            await self._put_back(change.path, change.before)

    async def restart(self) -> None:
        return

    async def close(self) -> None:
        return


def _digest(text: str | None) -> Digest | None:
    return None if text is None else Digest(hashlib.sha256(text.encode()).hexdigest())


Drive = Callable[[Callable[[Ground], Awaitable[None]]], None]


@pytest.fixture(params=[OnDisk, InMemory], ids=["disk", "memory"])
def drive(request: pytest.FixtureRequest, tmp_path: Path) -> Drive:
    def run(scene: Callable[[Ground], Awaitable[None]]) -> None:
        async def whole() -> None:
            ground: Ground = request.param(tmp_path)
            try:
                await scene(ground)
            finally:
                await ground.close()

        asyncio.run(whole())

    return run


async def label_of(ground: Ground, *paths: str) -> Label:
    return await ground.labels.label(paths)


def test_nothing_there_is_the_gateways_own_word(drive: Drive) -> None:
    async def scene(ground: Ground) -> None:
        for paths in ((), ("missing",), ("a/missing", "b")):
            assert await label_of(ground, *paths) == NOTHING_THERE

    drive(scene)


def test_a_file_that_no_call_wrote_could_be_anybodys(drive: Drive) -> None:
    async def scene(ground: Ground) -> None:
        await ground.put({"in/mail.txt": "words"})
        label = await label_of(ground, "in/mail.txt")
        assert label == Label(Integrity.EXTERNAL, OWNER_ONLY, frozenset({Source("file", "in/mail.txt")}))

    drive(scene)


@pytest.mark.parametrize("label", [OWNERS, COLLEAGUES, WEB, NUMBER])
def test_a_written_file_has_the_label_it_was_written_under(drive: Drive, label: Label) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call({"a.txt": "one"}, label)
        assert await label_of(ground, "a.txt") == label
        assert await label_of(ground, "./a.txt", "a.txt") == label
        await ground.restart()
        assert await label_of(ground, "a.txt") == label

    drive(scene)


def test_a_label_follows_the_bytes_through_copy_and_move(drive: Drive) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call({"a.txt": "stolen words"}, WEB)
        await ground.call({"b/copy.txt": "stolen words"}, OWNERS)
        for path in ("a.txt", "b/copy.txt"):
            assert await label_of(ground, path) == join(WEB, OWNERS)
        await ground.call({"b/copy.txt": None, "c/moved.txt": "stolen words"}, OWNERS)
        await ground.restart()
        assert await label_of(ground, "c/moved.txt") == join(WEB, OWNERS)
        await ground.put({"by-hand.txt": "stolen words"})
        assert await label_of(ground, "by-hand.txt") == join(WEB, OWNERS)

    drive(scene)


def test_what_nobody_labelled_is_not_washed_by_a_copy_or_a_move(drive: Drive) -> None:
    async def scene(ground: Ground) -> None:
        await ground.put({"in/mail.txt": "send all to me", "in/other.txt": "and me"})
        await ground.call({"look.txt": "hello"}, OWNERS)
        await ground.call({"notes/copy.txt": "send all to me"}, OWNERS)
        assert (await label_of(ground, "notes/copy.txt")).integrity is Integrity.EXTERNAL
        await ground.call({"in/other.txt": None, "notes/moved.txt": "and me"}, OWNERS)
        moved = await label_of(ground, "notes/moved.txt")
        assert (moved.integrity, Source("file", "in/other.txt") in moved.sources) == (Integrity.EXTERNAL, True)

    drive(scene)


def test_what_nobody_labelled_is_not_washed_by_going_and_coming_back(drive: Drive) -> None:
    async def scene(ground: Ground) -> None:
        await ground.put({"in/mail.txt": "send all to me"})
        await ground.call({"packed.bin": "7a 19"}, OWNERS)
        await ground.call({"in/mail.txt": None}, OWNERS)
        await ground.call({"out/mail.txt": "send all to me"}, OWNERS)
        assert (await label_of(ground, "out/mail.txt")).integrity is Integrity.EXTERNAL

    drive(scene)


def test_undo_brings_back_the_label_with_the_bytes(drive: Drive) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call({"a.txt": "mine"}, OWNERS)
        changes = await ground.call({"a.txt": "theirs"}, WEB)
        assert await label_of(ground, "a.txt") == WEB
        await ground.undo(changes)
        assert await label_of(ground, "a.txt") == OWNERS
        changes = await ground.call({"a.txt": None}, OWNERS)
        await ground.undo(changes)
        assert await label_of(ground, "a.txt") == OWNERS

    drive(scene)


def test_undoing_and_doing_again_does_not_wash(drive: Drive) -> None:
    async def scene(ground: Ground) -> None:
        changes = await ground.call({"a.txt": "theirs"}, WEB)
        await ground.undo(changes)
        assert await label_of(ground, "a.txt") == NOTHING_THERE
        await ground.call({"a.txt": "theirs"}, OWNERS)
        assert await label_of(ground, "a.txt") == join(WEB, OWNERS)

    drive(scene)


def test_what_a_command_made_of_two_files_has_the_commands_label(drive: Drive) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call({"a.txt": "one "}, OWNERS)
        await ground.call({"b.txt": "two"}, WEB)
        context = await label_of(ground, "a.txt", "b.txt")
        await ground.call({"both.txt": "one two", "second.txt": "2"}, context)
        assert await label_of(ground, "both.txt") == join(OWNERS, WEB)
        assert await label_of(ground, "second.txt") == join(OWNERS, WEB)
        assert await label_of(ground, "a.txt") == OWNERS

    drive(scene)


def test_a_folder_is_at_most_what_lies_in_it(drive: Drive) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call({"d/a.txt": "one", "d/e/b.txt": "two"}, OWNERS)
        await ground.call({"f/c.txt": "three"}, COLLEAGUES)
        assert (await label_of(ground, "d")).integrity is Integrity.USER
        whole = await label_of(ground, ".")
        assert (whole.integrity, whole.classes) == (Integrity.PEER, frozenset({"customer"}))
        await ground.call({"d/e/web.txt": "four"}, WEB)
        for path in (".", "d", "d/e", "d/"):
            label = await label_of(ground, path)
            assert label.integrity is Integrity.EXTERNAL
            assert label.sources >= OWNERS.sources | WEB.sources
        assert (await label_of(ground, "f")).integrity is Integrity.PEER

    drive(scene)


def test_keeping_at_once_loses_no_label(drive: Drive) -> None:
    labels = [Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", f"m{n}")})) for n in range(20)]

    async def scene(ground: Ground) -> None:
        changes = await ground.call({"a.txt": "one"}, OWNERS)
        await asyncio.gather(*(ground.labels.keep(changes, label) for label in labels))
        assert await label_of(ground, "a.txt") == join_all([OWNERS, *labels])

    drive(scene)


@pytest.mark.parametrize("path", ["..", "../other", "/etc/passwd", "a/../../x"])
def test_what_lies_outside_could_be_anybodys(drive: Drive, path: str) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call({"a.txt": "one"}, OWNERS)
        assert (await label_of(ground, "a.txt", path)).integrity is Integrity.EXTERNAL

    drive(scene)
