"""Secrets and seeds at rest: who may read them, and what is said when somebody else could."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from carapax.adapters.vault.keys import SEED_BYTES, load_or_create_seed
from carapax.core.terms.error import CarapaxError, Malformed, StoreUnavailable
from tests.fakes.file_vault import FileVault

VALUE = "sk-0123456789-secret"


def vault(tmp_path: Path, **environ: str) -> FileVault:
    return FileVault(tmp_path / "vault", environ=environ, env_names={"openai": "OPENAI_API_KEY"})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def unsaid(error: CarapaxError) -> str:
    text = error.what + error.next_step + repr(error) + repr(error.__cause__) + repr(error.__context__)
    assert VALUE not in text
    return text


def test_a_kept_secret_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        vault(tmp_path).put_secret("svc", VALUE)
    finally:
        os.umask(before)
    assert mode(tmp_path / "vault") == 0o700 and mode(tmp_path / "vault" / "svc") == 0o600
    assert [p.name for p in (tmp_path / "vault").iterdir()] == ["svc"]


def test_the_environment_comes_first(tmp_path: Path) -> None:
    vault(tmp_path).put_secret("openai", "from-file")
    assert vault(tmp_path, OPENAI_API_KEY=f" {VALUE}\n").find_secret("openai") == VALUE
    assert vault(tmp_path, OPENAI_API_KEY=" ").find_secret("openai") == "from-file"
    assert vault(tmp_path, OPENAI_API_KEY=VALUE).handles() == ("openai",)
    assert vault(tmp_path / "none", OPENAI_API_KEY=VALUE).handles() == ("openai",)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o620, 0o602, 0o610, 0o601])
def test_a_file_that_others_can_touch_is_not_read(tmp_path: Path, bits: int) -> None:
    keeper = vault(tmp_path)
    keeper.put_secret("svc", VALUE)
    (tmp_path / "vault" / "svc").chmod(bits)
    with pytest.raises(StoreUnavailable) as caught:
        keeper.find_secret("svc")
    assert "chmod 600" in unsaid(caught.value)


def test_a_folder_that_others_can_enter_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir(mode=0o755)
    (tmp_path / "vault").chmod(0o755)
    with pytest.raises(StoreUnavailable) as caught:
        vault(tmp_path).put_secret("svc", VALUE)
    assert "chmod 700" in unsaid(caught.value)


def test_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    keeper = vault(tmp_path)
    keeper.put_secret("real", VALUE)
    (tmp_path / "vault" / "link").symlink_to(tmp_path / "vault" / "real")
    os.mkfifo(tmp_path / "vault" / "pipe", 0o600)
    (tmp_path / "vault" / "folder").mkdir(mode=0o700)
    for handle in ("link", "pipe", "folder"):
        with pytest.raises(StoreUnavailable) as caught:
            keeper.find_secret(handle)
        unsaid(caught.value)


def test_a_link_in_a_secrets_place_is_replaced_not_followed(tmp_path: Path) -> None:
    keeper = vault(tmp_path)
    keeper.put_secret("svc", "old")
    target = tmp_path / "target"
    target.write_text("untouched")
    (tmp_path / "vault" / "svc").unlink()
    (tmp_path / "vault" / "svc").symlink_to(target)
    keeper.put_secret("svc", VALUE)
    assert target.read_text() == "untouched" and keeper.find_secret("svc") == VALUE


@pytest.mark.parametrize("handle", ["", "../x", "a/b", ".hidden", "-x", "A", "a\n", "a" * 65, "a b", "\u00e9", "a\0"])
def test_a_handle_is_a_plain_name(tmp_path: Path, handle: str) -> None:
    keeper = vault(tmp_path)
    for call in (keeper.find_secret, keeper.drop_secret, lambda h: keeper.put_secret(h, VALUE)):
        with pytest.raises(Malformed):
            call(handle)


@pytest.mark.parametrize("value", ["", " \n ", f"{VALUE}\nmore", "nul\0", "x" * 8193])
def test_a_value_is_one_line(tmp_path: Path, value: str) -> None:
    with pytest.raises(Malformed) as caught:
        vault(tmp_path).put_secret("svc", value)
    unsaid(caught.value)
    assert not (tmp_path / "vault").exists()


def test_an_odd_file_is_refused_unsaid(tmp_path: Path) -> None:
    keeper = vault(tmp_path)
    keeper.put_secret("svc", VALUE)
    for content in (VALUE.encode() + b"\xff", VALUE.encode() * 1000):
        (tmp_path / "vault" / "svc").write_bytes(content)
        with pytest.raises(StoreUnavailable) as caught:
            keeper.find_secret("svc")
        unsaid(caught.value)


def test_a_hand_written_file_may_end_with_a_line_end(tmp_path: Path) -> None:
    keeper = vault(tmp_path)
    keeper.put_secret("svc", "x")
    (tmp_path / "vault" / "svc").write_text(VALUE + "\n")
    assert keeper.find_secret("svc") == VALUE


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "vault").write_text("in the way")
    with pytest.raises(StoreUnavailable) as caught:
        vault(tmp_path).put_secret("svc", VALUE)
    unsaid(caught.value)


def test_no_repr_holds_a_value(tmp_path: Path) -> None:
    keeper = vault(tmp_path, OPENAI_API_KEY=VALUE)
    assert VALUE not in repr(keeper) + str(keeper) + f"{keeper}"


def test_a_seed_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ledger.seed"
    seed = load_or_create_seed(path)
    assert len(seed) == SEED_BYTES and mode(path) == 0o600
    assert load_or_create_seed(path) == seed
    assert load_or_create_seed(tmp_path / "keys" / "other.seed") != seed
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_seed_of_another_length_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys" / "seed"
    load_or_create_seed(path)
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable) as caught:
        load_or_create_seed(path)
    assert str(path) in caught.value.what and path.read_bytes() == content


def test_a_seed_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "seed"
    load_or_create_seed(path)
    path.chmod(0o644)
    with pytest.raises(StoreUnavailable) as caught:
        load_or_create_seed(path)
    assert "chmod 600" in caught.value.next_step


def test_all_who_start_at_once_get_the_same_seed(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "seed"
    path.parent.mkdir(mode=0o700)
    seeds: list[bytes] = []
    gate = threading.Barrier(8)

    def start() -> None:
        gate.wait(10)
        seeds.append(load_or_create_seed(path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(seeds) == 8 and len(set(seeds)) == 1
    assert [p.name for p in path.parent.iterdir()] == ["seed"]
