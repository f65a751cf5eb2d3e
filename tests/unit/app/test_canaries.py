"""Canaries of a home: planted once, found in every disguise, and never where somebody's own file lies."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from carapax.app.canaries import FILE_NAME, HANDLE, MAX_CANARIES, MAX_LOOKED_AT_CHARS, Canaries, CanaryScanner
from carapax.core.breaker.canary import Kind
from carapax.core.terms.error import Conflict, Malformed, NotFound, StoreUnavailable, VaultLocked
from tests.fakes.file_vault import FileVault
from tests.fakes.scanner import MemoryScanner


class Home:
    def __init__(self, place: Path) -> None:
        self.place, self.work = place, place / "work"
        self.work.mkdir()
        self.vault = FileVault(place / "secrets", environ={}, env_names={})
        self.canaries = self.opened()

    def opened(self) -> Canaries:
        return Canaries(self.place / "canaries.json", self.work, self.vault, lambda: 5)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_the_first_start_plants_a_file_a_handle_and_a_note(home: Home) -> None:
    assert home.canaries.begin() == ()
    assert [c.name for c in home.canaries.all()] == [f"file/{FILE_NAME}", f"vault/{HANDLE}", "note/backup"]
    text = (home.work / FILE_NAME).read_text()
    assert "AWS_ACCESS_KEY_ID=AKIA" in text
    assert stat.S_IMODE((home.work / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((home.place / "canaries.json").stat().st_mode) == 0o600
    assert home.vault.handles() == (HANDLE,)
    assert all(home.canaries.lies_there(c) for c in home.canaries.all())
    assert home.canaries.handles() == {HANDLE}


def test_every_home_has_values_of_its_own(tmp_path: Path) -> None:
    homes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        homes.append(Home(tmp_path / name))
        homes[-1].canaries.begin()
    first, second = (set(home.canaries.watched().values()) for home in homes)
    assert len(first) == 5 and not first & second


def test_a_second_start_plants_nothing_and_a_file_that_was_removed_stays_so(home: Home) -> None:
    home.canaries.begin()
    (home.work / FILE_NAME).unlink()
    again = home.opened()
    assert again.begin() == ()
    assert not (home.work / FILE_NAME).exists()
    assert not again.lies_there(again.all()[0])
    assert again.watched() == home.canaries.watched()  # what was taken along is still recognised


def test_a_file_of_the_persons_own_is_never_touched(home: Home) -> None:
    (home.work / FILE_NAME).write_text("mine")
    failed = home.canaries.begin()
    assert [text.split(":")[0] for text in failed] == [f"file/{FILE_NAME}"]
    assert (home.work / FILE_NAME).read_text() == "mine"
    home.vault.put_secret("mine", "precious value")
    with pytest.raises(Conflict):
        home.canaries.add(Kind.AWS, "vault", "mine")
    assert home.vault.find_secret("mine") == "precious value"


class LockedVault:
    def find_secret(self, handle: str) -> str | None:
        raise VaultLocked("The vault is locked.")

    def put_secret(self, handle: str, value: str) -> None:
        raise VaultLocked("The vault is locked.")

    def drop_secret(self, handle: str) -> None: ...

    def handles(self) -> tuple[str, ...]:
        return ()


def test_a_locked_vault_leaves_its_canary_out_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    canaries = Canaries(tmp_path / "canaries.json", tmp_path / "work", LockedVault(), lambda: 0)
    assert canaries.begin() == ("vault/aws-backup: The vault is locked.",)
    assert len(canaries.all()) == 2


@pytest.mark.parametrize("at", ["/etc/x", "../x", "a/../../x", "", ".", "a\0b"])
def test_nothing_is_planted_outside_the_workspace(home: Home, at: str) -> None:
    with pytest.raises((Malformed, StoreUnavailable, Conflict)):
        home.canaries.add(Kind.SSH, "file", at)
    assert not (home.place / "x").exists()


def test_nothing_is_planted_through_a_link(home: Home) -> None:
    (home.place / "outside").mkdir()
    (home.work / "link").symlink_to(home.place / "outside")
    (home.work / "file").symlink_to(home.place / "outside" / "y")
    for at in ("link/x", "file"):
        with pytest.raises((StoreUnavailable, Conflict)):
            home.canaries.add(Kind.SSH, "file", at)
    assert list((home.place / "outside").iterdir()) == []


def test_one_is_added_where_it_is_wished_and_removed_with_what_was_planted(home: Home) -> None:
    home.canaries.begin()
    made = home.canaries.add(Kind.SSH, "file", "keys/old")
    assert "BEGIN OPENSSH PRIVATE KEY" in (home.work / "keys" / "old").read_text()
    assert home.canaries.find(made.values[0]) == (made.name,)
    home.canaries.remove(made.name)
    assert not (home.work / "keys" / "old").exists()
    assert home.canaries.find(made.values[0]) == ()
    home.canaries.remove(f"vault/{HANDLE}")
    assert home.vault.handles() == ()
    with pytest.raises(NotFound):
        home.canaries.remove(made.name)
    with pytest.raises(Malformed):
        home.canaries.add(Kind.SSH, "sky", "x")


def test_their_number_is_bounded(home: Home) -> None:
    for number in range(MAX_CANARIES):
        home.canaries.add(Kind.TOKEN, "note", str(number))
    with pytest.raises(Conflict, match="are the most"):
        home.canaries.add(Kind.TOKEN, "note", "more")


def test_one_that_another_process_adds_is_seen_at_once(home: Home) -> None:
    home.canaries.begin()
    home.canaries.find("")
    made = home.opened().add(Kind.TOKEN, "note", "new")
    assert home.canaries.find(f"x {made.values[0]} y") == ("note/new",)


DISGUISES: dict[str, Callable[[str], str]] = {
    "raw": lambda v: v,
    "in a sentence": lambda v: f'the key is "{v}".',
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64, shifted by 1": lambda v: base64.b64encode(b"x" + v.encode() + b"yz").decode(),
    "base64, shifted by 2": lambda v: base64.b64encode(b"xy" + v.encode() + b"z").decode(),
    "base64 for URLs": lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    "base64 in lines": lambda v: "\n".join(
        base64.b64encode(v.encode() * 3).decode()[i : i + 20] for i in range(0, 160, 20)
    ),
    "base32": lambda v: base64.b32encode(v.encode()).decode(),
    "hex": lambda v: v.encode().hex(),
    "hex, upper": lambda v: v.encode().hex().upper(),
    "hex with colons": lambda v: v.encode().hex(":"),
    "hex escapes": lambda v: "".join(f"\\x{b:02x}" for b in v.encode()),
    "url": lambda v: quote(v, safe=""),
    "reversed": lambda v: v[::-1],
    "split by spaces": lambda v: " ".join(v),
    "split by dashes": lambda v: "-".join(v),
    "split by dots": lambda v: ".".join(v),
    "split by lines": lambda v: "\n".join(v),
    "split by zero-width": lambda v: "\u200b".join(v),
    "joined strings": lambda v: f'"{v[:10]}" + "{v[10:]}"',
    "first half": lambda v: v[: max(12, len(v) // 2)],
    "second half": lambda v: v[-max(12, len(v) // 2) :],
    "upper": lambda v: v.upper(),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_it_is_found_in_every_disguise(home: Home, name: str) -> None:
    home.canaries.begin()
    for canary in home.canaries.all():
        for value in canary.values:
            assert home.canaries.find(f"before {DISGUISES[name](value)} after") == (canary.name,), value


def test_it_is_found_in_the_text_of_its_own_file_and_in_no_other(home: Home) -> None:
    home.canaries.begin()
    assert home.canaries.find((home.work / FILE_NAME).read_text()) == (f"file/{FILE_NAME}",)
    assert home.canaries.find("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\nsk_live_abcdefghijklmnop\n") == ()
    assert home.canaries.find("aws-backup .aws-backup.env the words alone are no use") == ()


def test_a_very_long_text_is_looked_at_at_both_ends(home: Home) -> None:
    home.canaries.begin()
    value = home.canaries.all()[0].values[0]
    filler = "x" * MAX_LOOKED_AT_CHARS
    assert home.canaries.find(value + filler) and home.canaries.find(filler + value)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": "x"}', '{"format": "carapax-canaries/1", "canaries": [1]}']
)
def test_a_damaged_file_is_an_error_at_the_start(home: Home, content: str) -> None:
    (home.place / "canaries.json").write_text(content)
    with pytest.raises(StoreUnavailable) as refused:
        home.canaries.begin()
    assert "would not be recognised" in refused.value.what


def test_damage_while_running_forgets_nothing(home: Home) -> None:
    home.canaries.begin()
    value = home.canaries.all()[0].values[0]
    (home.place / "canaries.json").write_text("{")
    assert home.canaries.find(value)
    (home.place / "canaries.json").unlink()
    assert home.canaries.find(value)


def test_the_names_for_the_proxy_are_one_a_value(home: Home) -> None:
    home.canaries.begin()
    watched = home.canaries.watched()
    assert list(watched)[:4] == [f"file/{FILE_NAME}", f"file/{FILE_NAME}#2", f"file/{FILE_NAME}#3", f"vault/{HANDLE}"]
    told = json.loads((home.place / "canaries.json").read_text())
    assert sorted(watched.values()) == sorted(v for c in told["canaries"] for v in c["values"])


def test_the_scanner_names_the_canary_first_and_never_its_value(home: Home) -> None:
    home.canaries.begin()
    value = home.canaries.all()[1].values[0]
    scanner = CanaryScanner(MemoryScanner([value]), home.canaries)
    found = scanner.scan(f"here: {value}")
    assert [(f.kind, f.leaves) for f in found] == [("canary", "deny"), ("secret", "deny")]
    assert found[0].name == f"planted secret vault/{HANDLE}"
    assert value not in repr(found[0])
    assert scanner.scan("nothing") == ()
    assert scanner.hint("nothing") == MemoryScanner([]).hint("nothing")
