"""Turns: accept a message durably, run it when its session is free, end it in exactly one way.

Layer: app. Owns admission, order per session, budgets, and what is written to the history with which label.
Absent: judging (guard), the conversation with the model (agent/loop).
Laws: a message is accepted only when it is stored; one turn at a time in a session; every accepted turn ends as
done, stopped or interrupted, and says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from carapax.app.clock import new_id
from carapax.app.desk import Desk
from carapax.app.hold import Hold
from carapax.app.lookout import Lookout
from carapax.app.meter import Meter
from carapax.app.run_turn import TurnRun
from carapax.app.topic import Topic
from carapax.core.terms.conversation import Inbound, PartKind, Turn, TurnState
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, TooLarge, Unavailable
from carapax.core.terms.event import Event, Notice, TurnEnded, TurnStarted
from carapax.core.terms.ids import SessionId, TurnId
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Readers, Source
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Principal, Role
from carapax.guard.monitor import Guard
from carapax.guard.record import text_digest
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger
from carapax.ports.provider import Completion, Provider
from carapax.ports.store import NewPart, Store

MAX_TEXT_BYTES = 262_144
"""A message over 256 KiB is refused."""

MAX_WAITING = 20
"""Messages that may wait in one session; the next one is refused politely."""

MAX_RUNNING = 32
"""Turns that run at once; others wait their turn."""

LOG = logging.getLogger("carapax.turns")


@dataclass(slots=True)
class _Lane:
    """One session's waiting turns, and the task that works them off."""

    waiting: deque[tuple[Turn, Principal]] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None
    running: TurnRun | None = None


class Turns:
    """Accepts, runs and ends turns."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        guard: Guard,
        desk: Desk,
        meter: Meter,
        clock: Clock,
        provider: Callable[[], Provider],
        hold: Hold,
        lookout: Lookout,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._guard = guard
        self._desk = desk
        self._meter = meter
        self._clock = clock
        self._provider = provider
        self._hold = hold
        self._lookout = lookout
        self._lanes: dict[SessionId, _Lane] = {}
        self._topics: dict[TurnId, Topic] = {}
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self.closing = False
        self.counts = {"accepted": 0, "done": 0, "stopped": 0, "interrupted": 0}

    async def submit(self, principal: Principal, inbound: Inbound) -> AsyncIterator[Event]:
        """Store a message and queue its turn. Raises Malformed, TooLarge, NotFound, Conflict, StoreUnavailable."""
        if self.closing:
            raise Unavailable(
                "Carapax is stopping.", kept="Your message was not taken.", next_step="Send it again later."
            )
        check_text(inbound.text)
        now_ms = self._clock.now_ms()
        session = await self._open_session(principal, inbound, now_ms)
        self._admit(session)
        turn = Turn(
            id=TurnId(new_id(now_ms)),
            session=session,
            number=0,
            state=TurnState.ACCEPTED if session in self._lanes else TurnState.RUNNING,
            principal=principal.id,
            channel=inbound.channel,
            text=inbound.text,
            reply="",
            started_ms=now_ms,
            ended_ms=None,
            usage=Usage(),
            key=inbound.key,
        )
        topic = self._topics.setdefault(turn.id, Topic())
        stream = topic.listen()
        lane = self._lanes.setdefault(session, _Lane())
        try:
            stored, _ = await asyncio.gather(
                self._store.accept_turn(turn, _message_parts(turn, inbound, principal)), self._record(turn, principal)
            )
        except BaseException:
            self._topics.pop(turn.id, None)
            self._retire(session, lane)
            raise
        if stored.id != turn.id:  # the same message again, by its idempotency key
            self._topics.pop(turn.id, None)
            self._retire(session, lane)
            return await self.follow(stored.id)
        self._enqueue(stored, principal)
        return stream

    async def charge(self, session: SessionId, turn: TurnId, completion: Completion) -> None:
        """Count a completion that a tool of this turn needed; on the day alone when the turn is no longer running."""
        lane = self._lanes.get(session)
        if lane is not None and lane.running is not None and lane.running.turn.id == turn:
            await lane.running.charge(completion)
        else:
            tokens = completion.prompt_tokens + completion.output_tokens
            self._meter.add(Usage(tokens=tokens, usd_micro=completion.usd_micro or 0))

    def _admit(self, session: SessionId) -> None:
        self._hold.refuse_turn(session)
        card = self._desk.waiting_in(session)
        if card is not None:
            raise Conflict(
                f"This conversation waits for an answer: {card.title} ({card.id}).",
                kept="Your message was not taken.",
                next_step=f"Answer with `carapax approve {card.id}` or `carapax deny {card.id}`.",
            )
        lane = self._lanes.get(session)
        if lane is not None and len(lane.waiting) >= MAX_WAITING:
            raise Conflict(
                f"{MAX_WAITING} messages already wait in this conversation.",
                kept="Your message was not taken.",
                next_step="Wait for a reply, then send it again.",
            )

    async def _open_session(self, principal: Principal, inbound: Inbound, now_ms: int) -> SessionId:
        if inbound.session is None:
            wanted = SessionId(new_id(now_ms))
            return (await self._store.open_session(wanted, principal.id, inbound.conversation, now_ms)).id
        found = await self._store.find_session(inbound.session)
        if found is None or found.owner != principal.id:
            raise NotFound(f"There is no session {inbound.session[:40]}.")
        return found.id

    async def _record(self, turn: Turn, principal: Principal) -> None:
        body = {
            "session": turn.session,
            "turn": turn.id,
            "by": principal.id,
            "via": principal.via,
            "channel": turn.channel,
            "text": text_digest(turn.text),
        }
        await self._ledger.append("message", body)

    def resume(self, turn: Turn, principal: Principal) -> None:
        """Queue a turn that was accepted and never begun, after a restart."""
        self._topics.setdefault(turn.id, Topic())
        self._enqueue(turn, principal)

    async def follow(self, turn: TurnId) -> AsyncIterator[Event]:
        """The events of a turn from now on; only its end when it is over. Raises NotFound."""
        topic = self._topics.get(turn)
        if topic is not None:
            return topic.listen()
        found = await self._store.find_turn(turn)
        if found is None:
            raise NotFound(f"There is no turn {turn}.")
        ended = Topic()
        ended.publish(TurnEnded(found.session, found.id, found.state, found.reply, found.usage))
        return ended.listen()

    async def cancel(self, turn: Turn) -> None:
        """Stop a turn that runs or waits in a queue. Raises Conflict when it is over."""
        lane = self._lanes.get(turn.session)
        if lane is None or turn.id not in self._topics:
            raise Conflict("This turn is already over.")
        if lane.running is not None and lane.running.turn.id == turn.id:
            lane.running.stop(TurnState.STOPPED, "You stopped it.")
            return
        for entry in list(lane.waiting):
            if entry[0].id == turn.id:
                lane.waiting.remove(entry)
                await self._end_unbegun(entry[0])

    async def close(self, grace_s: float) -> None:
        """Stop what runs as interrupted, and wait for it."""
        self.closing = True
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for lane in self._lanes.values():
            if lane.running is not None:
                lane.running.stop(TurnState.INTERRUPTED, "Carapax was stopped while it worked on this.")
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def tell(self, session: SessionId | None, event: Event) -> None:
        """Put an event into the streams of a session's turns (None: of all) that run or wait."""
        for lane in self._lanes_of(session):
            running = [lane.running.turn] if lane.running is not None else []
            for turn in [*running, *(turn for turn, _ in lane.waiting)]:
                if (topic := self._topics.get(turn.id)) is not None:
                    topic.publish(event)

    def end(self, session: SessionId | None, text: str) -> int:
        """Stop what runs in a session (None: in all), and say why; how many turns."""
        running = [lane.running for lane in self._lanes_of(session) if lane.running is not None]
        for turn in running:
            turn.stop(TurnState.STOPPED, text)
        return len(running)

    def _lanes_of(self, session: SessionId | None) -> list[_Lane]:
        return [lane for key, lane in self._lanes.items() if session in (None, key)]

    def running_count(self) -> int:
        return sum(lane.running is not None for lane in self._lanes.values())

    def _enqueue(self, turn: Turn, principal: Principal) -> None:
        self.counts["accepted"] += 1
        lane = self._lanes.setdefault(turn.session, _Lane())
        lane.waiting.append((turn, principal))
        if lane.task is None:
            lane.task = asyncio.create_task(self._work(turn.session, lane), name=f"session {turn.session}")

    async def _work(self, session: SessionId, lane: _Lane) -> None:
        while lane.waiting and not self.closing:
            async with self._slots:
                turn, principal = lane.waiting.popleft()
                await self._run(lane, turn, principal)
        lane.task = None
        self._retire(session, lane)

    def _retire(self, session: SessionId, lane: _Lane) -> None:
        if lane.task is None and not lane.waiting and self._lanes.get(session) is lane:
            del self._lanes[session]

    async def _run(self, lane: _Lane, turn: Turn, principal: Principal) -> None:
        topic = self._topics[turn.id]
        topic.publish(TurnStarted(turn.session, turn.id, turn.number))
        lane.running = TurnRun(
            turn=turn,
            principal=principal,
            store=self._store,
            guard=self._guard,
            meter=self._meter,
            clock=self._clock,
            provider=self._provider,
            emit=topic.publish,
            hold=self._hold,
            lookout=self._lookout,
        )
        try:
            ended = await lane.running.run()
        except CarapaxError as error:  # the end itself could not be stored; the restart will show it
            ended = TurnEnded(turn.session, turn.id, TurnState.INTERRUPTED, error_text(error), turn.usage, error.code)
        except Exception:  # broad: one turn's defect must not end the gateway; it is logged and shown
            LOG.exception("turn %s", turn.id)
            text = "Something in Carapax failed. Your message is kept. See the log (`carapax doctor` names it)."
            ended = TurnEnded(turn.session, turn.id, TurnState.INTERRUPTED, text, turn.usage, "defect")
        finally:
            lane.running = None
        self.counts[ended.state.value] = self.counts.get(ended.state.value, 0) + 1
        topic.publish(ended)
        self._topics.pop(turn.id, None)

    async def _end_unbegun(self, turn: Turn) -> None:
        await self._store.set_turn(
            turn.id, TurnState.STOPPED, reply="You stopped it before it began.", ended_ms=self._clock.now_ms()
        )
        topic = self._topics.pop(turn.id)
        topic.publish(Notice("stopped", "You stopped it before it began.", ""))
        topic.publish(TurnEnded(turn.session, turn.id, TurnState.STOPPED, "", turn.usage, "stopped"))


def check_text(text: str) -> None:
    """Whether a message may be accepted. Raises Malformed and TooLarge."""
    if not text.strip():
        raise Malformed("The message is empty.", next_step="Write something, then send it.")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise Malformed("The message is not valid Unicode text.") from error
    if size > MAX_TEXT_BYTES:
        raise TooLarge(f"The message has {size:,} bytes; {MAX_TEXT_BYTES:,} is the most.")
    if "\0" in text:
        raise Malformed("The message contains NUL bytes, so it is not text.", next_step="Put binary data in a file.")


def error_text(error: CarapaxError) -> str:
    """What happened, what was kept, what to do next."""
    return " ".join(part for part in (error.what, error.kept, error.next_step) if part)


def _message_parts(turn: Turn, inbound: Inbound, principal: Principal) -> list[NewPart]:
    seeded = [NewPart(kind, text, _seed_label(kind)) for kind, text in inbound.seed]
    # Labelled by who is authenticated, never by the words: a colleague is a colleague.
    integrity = Integrity.USER if principal.role is Role.OWNER else Integrity.PEER
    label = Label(integrity, Readers(names=frozenset({principal.id})), frozenset({Source("message", turn.id)}))
    return [*seeded, NewPart(PartKind.USER, turn.text, label)]


def _seed_label(kind: PartKind) -> Label:
    # A client sent this history; its owner's lines are the owner's, the rest could have been written by anybody.
    integrity = Integrity.USER if kind is PartKind.USER else Integrity.EXTERNAL
    return Label(integrity, OWNER_ONLY, frozenset({Source("message", "client-history")}))
