"""Messengers over the turns' stage: real inbox, outbox, cards and people, a messenger in memory."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.engine.embedded.adapter import EmbeddedEngine
from carapax.adapters.scan.adapter import TextScanner
from carapax.app.channels.board import Added
from carapax.app.channels.messengers import Given, Messengers
from carapax.app.people import People
from carapax.app.turns import Turns
from carapax.core.policy.channel_section import ChannelRule
from carapax.core.policy.document import parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.terms.channel import Received
from carapax.core.terms.conversation import Session
from carapax.core.terms.event import Event
from carapax.core.terms.ids import SessionId
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role
from carapax.core.terms.signal import Signal
from carapax.ports.channel import Channel
from tests.fakes.channel import FakeChannel
from tests.unit.app.stage import ME, Stage


class Places:
    """A home's folders for channels."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.channels, self.outbox, self.run = root / "channels", root / "outbox", root / "run"


class MovingClock:
    """Wall time that really goes on, so that what is due comes due."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._began_ms = time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        return 1_800_000_000_000 + self.ahead_ms + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 - self._began_ms


class Chat:
    """A gateway's messengers. `channel` is the first one; `add` brings more."""

    def __init__(self, *answers: object) -> None:
        with ThreadPoolExecutor(1) as aside:  # the rig begins with a loop of its own
            self.stage = aside.submit(Stage, *answers).result()
        self.clock = self.stage.clock = MovingClock()  # type: ignore[assignment]
        self.root = Path(tempfile.mkdtemp(prefix="chat-"))
        (self.root / "work").mkdir()
        self.places = Places(self.root)
        self.made: dict[str, FakeChannel] = {}
        self.rules: dict[str, ChannelRule] = {}
        self.roles: dict[str, Role] = {"owner": Role.OWNER, "anna": Role.MEMBER, "bob": Role.GUEST}
        self.signals: list[Signal] = []
        self.undone: list[SessionId] = []
        self.transcript = ""
        self.begin()

    def begin(self) -> None:
        """Everything that a process makes when it starts."""
        stage = self.stage
        stage.desk._clock = self.clock  # type: ignore[assignment]
        stage.desk.closing = False
        self.engine = stage.engine = EmbeddedEngine(stage.store, self.clock)
        self.people = People(stage.store, stage.ledger, self.clock, lambda: self.roles, lambda: frozenset({Role.OWNER}))
        self.messengers = Messengers(
            Given(
                home=self.places,
                workspace=self.root / "work",
                store=stage.store,
                ledger=stage.ledger,
                engine=self.engine,
                clock=self.clock,
                egress=None,  # type: ignore[arg-type]
                hold=stage.hold,
                desk=stage.desk,
                people=self.people,
                scanner=TextScanner(),
                saw=self.signals.append,
                rule=lambda name: self.rules.get(name, ChannelRule()),
                roles=lambda: self.roles,
                approvers=lambda: frozenset({Role.OWNER}),
                transcribe=self._transcribe if self.transcript else None,
                make=self._make,
            )
        )
        self.turns = stage.turns = Turns(
            stage.means,
            ledger=stage.ledger,
            desk=stage.desk,
            engine=self.engine,
            who=lambda turn: self.people.principal(turn.principal, "resumed"),
            audience=self.messengers.audience,
            mode=self.messengers.mode,
        )
        self.messengers.connect(self.turns, undo=self._undo, status=self._status)

    def _make(self, kind: str, opening: Opening) -> Channel:
        known = self.made.get(opening.name)
        if known is None:
            known = self.made[opening.name] = FakeChannel(opening.name, kind)
        known.__post_init__()  # the platform is the same; the connection is a new one
        known.closed = False
        return known

    async def _undo(self, principal: Principal, session: SessionId) -> str:
        self.undone.append(session)
        return "Took back turn 1."

    async def _status(self) -> str:
        return "Carapax stands."

    async def _transcribe(self, recording: bytes) -> str:
        return self.transcript

    @property
    def channel(self) -> FakeChannel:
        return self.made["telegram"]

    async def start(self) -> None:
        await self.engine.launch()
        self.messengers.load()
        self.messengers.start(_no_incidents())

    def allow_reading_in_groups(self) -> None:
        """A policy whose line for reading lists groups too."""
        self._policy(b"    effects: [read]\n    only: local\n", b"    channels: [telegram, group]\n")

    def allow_deleting_in_groups(self) -> None:
        """A policy whose line for deleting many files lists groups too."""
        self._policy(
            b"    effects: [destroy]\n    only: workspace\n    undoable: true\n    answer: ask\n",
            b"    channels: [telegram, group]\n",
        )

    def _policy(self, after: bytes, line: bytes) -> None:
        document = home_policy(1, datetime.date(2026, 11, 21))
        assert document.count(after) == 1
        policy = parse_policy(document.replace(after, after + line))
        self.stage.policy = lambda: policy

    async def add(self, name: str, kind: str = "telegram", **fields: object) -> FakeChannel:
        """Bring a channel, as the owner adds it."""
        self.made[name] = FakeChannel(name, kind, **fields)  # type: ignore[arg-type]
        asks = {"telegram": {"token": "h"}, "mail": {"password": "h"}}[kind]
        values = {} if kind == "telegram" else MAIL
        await self.messengers.board.add(Added(name, kind, values, asks))
        return self.made[name]

    async def pair(self, channel: FakeChannel, sender: str = "u1", person: str = OWNER) -> None:
        """Make somebody known, by the code that the terminal shows."""
        code = await self.people.make_code(ME, channel.name, person)
        count = len(channel.shown)
        await channel.say(code.code, sender=sender)
        await channel.until(lambda: len(channel.shown) > count)

    async def restart(self) -> None:
        """The process ends and another one begins over the same store."""
        await self.stop()
        self.begin()
        for turn in await self.stage.store.unfinished_turns():
            if turn.id != "t":
                await self.turns.resume(turn)
        await self.start()

    async def sessions(self) -> list[Session]:
        """The owner's sessions; the rig's own "s" is nobody's."""
        return [session for session in await self.stage.store.list_sessions(OWNER) if session.id != "s"]

    async def stop(self) -> None:
        await self.messengers.hang_up()
        await self.turns.close()
        await self.messengers.close()

    async def idle(self) -> None:
        """Wait until nothing of the kept work waits or runs."""
        async with asyncio.timeout(15):
            await self.channel.until(
                lambda: not any(count for name, count in self.engine.counts().items() if not name.endswith(".dead"))
            )


MAIL = {
    "address": "agent@example.org", "imap_host": "imap.example.org", "smtp_host": "smtp.example.org",
    "authserv_id": "mx.example.org",
}  # fmt: skip


async def _no_incidents() -> AsyncIterator[Event]:
    await asyncio.Event().wait()
    yield  # type: ignore[misc]


@asynccontextmanager
async def chatting(*answers: object, paired: bool = True) -> AsyncIterator[Chat]:
    """A chat with one channel "telegram" in which the owner is u1."""
    chat = Chat(*answers)
    try:
        async with asyncio.timeout(60):
            await chat.start()
            await chat.add("telegram")
            if paired:
                await chat.pair(chat.channel)
                chat.channel.shown.clear()
            yield chat
    finally:
        await chat.stop()
        shutil.rmtree(chat.root, ignore_errors=True)


Heard = Callable[[], Received]
