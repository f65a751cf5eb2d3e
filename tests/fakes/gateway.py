"""A gateway in memory: the `Gateway` port with scripted turns, for the tests of the surfaces.

Each message takes the next script (`fake.script(...)`), or is echoed. A script's steps: a `str` is a piece of the
reply, an event is sent as it is, `Ask` waits for an answer, `Hold` waits until the test opens it, `Stop` ends the
turn early. Turns run as tasks of their own, so leaving a stream does not end them.

    fake = FakeGateway()
    value = fake.mint(Scope.CHAT, Scope.APPROVE)
    fake.script("Looking. ", Ask("delete 12 files"), "Deleted.")
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.approval import Answer, Approval, ApprovalState, ArgumentLine, Blank
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.conversation import Inbound, Part, PartKind, Session, Turn, TurnState
from carapax.core.terms.error import Conflict, Malformed, NotFound, Refused
from carapax.core.terms.event import Answered, Contained, Event, Notice, TextDelta, TurnEnded, TurnStarted, Waiting
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, RuleId, SessionId, TokenId, TurnId
from carapax.core.terms.incident import Act, Incident, IncidentState
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.turn.answer import (
    Agrees,
    AnsweredWrongly,
    Code,
    Ends,
    Falls,
    after_wrong,
    judge,
    refuse_other_digest,
)
from carapax.ports.gateway import MintedToken, Undone
from carapax.ports.store import Token
from tests.fakes.channel_desk import FakeChannels

BOUND_S = 20.0  # no scripted wait lasts longer
USAGE = Usage(tokens=42, usd_micro=7, tool_calls=1, wall_ms=5)
ALL = frozenset(Scope)


@dataclass(frozen=True)
class Ask:
    """Wait for an answer. A no skips the rest of the script. `lives_ms` is how long it may wait."""

    title: str = "delete 12 files"
    lines: tuple[ArgumentLine, ...] = (ArgumentLine("path", "old/", "you named it in this message"),)
    code: str = "K7M2"
    rule: str = "files.delete-many"
    reason: str = "deletes more than 10 files"
    taint: str = ""
    lives_ms: int = 60_000
    blanks: tuple[Blank, ...] = ()
    choices: tuple[str, ...] = ()
    choices_source: str = ""
    factor: bool = False
    people: int = 1
    agreed: tuple[PrincipalId, ...] = ()
    exact: str = ""
    hidden: tuple[str, ...] = ()
    hint: str = ""
    calls: int = 1
    refused: str = "I did not do it."


@dataclass(frozen=True)
class Hold:
    """Wait until `open()` is called, from any thread."""

    gate: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        self.gate.set()


@dataclass(frozen=True)
class Stop:
    """End the turn as a budget or an error would."""

    code: str = "budget.spent"
    text: str = "the turn's budget of 100 tokens is used up"
    next_step: str = "Raise it with `carapax budget`."


Step = str | Event | Ask | Hold | Stop


class FakeClock:
    """A clock that moves only when told."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self._now = now_ms
        self._monotonic = 0

    def now_ms(self) -> int:
        return self._now

    def monotonic_ms(self) -> int:
        return self._monotonic

    def advance(self, by_ms: int) -> None:
        self._now += by_ms
        self._monotonic += by_ms


class _Run:
    """One turn: its events so far and those who read on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.changed = asyncio.Condition()
        self.task: asyncio.Task[None] | None = None

    async def add(self, event: Event) -> None:
        async with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    async def read(self, start: int) -> AsyncIterator[Event]:
        at = start
        while True:
            async with self.changed:
                while at >= len(self.events):
                    await self.changed.wait()
            event = self.events[at]
            at += 1
            yield event
            if isinstance(event, TurnEnded):
                return


class FakeGateway(FakeChannels):
    def __init__(self, clock: FakeClock | None = None) -> None:
        super().__init__()
        self.clock: FakeClock = clock or FakeClock()
        self.inbounds: list[Inbound] = []  # every message accepted
        self.principals: list[Principal] = []  # who sent it
        self.scripts: deque[tuple[Step, ...]] = deque()
        self.sessions: dict[SessionId, Session] = {}
        self.turns: dict[TurnId, Turn] = {}
        self.parts: dict[SessionId, list[Part]] = {}
        self.approvals: dict[ApprovalId, Approval] = {}
        self.answers: list[tuple[ApprovalId, bool]] = []
        self.given: list[Answer] = []  # every answer that came, complete or not
        self.factor = Code.NONE_SET  # what the code "123456" is; any other is wrong, none is missing
        self._wrong: dict[ApprovalId, int] = {}
        self.undone: list[tuple[SessionId | None, TurnId | None]] = []
        self.failed: list[Check] = []  # what `ready` reports
        self.counts: dict[str, float] = {"carapax_turns_total": 0.0, 'carapax_up{part="store"}': 1.0}
        self.stopped = threading.Event()
        self.incidents: dict[int, Incident] = {}
        self.decided: list[tuple[int, Act]] = []
        self.everything_stopped = False
        self.code: str | None = "QX4-7RM"  # the one-time sign-in code
        self.lookups: list[str] = []  # token values asked about
        self.checks_scopes = True  # False shows whether a surface checks by itself
        self._tokens: dict[str, Token] = {}
        self._principals: dict[str, Principal] = {}
        self._conversations: dict[tuple[PrincipalId, str], SessionId] = {}
        self._keys: dict[tuple[SessionId, str], TurnId] = {}
        self._runs: dict[TurnId, _Run] = {}
        self._answered: dict[ApprovalId, asyncio.Event] = {}

    # for the test
    def script(self, *steps: Step) -> None:
        """What the next message without a script of its own brings about."""
        self.scripts.append(steps)

    def mint(self, *scopes: Scope, name: str = "test", owner: str = "owner", days: int = 30) -> str:
        """A token's value, with all scopes when none is named."""
        return self._mint(frozenset(scopes) or ALL, name, owner, days).value

    def _mint(self, scopes: frozenset[Scope], name: str, owner: str, days: int) -> MintedToken:
        number = len(self._tokens) + 1
        value = f"cpx_{number:04d}" + "a" * 39
        now = self.clock.now_ms()
        token = Token(
            TokenId(f"t{number}"),
            "0" * 64,
            name,
            scopes,
            now,
            now + days * 86_400_000,
            revoked=False,
            last_used_ms=None,
        )
        self._tokens[value] = token
        self._principals[value] = Principal(PrincipalId(owner), Role.OWNER, scopes, f"api:{token.id}")
        return MintedToken(token, value)

    # turns
    async def submit(self, principal: Principal, inbound: Inbound) -> AsyncIterator[Event]:
        if not inbound.text.strip():
            raise Malformed("the message is empty")
        session = self._open(principal, inbound)
        if inbound.key and (known := self._keys.get((session.id, inbound.key))):
            return self._runs[known].read(0)
        if any(a.session == session.id for a in self._waiting(principal)):
            raise Conflict("this session waits for an answer", next_step="Answer the approval, then write again.")
        turn = self._accept(principal, session, inbound)
        run = self._runs[turn.id] = _Run()
        steps = self.scripts.popleft() if self.scripts else ("You said: ", inbound.text)
        run.task = asyncio.create_task(self._play(run, turn, steps))
        return run.read(0)

    def _open(self, principal: Principal, inbound: Inbound) -> Session:
        if inbound.session is not None:
            return self._owned(principal, inbound.session)
        known = self._conversations.get((principal.id, inbound.conversation)) if inbound.conversation else None
        if known is not None:
            return self.sessions[known]
        made = SessionId(f"S{len(self.sessions) + 1:025d}")
        now = self.clock.now_ms()
        session = Session(made, inbound.text[:40], principal.id, now, now, 0, Usage())
        self.sessions[made] = session
        self.parts[made] = []
        if inbound.conversation:
            self._conversations[principal.id, inbound.conversation] = made
        return session

    def _accept(self, principal: Principal, session: Session, inbound: Inbound) -> Turn:
        self.inbounds.append(inbound)
        self.principals.append(principal)
        self.counts["carapax_turns_total"] += 1
        turn = Turn(
            TurnId(f"T{len(self.turns) + 1:025d}"), session.id, session.turns + 1, TurnState.RUNNING, principal.id,
            inbound.channel, inbound.text, "", self.clock.now_ms(), None, Usage(), inbound.key,
        )  # fmt: skip
        self.turns[turn.id] = turn
        self.sessions[session.id] = replace(session, turns=turn.number)
        if inbound.key:
            self._keys[session.id, inbound.key] = turn.id
        self._record(turn, PartKind.USER, inbound.text)
        return turn

    def _record(self, turn: Turn, kind: PartKind, text: str) -> None:
        parts = self.parts[turn.session]
        label = Label(Integrity.USER, OWNER_ONLY)
        parts.append(Part(turn.session, turn.id, len(parts), kind, text, label, self.clock.now_ms()))

    async def _play(self, run: _Run, turn: Turn, steps: Sequence[Step]) -> None:
        await run.add(TurnStarted(turn.session, turn.id, turn.number))
        said: list[str] = []
        state, code = TurnState.DONE, ""
        for step in steps:
            match step:
                case str():
                    said.append(step)
                    await run.add(TextDelta(step))
                case Hold():
                    await self._held(step)
                case Stop():
                    await run.add(Notice(step.code, step.text, step.next_step))
                    state, code = TurnState.STOPPED, step.code
                    break
                case Ask():
                    if not await self._ask(run, turn, step):
                        said.append(step.refused)
                        await run.add(TextDelta(step.refused))
                        break
                case _:
                    await run.add(step)
        await self._end(run, turn, state, "".join(said), code)

    async def _end(self, run: _Run, turn: Turn, state: TurnState, reply: str, code: str) -> None:
        ended = replace(turn, state=state, reply=reply, ended_ms=self.clock.now_ms(), usage=USAGE)
        self.turns[turn.id] = ended
        self._record(turn, PartKind.REPLY, reply)
        await run.add(TurnEnded(turn.session, turn.id, state, reply, USAGE, code))

    async def _held(self, step: Hold) -> None:
        async with asyncio.timeout(BOUND_S):
            while not step.gate.is_set():  # noqa: ASYNC110 - opened from another thread
                await asyncio.sleep(0.002)

    async def _ask(self, run: _Run, turn: Turn, step: Ask) -> bool:
        now = self.clock.now_ms()
        approval = Approval(
            ApprovalId(step.code), turn.session, turn.id, CallId("c1"), Digest("d" * 64), step.title, step.lines,
            RuleId(step.rule), step.reason, step.taint, now, now + step.lives_ms, blanks=step.blanks,
            choices=step.choices, choices_source=step.choices_source, factor=step.factor, people=step.people,
            agreed=step.agreed, exact=step.exact, hidden=step.hidden, hint=step.hint, calls=step.calls,
        )  # fmt: skip
        self.approvals[approval.id] = approval
        heard = self._answered[approval.id] = asyncio.Event()
        self.turns[turn.id] = replace(turn, state=TurnState.WAITING)
        await run.add(Waiting(approval))
        try:
            async with asyncio.timeout(min(step.lives_ms / 1000, BOUND_S)):
                await heard.wait()
        except TimeoutError:
            self.approvals[approval.id] = replace(approval, state=ApprovalState.EXPIRED)
        self.turns[turn.id] = replace(turn, state=TurnState.RUNNING)
        settled = self.approvals[approval.id]
        await run.add(Answered(settled))
        return settled.state is ApprovalState.APPROVED

    async def follow(self, principal: Principal, turn: TurnId) -> AsyncIterator[Event]:
        if await self.find_turn(principal, turn) is None:
            raise NotFound(f"there is no turn {turn}")
        run = self._runs[turn]
        ended = bool(run.events) and isinstance(run.events[-1], TurnEnded)
        return run.read(len(run.events) - 1 if ended else len(run.events))

    async def cancel(self, principal: Principal, turn: TurnId) -> None:
        found = await self.find_turn(principal, turn)
        if found is None:
            raise NotFound(f"there is no turn {turn}")
        if found.ended_ms is not None:
            raise Conflict(f"turn {found.number} has ended")
        run = self._runs[turn]
        if run.task is not None:
            run.task.cancel()
        for approval in self._waiting(principal):
            if approval.turn == turn:
                self.approvals[approval.id] = replace(approval, state=ApprovalState.DENIED)
        await self._end(run, found, TurnState.STOPPED, "", "turn.cancelled")

    async def find_turn(self, principal: Principal, turn: TurnId) -> Turn | None:
        found = self.turns.get(turn)
        return found if found is not None and found.principal == principal.id else None

    # sessions
    def _owned(self, principal: Principal, session: SessionId) -> Session:
        found = self.sessions.get(session)
        if found is None or found.owner != principal.id:
            raise NotFound(f"there is no session {session}")
        return found

    async def list_sessions(self, principal: Principal, *, query: str = "", limit: int = 50) -> Sequence[Session]:
        own = [s for s in self.sessions.values() if s.owner == principal.id and query.lower() in s.name.lower()]
        return own[::-1][:limit]

    async def get_session(self, principal: Principal, session: SessionId) -> tuple[Session, Sequence[Turn]]:
        found = self._owned(principal, session)
        return found, [t for t in self.turns.values() if t.session == session]

    async def export_session(self, principal: Principal, session: SessionId) -> AsyncIterator[Part]:
        self._owned(principal, session)
        return self._export(session)

    async def _export(self, session: SessionId) -> AsyncIterator[Part]:
        for part in self.parts[session]:
            yield part

    async def name_session(self, principal: Principal, session: SessionId, name: str) -> None:
        self.sessions[session] = replace(self._owned(principal, session), name=name)

    async def delete_session(self, principal: Principal, session: SessionId) -> None:
        self._owned(principal, session)
        del self.sessions[session]

    # approvals
    def _waiting(self, principal: Principal) -> list[Approval]:
        return [
            a
            for a in self.approvals.values()
            if a.state is ApprovalState.WAITING and self.sessions[a.session].owner == principal.id
        ]

    async def list_approvals(self, principal: Principal, state: ApprovalState | None) -> Sequence[Approval]:
        return [a for a in self.approvals.values() if state is None or a.state is state]

    async def answer(self, principal: Principal, approval: ApprovalId, answer: Answer, *, digest: str = "") -> Approval:
        if self.checks_scopes and Scope.APPROVE not in principal.scopes:
            raise Refused("this token may not answer approvals")
        found = self.approvals.get(approval)
        if found is None:
            raise NotFound(f"there is no approval {approval}")
        if found.state is not ApprovalState.WAITING:
            raise Conflict(f"{approval} was already {found.state.value}")
        refuse_other_digest(found, digest)
        self.given.append(answer)
        who = replace(principal, scopes=ALL)  # whether the scope is looked at is `checks_scopes`
        match judge(found, answer, who, self._code(found, answer), found.asked_ms):
            case Ends(state):
                return self._settle(found, principal, state)
            case Agrees():
                self.approvals[approval] = replace(found, agreed=(*found.agreed, principal.id))
                return self.approvals[approval]
            case Falls(error):
                self._wrong[approval] = self._wrong.get(approval, 0) + 1
                told = after_wrong(found, error, self._wrong[approval])
                if isinstance(told, AnsweredWrongly):
                    self._settle(found, principal, ApprovalState.DENIED)
                raise told

    def _standing(self) -> str:
        return {Code.NONE_SET: "none", Code.LOCKED: "locked"}.get(self.factor, "set")

    def _code(self, found: Approval, answer: Answer) -> Code:
        if not found.factor:
            return Code.UNASKED
        if self.factor is not Code.RIGHT:
            return self.factor
        return Code.RIGHT if answer.code == "123456" else Code.WRONG if answer.code else Code.MISSING

    def _settle(self, found: Approval, principal: Principal, state: ApprovalState) -> Approval:
        settled = replace(found, state=state, answered_by=principal.id, answered_ms=self.clock.now_ms())
        self.approvals[found.id] = settled
        self.answers.append((found.id, state is ApprovalState.APPROVED))
        self._answered[found.id].set()
        return settled

    # undo
    async def undo(
        self, principal: Principal, *, session: SessionId | None = None, turn: TurnId | None = None
    ) -> Undone:
        self.undone.append((session, turn))
        if not self.turns:
            raise NotFound("there is no turn that changed files")
        last = self.turns[turn] if turn else next(reversed(self.turns.values()))
        change = Change("hello.py", ChangeKind.CREATED, None, Digest("e" * 64), 15)
        return Undone(last.id, last.number, (change,), (), (), 12)

    # tokens
    async def authenticate(self, value: str) -> Principal | None:
        self.lookups.append(value)
        token = self._tokens.get(value)
        if token is None or token.revoked or token.expires_ms <= self.clock.now_ms():
            return None
        return self._principals[value]

    async def create_token(self, principal: Principal, name: str, scopes: frozenset[Scope], days: int) -> MintedToken:
        return self._mint(scopes, name, principal.id, days)

    async def list_tokens(self, principal: Principal) -> Sequence[Token]:
        return list(self._tokens.values())

    async def revoke_token(self, principal: Principal, token: TokenId) -> None:
        value = next((v for v, t in self._tokens.items() if t.id == token), None)
        if value is None:
            raise NotFound(f"there is no token {token}")
        self._tokens[value] = replace(self._tokens[value], revoked=True)

    async def redeem(self, code: str) -> MintedToken | None:
        if self.code is None or code != self.code:
            return None
        self.code = None
        return self._mint(ALL, "signed in", "owner", 30)

    # incidents
    async def list_incidents(self, principal: Principal) -> Sequence[Incident]:
        return list(self.incidents.values())

    async def get_incident(self, principal: Principal, number: int) -> Incident:
        if number not in self.incidents:
            raise NotFound(f"there is no incident {number}")
        return self.incidents[number]

    async def decide_incident(self, principal: Principal, number: int, act: Act) -> Incident:
        found = await self.get_incident(principal, number)
        self.decided.append((number, act))
        after = {Act.RESUME: IncidentState.RESUMED, Act.KILL: IncidentState.KILLED, Act.KEEP: IncidentState.KEPT}
        self.incidents[number] = replace(found, state=after[act], decided_by=principal.via)
        return self.incidents[number]

    async def follow_incidents(self, principal: Principal) -> AsyncIterator[Event]:
        return self._incident_events()

    async def _incident_events(self) -> AsyncIterator[Event]:
        for incident in self.incidents.values():
            yield Contained(incident)

    async def resume_all(self, principal: Principal) -> None:
        if not self.everything_stopped:
            raise Conflict("Nothing is stopped here.")
        self.everything_stopped = False

    # state
    async def status(self) -> dict[str, Any]:
        return {"version": "0.1.0", "uptime_ms": 1000, "sessions": len(self.sessions), "factor": self._standing()}

    async def ready(self) -> Sequence[Check]:
        return [c for c in self.failed if c.standing is not Standing.OK]

    def metrics(self) -> dict[str, float]:
        return dict(self.counts)

    async def stop(self, principal: Principal) -> None:
        self.stopped.set()
