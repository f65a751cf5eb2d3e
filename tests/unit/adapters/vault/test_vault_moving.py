"""Secrets that lay in clear, moved into the vault: old private files and `.env` files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.adapters.vault import moving
from carapax.adapters.vault.moving import handle_of, import_env, move_in, parse_env
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, StoreUnavailable, VaultLocked
from tests.fakes.file_vault import FileVault
from tests.unit.adapters.vault.rig import OTHER, PASSPHRASE, VALUE, Killed, found_in_clear, killed_everywhere, opened


def old(root: Path) -> FileVault:
    return FileVault(root / "secrets", environ={}, env_names={})


def test_old_files_are_sealed_and_erased(tmp_path: Path) -> None:
    old(tmp_path).put_secret("openai", VALUE)
    old(tmp_path).put_secret("mail", OTHER)
    held = os.open(tmp_path / "secrets" / "openai", os.O_RDONLY)
    vault = opened(tmp_path)
    assert move_in(vault, tmp_path / "secrets") == ("mail", "openai")
    assert os.pread(held, 100, 0) == bytes(len(VALUE))  # what another open descriptor still sees
    os.close(held)
    assert vault.find_secret("openai") == VALUE and vault.find_secret("mail") == OTHER
    assert not (tmp_path / "secrets").exists() and found_in_clear(tmp_path, VALUE, OTHER) == []
    assert move_in(vault, tmp_path / "secrets") == ()


def test_ended_at_any_step_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"

    def prepare() -> Callable[[], None]:
        shutil.rmtree(place, ignore_errors=True)
        old(place).put_secret("svc", VALUE)
        vault = opened(place)
        return lambda: _done(move_in(vault, place / "secrets"))

    endings = 0
    for _ in killed_everywhere(monkeypatch, prepare):
        endings += 1
        clear = place / "secrets" / "svc"
        sealed = opened(place).find_secret("svc") == VALUE
        assert sealed or clear.read_text() == VALUE
        move_in(opened(place), place / "secrets")
        assert opened(place).find_secret("svc") == VALUE and found_in_clear(place, VALUE) == []
    assert endings > 10


def _done(found: object) -> None:
    assert found


def test_what_is_no_line_of_text_stays(tmp_path: Path) -> None:
    old(tmp_path).put_secret("good", VALUE)
    for name, content in (("two", b"a\nb"), ("raw", b"\xff\xfe"), ("empty", b" ")):
        (tmp_path / "secrets" / name).write_bytes(content)
        (tmp_path / "secrets" / name).chmod(0o600)
    assert move_in(opened(tmp_path), tmp_path / "secrets") == ("good",)
    assert sorted(path.name for path in (tmp_path / "secrets").iterdir()) == ["empty", "raw", "two"]


def test_a_file_that_others_can_read_or_a_link_stops_it(tmp_path: Path) -> None:
    old(tmp_path).put_secret("svc", VALUE)
    (tmp_path / "secrets" / "svc").chmod(0o644)
    with pytest.raises(StoreUnavailable, match="Others can read"):
        move_in(opened(tmp_path), tmp_path / "secrets")
    target = tmp_path / "target"
    target.write_text(OTHER)
    target.chmod(0o600)
    (tmp_path / "secrets" / "svc").unlink()
    (tmp_path / "secrets" / "svc").symlink_to(target)
    with pytest.raises(StoreUnavailable):
        move_in(opened(tmp_path), tmp_path / "secrets")
    assert target.read_text() == OTHER and opened(tmp_path).handles() == ()


def test_what_has_another_name_is_sealed_and_not_overwritten_there(tmp_path: Path) -> None:
    old(tmp_path).put_secret("svc", VALUE)
    os.link(tmp_path / "secrets" / "svc", tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match="cannot be erased"):
        move_in(opened(tmp_path), tmp_path / "secrets")
    assert (tmp_path / "elsewhere").read_text() == VALUE and opened(tmp_path).find_secret("svc") == VALUE


def test_a_locked_vault_moves_nothing(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("first", VALUE)
    vault.protect("passphrase", PASSPHRASE)
    vault.lock()
    old(tmp_path).put_secret("svc", OTHER)
    with pytest.raises(VaultLocked):
        move_in(vault, tmp_path / "secrets")
    assert (tmp_path / "secrets" / "svc").read_text() == OTHER


ENV = f"""# settings
export OPENAI_API_KEY={VALUE}   # the key
DB_PASSWORD='{OTHER} # not a comment'
  QUOTED = "a \\"b\\" \\\\ c\\$d"
PORT=8080
EMPTY=
NONE= # nothing
MOVED=vault:already

"""


def env(root: Path, text: str = ENV) -> Path:
    root.mkdir(exist_ok=True)
    path = root / ".env"
    path.write_bytes(text.encode())
    path.chmod(0o640)
    return path


def test_a_file_is_parsed() -> None:
    found = {line.name: line.value for line in parse_env(ENV) if line.name}
    assert found == {
        "OPENAI_API_KEY": VALUE, "DB_PASSWORD": f"{OTHER} # not a comment", "QUOTED": 'a "b" \\ c$d', "PORT": "8080",
        "EMPTY": "", "NONE": "", "MOVED": "vault:already",
    }  # fmt: skip
    assert "".join(f"{line.text}\n" for line in parse_env(ENV))[:-1] == ENV
    assert VALUE not in repr(parse_env(ENV))


def test_values_move_and_the_file_names_them(tmp_path: Path) -> None:
    path, vault = env(tmp_path / "app"), opened(tmp_path)
    held = os.open(path, os.O_RDONLY)
    done = import_env(vault, path, keep={"PORT"})
    assert done.moved == (
        ("OPENAI_API_KEY", "openai-api-key"), ("DB_PASSWORD", "db-password"), ("QUOTED", "quoted"),
    )  # fmt: skip
    assert done.stayed == ("PORT", "EMPTY", "NONE", "MOVED")
    assert path.read_text() == (
        "# settings\nexport OPENAI_API_KEY=vault:openai-api-key   # the key\nDB_PASSWORD=vault:db-password\n"
        "  QUOTED = vault:quoted\nPORT=8080\nEMPTY=\nNONE= # nothing\nMOVED=vault:already\n\n"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and vault.find_secret("quoted") == 'a "b" \\ c$d'
    assert set(os.pread(held, 10_000, 0)) == {0}
    os.close(held)
    assert found_in_clear(tmp_path, VALUE, OTHER) == []
    assert import_env(vault, path, keep={"PORT"}).moved == ()


def test_lines_can_be_deleted(tmp_path: Path) -> None:
    path = env(tmp_path / "app")
    import_env(opened(tmp_path), path, keep={"PORT"}, delete=True)
    assert path.read_text() == "# settings\nPORT=8080\nEMPTY=\nNONE= # nothing\nMOVED=vault:already\n\n"


def test_line_ends_and_a_missing_last_one_are_kept(tmp_path: Path) -> None:
    path = env(tmp_path / "app", f"A={VALUE}\r\nB=2")
    import_env(opened(tmp_path), path, keep={"B"})
    assert path.read_bytes() in (b"A=vault:a\nB=2", b"A=vault:a\r\nB=2")


@pytest.mark.parametrize(
    "line",
    [
        "NAME", "=x", "1A=x", "A B=x", "A-B=x", 'A="open', "A='open", 'A="x" y', "A='x'y", "A=${B}", "A=$(id)", "A=`id`",
        'A="${B}"', 'A="a\\nb"', "A=a'b", "A=a\\", "export =x", 'A="`id`"',
    ],
)  # fmt: skip
def test_a_line_that_a_shell_would_read_otherwise_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    path = env(tmp_path / "app", f"GOOD={VALUE}\n\n{line}\n")
    with pytest.raises(Malformed, match=r"line 3\.") as caught:
        import_env(opened(tmp_path), path)
    assert VALUE not in str(caught.value) + caught.value.next_step
    assert path.read_text() == f"GOOD={VALUE}\n\n{line}\n" and opened(tmp_path).handles() == ()


def test_values_over_lines_and_names_given_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"line 1, 2, 3\."):
        parse_env('KEY="-----BEGIN\nabc\n-----END"')
    with pytest.raises(Malformed, match=r"line 3\."):
        parse_env("A=1\nB=2\nA=3")


def test_what_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("a-b", "another-value")
    for text, kind in (
        (f"A_B={VALUE}", Conflict), (f"A_B={VALUE}\na_b={OTHER}", Malformed), (f"___={VALUE}", Malformed),
        (f"X={'x' * 8193}", Malformed), ("X=' x'", Malformed), ('X="a\\tb"', Malformed),
    ):  # fmt: skip
        path = env(tmp_path / "app", text)
        with pytest.raises(kind) as caught:
            import_env(vault, path)
        assert VALUE not in str(caught.value) and path.read_text() == text
    assert vault.handles() == ("a-b",)


def test_no_link_is_followed_and_no_second_name_is_left_behind(tmp_path: Path) -> None:
    path = env(tmp_path / "app")
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        import_env(opened(tmp_path), tmp_path / "link")
    os.link(path, tmp_path / "second")
    with pytest.raises(StoreUnavailable, match="of its own"):
        import_env(opened(tmp_path), path)
    with pytest.raises(NotFound):
        import_env(opened(tmp_path), tmp_path / "none")
    (tmp_path / "second").unlink()
    path.write_bytes(b"A=" + b"x" * 300_000)
    with pytest.raises(Malformed):
        import_env(opened(tmp_path), path)
    path.write_bytes(b"A=\xff")
    with pytest.raises(Malformed):
        import_env(opened(tmp_path), path)


def test_ended_while_rewriting_the_values_are_sealed_and_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("_rewrite", "overwrite"):
        place = tmp_path / step
        path = env(place)
        with monkeypatch.context() as patched:

            def ended(*given: object) -> None:
                raise Killed

            patched.setattr(moving, step, ended)
            with pytest.raises(Killed):
                import_env(opened(place), path, keep={"PORT"})
        assert opened(place).find_secret("openai-api-key") == VALUE
        assert (VALUE in path.read_text()) == (step == "_rewrite")
        import_env(opened(place), path, keep={"PORT"})
        assert found_in_clear(place, VALUE, OTHER) == []


def test_names_become_handles() -> None:
    assert [handle_of(name) for name in ("OPENAI_API_KEY", "_X1", "a")] == ["openai-api-key", "x1", "a"]
    for name in ("_", "A" * 65):
        with pytest.raises(CarapaxError):
            handle_of(name)
