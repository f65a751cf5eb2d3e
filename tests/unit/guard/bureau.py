"""A guard over the small office's tools: scripted results, real policy, fakes at the ports. For labels, cards and batches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from carapax.core.policy.document import Policy, parse_policy
from carapax.core.terms.action import Effect, Outcome, Proposal, Receipt, ToolManifest
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.ids import ApprovalId, CallId, SessionId, TurnId
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role
from carapax.core.terms.principal import Scope as Right
from carapax.guard.monitor import Guard, Scope, Step, TurnGuard
from carapax.ports.scanner import Scanner
from tests.fakes.labels import MemoryLabels
from tests.unit.core.questions import raw_policy
from tests.unit.core.rules.office import TAINT, TOOLS
from tests.unit.guard.rig import KEY, Rig

OPEN = '@id("all") @reason("Everything.") permit (principal, action, resource);'
ASKING = '@id("asked") @reason("A person says so.") permit (principal, action, resource) when { context.approved };'

KEEPING = OPEN.replace("@reason", '@obligation("keep_versions") @reason')

Answering = Callable[[Approval], Approval]


def yes(card: Approval) -> Approval:
    return replace(card, state=ApprovalState.APPROVED, answered_by=OWNER)


def no(card: Approval) -> Approval:
    return replace(card, state=ApprovalState.DENIED, answered_by=OWNER)


def retype(card: Approval) -> Approval:
    """Types every blank as it is shown, and picks nothing."""
    return replace(yes(card), typed=tuple(blank.shown for blank in card.blanks))


def picking(*lines: int) -> Answering:
    return lambda card: replace(retype(card), picked=lines)


class Office:
    """The tools: `content` says what each returns; `ran` is what was run, in order."""

    def __init__(self) -> None:
        self.content: dict[str, object] = {}
        self.ran: list[AuthorizedCall] = []

    def manifests(self) -> Sequence[ToolManifest]:
        return tuple(TOOLS.values())

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        self.ran.append(authorized)
        content = self.content.get(authorized.call.manifest.name)
        return Receipt(authorized.call.call, Outcome.DONE, json.dumps(content), content=content)


class Bureau(Rig):
    """One turn in the office, tainted from the start unless `tainted` is False."""

    def __init__(
        self,
        words: str,
        *,
        rules: str = OPEN,
        tables: str = "",
        tainted: bool = True,
        scanner: Scanner | None = None,
        effects: frozenset[Effect] = frozenset(),
    ) -> None:
        super().__init__(words=words)
        self.office, self.files = Office(), MemoryLabels()
        document: Policy = parse_policy(raw_policy(rules, more=tables))
        self.policy = lambda: document
        self.scanner, self.effects = scanner, effects
        self.answers: list[Answering] = []
        self.cards: list[Approval] = []
        if tainted:
            self.context = TAINT
        self.bureau = self._guard()
        self.turn = self.begin()

    def _guard(self) -> Guard:
        count = iter(range(1, 999))
        return Guard(
            policy=lambda: self.policy(), ledger=self.ledger, store=self.store, approver=self, workspace=self.workspace,
            tools=(self.office,), clock=self.clock, key=KEY, new_approval=lambda: ApprovalId(f"A{next(count):03}"),
            labels=self.files, scanner=self.scanner,
        )  # fmt: skip

    async def ask(self, card: Approval) -> Approval:
        self.cards.append(card)
        return self.answers.pop(0)(card) if self.answers else no(card)

    def begin(self) -> TurnGuard:
        """A turn of this session."""
        person = Principal(OWNER, Role.OWNER, frozenset(Right), "test")
        return self.bureau.watch(
            Scope(
                person, SessionId("s"), TurnId("t"), self.words, self.context, self.events.append, effects=self.effects
            )
        )

    def restart(self) -> None:
        """Another gateway over the same store and ledger."""
        self.bureau = self._guard()
        self.turn = self.begin()

    def wish(self, tool: str, **arguments: Any) -> Proposal:
        self.calls += 1
        given = {name.rstrip("_"): value for name, value in arguments.items()}
        return Proposal(CallId(f"c{self.calls}"), SessionId("s"), TurnId("t"), tool, json.dumps(given))

    def do(self, tool: str, **arguments: Any) -> Step:
        return self.all(self.wish(tool, **arguments))[0]

    def all(self, *wishes: Proposal) -> list[Step]:
        return asyncio.run(self.turn.submit_all(wishes))

    def run_tools(self) -> list[str]:
        return [authorized.call.manifest.name for authorized in self.office.ran]


def outcomes(steps: Sequence[Step]) -> list[tuple[str, str]]:
    return [(step.answer, step.outcome) for step in steps]
