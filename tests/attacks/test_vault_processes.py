"""Somebody looks at the process: its arguments, its environment, what it prints, what it logs, what its children get.

A value goes in by standard input; it may be in none of these, also when the command fails.
"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.adapters.vault.keysource import run_program
from carapax.core.terms.error import CarapaxError
from tests.unit.adapters.vault.rig import OTHER, PASSPHRASE, VALUE, found_in_clear, opened

COMMAND = [sys.executable, "-m", "carapax.app.entry", "vault"]


def run(home: Path, *argv: str, given: str = "") -> tuple[str, list[str]]:
    """Run the command as a person's shell does; what it said, and what /proc said of it before it ended."""
    environment = {"CARAPAX_HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [*COMMAND, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(given.encode())
    process.stdin.flush()  # it has the value now, and waits for nothing but its end
    seen = [
        Path(f"/proc/{process.pid}/{name}").read_bytes().decode("utf-8", "replace") for name in ("cmdline", "environ")
    ]
    said, _ = process.communicate(timeout=60)
    return said.decode(), seen


def clean(*texts: str) -> None:
    for text in texts:
        assert not any(word in text for word in (VALUE, OTHER, PASSPHRASE, VALUE[::-1]))


def test_a_command_shows_its_value_to_nobody(tmp_path: Path) -> None:
    for argv, given in (
        (("set", "svc", "--bind", "a.example"), VALUE + "\n"),
        (("rotate", "svc"), OTHER + "\n"),
        (("rotate", "svc"), OTHER + "\n"),  # refused: one is under way
        (("set", "bad name"), VALUE + "\n"),
        (("set", "svc", "--oauth"), '{"refresh_token": "' + VALUE + '"}'),
        (("protect", "--passphrase"), PASSPHRASE + "\n"),
        (("set", "svc"), VALUE + "\n"),  # refused: locked
        (("list",), ""),
        (("audit", "svc"), ""),
    ):
        said, seen = run(tmp_path, *argv, given=given)
        assert said and len(seen) == 2
        clean(said, *seen)
        assert found_in_clear(tmp_path, VALUE, OTHER, PASSPHRASE) == []


def test_no_child_inherits_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", VALUE)
    vault = opened(tmp_path)
    vault.put_secret("svc", OTHER)
    vault.find_secret("svc")
    shown = run_program(["cat", "/proc/self/environ"], b"").decode()
    links = run_program(["ls", "-l", "/proc/self/fd"], b"").decode()
    clean(shown)
    assert str(tmp_path) not in links  # neither the folder nor a file of it is open there


FAILING: dict[str, Callable[[Path], object]] = {
    "altered": lambda root: (_alter(root), opened(root).find_secret("svc"))[1],
    "not text": lambda root: opened(root).put_secret("svc", f"{VALUE}\n{OTHER}"),
    "too long": lambda root: opened(root).put_secret("svc", VALUE * 400),
    "again": lambda root: (opened(root).rotate("svc", OTHER), opened(root).rotate("svc", VALUE)),
    "kept": lambda root: opened(root).put_kept("svc", "oauth", VALUE * 2000),
    "kind": lambda root: opened(root).put_kept("svc", VALUE, "{}"),
    "passphrase": lambda root: (opened(root).protect("passphrase", PASSPHRASE), opened(root).unlock(OTHER)),
    "poor": lambda root: opened(root).protect("passphrase", PASSPHRASE[:11]),
}


def _alter(root: Path) -> None:
    path = root / "vault" / "svc.sealed"
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", FAILING)
def test_no_traceback_and_no_log_holds_a_value(tmp_path: Path, name: str) -> None:
    opened(tmp_path).put_secret("svc", VALUE)
    lines = io.StringIO()
    watching = logging.StreamHandler(lines)
    logging.getLogger().addHandler(watching)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        FAILING[name](tmp_path)
    except CarapaxError as error:
        clean("".join(traceback.format_exception(error)), error.what, error.kept, error.next_step, repr(error.args))
    else:
        raise AssertionError("it did not fail")
    finally:
        logging.getLogger().setLevel(level)
        logging.getLogger().removeHandler(watching)
    clean(lines.getvalue())
