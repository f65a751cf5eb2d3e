"""E-mail: reads one folder, answers in threads.

Layer: adapters/channels/mail. Absent: STARTTLS (TLS is spoken from the first byte, at the proxy) and HTML in what is sent.
Laws: an answer goes to the address in From and nowhere else (no Reply-To, no Cc); a mail that a machine wrote is not
answered; a mail whose parsing fails is passed over, once, and said in the log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.mail.address import parse_address
from carapax.adapters.channels.mail.mailbox import (
    MAX_NEW,
    SETTLE_S,
    WAIT_S,
    Cursor,
    Mailbox,
    is_local,
    open_mailbox,
    parse_cursor,
    render_cursor,
)
from carapax.adapters.channels.mail.wire import Mailed, find_file, parse_mail, parse_message, render_mail
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Feature,
    HookAnswer,
    HookRequest,
    Outgoing,
    Place,
    Sent,
)
from carapax.core.terms.error import CarapaxError, Malformed, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, Hear, SendRefused

FACTS = ChannelFacts(
    kind="mail",
    features=frozenset({Feature.REPLY, Feature.THREADS, Feature.FILES_IN, Feature.FILES_OUT}),
    text_chars=100_000,
    file_bytes=10 << 20,
)
SEND_S = 60.0
MAX_SUBJECTS = 500
SUBJECTS_BYTES = 512 << 10


def open_channel(opening: Opening) -> Channel:
    """A mailbox; nothing is connected yet. Raises Malformed."""
    return MailChannel(opening)


class MailChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._own = parse_address(opening.values["address"])
        self._user = opening.values.get("user") or opening.values["address"]
        self._folder = opening.values.get("folder") or "INBOX"
        self._imap = _split_server(opening.values["imap"])
        self._smtp = _split_server(opening.values["smtp"])
        self._subjects: dict[str, str] | None = None

    def facts(self) -> ChannelFacts:
        return FACTS

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        """Read what is new, then wait for more, until cancelled. The first time, what is there already is left alone."""
        async with self._open() as mailbox:
            cursor = await self._cursor(mailbox)
            up(f"{self._own}, folder {self._folder}")
            calm = False
            while True:
                before = cursor
                cursor = await self._read_new(mailbox, cursor, hear)
                if cursor == before:
                    await mailbox.wait(WAIT_S if calm else SETTLE_S)
                calm = cursor == before

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        return HookAnswer(404)

    async def send(self, outgoing: Outgoing) -> Sent:
        """One mail. A connection that breaks while the mail is handed over leaves the outcome unknown."""
        try:
            to = parse_address(outgoing.place.chat)
            subject = (await self._known_subjects()).get(outgoing.place.thread, "")
            number, content = render_mail(outgoing, own=self._own, subject=subject, now_ms=self._opening.clock.now_ms())
        except (Malformed, ValueError, LookupError) as error:
            raise SendRefused(f"This cannot be sent as a mail: {type(error).__name__}.") from None
        await self._deliver(to, content)
        return Sent(number)

    async def edit(self, place: Place, message: str, text: str) -> None:
        raise SendRefused("A mail that was sent cannot be changed.")

    async def typing(self, place: Place) -> None:
        return

    async def react(self, place: Place, message: str, mark: str) -> None:
        raise SendRefused("Mails have no reactions.")

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        """A file out of the mail it came with; the mail is read again."""
        validity, uid, number = _split_ref(attached.ref)
        async with self._open() as mailbox:
            raw = await mailbox.read(uid) if mailbox.validity == validity else None
        if raw is None:
            raise SendRefused("The mail with this file is no longer there.")
        try:
            content = await asyncio.to_thread(lambda: find_file(parse_message(raw), number))
        except Malformed:
            raise SendRefused("The mail no longer has this file.") from None
        if len(content) > most_bytes:
            raise TooLarge(f"The file has {len(content):,} bytes; at most {most_bytes:,} were allowed.")
        return content

    async def members(self, place: Place) -> frozenset[str] | None:
        return None

    async def test(self) -> Sequence[str]:
        """Sign in at both servers."""
        async with self._open() as mailbox:
            facts = [f"reads {self._folder} of {self._own} ({mailbox.next_uid - 1} mails until today)"]
        async with self._signed_in():
            return [*facts, f"sends as {self._own}"]

    async def close(self) -> None:
        return

    def _open(self) -> Any:
        host, port = self._imap
        return open_mailbox(
            self._opening.egress,
            host=host,
            port=port,
            user=self._user,
            secret=self._opening.secrets["password"],
            folder=self._folder,
        )

    async def _cursor(self, mailbox: Mailbox) -> Cursor:
        found = parse_cursor(await self._opening.keep.read("cursor"))
        if found is None:
            found = Cursor(mailbox.validity, mailbox.next_uid - 1, self._opening.clock.now_ms())
            await self._opening.keep.write("cursor", render_cursor(found))
        return found

    async def _read_new(self, mailbox: Mailbox, cursor: Cursor, hear: Hear) -> Cursor:
        """Hand on what is new; the cursor moves behind each mail once it is durable."""
        renumbered = cursor.validity != mailbox.validity
        found = await mailbox.new_after(cursor)
        for uid in found:
            mailed = await self._parse(mailbox, uid)
            if mailed is not None and not mailed.ignored:
                await self._remember(mailed)
                await hear(mailed.received)
            elif mailed is not None:
                self._opening.log(f"a mail is not answered: {mailed.ignored}")
            await mailbox.mark_read(uid)
            if not renumbered:
                cursor = Cursor(cursor.validity, uid, cursor.since_ms)
                await self._opening.keep.write("cursor", render_cursor(cursor))
        if renumbered and len(found) < MAX_NEW:  # what was read is marked, so the rest comes with the next search
            cursor = Cursor(mailbox.validity, mailbox.next_uid - 1, cursor.since_ms)
            await self._opening.keep.write("cursor", render_cursor(cursor))
        return cursor

    async def _parse(self, mailbox: Mailbox, uid: int) -> Mailed | None:
        try:
            raw = await mailbox.read(uid)
            if raw is None:
                return None
            return await asyncio.to_thread(
                parse_mail,
                raw,
                channel=self._opening.name,
                own=self._own,
                authserv=self._opening.values.get("authserv", ""),
                ref=f"{mailbox.validity}.{uid}",
            )
        except Malformed as error:
            self._opening.log(f"a mail was passed over: {error.what}")
            return None

    async def _remember(self, mailed: Mailed) -> None:
        """Keep the subject of a thread, so that the answer carries it after a restart too."""
        subjects = await self._known_subjects()
        thread = mailed.received.place.thread
        if not thread or thread in subjects:
            return
        subjects[thread] = mailed.subject
        while len(subjects) > MAX_SUBJECTS:
            del subjects[next(iter(subjects))]
        await self._opening.keep.write("subjects", json.dumps(subjects).encode()[:SUBJECTS_BYTES])

    async def _known_subjects(self) -> dict[str, str]:
        if self._subjects is None:
            try:
                given = json.loads(await self._opening.keep.read("subjects") or b"{}")
            except (ValueError, RecursionError):
                given = {}
            pairs = given.items() if isinstance(given, dict) else ()
            self._subjects = {key: value for key, value in pairs if isinstance(value, str)}
        return self._subjects

    async def _deliver(self, to: str, content: bytes) -> None:
        async with self._signed_in() as client:
            with _mapped_errors(unknown=False):
                await client.mail(self._own)
                await client.rcpt(to)
            with _mapped_errors(unknown=True):
                await client.data(content)

    @asynccontextmanager
    async def _signed_in(self) -> AsyncIterator[Any]:
        from aiosmtplib import SMTP

        host, port = self._smtp
        secret = self._opening.secrets["password"]
        line = await self._opening.egress.open_line(host=host, port=port, tls=not is_local(host), secret=secret)
        client: Any = SMTP(
            hostname=host,
            sock=line.sock,
            local_hostname="localhost",
            use_tls=False,
            start_tls=False,
            timeout=SEND_S,
        )
        try:
            with _mapped_errors(unknown=False):
                await client.connect()
                await client.ehlo()
                await client.auth_plain(self._user, line.placeholder)
            yield client
            with suppress(CarapaxError), _mapped_errors(unknown=False):
                await client.quit(timeout=5)
        finally:
            if client.transport is None:
                line.sock.close()
            else:
                client.transport.abort()  # what was not written is not waited for; the transport closes the socket
                client.close()


@contextmanager
def _mapped_errors(*, unknown: bool) -> Iterator[None]:
    """The library's errors as the port's. `unknown`: a mail whose connection breaks here may have been taken."""
    from aiosmtplib import SMTPAuthenticationError, SMTPException, SMTPResponseException

    try:
        yield
    except SMTPResponseException as error:
        said = "".join(letter for letter in str(error.message)[:160] if letter.isprintable())
        words = f"The mail server answered {error.code}: {said}"
        if isinstance(error, SMTPAuthenticationError) and error.code >= 500:
            raise CredentialRefused("The mail server refuses to sign in with this name and password.") from None
        if error.code >= 500:
            raise SendRefused(words) from None
        raise ChannelFailed(words, unknown=unknown and error.code < 400) from None
    except (SMTPException, OSError, EOFError):  # a TimeoutError is an OSError
        raise ChannelFailed("The connection to the mail server broke.", unknown=unknown) from None


def _split_server(answer: str) -> tuple[str, int]:
    host, _, port = answer.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise Malformed("A mail server is written as host:port.")
    return host, int(port)


def _split_ref(ref: str) -> tuple[int, int, int]:
    parts = ref.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 12 for part in parts):
        raise SendRefused("This is no file of a mail.")
    return int(parts[0]), int(parts[1]), int(parts[2])
