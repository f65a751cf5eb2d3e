"""The reference monitor: judge → ask → record → seal → run → receipt → label, for one call at a time.

Layer: guard. Owns the order. Absent: how anything is judged (`core/policy`), run (`ports.Tool`) or shown (surfaces).
Laws: 1. no tool runs without a durable "call" entry; 2. what runs is what was judged, by digest; 3. a call that could
not be recorded, judged or sealed is refused and nothing happened; 4. no result is labelled better than its arguments
and its tool's manifest; 5. an effect is started at most once, also across a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from carapax.core.flow.lattice import join, may_flow
from carapax.core.policy.decide import decide
from carapax.core.policy.document import Policy
from carapax.core.terms.action import CanonicalCall, Change, ChangeKind, Effect, Proposal, ToolManifest
from carapax.core.terms.approval import ApprovalState
from carapax.core.terms.decision import Allow, Ask, Decision, Deny, Facts, Obligation, Question
from carapax.core.terms.error import Malformed, PolicyInvalid, Refused
from carapax.core.terms.event import Answered, Event, StepJudged, Waiting
from carapax.core.terms.ids import ApprovalId, CallId, Digest, EntryIndex, RuleId, SessionId, ToolName, TurnId
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Labeled, Readers, Source
from carapax.core.terms.limit import Budgets
from carapax.core.terms.principal import Principal
from carapax.core.turn.budget import TALK_ONLY
from carapax.guard.canonical import canonical_call
from carapax.guard.card import make_card, summary
from carapax.guard.facts import derive_facts
from carapax.guard.record import answer_word, call_body, label_body, text_digest
from carapax.guard.run import Runner, result_label
from carapax.ports.approver import Approver
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger
from carapax.ports.store import Store
from carapax.ports.tool import Tool
from carapax.ports.workspace import Workspace

OWN_WORDS = Label(Integrity.SYSTEM, OWNER_ONLY, frozenset({Source("system", "guard")}))
"""Refusals and codes are Carapax's own words."""

HELD = (
    "refused: this would have deleted {count} files and nobody approved it. All of them are back; nothing was changed."
)


@dataclass(frozen=True, slots=True)
class Step:
    """What the loop gets back for one proposal: labelled text, and how it went."""

    call: CallId
    tool: str
    text: Labeled[str]
    answer: str  # "allow", "ask" (and approved) or "deny"
    outcome: str  # an Outcome's value; "refused" when nothing ran
    ends_turn: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """The turn a guard watches: who, where, what the owner typed, and the label of what the model is shown."""

    principal: Principal
    session: SessionId
    turn: TurnId
    owner_words: str
    context: Label
    emit: Callable[[Event], None]


class Guard:
    """The monitor of one gateway. `watch` gives the monitor of one turn."""

    def __init__(
        self,
        *,
        policy: Callable[[], Policy],
        ledger: Ledger,
        store: Store,
        approver: Approver,
        workspace: Workspace,
        tools: Sequence[Tool],
        clock: Clock,
        key: bytes,
        new_approval: Callable[[], ApprovalId],
    ) -> None:
        self.policy = policy
        self.ledger = ledger
        self.store = store
        self.approver = approver
        self.workspace = workspace
        self.clock = clock
        self.key = key
        self.new_approval = new_approval
        self.changing = asyncio.Lock()  # one change of the workspace at a time, so that versions belong to one call
        self._tools = {manifest.name: (manifest, tool) for tool in tools for manifest in tool.manifests()}

    def manifests(self) -> tuple[ToolManifest, ...]:
        """Every tool that may be proposed, in the order of their families."""
        return tuple(manifest for manifest, _ in self._tools.values())

    def find_tool(self, name: str) -> tuple[ToolManifest, Tool] | None:
        """A tool by its exact name."""
        return self._tools.get(ToolName(name))

    def watch(self, scope: Scope) -> TurnGuard:
        """The monitor of one turn."""
        return TurnGuard(self, scope)

    def policy_digest(self) -> Digest:
        """The digest of the policy in force; "" when there is no valid one."""
        try:
            return self.policy().digest
        except PolicyInvalid:
            return Digest("")

    def budgets(self) -> Budgets:
        """The policy's budgets; the narrow ones of mere talk when there is no valid policy."""
        try:
            return self.policy().budgets
        except PolicyInvalid:
            return TALK_ONLY

    def judge(self, question: Question) -> Decision:
        """The policy's answer; without a valid policy, Deny."""
        try:
            return decide(self.policy(), question)
        except PolicyInvalid as error:
            return Deny(RuleId(error.code), error.what)


class TurnGuard:
    """Judges and runs the proposals of one turn, and keeps the label of its context."""

    def __init__(self, guard: Guard, scope: Scope) -> None:
        self._guard = guard
        self._scope = scope
        self._context = scope.context
        self._created: frozenset[str] = frozenset()

    @property
    def context(self) -> Label:
        """The join of everything the model of this turn was shown so far."""
        return self._context

    async def submit(self, proposal: Proposal) -> Step:
        """Take one proposal the whole way. Raises LedgerUnavailable and StoreUnavailable; then nothing ran."""
        found = self._guard.find_tool(proposal.tool)
        if found is None:
            names = ", ".join(manifest.name for manifest in self._guard.manifests())
            return await self._refuse_malformed(proposal, f"There is no tool {proposal.tool[:64]!r}. Tools: {names}.")
        manifest, tool = found
        try:
            call = canonical_call(proposal, manifest, self._scope.owner_words, self._context, self._created)
        except Malformed as error:
            return await self._refuse_malformed(proposal, error.what)
        facts = derive_facts(call)
        decision = self._guard.judge(Question(self._scope.principal, call, self._context, facts))
        if isinstance(decision, Ask) and decision.typed:
            # A yes is not enough there, and no surface of this release can ask for a typed value.
            roles = " and ".join(decision.typed)
            decision = Deny(
                decision.rule, f"{decision.reason} A person must type the {roles}, and cannot be asked to here."
            )
        if isinstance(decision, Deny):
            return await self._refuse(call, decision)
        if isinstance(decision, Ask) and not await self._ask(call, decision, summary(call)):
            return self._own(call, "ask", f"refused ({decision.rule}): nobody approved it. Nothing was done.")
        return await self._run(call, tool, decision, facts)

    # refusing

    async def _refuse_malformed(self, proposal: Proposal, what: str) -> Step:
        body = {
            "session": proposal.session,
            "turn": proposal.turn,
            "call": proposal.call,
            "tool": proposal.tool[:64].encode("utf-8", "replace").decode(),
            "arguments": text_digest(proposal.arguments_json.encode("utf-8", "replace").decode()),
            "reason": what,
        }
        entry = await self._guard.ledger.append("malformed", body)
        rule = RuleId("proposal.malformed")
        self._scope.emit(StepJudged(proposal.call, proposal.tool[:64], proposal.tool[:64], "deny", rule, what, entry))
        text = Labeled(f"error: {what}", OWN_WORDS)
        return Step(proposal.call, proposal.tool[:64], text, "deny", "refused", ends_turn=False)

    async def _refuse(self, call: CanonicalCall, deny: Deny) -> Step:
        entry = await self._guard.ledger.append("denied", self._body(call, deny, summary(call)))
        self._judged(call, deny, summary(call), entry)
        return self._own(call, "deny", f"refused ({deny.rule}): {deny.reason} Nothing was done.")

    # asking

    async def _ask(self, call: CanonicalCall, ask: Ask, title: str) -> bool:
        """Whether a person said yes to exactly this call."""
        guard = self._guard
        entry = await guard.ledger.append("asked", self._body(call, ask, title))
        self._judged(call, ask, title, entry)
        wait_ms = guard.policy().approval_ms
        card = make_card(guard.new_approval(), call, ask, title, self._context, guard.clock.now_ms(), wait_ms)
        await guard.store.put_approval(card)  # a code used before is a Conflict: the turn stops, nothing was done
        self._scope.emit(Waiting(card))
        answered = await guard.approver.ask(card)
        await guard.ledger.append(
            "answered",
            {
                "approval": card.id,
                "call": call.call,
                "digest": call.digest,
                "state": answered.state.value,
                "by": answered.answered_by,
            },
        )
        self._scope.emit(Answered(answered))
        return answered.state is ApprovalState.APPROVED and answered.digest == call.digest

    # running

    async def _run(self, call: CanonicalCall, tool: Tool, decision: Allow | Ask, facts: Facts) -> Step:
        runner = Runner(self._guard, self._scope.emit)
        line = summary(call)

        def began(entry: EntryIndex) -> None:
            if isinstance(decision, Allow):
                self._judged(call, decision, line, entry)

        ran = await runner.run(
            call,
            tool,
            self._body(call, decision, line),
            keep=Obligation.KEEP_VERSIONS in decision.obligations and call.manifest.touches_workspace,
            judge=lambda deleted: isinstance(self._judge_loss(call, facts, deleted), Allow),
            began=began,
        )
        label = result_label(call)
        self._context = join(self._context, label)
        self._created |= {change.path for change in ran.receipt.changes if change.kind is ChangeKind.CREATED}
        text, outcome = ran.receipt.text, ran.receipt.outcome.value
        if ran.held and not await self._settle_loss(call, runner, facts, ran.held):
            text, outcome = HELD.format(count=_deletions(ran.held)), "refused"
        return Step(
            call.call, call.manifest.name, Labeled(text, label), answer_word(decision), outcome, call.manifest.ends_turn
        )

    def _judge_loss(self, call: CanonicalCall, facts: Facts, deleted: int) -> Decision:
        """The policy's answer to what a call really deleted, where that is more than it said."""
        if deleted <= facts.destroys_count:
            return Allow(RuleId("announced"))
        destroying = replace(call, manifest=replace(call.manifest, effect=Effect.DESTROY))
        real = replace(facts, destroys_count=deleted)
        return self._guard.judge(Question(self._scope.principal, destroying, self._context, real))

    async def _settle_loss(self, call: CanonicalCall, runner: Runner, facts: Facts, held: tuple[Change, ...]) -> bool:
        """Ask about deletions that were put back; True when a person agreed and they were done."""
        count = _deletions(held)
        decision = self._judge_loss(call, facts, count)
        if isinstance(decision, Deny):
            await self._refuse(call, decision)
            return False
        if isinstance(decision, Ask) and not await self._ask(call, decision, f"delete {count} files: {summary(call)}"):
            return False
        await runner.release(call, held)
        return True

    # the reply

    async def release(self, reply: str, readers: Readers) -> EntryIndex:
        """Record that a reply goes to these readers. Raises Refused when its label may not flow to them."""
        if not may_flow(self._context, readers):
            raise Refused(
                "The reply rests on text that not everybody in this conversation may read.", kept="It was not sent."
            )
        body = {
            "session": self._scope.session,
            "turn": self._scope.turn,
            "reply": text_digest(reply),
            "label": label_body(self._context),
        }
        return await self._guard.ledger.append("reply", body)

    # words

    def _body(self, call: CanonicalCall, decision: Decision, line: str) -> dict[str, Any]:
        return call_body(call, self._context, decision, self._guard.policy_digest(), line)

    def _judged(self, call: CanonicalCall, decision: Decision, line: str, entry: EntryIndex) -> None:
        reason = "" if isinstance(decision, Allow) else decision.reason
        event = StepJudged(call.call, call.manifest.name, line, answer_word(decision), decision.rule, reason, entry)
        self._scope.emit(event)

    def _own(self, call: CanonicalCall, answer: str, text: str) -> Step:
        """A step that did not run: Carapax's own words, which do not change the context's label."""
        return Step(call.call, call.manifest.name, Labeled(text, OWN_WORDS), answer, "refused", ends_turn=False)


def _deletions(held: Sequence[Change]) -> int:
    # `held` is what putting back did: every file that was lost was created again.
    gone = {change.before for change in held if change.kind is ChangeKind.DELETED and change.before}
    return sum(c.kind is ChangeKind.CREATED and not c.path.endswith("/") and c.after not in gone for c in held)
