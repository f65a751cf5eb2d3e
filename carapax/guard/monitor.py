"""The reference monitor: judge → ask → record → seal → run → receipt → label, for one call at a time.

Layer: guard. Owns the order. Absent: how anything is judged (`core/policy`, `core/rules`), run (`ports.Tool`) or shown.
Laws: 1. no tool runs without a durable "call" entry; 2. what runs is what was judged, by digest; 3. a call that could
not be recorded, judged or sealed is refused and nothing happened; 4. no result is labelled better than its arguments
and its tool's manifest; 5. an effect is started at most once, also across a crash; 6. what a person approved is judged
again before it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from carapax.core.flow.known import Known
from carapax.core.flow.lattice import may_flow
from carapax.core.policy.decide import decide
from carapax.core.policy.document import Policy
from carapax.core.rules.intent import judge_loss
from carapax.core.rules.turn import TurnState, find_task
from carapax.core.terms.action import (
    CanonicalCall,
    Change,
    ChangeKind,
    Proposal,
    Receipt,
    ToolManifest,
)
from carapax.core.terms.decision import Allow, Ask, Decision, Deny, Facts, Obligation, Question
from carapax.core.terms.error import Malformed, PolicyInvalid, Refused, SettingsInvalid
from carapax.core.terms.event import StepJudged
from carapax.core.terms.ids import ApprovalId, Digest, EntryIndex, RuleId, ToolName
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Labeled, Readers, Source
from carapax.core.terms.limit import Budgets
from carapax.core.terms.tables import DirectoryEntry, Tables
from carapax.core.turn.budget import TALK_ONLY
from carapax.guard.ask import Desk
from carapax.guard.canonical import canonical_call
from carapax.guard.card import Asked, summary, with_sources
from carapax.guard.labels import declared_readers, files_label, result_label, written_label
from carapax.guard.record import answer_word, call_body, label_body, text_digest
from carapax.guard.run import Runner, count_held, destroying
from carapax.guard.scope import Scope, Step
from carapax.guard.show import show_result
from carapax.guard.tally import COUNTED, Book, Tally
from carapax.guard.weigh import Weighed, weigh
from carapax.ports.approver import Approver
from carapax.ports.clock import Clock
from carapax.ports.labels import FileLabels
from carapax.ports.ledger import Ledger
from carapax.ports.scanner import Scanner
from carapax.ports.store import Store
from carapax.ports.tool import Tool
from carapax.ports.workspace import Workspace

OWN_WORDS = Label(Integrity.SYSTEM, OWNER_ONLY, frozenset({Source("system", "guard")}))
"""Refusals and codes are Carapax's own words."""

HELD = (
    "refused: this would have deleted {count} files and nobody approved it. All of them are back; nothing was changed."
)


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
        labels: FileLabels | None = None,
        scanner: Scanner | None = None,
        directory: Callable[[], Sequence[DirectoryEntry]] = tuple,
    ) -> None:
        self.policy = policy
        self.ledger = ledger
        self.store = store
        self.approver = approver
        self.workspace = workspace
        self.clock = clock
        self.key = key
        self.new_approval = new_approval
        self.labels = labels
        self.scanner = scanner
        self.changing = asyncio.Lock()  # one change of the workspace at a time, so that versions belong to one call
        self._directory = directory
        self.counting = asyncio.Lock()  # what caps count is judged and done one call at a time
        self._tools = {manifest.name: (manifest, tool) for tool in tools for manifest in tool.manifests()}
        if len(self._tools) != sum(len(tool.manifests()) for tool in tools):
            raise SettingsInvalid("two tools have the same name", next_step="Remove one of them.")
        self.known = Known()
        self.book = Book(store, clock)

    def manifests(self) -> tuple[ToolManifest, ...]:
        """Every tool that may be proposed, in the order of their families."""
        return tuple(manifest for manifest, _ in self._tools.values())

    def find_tool(self, name: str) -> tuple[ToolManifest, Tool] | None:
        """A tool by its exact name."""
        return self._tools.get(ToolName(name))

    def watch(self, scope: Scope) -> TurnGuard:
        """The monitor of one turn."""
        return TurnGuard(self, scope)

    def tables(self) -> Tables:
        """The policy's tables; the strictest ones when there is no valid policy."""
        try:
            return self.policy().tables
        except PolicyInvalid:
            return Tables()

    def directory(self) -> tuple[DirectoryEntry, ...]:
        """Everybody the owner vouches for."""
        return (*self.tables().directory, *self._directory())

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
        self._begun: TurnState | None = None
        self._tally = Tally(guard.book, guard.clock, scope.session)
        self._desk = Desk(guard, scope.emit)

    @property
    def context(self) -> Label:
        """The join of everything the model of this turn was shown so far."""
        return self._scope.context if self._begun is None else self._begun.context

    @property
    def _state(self) -> TurnState:
        # Made when something is first wished for: mere talk needs no plan.
        if self._begun is None:
            scope, guard = self._scope, self._guard
            task = find_task(scope.task or scope.owner_words, scope.earlier)
            self._begun = TurnState.begin(
                scope.context,
                scope.owner_words,
                task,
                scope.effects,
                guard.manifests(),
                guard.known.of(scope.session),
                scope.audience,
            )
        return self._begun

    async def submit(self, proposal: Proposal) -> Step:
        """Take one proposal the whole way. Raises LedgerUnavailable and StoreUnavailable; then nothing ran."""
        return (await self.submit_all([proposal]))[0]

    async def submit_all(self, proposals: Sequence[Proposal]) -> list[Step]:
        """Take the proposals of one completion the whole way, in order."""
        return [step async for step in self.submit_each(proposals)]

    async def submit_each(self, proposals: Sequence[Proposal]) -> AsyncIterator[Step]:
        """The same, step by step; one card asks about all that need a person."""
        first = [await self._weigh(proposal) for proposal in proposals]
        asked = [
            Asked(w.call, w.decision, summary(w.call))
            for w in first
            if isinstance(w, Weighed) and isinstance(w.decision, Ask)
        ]
        agreed = await self._ask(asked) if asked else {}
        refused = frozenset(each.call.digest for each in asked) - agreed.keys()
        for proposal in proposals:
            yield await self._settle(proposal, agreed, refused)

    async def preview(self, proposal: Proposal) -> Decision:
        """What would be answered now. Raises Malformed."""
        weighed = await self._weigh(proposal)
        if isinstance(weighed, Malformed):
            raise weighed
        return weighed.decision

    async def _weigh(self, proposal: Proposal) -> Weighed | Malformed:
        found = self._guard.find_tool(proposal.tool)
        if found is None:
            names = ", ".join(manifest.name for manifest in self._guard.manifests())
            return Malformed(f"There is no tool {proposal.tool[:64]!r}. Tools: {names}.")
        manifest, tool = found
        guard = self._guard
        tables = guard.tables()
        task = self._state.task(
            tables, guard.directory(), self._tally.today(), await self._tally.counts(manifest, tables.caps)
        )
        try:
            call = canonical_call(proposal, manifest, task)
        except Malformed as error:
            return error
        return weigh(call, tool, task, self._scope.principal, self._scope.channel, guard.judge, guard.scanner)

    async def _settle(
        self, proposal: Proposal, agreed: Mapping[Digest, Ask], refused: frozenset[Digest], *, again: bool = True
    ) -> Step:
        """One proposal, judged as things are now, with a person's answer in hand where there is one."""
        async with self._guard.counting if self._is_counted(proposal) else nullcontext():
            weighed = await self._weigh(proposal)
            if isinstance(weighed, Malformed):
                return await self._refuse_malformed(proposal, weighed.what)
            call, decision = weighed.call, weighed.decision
            if isinstance(decision, Deny):
                return await self._refuse(call, decision)
            # What was typed and picked is in the words now; whatever is still open was not agreed to.
            settled = call.digest in agreed and not (
                isinstance(decision, Ask) and (decision.blanks or decision.choices)
            )
            if settled:  # what a person agreed to is recorded as asked, whatever the words say now
                return await self._run(weighed, replace(agreed[call.digest], obligations=decision.obligations))
            if isinstance(decision, Allow):
                return await self._run(weighed, decision)
        left_open = call.digest in agreed and not decision.choices  # by the lines that were picked
        if call.digest not in {*agreed, *refused} or (left_open and again):
            return await self._settle_alone(proposal, weighed, decision)
        return self._own(call, "ask", f"refused ({decision.rule}): nobody approved it. Nothing was done.")

    def _is_counted(self, proposal: Proposal) -> bool:
        found = self._guard.find_tool(proposal.tool)
        return found is not None and found[0].effect in COUNTED

    async def _settle_alone(self, proposal: Proposal, weighed: Weighed, ask: Ask) -> Step:
        agreed = await self._ask([Asked(weighed.call, ask, summary(weighed.call))])
        return await self._settle(proposal, agreed, frozenset({weighed.call.digest}) - agreed.keys(), again=False)

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

    async def _ask(self, asked: Sequence[Asked]) -> dict[Digest, Ask]:
        """What a person agreed to; what was typed and picked counts as the owner's words from here on."""
        asked = [with_sources(each, self._state.knowledge) for each in asked]
        entries = []
        for each in asked:
            entries.append(await self._guard.ledger.append("asked", self._body(each.call, each.ask, each.title)))
        for each, entry in zip(asked, entries, strict=True):
            self._judged(each.call, each.ask, each.title, entry)
        answered = await self._desk.ask(asked, self._state.seen())
        if answered is None:
            return {}
        self._state.type_values(answered)
        for each in asked:
            self._state.agree(each.call, each.ask.blanks)
        if answered.picked:
            picked = [answered.choices[at] for at in answered.picked if 0 <= at < len(answered.choices)]
            self._state.endorse(picked, self._guard.manifests())
        return {each.call.digest: each.ask for each in asked}

    # running

    async def _run(self, weighed: Weighed, decision: Allow | Ask) -> Step:
        call = weighed.call
        read = await files_label(call, self._guard.labels)
        await self._tally.begin(call, unasked=isinstance(decision, Allow))
        self._state.done(call)
        runner = Runner(self._guard, self._scope.emit, lambda call, receipt: self._label(call, receipt, read))
        line = summary(call)

        def began(entry: EntryIndex) -> None:
            if isinstance(decision, Allow):
                self._judged(call, decision, line, entry)

        ran = await runner.run(
            call,
            weighed.tool,
            self._body(call, decision, line),
            keep=Obligation.KEEP_VERSIONS in decision.obligations and call.manifest.touches_workspace,
            judge=lambda deleted: isinstance(self._judge_loss(call, weighed.facts, deleted), Allow),
            began=began,
        )
        records = self._state.records(call, ran.receipt.content)
        self._state.read(ran.label, declared_readers(call.manifest, records))
        self._state.created |= {c.path for c in ran.receipt.changes if c.kind is ChangeKind.CREATED}
        self._state.learn(call, ran.receipt.content)
        await self._tally.end(len(ran.receipt.changes))
        text = show_result(call, ran.receipt.text, ran.label, self._state, self._guard.scanner)
        outcome = ran.receipt.outcome.value
        if ran.held and not await self._settle_loss(call, runner, weighed.facts, ran.held):
            text, outcome = HELD.format(count=count_held(ran.held)), "refused"
        return Step(
            call.call,
            call.manifest.name,
            Labeled(text, ran.label),
            answer_word(decision),
            outcome,
            call.manifest.ends_turn,
        )

    async def _label(self, call: CanonicalCall, receipt: Receipt, read: Label | None) -> Label:
        """Label a finished call's result, and keep that label with the files it changed."""
        label = result_label(call, read, self._state.records(call, receipt.content))
        if receipt.changes and self._guard.labels is not None:
            await self._guard.labels.keep(receipt.changes, written_label(call, self._state.context, label, read))
        return label

    def _judge_loss(self, call: CanonicalCall, facts: Facts, deleted: int) -> Decision:
        """The policy's answer to what a call really deleted, where that is more than it said."""
        if deleted <= facts.destroys_count:
            return Allow(RuleId("announced"))
        if (unasked := judge_loss(call, self._state.context, self._state.plan)) is not None:
            return unasked
        real = replace(facts, destroys_count=deleted)
        return self._guard.judge(Question(self._scope.principal, destroying(call), self._state.context, real))

    async def _settle_loss(self, call: CanonicalCall, runner: Runner, facts: Facts, held: tuple[Change, ...]) -> bool:
        """Ask about deletions that were put back; True when a person agreed and they were done."""
        count = count_held(held)
        decision = self._judge_loss(call, facts, count)
        if isinstance(decision, Deny):
            await self._refuse(call, decision)
            return False
        title = f"delete {count} files: {summary(call)}"
        if isinstance(decision, Ask) and not await self._ask([Asked(destroying(call), decision, title)]):
            return False
        await runner.release(call, held)
        return True

    # the reply

    async def release(self, reply: str, readers: Readers) -> EntryIndex:
        """Record that a reply goes to these readers. Raises Refused when its label may not flow to them."""
        if not may_flow(self.context, readers):
            raise Refused(
                "The reply rests on text that not everybody in this conversation may read.", kept="It was not sent."
            )
        body = {
            "session": self._scope.session,
            "turn": self._scope.turn,
            "reply": text_digest(reply),
            "label": label_body(self.context),
        }
        return await self._guard.ledger.append("reply", body)

    # words

    def _body(self, call: CanonicalCall, decision: Decision, line: str) -> dict[str, Any]:
        body = call_body(call, self.context, decision, self._guard.policy_digest(), line)
        return body | ({"hint": self._state.hint_score} if self._state.hint_score else {})

    def _judged(self, call: CanonicalCall, decision: Decision, line: str, entry: EntryIndex) -> None:
        reason = "" if isinstance(decision, Allow) else decision.reason
        event = StepJudged(call.call, call.manifest.name, line, answer_word(decision), decision.rule, reason, entry)
        self._scope.emit(event)

    def _own(self, call: CanonicalCall, answer: str, text: str) -> Step:
        """A step that did not run: Carapax's own words, which do not change the context's label."""
        return Step(call.call, call.manifest.name, Labeled(text, OWN_WORDS), answer, "refused", ends_turn=False)
