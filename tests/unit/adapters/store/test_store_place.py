"""Place: which file, and whether it may be used."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from carapax.adapters.store.place import find_path, prepare_file
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.ids import SessionId
from carapax.core.terms.label import OWNER
from tests.unit.adapters.store.test_store_versions import Still


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/a/b.db", "/a/b.db"),
        ("sqlite:////a/b.db", "/a/b.db"),
        ("sqlite:////a/b%20c.db", "/a/b%20c.db"),
        ("/a/../b", "/b"),
    ],
)
def test_addresses_name_files(address: str, path: str) -> None:
    assert find_path(address) == path


@pytest.mark.parametrize(
    "address",
    ["", ":memory:", "sqlite://", "sqlite:///:memory:", "postgresql://me:hunter2@127.0.0.1/x", "://", "x://", "/a\0b"],
)
def test_other_addresses_are_refused_without_repeating_them(address: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        find_path(address)
    assert "hunter2" not in caught.value.what
    assert "sqlite:///" in caught.value.next_step


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_file_and_its_journals_are_for_this_user_only(tmp_path: Path, umask: int) -> None:
    async def scene() -> None:
        store = SqlStore.open(str(tmp_path / "a.db"), Still())
        await store.open_session(SessionId("s1"), OWNER, "", 1)
        modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in os.listdir(tmp_path)}
        await store.close()
        assert modes == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}

    before = os.umask(umask)
    try:
        asyncio.run(scene())
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o620])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.db"
    path.touch()
    path.chmod(mode)
    with pytest.raises(StoreUnavailable) as caught:
        SqlStore.open(str(path), Still())
    assert f"chmod 600 {path}" in caught.value.next_step
    assert path.stat().st_size == 0


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none" / "a.db", Path("/dev/null")):
        with pytest.raises(StoreUnavailable) as caught:
            prepare_file(str(path))
        assert str(path) in caught.value.what
        assert caught.value.next_step


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    prepare_file(str(path))
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(StoreUnavailable, match="another user"):
        prepare_file(str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    prepare_file(str(path))
    path.chmod(0)
    with pytest.raises(StoreUnavailable, match="Permission denied"):
        prepare_file(str(path))
