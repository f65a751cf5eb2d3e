"""The mailbox and the answers against real servers, and against scripted ones where a real one does not fail on demand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from email import message_from_bytes
from email.policy import default

import pytest

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.adapters.channels.mail.mailbox import Cursor, parse_cursor, render_cursor
from carapax.core.terms.channel import Attached, Heard, HookRequest, Outgoing, Place, Received
from carapax.core.terms.error import CarapaxError, Malformed, StoreUnavailable, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.looped import looped
from tests.fakes.platforms.mail_servers import AGENT, MailServers, why_missing
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until

ALICE = "alice@example.test"
PASSWORD = "an invented mailbox password"


@pytest.fixture(scope="module")
def servers() -> Iterator[MailServers]:
    if why_missing():
        pytest.skip(why_missing())
    made = MailServers()
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Here:
    """One mailbox with its notes, its log and what it heard."""

    def __init__(self, imap_port: int, smtp_port: int) -> None:
        self.notes = Notes()
        self.lines: list[str] = []
        self.heard: list[Received] = []
        self.refuse = 0
        self._ports = (imap_port, smtp_port)

    def open(self, **more: str) -> Channel:
        values = {"address": AGENT, "imap": f"127.0.0.1:{self._ports[0]}", "smtp": f"127.0.0.1:{self._ports[1]}"} | more
        egress = DirectEgress(DictVault({"pw": PASSWORD}))
        return open_channel(
            "mail", Opening("mail", values, {"password": "pw"}, egress, self.notes, ShiftedClock(), self.lines.append)
        )

    async def hear(self, heard: Heard) -> None:
        if self.refuse:
            self.refuse -= 1
            raise StoreUnavailable("The disk is full.")
        assert isinstance(heard, Received)
        self.heard.append(heard)

    @asynccontextmanager
    async def running(self, channel: Channel | None = None) -> AsyncIterator[Channel]:
        made = channel or self.open()
        ups: list[str] = []
        task = asyncio.create_task(made.run(self.hear, ups.append))
        try:
            await until(lambda: ups or task.done())
            if task.done():
                await task
            yield made
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, CarapaxError):
                await task

    async def heard_texts(self, count: int) -> list[str]:
        await until(lambda: len(self.heard) >= count)
        return [received.text for received in self.heard]


def mail(text: str, *, number: str = "", **fields: str) -> bytes:
    given = {"From": ALICE, "To": AGENT, "Subject": "Roof", "Message-ID": number or f"<{hash(text)}@example.test>"}
    given |= {name.replace("_", "-"): value for name, value in fields.items()}
    return "".join(f"{name}: {value}\r\n" for name, value in given.items()).encode() + f"\r\n{text}\r\n".encode()


@pytest.fixture
def here(servers: MailServers) -> Here:
    return Here(servers.imap_port, servers.smtp_port)


async def put(servers: MailServers, raw: bytes) -> None:
    await asyncio.to_thread(servers.deliver_and_wait, raw, sender=ALICE)


@looped
async def test_what_was_there_before_the_first_start_is_left_alone(servers: MailServers, here: Here) -> None:
    await put(servers, mail("before"))
    async with here.running():
        await put(servers, mail("after"))
        assert await here.heard_texts(1) == ["Roof\n\nafter"]


@looped
async def test_a_mail_is_marked_only_once_it_was_taken(servers: MailServers, here: Here) -> None:
    async with here.running():
        pass
    before = here.notes.kept["cursor"]
    await put(servers, mail("unmarked"))
    here.refuse = 1
    with pytest.raises(StoreUnavailable):
        await here.open().run(here.hear, here.lines.append)
    assert here.notes.kept["cursor"] == before and "S" not in _newest_flags(servers)
    async with here.running():
        assert await here.heard_texts(1) == ["Roof\n\nunmarked"]
        await until(lambda: "S" in _newest_flags(servers))
    assert here.notes.kept["cursor"] != before


def _newest_flags(servers: MailServers) -> str:
    newest = max(servers.box("agent").glob("[nc]*/*"), key=lambda path: path.stat().st_mtime_ns)
    return newest.name.rpartition(":2,")[2] if ":2," in newest.name else ""


@looped
async def test_a_renumbered_folder_is_read_again_without_old_mails(servers: MailServers, here: Here) -> None:
    async with here.running():
        await put(servers, mail("known already", number="<known@example.test>"))
        await here.heard_texts(1)
        await until(lambda: "S" in _newest_flags(servers))
    servers.stop_dovecot()
    await put(servers, mail("came meanwhile", number="<meanwhile@example.test>"))
    servers.renumber("agent")
    servers.start_dovecot()
    async with here.running():
        await until(lambda: any("came meanwhile" in heard.text for heard in here.heard))
        await put(servers, mail("and then", number="<then@example.test>"))
        await until(lambda: any("and then" in heard.text for heard in here.heard))
    assert sum("known already" in heard.text for heard in here.heard) == 1
    assert len({heard.event for heard in here.heard}) >= 3


@looped
async def test_machines_and_what_is_no_mail_are_passed_over_and_said(servers: MailServers, here: Here) -> None:
    async with here.running():
        await put(servers, mail("I am away", Auto_Submitted="auto-replied"))
        await put(servers, mail("whose?", From="a@x.example, b@y.example"))
        await put(servers, mail("a person"))
        assert await here.heard_texts(1) == ["Roof\n\na person"]
    assert any("machine" in line for line in here.lines) and any("passed over" in line for line in here.lines)


@looped
async def test_an_answer_carries_the_subject_of_its_thread_after_a_restart(servers: MailServers, here: Here) -> None:
    async with here.running():
        await put(servers, mail("question", number="<q1@example.test>", Subject="Dach =?utf-8?q?=C3=A4?="))
        await here.heard_texts(1)
    heard = here.heard[0]
    sent = await here.open().send(Outgoing(heard.place, "Answer.", "k-1", reply_to=heard.message))
    await until(lambda: any(sent.message.encode() in raw for raw in servers.mails_of("alice")))
    raw = next(raw for raw in servers.mails_of("alice") if sent.message.encode() in raw)
    got = message_from_bytes(raw, policy=default)
    assert got["subject"] == "Re: Dach ä" and got["in-reply-to"] == "<q1@example.test>"
    assert got["auto-submitted"] == "auto-replied" and got["to"] == ALICE


@looped
async def test_the_same_key_has_the_same_message_id(servers: MailServers, here: Here) -> None:
    channel = here.open()
    outgoing = Outgoing(Place("mail", ALICE), "once or twice", "k-twice")
    assert await channel.send(outgoing) == await here.open().send(outgoing)


@looped
async def test_files_that_are_gone_or_never_were(servers: MailServers, here: Here) -> None:
    async with here.running() as channel:
        body = b'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Disposition: attachment; filename="a.bin"\r\n\r\n'
        await put(servers, mail("x")[:-5] + body + b"x" * 5_000 + b"\r\n--b--\r\n")
        await here.heard_texts(1)
        (file,) = here.heard[0].files
        assert (await channel.fetch(file, 6_000)).strip() == b"x" * 5_000
        with pytest.raises(TooLarge):
            await channel.fetch(file, 4_000)
        start, _, _ = file.ref.rpartition(".")
        for ref in (f"{start}.9", "1.1.1", "x", "1.2", f"{file.ref}.1", "1.2.-3", "99999999999999.1.1"):
            with pytest.raises(SendRefused):
                await channel.fetch(Attached(ref), 6_000)


@looped
async def test_the_account_is_asked(here: Here) -> None:
    lines = await here.open().test()
    assert any(AGENT in line for line in lines) and not any(PASSWORD in line for line in lines)


@looped
async def test_a_missing_folder_is_said(here: Here) -> None:
    with pytest.raises(ChannelFailed, match="no folder"):
        await here.open(folder="Nowhere").test()


@looped
async def test_what_mail_cannot_do_is_refused(here: Here) -> None:
    channel, place = here.open(), Place("mail", ALICE)
    for act in (channel.edit(place, "m", "t"), channel.react(place, "m", "x")):
        with pytest.raises(SendRefused):
            await act
    await channel.typing(place)
    assert (await channel.hook(HookRequest("POST", "", "", (), b""), here.hear)).status == 404


@pytest.mark.parametrize(
    "chat", ["a@x.example\r\nBcc: b@y.example", "a@x.example>,<b@y.example", "", "a@x.example b@y.example", "root"]
)
@looped
async def test_nobody_else_is_written_to(here: Here, chat: str) -> None:
    with pytest.raises(SendRefused):
        await here.open().send(Outgoing(Place("mail", chat), "x", "k"))


@looped
async def test_a_stopped_run_leaves_nothing_behind(here: Here) -> None:
    threads = threading.active_count()
    for _ in range(3):
        async with here.running():
            pass
    await until(lambda: threading.active_count() <= threads + 6)  # the loop's own pool; nobody waits in it
    loop = asyncio.get_running_loop()
    await asyncio.wait_for(loop.shutdown_default_executor(), 10)


# scripted servers


@asynccontextmanager
async def scripted(lines: Sequence[str | Callable[[str], str]], *, greeting: str) -> AsyncIterator[int]:
    """A server that greets and answers each line with the next of these; then it hangs up."""

    served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served[task] = writer
        try:
            writer.write(greeting.encode() + b"\r\n")
            for line in lines:
                given = (await reader.readline()).decode()
                if not given:
                    break
                answer = line(given) if callable(line) else line
                writer.write(answer.encode() + b"\r\n" if answer else b"")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task, writer in served.items():
            writer.transport.abort()
            await task
        await server.wait_closed()


HELLO = "250-mx\r\n250-AUTH PLAIN\r\n250 8BITMIME"


@pytest.mark.parametrize(
    ("lines", "wanted", "unknown"),
    [
        ([HELLO, "535 no"], CredentialRefused, False),
        ([HELLO, "454 later"], ChannelFailed, False),
        ([HELLO, "235 ok", "550 not you"], SendRefused, False),
        ([HELLO, "235 ok", "250 ok", "550 nobody"], SendRefused, False),
        ([HELLO, "235 ok", "250 ok", "451 greylisted"], ChannelFailed, False),
        ([HELLO, "235 ok", "250 ok"], ChannelFailed, False),
        ([HELLO, "235 ok", "250 ok", "250 ok", "554 spam"], SendRefused, False),
        ([HELLO, "235 ok", "250 ok", "250 ok", "452 full"], ChannelFailed, False),
        ([HELLO, "235 ok", "250 ok", "250 ok", "354 go", ""], ChannelFailed, True),
        ([], ChannelFailed, False),
        (["421 bye"], ChannelFailed, False),
    ],
)
@looped
async def test_codes_of_smtp(lines: list[str], wanted: type[CarapaxError], unknown: bool) -> None:
    async with scripted(lines, greeting="220 mx") as port:
        with pytest.raises(wanted) as caught:
            await Here(1, port).open().send(Outgoing(Place("mail", ALICE), "x", "k"))
    assert getattr(caught.value, "unknown", False) is unknown
    assert PASSWORD not in str(caught.value)


def tagged(answer: str) -> Callable[[str], str]:
    return lambda line: answer.replace("TAG", line.split(" ", 1)[0])


CAPABLE = tagged("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK done")


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([], ChannelFailed),
        ([CAPABLE], ChannelFailed),
        ([CAPABLE, "+ "], ChannelFailed),
        ([CAPABLE, tagged("TAG NO [AUTHENTICATIONFAILED] no")], CredentialRefused),
        ([CAPABLE, tagged("TAG NO [UNAVAILABLE] the directory is gone")], ChannelFailed),
        ([CAPABLE, "* BYE too many"], ChannelFailed),
        ([CAPABLE, "* 1 FETCH {99999999999}"], ChannelFailed),
        (["garbage"], ChannelFailed),
    ],
)
@looped
async def test_answers_of_imap(lines: list[str | Callable[[str], str]], wanted: type[CarapaxError]) -> None:
    async with scripted(lines, greeting="* OK ready") as port:
        here = Here(port, 1)
        with pytest.raises(wanted):
            async with asyncio.timeout(20):
                await here.open().run(here.hear, here.lines.append)


@looped
async def test_nobody_listens() -> None:
    here = Here(1, 1)
    with pytest.raises(CarapaxError):
        await here.open().test()


# notes and answers


def test_a_cursor_survives_and_a_broken_one_is_none() -> None:
    cursor = Cursor(7, 9, 1_000)
    assert parse_cursor(render_cursor(cursor)) == cursor
    for bad in (None, b"", b"{}", b"[1]", b"\xff", b'{"validity": "x", "uid": 1, "since_ms": 1}'):
        assert parse_cursor(bad) is None


@pytest.mark.parametrize("bad", ["imap.example.org", "imap.example.org:0", "imap.example.org:99999", "a b:1"])
def test_servers_have_a_port(bad: str) -> None:
    with pytest.raises(Malformed):
        Here(1, 1).open(imap=bad)


@looped
async def test_broken_subjects_are_forgotten(here: Here) -> None:
    for broken in (b"\xff", b"[]", b'{"a": 1}'):
        here.notes.kept["subjects"] = broken
        assert (await here.open().send(Outgoing(Place("mail", ALICE), "still sent", "k-3"))).message
