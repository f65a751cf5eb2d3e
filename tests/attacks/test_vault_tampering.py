"""Somebody who can write into the vault's folder: bits, swaps, older files, links, bindings that lead elsewhere.

Each must be refused by the name of what was touched, and no refusal may hold a value.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.adapters.vault.binding import make_binding
from carapax.adapters.vault.sealed import SealedVault
from carapax.core.terms.error import CarapaxError, StoreUnavailable
from tests.unit.adapters.vault.rig import OTHER, VALUE, opened


def stocked(root: Path) -> SealedVault:
    vault = opened(root)
    vault.put_secret("bank", VALUE)
    vault.put_secret("mail", OTHER)
    vault.bind("bank", [make_binding("bank", "api.bank.example")])
    return vault


def refused(act: Callable[[], object], *, naming: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        act()
    error: BaseException | None = caught.value
    assert naming in str(error)
    while error is not None:
        text = repr(error) + (error.next_step if isinstance(error, CarapaxError) else "")
        assert VALUE not in text and OTHER not in text
        error = error.__cause__ or error.__context__


def test_no_bit_of_a_file_can_be_turned(tmp_path: Path) -> None:
    stocked(tmp_path)
    path = tmp_path / "vault" / "bank.sealed"
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        turned = bytearray(content)
        turned[place] ^= 1
        path.write_bytes(turned)
        refused(lambda: opened(tmp_path).find_secret("bank"), naming="'bank'")
        assert opened(tmp_path).find_secret("mail") == OTHER
    path.write_bytes(content)
    assert opened(tmp_path).find_secret("bank") == VALUE


def test_no_bit_of_the_index_or_the_key_can_be_turned(tmp_path: Path) -> None:
    stocked(tmp_path)
    for name in ("bindings.json", "key.json"):
        path = tmp_path / "vault" / name
        content = path.read_bytes()
        for place in range(0, len(content), 5):
            turned = bytearray(content)
            turned[place] ^= 1
            path.write_bytes(turned)
            with pytest.raises(CarapaxError):
                opened(tmp_path).find_secret("bank")
            with pytest.raises(CarapaxError):
                opened(tmp_path).bindings()
        path.write_bytes(content)
    assert opened(tmp_path).find_secret("bank") == VALUE


def test_a_secret_cannot_be_had_under_another_ones_name(tmp_path: Path) -> None:
    stocked(tmp_path)
    bank, mail = (tmp_path / "vault" / f"{name}.sealed" for name in ("bank", "mail"))
    one, two = bank.read_bytes(), mail.read_bytes()
    bank.write_bytes(two)
    mail.write_bytes(one)
    refused(lambda: opened(tmp_path).find_secret("bank"), naming="'bank'")
    refused(lambda: opened(tmp_path).find_secret("mail"), naming="'mail'")
    # Also with the name inside made to fit, and with the other's edition.
    for keep_edition in (False, True):
        forged = {**json.loads(two), "handle": "bank"}
        if keep_edition:
            forged["edition"] = json.loads(one)["edition"]
        bank.write_bytes(json.dumps(forged).encode())
        refused(lambda: opened(tmp_path).find_secret("bank"), naming="'bank'")


def test_the_halves_of_two_files_do_not_fit(tmp_path: Path) -> None:
    stocked(tmp_path)
    bank = tmp_path / "vault" / "bank.sealed"
    before = json.loads(bank.read_bytes())
    opened(tmp_path).put_secret("bank", OTHER)
    after = json.loads(bank.read_bytes())
    for part in ("wrapped", "value", "edition"):
        bank.write_bytes(json.dumps({**after, part: before[part]}).encode())
        refused(lambda: opened(tmp_path).find_secret("bank"), naming="'bank'")


@pytest.mark.parametrize("change", ["set", "rotate", "remove"])
def test_an_older_file_does_not_come_back(tmp_path: Path, change: str) -> None:
    vault = stocked(tmp_path)
    bank = tmp_path / "vault" / "bank.sealed"
    older = bank.read_bytes()
    if change == "set":
        vault.put_secret("bank", "sk-renewed-after-the-leak")
    elif change == "rotate":
        vault.rotate("bank", "sk-renewed-after-the-leak")
    else:
        vault.drop_secret("bank")
    bank.write_bytes(older)
    bank.chmod(0o600)
    if change == "remove":
        assert opened(tmp_path).find_secret("bank") is None and opened(tmp_path).handles() == ("mail",)
        opened(tmp_path).put_secret("mail", VALUE)
        assert not bank.exists()
    else:
        refused(lambda: opened(tmp_path).find_secret("bank"), naming="'bank'")
        opened(tmp_path).put_secret("bank", "sk-once-more")
        assert opened(tmp_path).find_secret("bank") == "sk-once-more"


def _edit(change: Callable[[dict[str, object]], None]) -> Callable[[Path], None]:
    def act(vault: Path) -> None:
        found = json.loads((vault / "bindings.json").read_bytes())
        change(found)
        (vault / "bindings.json").write_bytes(json.dumps(found, sort_keys=True, separators=(",", ":")).encode())

    return act


EDITS: dict[str, Callable[[dict[str, object]], None]] = {
    "host": lambda found: found["handles"][0]["bindings"][0].update(host="evil.example"),  # type: ignore[index]
    "header": lambda found: found["handles"][0]["bindings"][0].update(header="x-copy"),  # type: ignore[index]
    "body": lambda found: found["handles"][0]["bindings"][0].update(body=True),  # type: ignore[index]
    "path": lambda found: found["handles"][0]["bindings"][0].update(path="/echo"),  # type: ignore[index]
    "moved": lambda found: found["handles"][1].update(bindings=found["handles"][0]["bindings"]),  # type: ignore[index]
    "edition": lambda found: found["handles"][0].update(following="0" * 32),  # type: ignore[index]
    "gone": lambda found: found["handles"].pop(),  # type: ignore[attr-defined]
    "serial": lambda found: found.update(serial=1),
    "mac": lambda found: found.update(mac="0" * 64),
    "more": lambda found: found.update(more=1),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_binding_cannot_be_turned_elsewhere(tmp_path: Path, name: str) -> None:
    stocked(tmp_path)
    _edit(EDITS[name])(tmp_path / "vault")
    for act in (
        lambda: opened(tmp_path).bindings(),
        lambda: opened(tmp_path).find_secret("bank"),
        lambda: opened(tmp_path).put_secret("new", VALUE),
        lambda: opened(tmp_path).handles(),
    ):
        refused(act, naming="bindings.json")


def test_an_index_of_before_does_not_open_the_files_of_now(tmp_path: Path) -> None:
    vault = stocked(tmp_path)
    index = tmp_path / "vault" / "bindings.json"
    older = index.read_bytes()
    vault.put_secret("bank", "sk-renewed-after-the-leak")
    index.write_bytes(older)
    refused(lambda: opened(tmp_path).find_secret("bank"), naming="'bank'")


def test_without_its_index_or_its_key_nothing_is_used_and_nothing_made_anew(tmp_path: Path) -> None:
    for name in ("bindings.json", "key.json"):
        place = tmp_path / name
        stocked(place)
        (place / "vault" / name).unlink()
        for act in (
            lambda place=place: opened(place).find_secret("bank"),
            lambda place=place: opened(place).put_secret("new", VALUE),
            lambda place=place: opened(place).bindings(),
        ):
            with pytest.raises(StoreUnavailable):
                act()
        assert not (place / "vault" / name).exists()


def test_another_vaults_key_opens_nothing(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        stocked(tmp_path / name)
    ours, theirs = (tmp_path / name for name in ("ours", "theirs"))
    shutil.copy(theirs / "vault" / "key.json", ours / "vault" / "key.json")
    with pytest.raises(StoreUnavailable, match="altered, or the key of its source"):
        opened(ours)
    shutil.copy(theirs / "keys" / "vault.key", ours / "keys" / "vault.key")
    refused(lambda: opened(ours).find_secret("bank"), naming="bindings.json")
    shutil.copy(theirs / "vault" / "bindings.json", ours / "vault" / "bindings.json")
    refused(lambda: opened(ours).find_secret("bank"), naming="'bank'")


@pytest.mark.parametrize("name", ["bank.sealed", "bindings.json", "key.json", "changes.log"])
def test_no_link_pipe_or_second_name_is_followed(tmp_path: Path, name: str) -> None:
    stocked(tmp_path)
    path, aside = tmp_path / "vault" / name, tmp_path / "aside"

    def use() -> None:
        vault = opened(tmp_path)
        vault.find_secret("bank")
        vault.put_secret("bank", OTHER)

    path.rename(aside)
    path.symlink_to(aside)
    before = aside.read_bytes()
    with pytest.raises(CarapaxError):
        use()
    assert aside.read_bytes() == before
    path.unlink()
    os.link(aside, path)
    with pytest.raises(CarapaxError):
        use()
    assert aside.read_bytes() == before
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(CarapaxError):
        use()


def test_a_link_planted_for_the_next_write_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    vault = stocked(tmp_path)
    target = tmp_path / "target"
    target.write_bytes(b"untouched")
    (tmp_path / "vault" / "new.sealed").symlink_to(target)
    vault.put_secret("new", VALUE)
    assert target.read_bytes() == b"untouched" and vault.find_secret("new") == VALUE
    (tmp_path / "vault" / "lock").unlink()
    (tmp_path / "vault" / "lock").symlink_to(target)
    with pytest.raises(StoreUnavailable, match="lock"):
        vault.put_secret("new", OTHER)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o602])
@pytest.mark.parametrize("name", ["bank.sealed", "bindings.json", "key.json"])
def test_a_file_that_others_can_touch_is_not_used(tmp_path: Path, name: str, bits: int) -> None:
    stocked(tmp_path)
    (tmp_path / "vault" / name).chmod(bits)
    refused(lambda: opened(tmp_path).find_secret("bank"), naming=name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can plant a file of somebody else")
def test_a_file_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    stocked(tmp_path)
    os.chown(tmp_path / "vault" / "bank.sealed", 12_345, 12_345)
    refused(lambda: opened(tmp_path).find_secret("bank"), naming="another user")


def test_the_log_of_changes_cannot_be_altered_unseen(tmp_path: Path) -> None:
    vault = stocked(tmp_path)
    log = tmp_path / "vault" / "changes.log"
    content = log.read_bytes()
    lines = content.splitlines(keepends=True)
    assert [each.action for each in vault.pending_changes()] == ["set", "set", "bind"]
    log.write_bytes(content.replace(b'"handle":"mail"', b'"handle":"mall"'))
    assert "log_altered" in [each.action for each in vault.pending_changes()]
    log.write_bytes(lines[0] + lines[2])  # one taken out
    assert [each.action for each in vault.pending_changes()] == ["set", "log_altered"]
    log.write_bytes(lines[0] + lines[2] + lines[1])
    assert "log_altered" in [each.action for each in vault.pending_changes()]
    log.write_bytes(content[:-20])  # cut short, as by a crash: the others still count, and the next change too
    assert [each.action for each in vault.pending_changes()] == ["set", "set"]
    vault.put_secret("bank", OTHER)
    assert [each.action for each in vault.pending_changes()] == ["set", "set", "set"]
