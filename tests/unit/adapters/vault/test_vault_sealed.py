"""The sealed vault through its public door: what is kept, what rotates, what it says."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carapax.adapters.vault.binding import make_binding
from carapax.adapters.vault.index import MAX_BINDINGS
from carapax.adapters.vault.sealed import SECRET_BYTES, SealedVault
from carapax.core.terms.error import Conflict, Malformed, NotFound, StoreUnavailable
from tests.unit.adapters.vault.rig import OTHER, VALUE, Clock, opened, sources


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_secret_survives_the_process(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.put_secret("svc", f"  {VALUE}\n")
    first.close()
    assert opened(tmp_path).find_secret("svc") == VALUE


def test_what_lies_there_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened(tmp_path).put_secret("svc", VALUE)
    finally:
        os.umask(before)
    assert mode(tmp_path / "vault") == 0o700
    found = {path.name: mode(path) for path in (tmp_path / "vault").iterdir()}
    assert set(found) == {"bindings.json", "changes.log", "key.json", "lock", "svc.sealed"}
    assert set(found.values()) == {0o600}
    assert mode(tmp_path / "keys" / "vault.key") == 0o600


def test_looking_makes_nothing(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    assert vault.handles() == () and vault.bindings() == () and vault.find_secret("svc") is None
    assert not vault.locked and vault.source == "" and list(vault.held_values()) == []
    vault.drop_secret("svc")
    assert list((tmp_path / "vault").iterdir()) == [] and not (tmp_path / "keys").exists()


def test_it_opens_by_descriptor_and_needs_the_path_no_more(tmp_path: Path) -> None:
    opened(tmp_path).put_secret("svc", VALUE)
    descriptor = os.open(tmp_path / "vault", os.O_RDONLY | os.O_DIRECTORY)
    vault = SealedVault.open(descriptor, sources(tmp_path), Clock())
    os.close(descriptor)
    (tmp_path / "vault").rename(tmp_path / "elsewhere")
    (tmp_path / "keys" / "vault.key").unlink()
    assert vault.find_secret("svc") == VALUE
    vault.put_secret("other", OTHER)
    assert (tmp_path / "elsewhere" / "other.sealed").exists() and not (tmp_path / "vault").exists()


@pytest.mark.parametrize("value", ["", "  ", "a\nb", "a\x00b", "x" * (SECRET_BYTES + 1), "a\ud800b"])
def test_a_poor_value_is_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    with pytest.raises(Malformed) as caught:
        opened(tmp_path).put_secret("svc", value)
    assert not value.strip() or value not in str(caught.value)
    assert opened(tmp_path).handles() == ()


@pytest.mark.parametrize("handle", ["", "A", "../x", "a/b", "a b", "x" * 65, ".x", "a\n"])
def test_a_poor_handle_is_refused_everywhere(tmp_path: Path, handle: str) -> None:
    vault = opened(tmp_path)
    for act in (
        lambda: vault.put_secret(handle, VALUE),
        lambda: vault.find_secret(handle),
        lambda: vault.drop_secret(handle),
        lambda: asyncio.run(vault.value(handle)),
        lambda: vault.bind(handle, []),
        lambda: vault.rotate(handle, VALUE),
    ):
        with pytest.raises(Malformed):
            act()


def test_a_rotation_keeps_the_value_before_until_it_is_confirmed(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    vault.rotate("svc", OTHER)
    assert vault.find_secret("svc") == OTHER and set(vault.held_values()) == {VALUE, OTHER}
    assert vault.entries()[1][0].waiting
    with pytest.raises(Conflict):
        vault.rotate("svc", "sk-third-value")
    vault.confirm("svc")
    assert vault.find_secret("svc") == OTHER and list(vault.held_values()) == [OTHER]
    with pytest.raises(Conflict):
        vault.confirm("svc")


def test_a_rotation_can_be_taken_back(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    vault.rotate("svc", OTHER)
    vault.revert("svc")
    assert vault.find_secret("svc") == VALUE and list(vault.held_values()) == [VALUE]
    with pytest.raises(Conflict):
        vault.revert("svc")


def test_what_is_not_there_cannot_be_rotated_or_bound(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    binding = make_binding("svc", "api.example")
    for act in (
        lambda: vault.rotate("svc", VALUE),
        lambda: vault.confirm("svc"),
        lambda: vault.revert("svc"),
        lambda: vault.bind("svc", [binding]),
        lambda: vault.unbind("svc"),
    ):
        with pytest.raises(NotFound):
            act()


def test_bindings_are_kept_replaced_and_taken_away(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    assert vault.bindings() == ()
    first, second = make_binding("svc", "a.example"), make_binding("svc", "b.example", port=8443, path="/v1")
    vault.bind("svc", [first, second])
    changed = make_binding("svc", "a.example", header="x-api-key", prefix="")
    vault.bind("svc", [changed])
    assert set(opened(tmp_path).bindings()) == {changed, second}
    vault.put_secret("svc", OTHER)
    assert set(vault.bindings()) == {changed, second}
    assert vault.unbind("svc", "B.example") == 1 and vault.unbind("svc", "none.example") == 0
    assert vault.bindings() == (changed,)
    assert vault.unbind("svc") == 1 and vault.bindings() == () and vault.find_secret("svc") == OTHER


def test_bindings_go_with_the_secret(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    vault.bind("svc", [make_binding("svc", "a.example")])
    vault.drop_secret("svc")
    vault.put_secret("svc", OTHER)
    assert vault.bindings() == ()


def test_a_known_service_is_bound_at_first_and_not_again(tmp_path: Path) -> None:
    known = {"openai": (make_binding("openai", "api.openai.example"),)}
    vault = opened(tmp_path, defaults=known)
    vault.put_secret("openai", VALUE)
    assert vault.bindings() == known["openai"]
    vault.unbind("openai")
    vault.put_secret("openai", OTHER)
    assert vault.bindings() == ()


def test_too_many_bindings_change_nothing(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    with pytest.raises(Malformed):
        vault.bind("svc", [make_binding("svc", f"h{number}.example") for number in range(MAX_BINDINGS + 1)])
    assert vault.bindings() == () and [each.action for each in vault.pending_changes()] == ["set"]


def test_every_change_is_noted_without_a_value(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    vault.bind("svc", [make_binding("svc", "a.example")])
    vault.rotate("svc", OTHER)
    vault.confirm("svc")
    vault.unbind("svc")
    vault.drop_secret("svc")
    noted = vault.pending_changes()
    assert [(each.action, each.handle) for each in noted] == [
        (action, "svc") for action in ("set", "bind", "rotate", "confirm", "unbind", "remove")
    ]
    assert noted[1].detail == "a.example:443"
    vault.clear_changes(2)
    assert vault.pending_changes() == noted[2:]
    vault.put_secret("svc", VALUE)
    assert [each.action for each in opened(tmp_path).pending_changes()][-1] == "set"
    vault.clear_changes(5)
    assert vault.pending_changes() == ()


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    opened(tmp_path).put_secret("first", VALUE)

    def write(prefix: str) -> None:
        vault = opened(tmp_path)
        for number in range(8):
            vault.put_secret(f"{prefix}-{number}", f"{VALUE}-{prefix}-{number}")

    def read() -> None:
        vault = opened(tmp_path)
        for _ in range(60):
            assert vault.find_secret("first") == VALUE

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(write, "a"), pool.submit(write, "b"), pool.submit(read)]:
            done.result(60)
    vault = opened(tmp_path)
    assert len(vault.handles()) == 17 and vault.find_secret("b-7") == f"{VALUE}-b-7"
    assert len(vault.pending_changes()) == 17


def test_a_reader_beside_a_writer_of_the_same_secret_sees_the_one_or_the_other(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    over = threading.Event()
    failed: list[object] = []

    def read() -> None:
        reader = opened(tmp_path)
        for _ in range(100_000):
            if over.is_set():
                return
            try:
                if (found := reader.find_secret("svc")) not in (VALUE, OTHER):
                    failed.append(found)
            except StoreUnavailable as error:
                failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(40):
        vault.put_secret("svc", OTHER if number % 2 else VALUE)
    over.set()
    thread.join(60)
    assert failed == []


def test_the_folder_is_refused_when_others_can_enter(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir(mode=0o755)
    (tmp_path / "vault").chmod(0o755)
    with pytest.raises(StoreUnavailable, match="Others can enter"):
        opened(tmp_path)
    (tmp_path / "vault").chmod(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "vault")
    with pytest.raises(StoreUnavailable):
        SealedVault.open(tmp_path / "link", sources(tmp_path), Clock())


def test_a_closed_vault_opens_nothing(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    vault.close()
    with pytest.raises(StoreUnavailable):
        vault.find_secret("svc")
