"""The socket: who may open it, who the kernel says they are, and what is kept for whoever is away."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.adapters.channels.terminal import adapter
from carapax.core.terms.channel import Attached, Button, Heard, HookRequest, OutFile, Outgoing, Place, Received
from carapax.core.terms.error import CarapaxError, StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, SendRefused
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.looped import looped
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until
from tests.fakes.platforms.terminal_client import Client

ME = Place("terminal", str(os.getuid()))
OTHER = 65_534


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="term-", dir="/tmp") as made:  # the path of a socket is short
        yield Path(made)


class Here:
    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "t.sock")
        self.notes = Notes()
        self.heard: list[Received] = []
        self.refuse = 0

    def open(self) -> Channel:
        opening = Opening("terminal", {"path": self.path}, {}, DirectEgress(DictVault()), self.notes, ShiftedClock())
        return open_channel("terminal", opening)

    async def hear(self, heard: Heard) -> None:
        if self.refuse:
            self.refuse -= 1
            raise StoreUnavailable("The disk is full.")
        assert isinstance(heard, Received)
        self.heard.append(heard)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Channel]:
        channel = self.open()
        ups: list[str] = []
        task = asyncio.create_task(channel.run(self.hear, ups.append))
        try:
            await until(lambda: ups or task.done())
            if task.done():
                await task
            yield channel
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, CarapaxError):
                await task
            await channel.close()


@asynccontextmanager
async def at(path: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@looped
async def _socket_is_private(folder: Path) -> None:
    here = Here(folder)
    async with here.running():
        found = os.lstat(here.path)
        assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600
    assert "t.sock" not in os.listdir(folder)


def test_the_socket_is_its_owners_alone_and_goes_with_the_gateway(folder: Path) -> None:
    before = os.umask(0)
    try:
        _socket_is_private(folder)
    finally:
        os.umask(before)


def test_the_socket_is_never_open_to_others_not_even_while_it_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0)
    seen: list[int] = []
    monkeypatch.setattr(adapter.os, "chmod", lambda path, mode: seen.append(stat.S_IMODE(os.lstat(path).st_mode)))
    try:
        adapter._listen(str(folder / "t.sock")).close()
    finally:
        os.umask(before)
    assert seen == [0o600]


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_write_in_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(ChannelFailed, match="Others can write"):
        adapter._check_folder(str(folder / "t.sock"))
    with pytest.raises(ChannelFailed):
        adapter._check_folder(str(folder / "nowhere" / "t.sock"))


def test_what_a_killed_gateway_left_is_taken_away_and_nothing_else(folder: Path) -> None:
    path = folder / "t.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    adapter._listen(str(path)).close()
    path.unlink()
    path.write_text("a file of somebody's")
    with pytest.raises(ChannelFailed, match="no socket"):
        adapter._listen(str(path))
    assert path.read_text() == "a file of somebody's"
    path.unlink()
    path.symlink_to(folder / "elsewhere")
    with pytest.raises(ChannelFailed):
        adapter._listen(str(path))
    with pytest.raises(ChannelFailed, match="cannot be made"):
        adapter._listen(str(folder / ("x" * 120)))


def test_two_gateways_do_not_share_a_socket(folder: Path) -> None:
    @looped
    async def inside() -> None:
        here = Here(folder)
        async with here.running():
            with pytest.raises(ChannelFailed, match="Another gateway"):
                await here.open().run(here.hear, lambda line: None)
            assert "t.sock" in os.listdir(folder)

    inside()


_STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
made = socket.socket(socket.AF_UNIX)
try:
    made.connect(sys.argv[1])
except PermissionError:
    sys.exit(13)
made.sendall(b'{{"id": "1", "text": "I am root", "uid": 0, "sender": "0"}}\\n')
made.recv(4096)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_the_kernel_says_who_it_is(folder: Path) -> None:
    @looped
    async def inside() -> None:
        here = Here(folder)
        os.chmod(folder, 0o711)
        async with here.running():
            command = [sys.executable, "-c", _STRANGER.format(uid=OTHER), here.path]
            refused = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
            assert await refused.wait() == 13 and not here.heard
            os.chmod(here.path, 0o666)  # as an owner may who wants others in
            let_in = await asyncio.create_subprocess_exec(*command)
            assert await let_in.wait() == 0
        (heard,) = here.heard
        assert heard.sender.id == str(OTHER) and heard.place.chat == str(OTHER) and heard.text == "I am root"

    inside()


def test_who_comes_while_the_gateway_leaves_is_hung_up_on(folder: Path) -> None:
    @looped
    async def inside() -> None:
        here = Here(folder)
        for _ in range(20):
            before = asyncio.all_tasks()
            async with here.running():
                knocks = [socket.socket(socket.AF_UNIX) for _ in range(5)]
                for knock in knocks:
                    knock.connect(here.path)  # in the queue of the socket, and not let in yet
                    knock.sendall(b"hello\n")
                await asyncio.sleep(0)
            await until(lambda before=before: asyncio.all_tasks() <= before)
            for knock in knocks:
                knock.close()

    inside()


def test_a_typed_conversation(folder: Path) -> None:
    @looped
    async def inside() -> None:
        here = Here(folder)
        async with here.running() as channel, at(here.path) as (reader, writer):
            writer.write("Grüße\n\n   \nsecond\n".encode())
            await until(lambda: len(here.heard) == 2)
            assert [heard.text for heard in here.heard] == ["Grüße", "second"]
            assert here.heard[0].event != here.heard[1].event and here.heard[0].sender.id == ME.chat
            await channel.typing(ME)
            sent = await channel.send(Outgoing(ME, "Allow?\x1b[2J", "k", buttons=(Button("Yes", "yes:1"),)))
            assert await reader.readline() == b"Allow?[2J\n" and await reader.readline() == b"  [Yes] yes:1\n"
            await channel.edit(ME, sent.message, "Allowed.")
            assert await reader.readline() == b"Allowed.\n"

    inside()


def test_what_was_not_seen_waits_and_is_shown_once(folder: Path) -> None:
    @looped
    async def inside() -> None:
        here = Here(folder)
        channel = here.open()
        await channel.send(Outgoing(ME, "while away", "k1"))
        await channel.send(Outgoing(ME, "while away", "k1"))
        async with here.running():
            for wanted in (b"while away\n", b""):
                async with at(here.path) as (reader, writer):
                    writer.write(b"hello\n")
                    if wanted:
                        assert await reader.readline() == wanted
                    else:
                        await until(lambda: len(here.heard) == 2)
                        writer.write_eof()
                        assert await reader.read() == b""

    inside()


def test_a_client_gets_what_is_kept_and_says_again_what_was_refused(folder: Path) -> None:
    @looped
    async def inside() -> None:
        here = Here(folder)
        async with here.running() as channel:
            client = Client(here.path)
            here.refuse = 1
            id = client.say(text="once")
            await until(lambda: bool(client.refused))
            assert "disk" in client.refused[0]["text"] and not here.heard
            client.tell(client.waiting[id])
            client.tell(client.waiting[id])
            await until(lambda: len(here.heard) == 2)
            assert here.heard[0].event == here.heard[1].event == client.taken[id]
            await channel.send(Outgoing(ME, "one", "k1"))
            await until(lambda: bool(client.lines))
            await client.stop()
            again = Client(here.path)
            await until(lambda: [line["text"] for line in again.lines.values()] == ["one"])
            await again.stop()

    inside()


def test_lines_that_are_none_are_refused_and_the_next_is_heard(folder: Path) -> None:
    @looped
    async def inside() -> None:
        here = Here(folder)
        async with here.running(), at(here.path) as (reader, writer):
            writer.write(b'{"hello": true}\n{"id": 5}\n{"id": "1", "text": "fine"}\n')
            assert json.loads(await reader.readline())["type"] == "refused"
            assert json.loads(await reader.readline())["type"] == "taken"
            writer.write(b"{" + b"x" * (300 << 10))
            assert await reader.read() == b""  # a line without an end ends the conversation
        assert [heard.text for heard in here.heard] == ["fine"]

    inside()


def test_connections_are_bounded_and_come_free_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "MAX_CONNECTIONS", 2)

    @looped
    async def inside() -> None:
        here = Here(folder)
        async with here.running():
            async with at(here.path) as (_, one), at(here.path) as (_, two):
                one.write(b"a\n")
                two.write(b"b\n")
                await until(lambda: len(here.heard) == 2)
                async with at(here.path) as (reader, _):
                    assert await reader.read() == b""
            for _ in range(3):
                async with at(here.path) as (_, writer):
                    count = len(here.heard)
                    writer.write(b"c\n")
                    await until(lambda count=count: len(here.heard) > count)

    inside()


def test_who_does_not_read_is_hung_up_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "DRAIN_S", 0.05)

    @looped
    async def inside() -> None:
        here = Here(folder)
        async with here.running() as channel, at(here.path) as (reader, writer):
            writer.write(b"hello\n")
            await until(lambda: bool(here.heard))
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            for number in range(40):
                await channel.send(Outgoing(ME, "x" * 45_000, f"k{number}"))
            talk = await channel._talk(ME.chat)  # type: ignore[attr-defined]
            await until(lambda: not talk.clients)

    inside()


def test_what_is_kept_is_bounded(folder: Path) -> None:
    @looped
    async def inside() -> None:
        here = Here(folder)
        channel = here.open()
        for number in range(adapter.MAX_LINES + 10):
            await channel.send(Outgoing(ME, "x" * 30_000, f"k{number}"))
        assert max(map(len, here.notes.kept.values())) < 1 << 20
        with pytest.raises(SendRefused):
            await channel.edit(ME, "gone", "x")
        here.notes.kept[f"lines-{ME.chat}"] = b"\xff"
        assert (await here.open().send(Outgoing(ME, "still", "k"))).message

    inside()


def test_what_a_terminal_cannot_do_is_refused(folder: Path) -> None:
    @looped
    async def inside() -> None:
        here = Here(folder)
        channel = here.open()
        for wrong in (
            channel.send(Outgoing(Place("terminal", "root"), "x", "k")),
            channel.send(Outgoing(Place("terminal", "²"), "x", "k")),
            channel.send(Outgoing(ME, "x", "k", files=(OutFile("a", "text/plain", b"x"),))),
            channel.react(ME, "m", "x"),
            channel.fetch(Attached("x"), 5),
        ):
            with pytest.raises(SendRefused):
                await wrong
        assert await channel.members(ME) is None
        assert (await channel.hook(HookRequest("POST", "", "", (), b""), here.hear)).status == 404
        assert here.path in (await channel.test())[0]

    inside()
