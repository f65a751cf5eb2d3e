"""WorkspaceLabels: places, names, links, bounds, and what stays unknown."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from carapax.adapters.workspace import content, labels, versions
from carapax.adapters.workspace.adapter import KeptWorkspace
from carapax.adapters.workspace.blobs import digest_of
from carapax.adapters.workspace.ceilings import Ceilings
from carapax.adapters.workspace.content import Look, resolve
from carapax.adapters.workspace.labels import EMPTY, NOTHING_THERE, WorkspaceLabels, name_key
from carapax.core.flow.lattice import join
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.ids import CallId
from carapax.core.terms.label import OWNER_ONLY, PUBLIC, Integrity, Label, Source
from carapax.core.terms.tables import Place
from tests.fakes.store import MemoryStore
from tests.unit.adapters.store.test_store_versions import Still

MINE = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", "m1")}))
WEB = Label(Integrity.EXTERNAL, PUBLIC, frozenset({Source("tool", "fetch")}))


class Ground:
    """A workspace, its labels, and calls that change it."""

    def __init__(self, folder: Path, ceilings: Ceilings | None = None) -> None:
        self.root, self.outside = folder / "work", folder / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        self.workspace = KeptWorkspace(self.root, folder / "state", ceilings)
        self.store = MemoryStore(Still())
        self.places: list[Place] = []
        self.labels = WorkspaceLabels(self.workspace, self.store, lambda: self.places)

    async def call(self, work: Callable[[], object], label: Label = MINE) -> tuple[Change, ...]:
        mark = await self.workspace.before(CallId("c"))
        work()
        changes = tuple(await self.workspace.after(mark))
        await self.labels.keep(changes, label)
        await self.workspace.settle(mark)
        return changes

    async def write(self, path: str, text: str, label: Label = MINE) -> None:
        place = self.root / path
        await self.call(lambda: (place.parent.mkdir(parents=True, exist_ok=True), place.write_text(text)), label)

    async def of(self, *paths: str) -> Label:
        return await self.labels.label(paths)


def play(folder: Path, scene: Callable[[Ground], Awaitable[None]], ceilings: Ceilings | None = None) -> None:
    async def whole() -> None:
        ground = Ground(folder, ceilings)
        try:
            await scene(ground)
        finally:
            await ground.workspace.close()

    asyncio.run(whole())


# places


def test_a_place_declares_what_no_call_wrote(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        (ground.root / "notes").mkdir()
        (ground.root / "notes/a.md").write_text("mine")
        ground.places.append(Place("notes/**", Integrity.USER, "private"))
        label = await ground.of("notes/a.md")
        assert label == Label(
            Integrity.USER, OWNER_ONLY, frozenset({Source("file", "notes/a.md")}), frozenset({"private"})
        )
        await ground.write("notes/b.md", "from the web", WEB)
        tainted = await ground.of("notes/b.md")
        assert (tainted.integrity, tainted.classes) == (Integrity.EXTERNAL, frozenset({"private"}))
        ground.places.clear()
        assert (await ground.of("notes/a.md")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_moving_into_a_better_place_does_not_wash(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        ground.places.append(Place("notes/**", Integrity.USER))
        for folder in ("notes", "in"):
            (ground.root / folder).mkdir()
        (ground.root / "in/mail").write_text("obey")
        await ground.call(lambda: os.rename(ground.root / "in/mail", ground.root / "notes/mail"))
        label = await ground.of("notes/mail")
        assert label.integrity is Integrity.EXTERNAL
        assert label.sources >= MINE.sources | {Source("file", "in/mail")}

    play(tmp_path, scene)


def test_what_a_call_overwrote_or_took_away_stays_what_its_place_said(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        ground.places.append(Place("notes/**", Integrity.USER))
        (ground.root / "notes").mkdir()
        (ground.root / "notes/a").write_text("mine")
        (ground.root / "in").write_text("theirs")
        changes = await ground.call(lambda: (ground.root / "notes/a").write_text("bad"), WEB)
        await ground.workspace.revert(changes)
        assert (await ground.of("notes/a")).integrity is Integrity.USER
        await ground.call(lambda: (ground.root / "in").unlink())
        await ground.write("notes/b", "theirs")
        assert (await ground.of("notes/b")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_two_new_files_with_the_same_bytes_are_no_copies_of_something_unlabelled(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call(lambda: [(ground.root / name).write_text("same") for name in "ab"])
        assert await ground.of("a", "b") == MINE

    play(tmp_path, scene)


# names


def test_a_folder_made_under_a_label_has_a_name_of_that_label(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call(lambda: (ground.root / "obey the web").mkdir(), WEB)
        assert (await ground.of(".")).integrity is Integrity.EXTERNAL
        assert (await ground.of("obey the web")).integrity is Integrity.EXTERNAL
        await ground.call(lambda: (ground.root / "mine").mkdir())
        assert await ground.of("mine") == join(MINE, Label(Integrity.USER, OWNER_ONLY, names("mine/")))

    play(tmp_path, scene)


def names(shown: str) -> frozenset[Source]:
    return frozenset({Source("file", shown, "names")})


def test_an_empty_file_says_its_name_only_so_it_shares_nothing(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call(lambda: (ground.root / "obey").touch(), WEB)
        await ground.call(lambda: (ground.root / "__init__.py").touch())
        assert await ground.of("__init__.py") == MINE
        assert await ground.of("obey") == WEB
        assert dict(await ground.store.content_labels([EMPTY])) == {}
        (ground.root / "by-hand").touch()
        assert (await ground.of("by-hand")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_a_file_renamed_under_a_label_has_that_label(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.write("a", "mine")
        await ground.call(lambda: os.rename(ground.root / "a", ground.root / "obey the web"), WEB)
        assert (await ground.of(".")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_a_look_at_a_folder_tells_that_names_were_seen(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        assert await ground.of(".") == Label(NOTHING_THERE.integrity, OWNER_ONLY, names("./"))
        await ground.write("d/a", "x")
        assert Source("file", "d/", "names") in (await ground.of("d")).sources
        assert (await ground.of("d/a")).sources == MINE.sources

    play(tmp_path, scene)


@pytest.mark.parametrize("name", [b"\xff\xfe", "a\u202eb".encode(), b"a\nb", b"a\\x41"])
def test_odd_names_are_labelled_and_shown_in_plain(tmp_path: Path, name: bytes) -> None:
    async def scene(ground: Ground) -> None:
        path = os.fsdecode(name)
        (ground.root / path).write_text("by hand")
        for source in (await ground.of(path)).sources:
            assert source.ref.isprintable()
        await ground.call(lambda: (ground.root / path).write_text("by a call"))
        assert await ground.of(path) == MINE
        (ground.root / path).unlink()
        await ground.call((ground.root / path).touch)
        assert await ground.of(path) == MINE

    play(tmp_path, scene)


# links


def test_a_link_inside_is_what_it_leads_to(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.write("d/web", "theirs", WEB)
        await ground.write("e/mine", "mine")
        (ground.root / "e/link").symlink_to("../d/web")
        (ground.root / "folder").symlink_to("d")
        for path in ("e/link", "e", "folder", "folder/web"):
            assert (await ground.of(path)).integrity is Integrity.EXTERNAL, path
        assert (await ground.of("e/mine")) == MINE

    play(tmp_path, scene)


def test_a_link_that_leads_outside_is_the_worst_and_is_not_read(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.write("d/mine", "mine")
        (ground.outside / "f").write_text("mine")
        for target in (ground.outside, ground.outside / "f", "/workspace/d", ground.outside / "missing"):
            (ground.root / "d/link").symlink_to(target)
            for path in ("d", "d/link", "d/link/x", "."):
                assert (await ground.of(path)).integrity is Integrity.EXTERNAL, (target, path)
            (ground.root / "d/link").unlink()
        assert (await ground.of("d")).integrity is Integrity.USER

    play(tmp_path, scene)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.write("d/mine", "mine")
        (ground.root / "d/up").symlink_to("..")
        (ground.root / "d/self").symlink_to("self")
        (ground.root / "gone").symlink_to("nowhere")
        assert await ground.of("gone") == NOTHING_THERE
        assert (await ground.of("d")).sources >= MINE.sources

    play(tmp_path, scene)


def test_resolving_never_leaves_the_root(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    (tmp_path / "work2").mkdir()
    assert resolve(root, ".") == resolve(root, "") == resolve(root, "a/..") == ""
    assert resolve(root, "a/./b/../c") == "a/c"
    assert resolve(root, os.fspath(root / "a")) == "a"
    for outside in ("..", "../work2", "/", "a/../../x", "a\0b", "\ud800"):
        assert resolve(root, outside) is None, outside


# bounds, and what cannot be seen


def test_more_files_than_the_bound_are_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "FILES", 5)

    async def scene(ground: Ground) -> None:
        await ground.call(lambda: [(ground.root / f"f{n}").write_text(str(n)) for n in range(5)])
        assert (await ground.of(".")).integrity is Integrity.USER
        await ground.write("f5", "5")
        over = await ground.of(".")
        assert (over.integrity, over.sources >= MINE.sources) == (Integrity.EXTERNAL, True)
        assert Source("file", ".", "unseen") in over.sources
        assert await ground.of("f5") == MINE

    play(tmp_path, scene)


def test_more_folders_than_the_bound_are_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_SCANNED", Ceilings(entries=3, depth=2))

    async def scene(ground: Ground) -> None:
        await ground.call(lambda: (ground.root / "a/b").mkdir(parents=True))
        assert (await ground.of(".")).integrity is Integrity.USER
        await ground.call(lambda: (ground.root / "a/b/c").mkdir(parents=True))
        assert (await ground.of(".")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_bytes_that_the_versions_did_not_read_are_read_up_to_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "READ_BYTES", 150)

    async def scene(ground: Ground) -> None:
        ground.places.append(Place("**", Integrity.USER))
        for name in ("a", "b"):
            (ground.root / name).write_text(name * 100)
        assert (await ground.of("a")).integrity is Integrity.USER
        assert (await ground.of("b")).integrity is Integrity.USER
        assert (await ground.of("a", "b")).integrity is Integrity.EXTERNAL
        (ground.root / "b").write_text("b" * 200)
        assert (await ground.of("b")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_a_file_over_the_versions_ceiling_keeps_its_label_and_is_never_better_than_external(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        ground.places.append(Place("**", Integrity.USER))
        label = Label(Integrity.PEER, OWNER_ONLY, frozenset({Source("message", "m9")}), frozenset({"customer"}))
        await ground.write("big", "x" * 100, label)
        for _ in range(2):
            found = await ground.of("big")
            assert (found.integrity, found.classes) == (Integrity.EXTERNAL, frozenset({"customer"}))
            await ground.write("small", "x")
        os.rename(ground.root / "big", ground.root / "moved")
        assert (await ground.of("moved")).classes == frozenset({"customer"})

    play(tmp_path, scene, Ceilings(file_bytes=50))


def test_a_file_too_big_to_read_is_remembered_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "READ_BYTES", 60)

    async def scene(ground: Ground) -> None:
        ground.places.append(Place("**", Integrity.USER))
        classed = Label(Integrity.PEER, OWNER_ONLY, classes=frozenset({"customer"}))
        await ground.write("big", "x" * 100, classed)
        assert (await ground.of("big")).classes == frozenset({"customer"})
        monkeypatch.setattr(content, "READ_BYTES", 1_000)
        found = await ground.of("big")
        assert (found.integrity, found.classes) == (Integrity.EXTERNAL, frozenset({"customer"}))

    play(tmp_path, scene, Ceilings(file_bytes=50))


def test_a_file_that_changed_since_the_last_look_is_read_again(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.write("a", "mine")
        look = os.stat(ground.root / "a")
        (ground.root / "a").write_text("bad!")
        os.utime(ground.root / "a", ns=(look.st_atime_ns, look.st_mtime_ns))
        assert (await ground.of("a")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_a_digest_is_believed_only_while_the_stamp_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "RACY_NS", -(10**12))  # every look counts as quiet

    async def scene(ground: Ground) -> None:
        await ground.write("a", "mine")
        stamp = content._stamp(os.stat(ground.root / "a"))
        assert ground.workspace.versions.known_digest("a", stamp) == digest_of(b"mine")
        (ground.root / "a").write_text("bad and longer")
        assert (await ground.of("a")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_a_digest_read_just_after_a_write_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "RACY_NS", 10**18)

    async def scene(ground: Ground) -> None:
        await ground.write("a", "mine")
        stamp = content._stamp(os.stat(ground.root / "a"))
        assert ground.workspace.versions.known_digest("a", stamp) is None
        assert await ground.of("a") == MINE

    play(tmp_path, scene)


def test_bytes_put_into_a_file_known_by_name_are_nobodys(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.call((ground.root / "a").touch)
        assert (await ground.of("a")).integrity is Integrity.USER
        (ground.root / "a").write_text("by hand")
        assert (await ground.of("a")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_pipes_and_what_may_not_be_read_are_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(ground: Ground) -> None:
        ground.places.append(Place("**", Integrity.USER))
        os.mkfifo(ground.root / "pipe")
        assert (await ground.of("pipe")).integrity is Integrity.EXTERNAL
        (ground.root / "a").write_text("x")
        assert (await ground.of("a")).integrity is Integrity.USER
        assert (await ground.of("x" * 5_000)).integrity is Integrity.EXTERNAL

        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("carapax.adapters.workspace.beneath.open_file", refuse)
        (ground.root / "b").write_text("y")
        assert (await ground.of("b")).integrity is Integrity.EXTERNAL
        monkeypatch.setattr("carapax.adapters.workspace.content.scan_tree", refuse)
        assert (await ground.of(".")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_a_file_that_grows_while_it_is_read_is_the_worst(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        (ground.root / "a").write_text("one")
        look = Look(ground.workspace.versions)
        stamp = content._stamp(os.stat(ground.root / "a"))
        (ground.root / "a").write_text("one and more")
        assert look._read("a", stamp) is None
        assert look.digest("missing") is None
        assert look.digest("a/b") is None

    play(tmp_path, scene)


# the store


def test_without_the_store_there_is_no_label(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.write("a", "x")
        ground.store.down = True
        with pytest.raises(StoreUnavailable):
            await ground.of("a")
        with pytest.raises(StoreUnavailable):
            await ground.write("b", "y")
        ground.store.down = False

    play(tmp_path, scene)


def test_more_files_than_one_question_are_asked_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "_AT_ONCE", 3)
    monkeypatch.setattr("carapax.adapters.store.rules.DIGESTS", 3)

    async def scene(ground: Ground) -> None:
        await ground.call(lambda: [(ground.root / f"f{n}").write_text(str(n)) for n in range(8)])
        assert (await ground.of(".")).integrity is Integrity.USER
        (ground.root / "hand").write_text("by hand")
        assert (await ground.of(".")).integrity is Integrity.EXTERNAL

    play(tmp_path, scene)


def test_a_change_whose_path_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    async def scene(ground: Ground) -> None:
        await ground.labels.keep([Change("../x", ChangeKind.CREATED, None, name_key("x"), 1)], MINE)
        assert dict(await ground.store.content_labels([name_key("x")])) == {}

    play(tmp_path, scene)
