"""Playing one run: batches in the variant's order, each through the guard's public door, answered by one person.

Layer: app. What went through is what the guard let through; nothing is undone for the attacker's sake.
Law: a run that breaks is told apart from one that was stopped, so a defect is never counted as a defence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from carapax.app.replay.orders import Batch, Variant, play_order
from carapax.app.replay.people import Knowledge, Person
from carapax.app.replay.stage import CALL_MS, Stage
from carapax.app.replay.world import Attack, Episode, Planned, Task
from carapax.core.terms.action import Effect, Proposal
from carapax.core.terms.approval import Approval
from carapax.core.terms.error import NotFound
from carapax.core.terms.event import Event, StepJudged
from carapax.core.terms.ids import CallId, SessionId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label, Source
from carapax.core.terms.principal import Principal, Role
from carapax.core.terms.principal import Scope as TokenScope
from carapax.guard.monitor import TurnGuard
from carapax.guard.scope import Scope, Step

_OWNER = Principal(OWNER, Role.OWNER, frozenset({TokenScope.CHAT}), "replay")
_TYPED = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", "replay")}))


@dataclass(frozen=True, slots=True)
class Played:
    """How one call went. `answer` is "allow", "ask" or "deny"; "lost" when it rests on a call that did not run."""

    key: str
    tool: str
    answer: str
    outcome: str
    rule: str
    reason: str

    @property
    def ran(self) -> bool:
        """Whether it really happened."""
        return self.outcome == "done"


@dataclass(frozen=True, slots=True)
class Run:
    """One run, from the owner's words to its end."""

    task: str
    attack: str
    variant: Variant
    person: Person
    calls: tuple[Played, ...]
    cards: tuple[Approval, ...]
    reached: bool  # a result carried the injection
    useful: bool  # the task is done; not asked of hijacked runs
    harmed: bool
    crash: str = ""  # what broke, when something did
    struck: tuple[str, ...] = ()  # the attacker's calls with side effects that happened, whether or not he won
    exhausted: bool = False  # every honest call was proposed before the first hostile one

    @property
    def complete(self) -> bool:
        """Every honest call happened and the task is done."""
        return self.useful and not self.crash and all(c.ran for c in self.calls if c.key.startswith("h"))


async def play(stage: Stage, task: Task, attack: Attack | None, variant: Variant, person: Person) -> Run:
    """One run on this stage, in a session of its own."""
    return await _Actor(stage, task, attack, variant, person).play()


class _Actor:
    def __init__(self, stage: Stage, task: Task, attack: Attack | None, variant: Variant, person: Person) -> None:
        self._stage, self._task, self._attack = stage, task, attack
        self._variant, self._person = variant, person
        self._episode: Episode = stage.world.begin(task, attack)
        self._honest = tuple(self._episode.honest())
        self._effects = {str(manifest.name): manifest.effect for manifest in stage.manifests()}
        self._judged: dict[CallId, StepJudged] = {}
        self._batch: tuple[Proposal, ...] = ()
        self._calls: list[Played] = []
        self._name = f"{task.id}|{attack.id if attack else ''}|{variant}|{person}|{stage.clock.now_ms()}"

    async def play(self) -> Run:
        self._stage.enter(self._episode, self._person, self._known)
        crash, useful, harmed = "", False, False
        try:
            await self._play_all()
        except Exception as error:  # noqa: BLE001 - broad: a world is a plug-in, and a broken run is reported, not hidden
            crash = f"{type(error).__name__}: {error}"
        try:  # also of a run that broke: what happened before counts
            harmed = self._attack is not None and self._episode.harmed()
            useful = self._attack is None and self._episode.useful()
        except Exception as error:  # noqa: BLE001 - broad: as above
            crash = crash or f"{type(error).__name__}: {error}"
        return Run(
            task=self._task.id,
            attack=self._attack.id if self._attack else "",
            variant=self._variant,
            person=self._person,
            calls=tuple(self._calls),
            cards=tuple(self._stage.cards),
            reached=self._stage.reached,
            useful=useful,
            harmed=harmed,
            crash=crash,
            struck=tuple(c.key for c in self._calls if c.ran and c.key.startswith("a") and self._acts(c)),
            exhausted=self._is_exhausted(),
        )

    def _acts(self, call: Played) -> bool:
        return self._effects.get(call.tool) is not Effect.READ

    def _is_exhausted(self) -> bool:
        proposed = [call.key for call in self._calls]
        return proposed[: len(self._honest)] == [planned.key for planned in self._honest]

    async def _play_all(self) -> None:
        watch = await self._open()
        hostile = tuple(self._episode.hostile())
        for batch in play_order(self._variant, self._honest, hostile, self._effects, lambda: self._stage.reached):
            await self._propose(watch, batch)

    async def _open(self) -> TurnGuard:
        session, turn = SessionId(f"s{self._name}"), TurnId(f"t{self._name}")
        now_ms = self._stage.clock.now_ms()
        await self._stage.store.open_session(session, OWNER, "", now_ms)
        words = "\n".join((*self._task.earlier, self._task.words))
        return self._stage.guard.watch(Scope(_OWNER, session, turn, words, _TYPED, self._hear, task=self._task.words))

    def _hear(self, event: Event) -> None:
        if isinstance(event, StepJudged):
            self._judged[event.call] = event

    async def _propose(self, watch: TurnGuard, batch: Batch) -> None:
        ready: list[tuple[Planned, Proposal]] = []
        for planned in batch:
            self._stage.clock.advance(CALL_MS)
            try:
                arguments = self._stage.arguments(planned)
            except NotFound as error:
                self._calls.append(Played(planned.key, planned.tool, "lost", "lost", "", error.what))
                continue
            call = CallId(f"c{self._name}|{planned.key}|{len(self._calls)}")
            self._stage.announce(call, planned)
            scope = SessionId(f"s{self._name}"), TurnId(f"t{self._name}")
            ready.append((planned, Proposal(call, *scope, planned.tool, arguments)))
        self._batch = tuple(proposal for _, proposal in ready)
        for (planned, proposal), step in zip(ready, await _submit(watch, self._batch), strict=True):
            self._note(planned, proposal, step)

    def _note(self, planned: Planned, proposal: Proposal, step: Step) -> None:
        judged = self._judged.get(proposal.call)
        rule, reason = (judged.rule, judged.reason) if judged else ("", "")
        self._calls.append(Played(planned.key, planned.tool, step.answer, step.outcome, rule, reason))

    # what the person knows

    def _known(self, card: Approval) -> Knowledge:
        return Knowledge(self._honest_values(), self._all_honest(card), self._episode.tainted)

    def _honest_values(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for planned in self._honest:
            try:
                arguments = json.loads(self._stage.arguments(planned))
            except NotFound:
                continue
            found.update(dict.fromkeys(_texts(arguments)))
        return tuple(found)

    def _all_honest(self, card: Approval) -> bool:
        """Whether every call the card decides is, to the byte, one of the owner's own task."""
        honest = set()
        for planned in self._honest:
            try:
                honest.add((planned.tool, _same(self._stage.arguments(planned))))
            except NotFound:
                continue
        return all(wanted in honest for wanted in self._on_card(card))

    def _on_card(self, card: Approval) -> list[tuple[str, str]]:
        """The calls that the card decides; the whole batch when that cannot be told."""
        asked = [p for p in self._batch if self._is_asked(p) or p.call == card.call]
        decided = asked if len(asked) == card.calls else self._batch
        return [(proposal.tool, _same(proposal.arguments_json)) for proposal in decided]

    def _is_asked(self, proposal: Proposal) -> bool:
        judged = self._judged.get(proposal.call)
        return judged is not None and judged.answer == "ask"


async def _submit(watch: TurnGuard, proposals: Sequence[Proposal]) -> Sequence[Step]:
    submit_all = getattr(watch, "submit_all", None)
    if submit_all is not None and len(proposals) > 1:
        steps: Sequence[Step] = await submit_all(proposals)
        return steps
    return [await watch.submit(proposal) for proposal in proposals]


def _same(arguments_json: str) -> str:
    given = json.loads(arguments_json)
    return json.dumps({k: v for k, v in given.items() if v is not None}, sort_keys=True)


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [] if value is None or isinstance(value, bool) else [str(value)]
