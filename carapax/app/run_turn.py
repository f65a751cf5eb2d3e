"""One turn, from the stored message to its end.

Layer: app. Ties the loop (userland) to the guard: writes every part with the guard's label, charges every completion,
stops at a bound, and ends the turn in the store before it tells anybody.
Laws: a wish is kept before it is handed on, so that a turn which was cut off goes on where it was; a cancelled run
writes no end.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from carapax.agent.loop import Shown, run_loop
from carapax.agent.prompt import PARTS, Window, build_prompt, parts_until, shown_parts
from carapax.app.clock import new_id
from carapax.app.hold import EVERYTHING, Hold
from carapax.app.lookout import Lookout
from carapax.app.meter import Meter
from carapax.app.resume import Left, find_left, unknown_text
from carapax.core.flow.clearance import render_uncleared, uncleared
from carapax.core.flow.lattice import join_all, may_flow
from carapax.core.flow.reply import Rendered, render_reply
from carapax.core.flow.words import names, read_words
from carapax.core.terms.action import ArgRole, Outcome, Proposal
from carapax.core.terms.conversation import Part, PartKind, Turn, TurnState
from carapax.core.terms.error import BudgetSpent, CarapaxError, Refused
from carapax.core.terms.event import Answered, Event, Notice, TextDelta, TurnEnded, Waiting
from carapax.core.terms.ids import CallId, TurnId
from carapax.core.terms.label import OWNER_ONLY, PUBLIC, Integrity, Label, Readers, Source
from carapax.core.terms.limit import Span, Usage
from carapax.core.terms.principal import Principal
from carapax.core.turn.budget import find_reached
from carapax.guard.monitor import Guard
from carapax.guard.scope import Scope
from carapax.ports.clock import Clock
from carapax.ports.provider import Completion, Provider, Wish
from carapax.ports.store import NewPart, Store

MOST_PARTS = 400
"""Parts read for a turn that is taken up again, or that took up a later message: all of its own are among them."""

NOTES = "turns"
_TAKEN_UP = "Taken up with message {number}."
_TAKEN = re.compile(re.escape(_TAKEN_UP).replace(re.escape("{number}"), "[0-9]+") + r"\Z")

PRIVATE = "private"
"""How a turn ended whose reply only the person who asked may read, though others are in the conversation."""

MOST_TAKEN = 50
"""Newest turns among which those are looked for that a resumed turn had taken up."""

NOTICE_LABEL = Label(Integrity.SYSTEM, OWNER_ONLY, frozenset({Source("system", "turn")}))


class _Stop(Exception):
    """The turn is to end now, in this state, with this sentence."""

    def __init__(self, state: TurnState, text: str, code: str) -> None:
        super().__init__(text)
        self.state, self.text, self.code = state, text, code


@dataclass(frozen=True, slots=True)
class Means:
    """What every turn is run with."""

    store: Store
    guard: Guard
    meter: Meter
    clock: Clock
    provider: Callable[[], Provider]
    hold: Hold
    lookout: Lookout
    note: Callable[[str, dict[str, Any]], Awaitable[int]]  # an entry of the ledger


Absorb = Callable[[bool], Awaitable[Sequence[Turn]]]
"""Messages of the same person that wait behind this turn and are taken up in it now (True: it is only beginning)."""

Audience = Callable[[Turn], Awaitable[Sequence[Readers]]]
"""Who is in a turn's conversation now, and so reads its reply: said in every way that is true, at least one."""


class TurnRun:
    """Runs one turn once, from its beginning or from where an earlier process left it."""

    def __init__(
        self,
        means: Means,
        turn: Turn,
        principal: Principal,
        *,
        emit: Callable[[Event], None],
        absorb: Absorb,
        audience: Audience,
    ) -> None:
        self.turn = turn
        self._principal = principal
        self._store = means.store
        self._guard = means.guard
        self._meter = means.meter
        self._clock = means.clock
        self._provider = means.provider
        self._hold = means.hold
        self._lookout = means.lookout
        self._note = means.note
        self._emit = emit
        self._absorb = absorb
        self._audience = audience
        self._words: list[str] = [turn.text]
        self._taken: list[Turn] = []  # later messages that this turn takes up
        self._left = Left()
        self._usage = turn.usage
        self._session_usage = Usage()
        self._closing = ""
        self._code = ""
        self._active_since: int | None = None
        self._active_ms = turn.usage.wall_ms
        self._work: asyncio.Task[str] | None = None
        self._stopping: _Stop | None = None

    def stop(self, state: TurnState, text: str) -> None:
        """End the turn from outside; what it did stays recorded."""
        if self._stopping is None:
            self._stopping = _Stop(state, text, state.value)
            if self._work is not None:
                self._work.cancel()

    async def run(self) -> TurnEnded:
        """Run to the end. Raises StoreUnavailable when the end cannot be stored."""
        self._work = asyncio.create_task(self._reply(), name=f"turn {self.turn.id}")
        if self._stopping is not None:
            self._work.cancel()
        try:
            reply = await self._work
            return await self._end(TurnState.DONE, reply, self._code)
        except _Stop as stop:
            return await self._stop_with(stop)
        except CarapaxError as error:
            if self._hold.stopped:  # what failed then failed because of that
                return await self._stop_with(_Stop(TurnState.STOPPED, EVERYTHING, TurnState.STOPPED.value))
            text = " ".join(part for part in (error.what, error.kept, error.next_step) if part)
            return await self._stop_with(_Stop(TurnState.STOPPED, text, error.code))
        except asyncio.CancelledError:
            if self._stopping is None:  # the process ends, not the turn
                self._work.cancel()
                await asyncio.gather(self._work, return_exceptions=True)
                raise
            return await self._stop_with(self._stopping)

    # the work

    async def _reply(self) -> str:
        parts = await self._begin()
        await self._hold.passed(self.turn.session)
        provider = self._provider()
        window = Window(chars=min(Window().chars, provider.facts().context_tokens * 2))
        shown = shown_parts(parts, window)
        self._watch(parts, shown, join_all(part.label for part in shown))
        prompt = build_prompt(self._left.without_wishes(parts), self._guard.manifests(), window)
        self._check_clearance(provider)
        await self._check_budgets()
        try:
            async with asyncio.timeout(None) as self._bound:
                self._resume_clock()
                reply = await run_loop(
                    provider,
                    prompt,
                    submit=lambda wishes: self._submit(wishes, provider),
                    charge=self.charge,
                    say=self._say,
                    heard=lambda: self._hear(beginning=False),
                    left=self._left.wishes,
                )
        except TimeoutError as error:
            raise _time_spent(self._wall_budget_ms()) from error
        await self._hold.passed(self.turn.session)
        return await self._release(reply)

    async def _begin(self) -> list[Part]:
        """What the turn stands on: its parts and those before it, with what an earlier run of it left."""
        turn, store = self.turn, self._store
        resumed = turn.state is not TurnState.ACCEPTED
        self._readers = await self._audience(turn)
        if resumed:
            newer = await store.list_turns(turn.session, limit=MOST_TAKEN)
            self._take([each for each in reversed(newer) if each.reply == taken_text(turn)])
        else:
            await store.set_turn(turn.id, TurnState.RUNNING)
        await self._hear(beginning=True)
        session = await store.find_session(turn.session)
        self._session_usage = session.usage.minus(turn.usage) if session is not None else Usage()
        parts = await self._parts(MOST_PARTS if resumed else PARTS)
        if not resumed:
            return parts
        calls = await store.calls_of(turn.id)
        for call in [call for call, outcome in calls.items() if outcome is None]:
            entry = await self._note("unknown", {"call": call, "turn": turn.id, "entry": -1, "changed_count": 0})
            await store.close_call(call, Outcome.UNKNOWN.value, entry, ())
        self._left = find_left(turn.id, parts, calls)
        await store.set_turn(turn.id, TurnState.RUNNING, parts=self._left.results)
        return await self._parts(MOST_PARTS) if self._left.results else parts

    async def _parts(self, limit: int) -> list[Part]:
        taken = {TurnId(turn.id) for turn in self._taken}
        found = await self._store.parts(self.turn.session, limit=limit)
        return parts_until(found, self.turn.id, also=taken)

    def _watch(self, parts: Sequence[Part], shown: Sequence[Part], context: Label) -> None:
        self._parts_seen = list(parts)
        self._turn_guard = self._guard.watch(
            Scope(
                principal=self._principal,
                session=self.turn.session,
                turn=self.turn.id,
                owner_words=_owner_words(parts),
                context=context,
                audience=PUBLIC if all(part.kind is PartKind.USER for part in shown) else OWNER_ONLY,
                emit=self._observe,
                task="\n".join(self._words),
                earlier=tuple(_earlier_words(parts, {self.turn.id, *(turn.id for turn in self._taken)})),
                channel=self.turn.channel,
            )
        )

    async def _hear(self, *, beginning: bool) -> list[str]:
        """Take up what the person wrote meanwhile: it is the turn's business from here on."""
        taken = await self._absorb(beginning)
        self._take(taken)
        if taken and not beginning:
            parts = await self._parts(MOST_PARTS)
            said = [part.label for part in parts if part.turn == self.turn.id]
            self._watch(parts, parts, join_all([self._turn_guard.context, *said]))
        return [turn.text for turn in taken]

    def _take(self, turns: Sequence[Turn]) -> None:
        self._taken += turns
        self._words += [turn.text for turn in turns]

    async def _release(self, reply: str) -> str:
        """Render a reply and let it go to whoever reads this conversation. Raises Refused."""
        watch = self._turn_guard
        rendered = _render(reply, watch.context, _owner_words(self._parts_seen))
        if noted := unknown_text(self._left.unknown):
            rendered = replace(rendered, text=f"{noted}\n\n{rendered.text}")
        ways = await self._audience(self.turn)
        alone = Readers(names=frozenset({self.turn.principal}))
        way = next((way for way in (*ways, alone) if may_flow(watch.context, way)), ways[0])
        await watch.release(rendered.text, way)
        self._code = PRIVATE if way is alone and alone not in ways else ""
        if self._code:  # kept, so that whoever posts the reply after a crash knows it too
            await self._store.write_note(NOTES, f"{PRIVATE}/{self.turn.id}", b"1")
        self._reply_label, self._closing = watch.context, rendered.closing
        if watch.context.integrity <= Integrity.EXTERNAL or noted:
            self._emit(TextDelta(rendered.text))
        return rendered.text

    def _say(self, text: str) -> None:
        """Show a piece of the reply as it is written, unless it rests on untrusted text (that is shown once it is
        rendered) or on what not everybody here may read (that is refused as a whole)."""
        context = self._turn_guard.context
        if context.integrity > Integrity.EXTERNAL and any(may_flow(context, way) for way in self._readers):
            self._emit(TextDelta(text))

    def _check_clearance(self, provider: Provider) -> None:
        """Whether this model may be shown what was read. Raises Refused."""
        facts = provider.facts()
        model = f"{facts.name}:{facts.model}"
        classes = uncleared(self._turn_guard.context, model, self._guard.tables())
        if classes:
            raise Refused(render_uncleared(classes, model), kept="It was not sent to the model.", next_step="")

    async def _submit(self, wishes: Sequence[Wish], provider: Provider) -> list[Shown]:
        """Hand on the wishes of one completion; those after one that ends the turn are not begun."""
        ending = {manifest.name for manifest in self._guard.manifests() if manifest.ends_turn}
        last = next((at for at, wish in enumerate(wishes) if wish.tool in ending), len(wishes))
        begun = wishes[: last + 1]
        proposals = await self._propose(begun)
        shown: list[Shown] = []
        self._lookout.wished(proposals)
        await self._pass()
        async for step in self._turn_guard.submit_each(proposals):
            self._count(Usage(tool_calls=1))
            self._lookout.shown(self.turn.session, step.call, step.text.value)
            await self._keep(NewPart(PartKind.RESULT, step.text.value, step.text.label, step.tool, step.call))
            shown.append(Shown(step.text.value, refused=step.outcome == "refused", ends_turn=step.ends_turn))
            await self._check_budgets()
            await self._pass()
        self._check_clearance(provider)
        return shown + [Shown("not begun: the person speaks first.")] * (len(wishes) - len(shown))

    async def _propose(self, wishes: Sequence[Wish]) -> list[Proposal]:
        """Proposals for wishes, each kept before it is handed on. Those left from before a restart keep their ids."""
        turn, now_ms = self.turn, self._clock.now_ms()
        if wishes and all(wish in self._left.wishes for wish in wishes):
            ids = [CallId(wish.id) for wish in wishes]
        else:
            ids = [CallId(new_id(now_ms)) for _ in wishes]
            label = self._turn_guard.context
            calls = [
                NewPart(PartKind.CALL, wish.arguments_json, label, wish.tool, call)
                for wish, call in zip(wishes, ids, strict=True)
            ]
            await self._keep(*calls)
        return [
            Proposal(call, turn.session, turn.id, wish.tool, wish.arguments_json)
            for wish, call in zip(wishes, ids, strict=True)
        ]

    async def _pass(self) -> None:
        """While an incident holds the session nothing further is proposed; that costs no time of the budget."""
        if self._hold.find(self.turn.session) is not None:
            self._pause_clock()
            await self._hold.passed(self.turn.session)
            self._resume_clock()

    async def _keep(self, *parts: NewPart) -> None:
        """Keep parts of the turn, and what it has used so far, so that a restart forgets neither."""
        usage = replace(self._usage, wall_ms=self._elapsed_ms())
        await self._store.set_turn(self.turn.id, TurnState.RUNNING, parts=parts, usage=usage, day=self._meter.day())

    async def charge(self, completion: Completion) -> None:
        """Count what a completion cost, also one that a tool needed. Raises BudgetSpent before wishes are taken up."""
        tokens = completion.prompt_tokens + completion.output_tokens
        self._count(Usage(tokens=tokens, usd_micro=completion.usd_micro or 0))
        self._lookout.spent(self.turn.session, completion.usd_micro or 0)
        if completion.wishes:
            await self._check_budgets()

    # budgets

    def _count(self, usage: Usage) -> None:
        self._usage = self._usage.plus(usage)
        self._meter.add(usage)

    async def _check_budgets(self) -> None:
        used = {
            Span.TURN: replace(self._usage, wall_ms=self._elapsed_ms()),
            Span.SESSION: self._session_usage.plus(self._usage),
            Span.DAY: await self._meter.today(),
        }
        reached = find_reached(self._guard.budgets(), used)
        if reached is not None:
            raise BudgetSpent(
                reached.sentence(),
                next_step=f"Raise it with `carapax budget {reached.span.value} {reached.kind} NUMBER`, or continue "
                + (
                    "tomorrow."
                    if reached.span is Span.DAY
                    else "in a new session."
                    if reached.span is Span.SESSION
                    else "with a new message."
                ),
            )

    def _wall_budget_ms(self) -> int:
        return self._guard.budgets().turn.wall_ms or 3_600_000

    def _observe(self, event: Event) -> None:
        """Waiting for a person costs no time of the budget."""
        if isinstance(event, Waiting):
            self._pause_clock()
        elif isinstance(event, Answered):
            self._resume_clock()
        self._emit(event)
        self._lookout.judged(self.turn.session, event)

    def _elapsed_ms(self) -> int:
        running = 0 if self._active_since is None else self._clock.monotonic_ms() - self._active_since
        return self._active_ms + running

    def _pause_clock(self) -> None:
        self._active_ms = self._elapsed_ms()
        self._active_since = None
        self._bound.reschedule(None)

    def _resume_clock(self) -> None:
        self._active_since = self._clock.monotonic_ms()
        left_s = max(0, self._wall_budget_ms() - self._active_ms) / 1000
        self._bound.reschedule(asyncio.get_running_loop().time() + left_s)

    # the end

    async def _stop_with(self, stop: _Stop) -> TurnEnded:
        self._emit(Notice(stop.code, stop.text, ""))
        return await self._end(stop.state, stop.text, stop.code)

    async def _end(self, state: TurnState, reply: str, code: str) -> TurnEnded:
        self._usage = replace(self._usage, wall_ms=self._elapsed_ms())
        part = (
            # The closing line is for people; a model would learn to write it.
            NewPart(PartKind.REPLY, reply.removesuffix(self._closing), self._reply_label)
            if state is TurnState.DONE
            else NewPart(PartKind.NOTICE, reply, NOTICE_LABEL)
        )
        await asyncio.shield(
            self._store.set_turn(
                self.turn.id,
                state,
                parts=(part,),
                reply=reply,
                usage=self._usage,
                ended_ms=self._clock.now_ms(),
                day=self._meter.day(),
            )
        )
        return TurnEnded(self.turn.session, self.turn.id, state, reply, self._usage, code)


def taken_text(turn: Turn) -> str:
    """The reply of a message that another turn took up; it says which."""
    return _TAKEN_UP.format(number=turn.number)


def was_taken(ended: TurnEnded) -> bool:
    """Whether a message ended because another turn took it up: then that turn's reply is its reply."""
    return ended.state is TurnState.DONE and _TAKEN.match(ended.reply) is not None


def _owner_words(parts: Sequence[Part]) -> str:
    return "\n".join(part.text for part in parts if _is_owners(part))


def _earlier_words(parts: Sequence[Part], turns: set[TurnId]) -> list[str]:
    return [part.text for part in parts if _is_owners(part) and part.turn not in turns]


def _is_owners(part: Part) -> bool:
    # Whoever the turn is run for: its rights are the policy's business.
    return part.kind is PartKind.USER and part.label.integrity >= Integrity.PEER


def _render(reply: str, context: Label, owner_words: str) -> Rendered:
    """A reply as a person may see it: sources named, no pictures from elsewhere, links only where the owner named them."""
    clean = context.integrity > Integrity.EXTERNAL
    return render_reply(reply, context, lambda link: clean or names(read_words(owner_words), ArgRole.URL, link))


def _time_spent(bound_ms: int) -> BudgetSpent:
    return BudgetSpent(
        f"The turn's budget of time is used up ({bound_ms // 1000:,} s).",
        next_step="Raise it with `carapax budget turn wall_ms NUMBER`, or ask for a smaller piece.",
    )
