"""Turns: accept a message durably, run it when its session is free, end it in exactly one way.

Layer: app. Owns admission, what becomes of messages that come meanwhile, and the label of each message.
Absent: order and durability (ports.engine: one lane for each session), judging (guard), the model (agent/loop).
Laws: a message is accepted only when it is stored; one turn at a time in a session; every accepted turn ends as
done, stopped or interrupted, and says why; a process that ends leaves its turns to the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from carapax.app.clock import new_id
from carapax.app.desk import Desk
from carapax.app.run_turn import NOTES, PRIVATE, Audience, Means, TurnRun, taken_text
from carapax.app.topic import Topic
from carapax.core.channel.queue import Arrival, QueueMode, decide_arrival
from carapax.core.terms.conversation import Inbound, PartKind, Turn, TurnState
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, TooLarge, Unavailable
from carapax.core.terms.event import Event, Notice, TurnEnded, TurnStarted
from carapax.core.terms.ids import SessionId, TurnId
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Readers, Source
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Principal, Role
from carapax.core.terms.work import Work
from carapax.core.turn.machine import ENDED
from carapax.guard.record import text_digest
from carapax.ports.engine import Engine, GiveUp, RetryLater
from carapax.ports.ledger import Ledger
from carapax.ports.provider import Completion
from carapax.ports.store import NewPart

MAX_TEXT_BYTES = 262_144
"""A message over 256 KiB is refused."""

MAX_WAITING = 20
"""Messages that may wait in one session; the next one is refused politely."""

MAX_RUNNING = 32
"""Turns that run at once; others wait their turn."""

KIND = "turn"
TRIES = 5
"""Times a turn is begun: at the last one it is given up, because it ended the gateway each time before."""

RETRY_MS = 2_000
PAUSED = "Carapax was stopped while it worked on this. It goes on when Carapax is started again."
POISON = "Carapax ended each time it worked on this message, so it is not tried again."
DEFECT = "Something in Carapax failed. Your message is kept. See the log (`carapax doctor` names it)."

LOG = logging.getLogger("carapax.turns")


class Crowded(Conflict):
    """Too many messages wait; this one was not taken."""


@dataclass(slots=True)
class _Waiting:
    """A message that waits. `stored` comes with its number once it is durable; cancelled when it was not taken."""

    turn: Turn
    principal: Principal
    stored: asyncio.Future[Turn]


@dataclass(slots=True)
class _Lane:
    """One session's turns that wait, oldest first, and the one that runs."""

    waiting: dict[TurnId, _Waiting] = field(default_factory=dict)
    running: TurnRun | None = None


Who = Callable[[Turn], Principal]
"""Whoever sent a message that is taken up after a restart."""


class Turns:
    """Accepts, runs and ends turns."""

    def __init__(
        self,
        means: Means,
        *,
        ledger: Ledger,
        desk: Desk,
        engine: Engine,
        who: Who,
        audience: Audience,
        mode: Callable[[SessionId], Awaitable[QueueMode]],
    ) -> None:
        self._means = means
        self._store = means.store
        self._clock = means.clock
        self._ledger = ledger
        self._desk = desk
        self._engine = engine
        self._who = who
        self._audience = audience
        self._mode = mode
        self._lanes: dict[SessionId, _Lane] = {}
        self._left: dict[SessionId, set[TurnId]] = {}  # what an earlier process left, until it is over
        self._topics: dict[TurnId, Topic] = {}
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self.closing = False
        self.counts = {"accepted": 0, "done": 0, "stopped": 0, "interrupted": 0}
        self.begun: Callable[[Turn, str], None] = lambda turn, back: None
        self.ended: Callable[[Turn, TurnEnded, str], Awaitable[None]] = _nobody
        engine.register(KIND, self._work, tries=TRIES, backoff_ms=RETRY_MS)

    async def submit(self, principal: Principal, inbound: Inbound) -> AsyncIterator[Event]:
        """Store a message and queue its turn. Raises Malformed, TooLarge, NotFound, Conflict, StoreUnavailable."""
        topic = Topic()
        stream = topic.listen()
        turn, fresh = await self._accept(principal, inbound, topic)
        return stream if fresh else await self.follow(turn.id)

    async def accept(self, principal: Principal, inbound: Inbound) -> Turn:
        """Store a message and queue its turn; the first turn when its key is known. Raises as `submit`."""
        return (await self._accept(principal, inbound, Topic()))[0]

    async def _accept(self, principal: Principal, inbound: Inbound, topic: Topic) -> tuple[Turn, bool]:
        if self.closing:
            raise Unavailable(
                "Carapax is stopping.", kept="Your message was not taken.", next_step="Send it again later."
            )
        check_text(inbound.text)
        now_ms = self._clock.now_ms()
        session = await self._open_session(principal, inbound, now_ms)
        mode = await self._mode(session)
        lane, arrival = self._admit(session, mode, waits=inbound.waits)
        turn = Turn(
            id=TurnId(new_id(now_ms)),
            session=session,
            number=0,
            state=TurnState.ACCEPTED,
            principal=principal.id,
            channel=inbound.channel,
            text=inbound.text,
            reply="",
            started_ms=now_ms,
            ended_ms=None,
            usage=Usage(),
            key=inbound.key,
        )
        self._topics[turn.id] = topic
        waiting = lane.waiting[turn.id] = _Waiting(turn, principal, asyncio.get_running_loop().create_future())
        try:
            # The work first: it knows where the reply goes, and without a turn it comes to nothing.
            await self._engine.start(KIND, turn.id, inbound.back, lane=session, due_ms=inbound.due_ms)
            stored, _ = await asyncio.gather(
                self._store.accept_turn(turn, _message_parts(turn, inbound, principal)), self._record(turn, principal)
            )
        except BaseException:
            self._forget(turn, waiting)
            raise
        if stored.id != turn.id:  # the same message again, by its idempotency key: there is no such turn
            self._forget(turn, waiting)
            return stored, False
        self.counts["accepted"] += 1
        waiting.stored.set_result(stored)
        if arrival is Arrival.INTERRUPT and lane.running is not None:
            lane.running.stop(TurnState.STOPPED, "You sent a new message, so it was left there.")
        return stored, True

    async def charge(self, session: SessionId, turn: TurnId, completion: Completion) -> None:
        """Count a completion that a tool of this turn needed; on the day alone when the turn is no longer running."""
        lane = self._lanes.get(session)
        if lane is not None and lane.running is not None and lane.running.turn.id == turn:
            await lane.running.charge(completion)
        else:
            tokens = completion.prompt_tokens + completion.output_tokens
            self._means.meter.add(Usage(tokens=tokens, usd_micro=completion.usd_micro or 0))

    def _admit(self, session: SessionId, mode: QueueMode, *, waits: bool) -> tuple[_Lane, Arrival]:
        self._means.hold.refuse_turn(session)
        card = self._desk.waiting_in(session)
        if card is not None and not waits:
            raise Conflict(
                f"This conversation waits for an answer: {card.title} ({card.id}).",
                kept="Your message was not taken.",
                next_step=f"Answer with `carapax approve {card.id}` or `carapax deny {card.id}`.",
            )
        lane = self._lanes.setdefault(session, _Lane())
        running = lane.running is not None
        arrival = decide_arrival(mode, running=running, waiting=len(lane.waiting), cap=MAX_WAITING)
        if arrival is Arrival.SHED:
            raise Crowded(
                f"{MAX_WAITING} messages already wait in this conversation.",
                kept="Your message was not taken.",
                next_step="Wait for a reply, then send it again.",
            )
        return lane, arrival

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

    async def resume(self, turn: Turn) -> None:
        """See to it that a turn which an earlier process left is run, also one that was never kept as work."""
        self._left.setdefault(turn.session, set()).add(turn.id)
        await self._engine.start(KIND, turn.id, "", lane=turn.session)

    async def follow(self, turn: TurnId) -> AsyncIterator[Event]:
        """The events of a turn from now on; only its end when it is over. Raises NotFound."""
        topic = self._topics.get(turn)
        if topic is not None:
            return topic.listen()
        found = await self._store.find_turn(turn)
        if found is None:
            raise NotFound(f"There is no turn {turn}.")
        if found.state not in ENDED:  # it waits to be taken up again
            return self._topics.setdefault(turn, Topic()).listen()
        ended = Topic()
        ended.publish(TurnEnded(found.session, found.id, found.state, found.reply, found.usage))
        return ended.listen()

    async def cancel(self, turn: Turn) -> None:
        """Stop a turn that runs or waits in a queue. Raises Conflict when it is over."""
        lane = self._lanes.get(turn.session)
        if lane is None or (turn.id not in lane.waiting and (lane.running is None or lane.running.turn.id != turn.id)):
            raise Conflict("This turn is already over.")
        if turn.id in lane.waiting:
            del lane.waiting[turn.id]
            await self._end_unbegun(turn, TurnState.STOPPED, "You stopped it before it began.")
        elif lane.running is not None:
            lane.running.stop(TurnState.STOPPED, "You stopped it.")

    async def close(self) -> None:
        """Take up nothing more and leave off what runs; it goes on when Carapax is started again."""
        self.closing = self._desk.closing = True
        await self._engine.close(0.0)

    def tell(self, session: SessionId | None, event: Event) -> None:
        """Put an event into the streams of a session's turns (None: of all) that run or wait."""
        for lane in self._lanes_of(session):
            running = [lane.running.turn.id] if lane.running is not None else []
            for turn in [*running, *lane.waiting]:
                if (topic := self._topics.get(turn)) is not None:
                    topic.publish(event)

    def end(self, session: SessionId | None, text: str) -> int:
        """Stop what runs in a session (None: in all), and say why; how many turns."""
        running = [lane.running for lane in self._lanes_of(session) if lane.running is not None]
        for turn in running:
            turn.stop(TurnState.STOPPED, text)
        return len(running)

    def _lanes_of(self, session: SessionId | None) -> list[_Lane]:
        return [lane for key, lane in self._lanes.items() if session in (None, key)]

    def running_in(self, session: SessionId) -> Turn | None:
        """The turn that runs in a session."""
        lane = self._lanes.get(session)
        return lane.running.turn if lane is not None and lane.running is not None else None

    def running_count(self) -> int:
        return sum(lane.running is not None for lane in self._lanes.values())

    def _forget(self, turn: Turn, waiting: _Waiting) -> None:
        self._topics.pop(turn.id, None)
        waiting.stored.cancel()
        lane = self._lanes.get(turn.session)
        if lane is not None:
            lane.waiting.pop(turn.id, None)
            self._retire(turn.session, lane)

    def _retire(self, session: SessionId, lane: _Lane) -> None:
        if lane.running is None and not lane.waiting and self._lanes.get(session) is lane:
            del self._lanes[session]

    # running

    async def _work(self, work: Work) -> None:
        """Run a turn for the engine: at least once, so whatever was done is looked up first."""
        session = SessionId(work.lane)
        lane = self._lanes.setdefault(session, _Lane())
        waiting = lane.waiting.pop(TurnId(work.key), None)
        try:
            turn = await self._find(work, waiting)
            if turn is None:  # its message was not taken, or turned out to be a known one
                return
            if turn.state is TurnState.INTERRUPTED and turn.reply == POISON and work.attempts <= 1:
                await self._again(turn, work.body)
                return
            if turn.state not in ENDED:
                principal = waiting.principal if waiting is not None else self._who(turn)
                async with self._slots:
                    ended = await self._run(lane, turn, principal, work)
            else:
                ended = TurnEnded(session, turn.id, turn.state, turn.reply, turn.usage, await self._code(turn))
            await self.ended(turn, ended, work.body)
        finally:
            self._retire(session, lane)
            self._forget_left(session, TurnId(work.key))

    def _forget_left(self, session: SessionId, turn: TurnId) -> None:
        if (left := self._left.get(session)) is not None:
            left.discard(turn)
            if not left:
                del self._left[session]

    async def _code(self, turn: Turn) -> str:
        """How a turn ended that another process ran, as far as its reply's readers go."""
        noted = turn.state is TurnState.DONE and await self._store.read_note(NOTES, f"{PRIVATE}/{turn.id}")
        return PRIVATE if noted else ""

    async def _again(self, turn: Turn, back: str) -> None:
        """A person asks to try a message again that was given up: it becomes a new turn."""
        inbound = Inbound(turn.text, turn.channel, session=turn.session, waits=True, back=back)
        await self.accept(self._who(turn), inbound)

    async def _find(self, work: Work, waiting: _Waiting | None) -> Turn | None:
        if waiting is not None:
            await asyncio.wait({waiting.stored})
            if work.attempts <= 1 and not waiting.stored.cancelled():
                return waiting.stored.result()
        found = await self._store.find_turn(TurnId(work.key))
        if found is not None and waiting is not None and waiting.stored.cancelled():
            await self._end_unbegun(found, TurnState.STOPPED, "Your message was not taken.")
            return None
        return found

    async def _run(self, lane: _Lane, turn: Turn, principal: Principal, work: Work) -> TurnEnded:
        topic = self._topics.setdefault(turn.id, Topic())
        self.begun(turn, work.body)
        topic.publish(TurnStarted(turn.session, turn.id, turn.number))
        if work.attempts >= TRIES:
            return await self._poisoned(turn, work.body)
        lane.running = TurnRun(
            self._means,
            turn,
            principal,
            emit=topic.publish,
            absorb=lambda beginning: self._absorb(lane, turn, beginning),
            audience=self._audience,
        )
        try:
            if turn.state is not TurnState.ACCEPTED:
                await self._ledger.append("resumed", {"session": turn.session, "turn": turn.id})
            ended = await lane.running.run()
        except asyncio.CancelledError:
            topic.publish(TurnEnded(turn.session, turn.id, TurnState.INTERRUPTED, PAUSED, turn.usage, "paused"))
            raise
        except CarapaxError as error:  # its end could not be stored: whoever listens is told, and it goes on later
            LOG.warning("turn %s: %s", turn.id, error.what)
            text = error_text(error)
            self._publish(turn, TurnEnded(turn.session, turn.id, TurnState.INTERRUPTED, text, turn.usage, error.code))
            raise RetryLater(text, counts=False) from error
        except Exception:  # broad: one turn's defect must not end the gateway; it is logged and shown
            LOG.exception("turn %s", turn.id)
            ended = await self._end_unbegun(turn, TurnState.INTERRUPTED, DEFECT, "defect")
        finally:
            lane.running = None
        self._publish(turn, ended)
        return ended

    def _publish(self, turn: Turn, ended: TurnEnded) -> None:
        self.counts[ended.state.value] = self.counts.get(ended.state.value, 0) + 1
        if (topic := self._topics.pop(turn.id, None)) is not None:
            topic.publish(ended)

    async def _poisoned(self, turn: Turn, back: str) -> TurnEnded:
        """End a turn that ended the gateway again and again. Raises GiveUp, so that a person finds it."""
        ended = await self._end_unbegun(turn, TurnState.INTERRUPTED, POISON, "poison")
        await self.ended(turn, ended, back)
        raise GiveUp(f"{POISON} Message {turn.number} of session {turn.session}: {turn.text[:80]}")

    async def _absorb(self, lane: _Lane, turn: Turn, beginning: bool) -> list[Turn]:
        """The waiting messages of the same person that this turn takes up now; each ends with a word that says so."""
        if not lane.waiting or self.closing:
            return []
        if self._left.get(turn.session, set()) - {turn.id}:  # these were said before what waits in this process
            return []
        mode = await self._mode(turn.session)
        if not (mode is QueueMode.STEER and not beginning) and not (mode is QueueMode.COLLECT and beginning):
            return []
        taken = []
        for waiting in list(lane.waiting.values()):
            later = waiting.turn
            if (later.principal, later.channel) != (turn.principal, turn.channel) or not waiting.stored.done():
                break
            del lane.waiting[later.id]
            await self._end_unbegun(later, TurnState.DONE, taken_text(turn), "")
            taken.append(waiting.stored.result())
        return taken

    async def _end_unbegun(self, turn: Turn, state: TurnState, text: str, code: str = "stopped") -> TurnEnded:
        if state is TurnState.DONE:  # the table knows no way from accepted to done
            await self._store.set_turn(turn.id, TurnState.RUNNING)
        await self._store.set_turn(turn.id, state, reply=text, ended_ms=self._clock.now_ms())
        ended = TurnEnded(turn.session, turn.id, state, text, turn.usage, code)
        if code and (topic := self._topics.get(turn.id)) is not None:
            topic.publish(Notice(code, text, ""))
        self._publish(turn, ended)
        return ended


async def _nobody(turn: Turn, ended: TurnEnded, back: str) -> None:
    return


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
    readers = Readers(names=frozenset({principal.id, *inbound.readers}))
    label = Label(integrity, readers, frozenset({Source("message", turn.id)}))
    files = [NewPart(PartKind.USER, f"[attached file: {path}]", label) for path in inbound.files]
    if inbound.quoted:
        others = Label(Integrity.EXTERNAL, readers, frozenset({Source("conversation", inbound.source)}))
        seeded.append(NewPart(PartKind.QUOTE, inbound.quoted, others))
    return [*seeded, NewPart(PartKind.USER, turn.text, label), *files]


def _seed_label(kind: PartKind) -> Label:
    # A client sent this history; its owner's lines are the owner's, the rest could have been written by anybody.
    integrity = Integrity.USER if kind is PartKind.USER else Integrity.EXTERNAL
    return Label(integrity, OWNER_ONLY, frozenset({Source("message", "client-history")}))
