"""A messenger in memory: what people say is put in, what the agent sends is looked at. It passes no wire at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
from carapax.core.terms.error import TooLarge
from carapax.ports.channel import Hear

ALL = frozenset(Feature) - {Feature.IDEMPOTENT, Feature.HOOK}


@dataclass(slots=True)
class Shown:
    """One message of the agent, after its edits."""

    id: str
    place: Place
    text: str
    sent: Outgoing
    edits: int = 0


@dataclass
class FakeChannel:
    """Implements ports.channel.Channel."""

    name: str
    kind: str = "telegram"
    features: frozenset[Feature] = ALL
    text_chars: int = 4_000
    shown: list[Shown] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)
    typed: int = 0
    failures: list[Exception] = field(default_factory=list)  # raised by the next sends
    after: Callable[[Outgoing], None] | None = None  # called once a message has arrived
    files: dict[str, bytes] = field(default_factory=dict)
    in_place: dict[str, frozenset[str]] = field(default_factory=dict)
    run_error: Exception | None = None
    runs: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        self._hear: Hear | None = None
        self._up = asyncio.Event()
        self._events = 0
        self.heard_news = asyncio.Event()

    def facts(self) -> ChannelFacts:
        return ChannelFacts(self.kind, self.features, self.text_chars, markup=Markup.PLAIN, edits_per_minute=60)

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        self.runs += 1
        if self.run_error is not None:
            raise self.run_error
        self._hear = hear
        up(f"@{self.name}")
        self._up.set()
        await asyncio.Event().wait()

    async def say(
        self,
        text: str = "",
        *,
        sender: str = "u1",
        name: str = "Ann",
        chat: str = "",
        event: str = "",
        pressed: str = "",
        addressed: bool = True,
        files: Sequence[Attached] = (),
        quoted: str = "",
        forwarded: bool = False,
        edited: bool = False,
        bot: bool = False,
        evidence: Evidence = Evidence.PLATFORM,
    ) -> Received:
        """Somebody says something, in a private chat or in the room `chat`; returns when the gateway has taken it."""
        async with asyncio.timeout(10):
            await self._up.wait()
        self._events += 1
        place = Place(self.name, chat or sender, private=not chat)
        received = Received(
            place=place,
            sender=Person(sender, name, bot),
            event=event or f"e{self._events}",
            text=text,
            message=f"m{self._events}",
            evidence=evidence,
            addressed=addressed,
            quoted=quoted,
            forwarded=forwarded,
            edited=edited,
            pressed=pressed,
            files=tuple(files),
        )
        assert self._hear is not None
        await self._hear(received)
        return received

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        return HookAnswer(404)

    async def send(self, outgoing: Outgoing) -> Sent:
        if self.failures:
            raise self.failures.pop(0)
        id = f"s{len(self.shown) + 1}"
        self.shown.append(Shown(id, outgoing.place, outgoing.text, outgoing))
        self._tell()
        if self.after is not None:
            self.after(outgoing)
        return Sent(id)

    async def edit(self, place: Place, message: str, text: str) -> None:
        for shown in self.shown:
            if shown.id == message:
                shown.text, shown.edits = text, shown.edits + 1
        self._tell()

    async def typing(self, place: Place) -> None:
        self.typed += 1

    async def react(self, place: Place, message: str, mark: str) -> None:
        self.marks.append((message, mark))

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        content = self.files[attached.ref]
        if len(content) > most_bytes:
            raise TooLarge("too large")
        return content

    async def members(self, place: Place) -> frozenset[str] | None:
        return self.in_place.get(place.chat)

    async def test(self) -> Sequence[str]:
        return (f"the bot is @{self.name}",)

    async def close(self) -> None:
        self.closed = True

    def _tell(self) -> None:
        self.heard_news.set()
        self.heard_news = asyncio.Event()

    async def until(self, wanted: Callable[[], bool], *, bound_s: float = 15.0) -> None:
        """Wait until something holds of what was shown."""
        async with asyncio.timeout(bound_s):
            while not wanted():
                news = self.heard_news
                try:
                    await asyncio.wait_for(news.wait(), 0.05)
                except TimeoutError:
                    continue

    def texts(self, chat: str = "") -> list[str]:
        """The agent's messages in a chat, after their edits."""
        return [shown.text for shown in self.shown if not chat or shown.place.chat == chat]
