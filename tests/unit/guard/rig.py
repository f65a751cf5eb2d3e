"""A guard over fakes of its ports, for tests that watch the order of things."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carapax.core.flow.lattice import NOTHING
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.terms.action import (
    ArgRole,
    ArgSpec,
    ArgType,
    Change,
    ChangeKind,
    Effect,
    Outcome,
    Proposal,
    Receipt,
    ToolManifest,
)
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.authority import AuthorizedCall, verify_call
from carapax.core.terms.conversation import Turn, TurnState
from carapax.core.terms.event import Event
from carapax.core.terms.ids import ApprovalId, CallId, Digest, SessionId, ToolName, TurnId
from carapax.core.terms.label import OWNER, Integrity, Label
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.guard.monitor import Guard, TurnGuard
from carapax.guard.scope import Scope as Watched
from carapax.ports.workspace import Mark, Reverted
from tests.fakes.ledger import MemoryLedger
from tests.fakes.store import MemoryStore

KEY = b"k" * 32
PATH = ArgSpec("path", ArgRole.PATH, ArgType.TEXT, "which file")
TEXT = ArgSpec("text", ArgRole.CONTENT, ArgType.TEXT, "its contents", required=False, max_bytes=1_000)
COUNT = ArgSpec("count", ArgRole.COUNT, ArgType.INTEGER, "how many", required=False)
ALL = ArgSpec("all", ArgRole.FLAG, ArgType.BOOLEAN, "every one", required=False)
MODE = ArgSpec("mode", ArgRole.FLAG, ArgType.TEXT, "how", required=False, choices=("fast", "slow"))
COMMAND = ArgSpec("command", ArgRole.COMMAND, ArgType.TEXT, "what to run")


def manifest(
    name: str, effect: Effect, *args: ArgSpec, integrity: Integrity = Integrity.EXTERNAL, contained: bool = False
) -> ToolManifest:
    touches = effect is not Effect.READ
    return ToolManifest(
        ToolName(name), "", effect, args, integrity, reversible=True, touches_workspace=touches, contained=contained
    )


TOOLS = (
    manifest("read_file", Effect.READ, PATH, COUNT, ALL, MODE),
    manifest("write_file", Effect.SELF_MODIFY, PATH, TEXT),
    manifest("delete_file", Effect.DESTROY, PATH),
    manifest("run_command", Effect.CODE, COMMAND, contained=True),
    manifest("show_time", Effect.READ, integrity=Integrity.SYSTEM),
    manifest("send_mail", Effect.COMMUNICATE, TEXT),
)


class FakeClock:
    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


class FakeTool:
    """Records what it was given and when; `behave` decides what comes back."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.ran: list[AuthorizedCall] = []
        self.behave: Callable[[AuthorizedCall], Receipt | BaseException] = lambda a: Receipt(
            a.call.call, Outcome.DONE, "done", exit_code=0
        )

    def manifests(self) -> Sequence[ToolManifest]:
        return TOOLS

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        verify_call(authorized, KEY, self._rig.clock.now_ms())
        self._rig.log.append("ran")
        self.ran.append(authorized)
        result = self.behave(authorized)
        if isinstance(result, BaseException):
            raise result
        return result


class FakeWorkspace:
    """Answers `after` with what the test put into `next_changes`, and notes the order."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.root = Path("workspace")
        self.next_changes: list[Change] = []
        self.reverted: list[tuple[Change, ...]] = []

    async def before(self, call: CallId) -> Mark:
        self._rig.log.append("before")
        return Mark(1)

    async def after(self, mark: Mark) -> Sequence[Change]:
        self._rig.log.append("after")
        return tuple(self.next_changes)

    async def settle(self, mark: Mark) -> None:
        self._rig.log.append("settle")

    async def unfinished(self) -> Sequence[tuple[CallId, Sequence[Change]]]:
        return ()

    async def revert(self, changes: Sequence[Change]) -> Reverted:
        self._rig.log.append("revert")
        self.reverted.append(tuple(changes))
        opposite = {ChangeKind.DELETED: ChangeKind.CREATED, ChangeKind.CREATED: ChangeKind.DELETED}
        done = tuple(Change(c.path, opposite.get(c.kind, c.kind), c.after, c.before, c.size_bytes) for c in changes)
        return Reverted(done, (), ())


class FakeApprover:
    """Answers with `state`; None waits until cancelled."""

    def __init__(self) -> None:
        self.state: ApprovalState = ApprovalState.EXPIRED
        self.asked: list[Approval] = []
        self.change: Callable[[Approval], Approval] = lambda approval: approval

    async def ask(self, approval: Approval) -> Approval:
        from dataclasses import replace

        self.asked.append(approval)
        return self.change(replace(approval, state=self.state, answered_by=OWNER))


class WatchedLedger(MemoryLedger):
    """Says when an entry is durable, and can fail."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self._rig = rig
        self.fail: BaseException | None = None

    async def append(self, kind: str, body: dict[str, object]):  # type: ignore[no-untyped-def, override]
        if self.fail is not None:
            raise self.fail
        self._rig.log.append(kind)
        self._rig.bodies.append((kind, body))
        return await super().append(kind, body)


@dataclass
class Rig:
    log: list[str] = field(default_factory=list)
    bodies: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    words: str = "please write something, delete it and run it"
    context: Label = NOTHING
    role: Role = Role.OWNER
    calls: int = 0

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.ledger = WatchedLedger(self)
        self.store = MemoryStore(self.clock)
        self.tool = FakeTool(self)
        self.workspace = FakeWorkspace(self)
        self.approver = FakeApprover()
        document = parse_policy(home_policy(1, datetime.date(2026, 1, 1)))
        self.policy: Callable[[], Policy] = lambda: document
        asyncio.run(self._begin())

    async def _begin(self) -> None:
        now_ms = self.clock.now_ms()
        await self.store.open_session(SessionId("s"), OWNER, "", now_ms)
        turn = Turn(
            TurnId("t"), SessionId("s"), 0, TurnState.RUNNING, OWNER, "test", self.words, "", now_ms, None, Usage()
        )
        await self.store.accept_turn(turn, ())

    def guard(self) -> Guard:
        return Guard(
            policy=lambda: self.policy(),
            ledger=self.ledger,
            store=self.store,
            approver=self.approver,
            workspace=self.workspace,
            tools=(self.tool,),
            clock=self.clock,
            key=KEY,
            new_approval=lambda: ApprovalId("K7M2"),
        )

    def watch(self) -> TurnGuard:
        principal = Principal(OWNER, self.role, frozenset(Scope), "test")
        return self.guard().watch(
            Watched(principal, SessionId("s"), TurnId("t"), self.words, self.context, self.events.append)
        )

    def proposal(self, tool: str, arguments_json: str) -> Proposal:
        self.calls += 1
        return Proposal(CallId(f"c{self.calls}"), SessionId("s"), TurnId("t"), tool, arguments_json)

    def submit(self, tool: str, arguments_json: str):  # type: ignore[no-untyped-def]
        return asyncio.run(self.watch().submit(self.proposal(tool, arguments_json)))


def deleted(count: int) -> list[Change]:
    return [Change(f"f{n}", ChangeKind.DELETED, Digest("d"), None, 1) for n in range(count)]
