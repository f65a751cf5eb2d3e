"""A terminal: listens on a socket of this machine, and speaks with whoever the kernel lets in.

Layer: adapters/channels/terminal. This is the one channel with a socket of its own: it is a way in from this machine and no
way out of it, so there is nothing for the egress proxy to judge. Absent: passwords.
Laws: the socket is made with mode 0600 in a folder that nobody else can write; a person is their user id, by SO_PEERCRED and
never by anything they send; what nobody saw yet is kept until somebody of that user connects.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import stat
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.terminal.wire import (
    HELLO,
    LINE_BYTES,
    Line,
    Said,
    event_of,
    is_plain,
    parse_line,
    parse_lines,
    render_line,
    render_lines,
    render_refused,
    render_taken,
    render_typing,
)
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Evidence,
    Feature,
    HookAnswer,
    HookRequest,
    Markup,
    Outgoing,
    Person,
    Place,
    Received,
    Sent,
)
from carapax.core.terms.error import CarapaxError, Malformed
from carapax.ports.channel import Channel, ChannelFailed, Hear, SendRefused

FACTS = ChannelFacts(
    kind="terminal",
    features=frozenset({Feature.EDIT, Feature.TYPING, Feature.BUTTONS, Feature.IDEMPOTENT}),
    text_chars=50_000,
    file_bytes=0,
    markup=Markup.MARKDOWN,
    edits_per_minute=60,
)
MAX_CONNECTIONS = 32
MAX_LINES = 50
MAX_KEPT_BYTES = 512 << 10
DRAIN_S = 10.0
_CREDENTIALS = struct.Struct("3i")


def open_channel(opening: Opening) -> Channel:
    """A socket; nothing listens yet."""
    return TerminalChannel(opening)


@dataclass(slots=True)
class _Conversation:
    lines: list[Line]
    shown: int
    last: int
    clients: list[_Client] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Client:
    writer: asyncio.StreamWriter
    bare: bool = False  # it types plain lines


class TerminalChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._path = opening.values["path"]
        self._talks: dict[str, _Conversation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._hearing = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._count = 0

    def facts(self) -> ChannelFacts:
        return FACTS

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        """Listen until cancelled. Raises ChannelFailed: the folder is open to others, or another one listens there."""
        listener = _listen(
            self._path
        )  # a few calls of the kernel's: a thread could leave it behind when this is cancelled
        inode = os.stat(self._path).st_ino

        loop = asyncio.get_running_loop()
        # Not asyncio's server: it loses a connection that comes while it closes.
        loop.add_reader(listener.fileno(), self._let_in, listener, hear)
        try:
            up(self._path)
            await asyncio.Event().wait()
        finally:
            loop.remove_reader(listener.fileno())
            listener.close()
            await self._end()
            with suppress(OSError):
                if os.stat(self._path).st_ino == inode:
                    os.unlink(self._path)

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        return HookAnswer(404)

    async def send(self, outgoing: Outgoing) -> Sent:
        """Keep a line and show it to every terminal of this user. The same key is the same line."""
        if outgoing.files:
            raise SendRefused("A terminal takes no files.")
        person = _person(outgoing.place)
        message = event_of(person, f"agent/{outgoing.key}")
        talk = await self._talk(person)
        if not any(line.id == message for line in talk.lines):
            await self._put(person, Line(0, message, outgoing.text, outgoing.buttons))
        return Sent(message)

    async def edit(self, place: Place, message: str, text: str) -> None:
        """Show another text of a line that is still kept."""
        person = _person(place)
        found = next((line for line in (await self._talk(person)).lines if line.id == message), None)
        if found is None:
            raise SendRefused("This line is no longer kept.")
        if found.text != text:
            await self._put(person, replace(found, text=text))

    async def typing(self, place: Place) -> None:
        """Clients are told; a bare terminal is not disturbed."""
        for client in (await self._talk(_person(place))).clients:
            if not client.bare:
                await _write(client, render_typing())

    async def react(self, place: Place, message: str, mark: str) -> None:
        raise SendRefused("A terminal has no reactions.")

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        raise SendRefused("A terminal sends no files.")

    async def members(self, place: Place) -> frozenset[str] | None:
        return None

    async def test(self) -> Sequence[str]:
        """Whether the folder is fit for the socket."""
        await asyncio.to_thread(_check_folder, self._path)
        return [f"socket {self._path}, for user {os.getuid()}"]

    async def close(self) -> None:
        """Hang up on everybody; `run` takes the socket away when it is cancelled."""
        await self._end()

    async def _end(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    def _let_in(self, listener: socket.socket, hear: Hear) -> None:
        try:
            peer, _ = listener.accept()
        except OSError:
            return  # it left already
        peer.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._talk_with(peer, hear))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: peer.close())  # also for a task that was cancelled before it began

    async def _talk_with(self, peer: socket.socket, hear: Hear) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=peer, limit=LINE_BYTES)
        client = _Client(writer)
        try:
            person = _uid_of(peer)
            talk = await self._talk(person)
            if self._count >= MAX_CONNECTIONS:
                return
            self._count += 1
            talk.clients.append(client)
            try:
                await self._listen_to(reader, client, person, hear)
            finally:
                talk.clients.remove(client)
                self._count -= 1
        except (ConnectionError, TimeoutError, ValueError, asyncio.LimitOverrunError, CarapaxError):
            return  # it left, does not read, sent a line without an end, or nothing can be kept
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _listen_to(self, reader: asyncio.StreamReader, client: _Client, person: str, hear: Hear) -> None:
        """Every line, one at a time; what was kept is shown with the first, once its form is known."""
        known = False
        while raw := await reader.readline():
            try:
                said = parse_line(raw)
            except Malformed as error:
                await _write(client, render_refused("", error.what, bare=client.bare))
                continue
            if not known:
                client.bare, known = said is None or is_plain(said), True
                await self._show_kept(person, client)
            if said is not None and said is not HELLO:
                await self._hear_line(said, client, person, hear)

    async def _hear_line(self, said: Said, client: _Client, person: str, hear: Hear) -> None:
        received = self._received(said, person)
        try:
            async with self._hearing:
                await hear(received)
        except CarapaxError as error:
            await _write(client, render_refused(said.id, f"{error.what} Send it again.", bare=client.bare))
            return
        if said.id:
            await _write(client, render_taken(said.id, received.event))

    def _received(self, said: Said, person: str) -> Received:
        event = event_of(person, said.id or secrets.token_hex(16))
        return Received(
            place=Place(self._opening.name, person),
            sender=Person(person, _login(person)),
            event=event,
            text="" if said.press else said.text,
            sent_ms=self._opening.clock.now_ms(),
            message=said.message if said.press else event,
            evidence=Evidence.PLATFORM,
            pressed=said.press,
        )

    async def _put(self, person: str, line: Line) -> None:
        async with self._writing:
            talk = await self._talk(person)
            placed = replace(line, seq=talk.last + 1)
            lines = _bounded([each for each in talk.lines if each.id != line.id] + [placed])
            shown = placed.seq if talk.clients else talk.shown
            await self._opening.keep.write(_note(person), render_lines(lines, shown, placed.seq))
            talk.lines, talk.last, talk.shown = lines, placed.seq, shown
        for client in list(talk.clients):
            await _write(client, render_line(placed, bare=client.bare))

    async def _show_kept(self, person: str, client: _Client) -> None:
        """To a client everything that is kept (it knows what it has); to a bare terminal what nobody saw."""
        async with self._writing:
            talk = await self._talk(person)
            floor = talk.shown if client.bare else 0
            for line in [line for line in talk.lines if line.seq > floor]:
                await _write(client, render_line(line, bare=client.bare))
            if talk.shown != talk.last:
                talk.shown = talk.last
                await self._opening.keep.write(_note(person), render_lines(talk.lines, talk.shown, talk.last))

    async def _talk(self, person: str) -> _Conversation:
        if person not in self._talks:
            lines, shown, last = parse_lines(await self._opening.keep.read(_note(person)))
            self._talks.setdefault(person, _Conversation(lines, shown, last))
        return self._talks[person]


def _listen(path: str) -> socket.socket:
    """A listening socket of mode 0600. Raises ChannelFailed."""
    _check_folder(path)
    _clear_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the socket's own mode: it is never open, not for a moment
        os.fchmod(made.fileno(), 0o600)
        made.bind(path)
        os.chmod(path, 0o600)
        made.listen(MAX_CONNECTIONS)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise ChannelFailed(f"The socket {path} cannot be made: {error.strerror}.") from None
    return made


def _check_folder(path: str) -> None:
    try:
        found = os.stat(os.path.dirname(path))
    except OSError as error:
        raise ChannelFailed(f"The folder of {path} cannot be used: {error.strerror}.") from None
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ChannelFailed(f"Others can write in the folder of {path}; choose one that is yours alone.")


def _clear_stale(path: str) -> None:
    """Take away what a gateway that was killed left behind. Raises ChannelFailed: something else is there."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ChannelFailed(f"There is a file at {path} already, which is no socket.")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        try:
            knock.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError as error:
            raise ChannelFailed(f"The socket {path} cannot be used: {error.strerror}.") from None
        else:
            raise ChannelFailed(f"Another gateway listens at {path} already.")


def _uid_of(peer: socket.socket) -> str:
    """The user at the other end, as the kernel knew it when it connected (unix(7))."""
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return str(_CREDENTIALS.unpack(raw)[1])


def _login(person: str) -> str:
    import pwd

    try:
        return pwd.getpwuid(int(person)).pw_name
    except KeyError:
        return ""


def _person(place: Place) -> str:
    if not (place.chat.isascii() and place.chat.isdigit() and len(place.chat) <= 10):
        raise SendRefused("This is no user of this machine.")
    return place.chat


def _note(person: str) -> str:
    return f"lines-{person}"


def _bounded(lines: list[Line]) -> list[Line]:
    kept = lines[-MAX_LINES:]
    size = sum(len(line.text.encode()) for line in kept)
    while len(kept) > 1 and size > MAX_KEPT_BYTES:
        size -= len(kept.pop(0).text.encode())
    return kept


async def _write(client: _Client, content: bytes) -> None:
    """Write to a client; one that does not read within ten seconds is hung up on."""
    if client.writer.is_closing():
        return
    client.writer.write(content)
    try:
        async with asyncio.timeout(DRAIN_S):
            await client.writer.drain()
    except (TimeoutError, ConnectionError):
        client.writer.transport.abort()
