"""A real ngircd on loopback, and people at plain connections."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from tests.fakes.platforms.forwarder import end_child, free_port, listens, wait_up
from tests.fakes.platforms.serving import until

PASSWORD = "servers-word"


class Ngircd:
    """A server of its own; stopped by its pid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        settings = self.folder / "ngircd.conf"
        settings.write_text(self._settings())
        self._child = await asyncio.to_thread(self._spawn, ["/usr/sbin/ngircd", "-n", "-f", str(settings)])
        await wait_up(self._child, lambda: listens(self.port))

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "out").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    async def stop(self) -> None:
        if self._child is not None:
            await asyncio.to_thread(end_child, self._child)

    def _settings(self) -> str:
        return f"""
[Global]
Name = irc.test
Info = a server for tests
AdminInfo1 = nobody
AdminEMail = nobody@irc.test
Listen = 127.0.0.1
Ports = {self.port}
Password = {PASSWORD}
MotdPhrase = hello
[Limits]
MaxConnectionsIP = 0
MaxNickLength = 30
PingTimeout = 120
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
IncludeDir = {self.folder}/none
"""


class Person:
    """Somebody at the server."""

    def __init__(self, nick: str, port: int) -> None:
        self.nick, self.port = nick, port
        self.lines: list[str] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self, *channels: str) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._task = asyncio.create_task(self._read())
        for line in (f"PASS {PASSWORD}", f"NICK {self.nick}", f"USER {self.nick} 0 * :{self.nick}"):
            self.write(line)
        await until(lambda: any(" 001 " in line for line in self.lines))
        for channel in channels:
            self.write(f"JOIN {channel}")
            await until(lambda channel=channel: any(" 366 " in line and channel in line for line in self.lines))

    async def _read(self) -> None:
        while raw := await self._reader.readline():
            line = raw.decode().rstrip("\r\n")
            if line.startswith("PING "):
                self.write("PONG " + line[5:])
            self.lines.append(line)

    def write(self, line: str) -> None:
        self._writer.write(line.encode() + b"\r\n")

    def heard(self) -> list[tuple[str, str, str]]:
        """Author, target and text of every message."""
        found = []
        for line in self.lines:
            prefix, _, rest = line.partition(" PRIVMSG ")
            if rest:
                target, _, text = rest.partition(" :")
                found.append((prefix[1:].partition("!")[0], target, text))
        return found

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._writer.transport.abort()
