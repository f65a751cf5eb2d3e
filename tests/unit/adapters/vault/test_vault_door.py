"""The door of a running vault: who is heard, what it answers, and that a passphrase is all that goes in."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from carapax.adapters.vault import door as door_module
from carapax.adapters.vault.door import MESSAGE_BYTES, ask_door, open_door, serve_door
from carapax.adapters.vault.keyring import WRONG_PASSPHRASES
from carapax.core.terms.error import CarapaxError, NotFound, Refused, StoreUnavailable, Unavailable
from tests.unit.adapters.vault.rig import PASSPHRASE, VALUE, Clock, opened


def behind(
    root: Path, act: Callable[[Path], Awaitable[Any]], *, users: tuple[int, ...] = (), protect: bool = True,
    loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Any:  # fmt: skip
    vault = opened(root, clock=Clock())
    vault.put_secret("svc", VALUE)
    if protect:
        vault.protect("passphrase", PASSPHRASE)
        vault.lock()
    path = root / "run" / "vault.sock"

    async def run() -> Any:
        serving = asyncio.create_task(serve_door(open_door(path), vault, users or (os.geteuid(),)))
        try:
            return await act(path)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(run())


def asked(path: Path, *given: Any, **more: Any) -> Awaitable[dict[str, Any]]:
    return asyncio.to_thread(ask_door, path, *given, **more)


@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_it_is_unlocked_asked_and_locked(tmp_path: Path, loop: Any) -> None:
    async def act(path: Path) -> None:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert await asked(path, "state") == {"locked": True, "source": "passphrase"}
        assert await asked(path, "unlock", passphrase=PASSPHRASE) == {"locked": False, "source": "passphrase"}
        assert (await asked(path, "state"))["locked"] is False
        assert (await asked(path, "lock"))["locked"] is True

    behind(tmp_path, act, loop=loop)


def test_a_wrong_passphrase_is_refused_and_counted(tmp_path: Path) -> None:
    async def act(path: Path) -> None:
        for _ in range(WRONG_PASSPHRASES):
            with pytest.raises(Refused, match="not the vault's passphrase"):
                await asked(path, "unlock", passphrase="guess-1234567")
        with pytest.raises(Refused, match="none is looked at"):
            await asked(path, "unlock", passphrase=PASSPHRASE)

    behind(tmp_path, act)


def test_two_at_once_are_answered_one_after_the_other(tmp_path: Path) -> None:
    async def act(path: Path) -> None:
        replies = await asyncio.gather(*(asked(path, "unlock", passphrase=PASSPHRASE) for _ in range(6)))
        assert [reply["locked"] for reply in replies] == [False] * 6

    behind(tmp_path, act)


def raw(path: Path, content: bytes, *, end: bool = False) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as knocking:
        knocking.settimeout(10)
        knocking.connect(str(path))
        knocking.sendall(content)
        if end:
            knocking.shutdown(socket.SHUT_WR)
        reply = b""
        while chunk := knocking.recv(4096):
            reply += chunk
    return dict(json.loads(reply[4:]))


def framed(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


@pytest.mark.parametrize(
    "content",
    [
        framed(b""), framed(b"{"), framed(b"[]"), framed(b"{}"), framed(b'{"ask": "value", "handle": "svc"}'),
        framed(b'{"ask": "unlock"}'), framed(b'{"ask": "unlock", "passphrase": 7}'), framed(b"\xff" * 40),
        framed(json.dumps({"ask": "unlock", "passphrase": "x" * 2000}).encode()), struct.pack(">I", MESSAGE_BYTES + 1),
    ],
)  # fmt: skip
def test_nothing_else_is_answered_and_no_value_comes_out(tmp_path: Path, content: bytes) -> None:
    async def act(path: Path) -> None:
        reply = await asyncio.to_thread(raw, path, content)
        assert reply["ok"] is False and VALUE not in json.dumps(reply)
        assert (await asked(path, "state"))["locked"] is False

    behind(tmp_path, act, protect=False)


def test_who_says_nothing_or_half_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "READ_S", 0.05)

    async def act(path: Path) -> None:
        for content, end in ((b"", False), (b"\0\0", True), (struct.pack(">I", 50) + b"half", False)):
            reply = await asyncio.to_thread(raw, path, content, end=end)
            assert reply["ok"] is False

    behind(tmp_path, act)


def test_another_user_is_not_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_peer = door_module._peer

    async def act(path: Path) -> None:
        # The server's side sees a stranger; the client's own look at the server stays true.
        monkeypatch.setattr(door_module, "_peer", lambda c: 12_345 if c.getsockname() else true_peer(c))
        with pytest.raises(Refused, match="may not speak"):
            await asked(path, "unlock", passphrase=PASSPHRASE)
        monkeypatch.setattr(door_module, "_peer", true_peer)
        assert (await asked(path, "state"))["locked"] is True

    behind(tmp_path, act)


def test_a_stranger_behind_the_door_gets_no_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listening = open_door(tmp_path / "run" / "vault.sock")
    monkeypatch.setattr(door_module, "_peer", lambda c: 12_345)
    with pytest.raises(Refused, match="nothing was said"):
        ask_door(tmp_path / "run" / "vault.sock", "unlock", passphrase=PASSPHRASE, timeout_s=5)
    accepted, _ = listening.accept()
    assert accepted.recv(100) == b""
    accepted.close()
    listening.close()


def test_the_user_that_root_gave_the_vault_to_may_stand_behind_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_peer = door_module._peer

    async def act(path: Path) -> None:
        # The client's side sees the proxy's user; the server's own look at the client stays true.
        monkeypatch.setattr(door_module, "_peer", lambda c: true_peer(c) if c.getsockname() else 64_243)
        assert (await asked(path, "state", users=(64_243,)))["locked"] is True
        with pytest.raises(Refused, match="nothing was said"):
            await asked(path, "state", users=(64_244,))

    behind(tmp_path, act)


def test_no_door_and_an_ended_one_are_told(tmp_path: Path) -> None:
    path = tmp_path / "run" / "vault.sock"
    with pytest.raises(NotFound, match="No vault is open"):
        ask_door(path, "state")
    open_door(path).close()
    with pytest.raises(NotFound):
        ask_door(path, "state")
    again = open_door(path)  # what an ended process left is replaced
    again.close()


def test_a_server_that_breaks_off_is_told(tmp_path: Path) -> None:
    async def broken(content: bytes) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(content)
            writer.close()

        path = tmp_path / "run" / f"{len(content)}.sock"
        server = await asyncio.start_unix_server(answer, sock=open_door(path))
        async with server:
            with pytest.raises(Unavailable):
                await asked(path, "state", timeout_s=5)

    for content in (b"", b"\0\0", framed(b"no json"), framed(b"{}"), struct.pack(">I", 100) + b"x"):
        asyncio.run(broken(content))


def test_only_a_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run" / "vault.sock"
    path.parent.mkdir(mode=0o700)
    path.write_text("mine")
    with pytest.raises(StoreUnavailable, match="in the way"):
        open_door(path)
    assert path.read_text() == "mine"
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CarapaxError):
        open_door(path)
