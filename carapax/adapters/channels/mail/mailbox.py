"""A mailbox over a line of the egress proxy: what is new after a cursor, and waiting until there is more.

Layer: adapters/channels/mail. Owns one IMAP connection (RFC 3501, IDLE: RFC 2177). Absent: TLS (the proxy's) and what mails mean.
Laws: nothing is marked as read before the caller says so; a mailbox whose numbers changed (UIDVALIDITY) is read again from
what is unseen since the first start, because events are made of headers and not of numbers; waiting holds no thread.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from carapax.adapters.channels.mail.wire import MAIL_BYTES
from carapax.core.terms.error import TooLarge
from carapax.ports.channel import ChannelFailed, CredentialRefused
from carapax.ports.egress import Egress

COMMAND_S = 60.0
# Servers (Dovecot) do not tell of a mail that came between the search and IDLE. Mails come in bursts, so the first wait
# after one is short; any other is far shorter than RFC 2177's 29 minutes.
SETTLE_S = 5.0
WAIT_S = 290.0
POLL_S = 60.0  # for servers without IDLE
MAX_NEW = 200  # in one round; the rest follows in the next
LITERAL_BYTES = MAIL_BYTES + (1 << 16)
_PASSING = ("UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT")  # RFC 5530: nothing is wrong with the password

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where a folder was read. `since_ms`: when it was first read, for the day its numbers change."""

    validity: int
    uid: int
    since_ms: int


def parse_cursor(raw: bytes | None) -> Cursor | None:
    """A cursor as kept; None without one, and for one that does not parse."""
    try:
        given = json.loads(raw or b"")
        return Cursor(int(given["validity"]), int(given["uid"]), int(given["since_ms"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def render_cursor(cursor: Cursor) -> bytes:
    """The inverse of `parse_cursor`."""
    return json.dumps({"validity": cursor.validity, "uid": cursor.uid, "since_ms": cursor.since_ms}).encode()


class Mailbox:
    """A folder that is open. Made by `open_mailbox`."""

    def __init__(self, imap: Any, validity: int, next_uid: int) -> None:
        self._imap = imap
        self.validity = validity
        self.next_uid = next_uid

    async def new_after(self, cursor: Cursor) -> list[int]:
        """The numbers of mails to read, oldest first, at most 200."""
        if cursor.validity == self.validity:
            criteria: list[object] = ["UID", f"{cursor.uid + 1}:*"]
        else:
            criteria = ["UNSEEN", "SINCE", datetime.fromtimestamp(cursor.since_ms / 1000, UTC).date()]
        await self._do(self._imap.noop)  # servers search what they showed last; only this shows them more
        found = await self._do(lambda: self._imap.search(criteria))
        # "n:*" names the newest mail even when its number is smaller than n (RFC 3501, 6.4.8).
        floor = cursor.uid if cursor.validity == self.validity else 0
        return sorted(uid for uid in found if uid > floor)[:MAX_NEW]

    async def read(self, uid: int) -> bytes | None:
        """A mail's bytes, not marked as read; None when it is gone. Raises TooLarge."""
        sizes = await self._do(lambda: self._imap.fetch([uid], ["RFC822.SIZE"]))
        if uid not in sizes:
            return None
        size = sizes[uid].get(b"RFC822.SIZE", 0)
        if size > MAIL_BYTES:
            raise TooLarge(f"A mail of {size / (1 << 20):.0f} MiB was not read; the bound is {MAIL_BYTES >> 20} MiB.")
        found = await self._do(lambda: self._imap.fetch([uid], ["BODY.PEEK[]"]))
        content = found.get(uid, {}).get(b"BODY[]")
        return content if isinstance(content, bytes) else None

    async def mark_read(self, uid: int) -> None:
        r"""Set \Seen."""
        await self._do(lambda: self._imap.add_flags([uid], [rb"\Seen"], silent=True))

    async def wait(self, most_s: float) -> None:
        """Until the server says that something changed, at most this long."""
        if not await self._do(lambda: self._imap.has_capability("IDLE")):
            await asyncio.sleep(POLL_S)
            return
        await self._do(self._imap.idle)
        try:
            await _readable(self._imap.socket(), most_s)
        finally:
            if not _cancelling():
                await self._do(self._imap.idle_done)

    async def _do(self, act: Callable[[], T]) -> T:
        return await _in_thread(act)


@asynccontextmanager
async def open_mailbox(
    egress: Egress, *, host: str, port: int, user: str, secret: str, folder: str
) -> AsyncIterator[Mailbox]:
    """A folder, opened for reading and marking. Raises ChannelFailed (also: no such folder), CredentialRefused."""
    line = await egress.open_line(host=host, port=port, tls=not is_local(host), secret=secret)
    imap = None
    try:
        line.sock.settimeout(COMMAND_S)
        imap = await _in_thread(lambda: _client(line.sock))
        await _sign_in(imap, user, line.placeholder)
        chosen = await _select(imap, folder)
        yield Mailbox(imap, int(chosen.get(b"UIDVALIDITY", 0)), int(chosen.get(b"UIDNEXT", 1)))
    finally:
        # A command that still waits in its thread ends with this.
        with suppress(OSError):
            line.sock.shutdown(socket.SHUT_RDWR)
        if imap is not None:
            with suppress(OSError, ValueError):
                imap.shutdown()  # closes the file over the socket too
        line.sock.close()


def is_local(host: str) -> bool:
    """Whether a server is on this machine: then it is spoken to without TLS."""
    return host in ("127.0.0.1", "::1", "localhost")


async def _sign_in(imap: Any, user: str, password: str) -> None:
    try:
        await _in_thread(lambda: imap.plain_login(user, password))
    except ChannelFailed as error:
        if _connection_broke(error) or any(f"[{code}]" in error.what for code in _PASSING):
            raise
        raise CredentialRefused("The mail server refuses to sign in with this name and password.") from None


async def _select(imap: Any, folder: str) -> dict[bytes, Any]:
    try:
        return await _in_thread(lambda: dict(imap.select_folder(folder)))
    except ChannelFailed as error:
        if _connection_broke(error):
            raise
        raise ChannelFailed(f"The mailbox has no folder {folder[:80]!r}.") from None


def _connection_broke(error: ChannelFailed) -> bool:
    # imapclient wraps the loss of a connection during the sign-in into its LoginError.
    import imaplib

    found: BaseException | None = error.__cause__
    while found is not None and not isinstance(found, OSError | EOFError | imaplib.IMAP4.abort):
        found = found.__context__
    return found is not None


async def _in_thread(act: Callable[[], T]) -> T:
    from imapclient.exceptions import IMAPClientError  # type: ignore[import-untyped]

    try:
        return await asyncio.to_thread(act)
    except (IMAPClientError, OSError, EOFError, ValueError, AssertionError) as error:
        said = "".join(letter for letter in str(error)[:160] if letter.isprintable())
        raise ChannelFailed(f"The mail server failed: {said or type(error).__name__}") from error


async def _readable(sock: socket.socket, most_s: float) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock.fileno(), ready.set)
    try:
        async with asyncio.timeout(most_s):
            await ready.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(sock.fileno())


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _client(sock: socket.socket) -> Any:
    import imaplib

    from imapclient import IMAPClient  # type: ignore[import-untyped]

    class OverLine(imaplib.IMAP4):
        """IMAP over a socket that is connected already."""

        def _create_socket(self, timeout: float | None = None) -> socket.socket:
            return sock

        def read(self, size: int) -> bytes:
            if size > LITERAL_BYTES:
                raise self.abort(f"a literal of {size} bytes")
            return super().read(size)

    class Client(IMAPClient):  # type: ignore[misc]
        def _create_IMAP4(self) -> imaplib.IMAP4:
            return OverLine("", 0)

    return Client("", ssl=False, timeout=COMMAND_S)
