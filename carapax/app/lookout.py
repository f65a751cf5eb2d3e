"""The lookout: what a turn's events say to the breaker, and where a planted secret came from and was going.

Layer: app; one per gateway, called from the loop. Turns events of the guard into signals; decides nothing.
Reading a planted secret is counted; handing one to anything that leads out is a use, whatever the guard answers.
Law: a signal carries names of canaries, tools and rules, never text of the model and never a value.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from carapax.app.canaries import Canaries
from carapax.core.breaker.counters import Trip
from carapax.core.terms.action import ArgRole, Effect, Outcome, Proposal, ToolManifest
from carapax.core.terms.event import Event, StepDone, StepJudged
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import Signal, SignalKind

MAX_CALLS = 4_096
"""Calls whose tool and entry are remembered for an incident's account."""

MAX_DEPTH = 20
_OUT = frozenset({Effect.FETCH, Effect.COMMUNICATE, Effect.PUBLISH, Effect.ACCESS, Effect.MONEY, Effect.CREDENTIAL})
_MESSAGE = frozenset({Effect.COMMUNICATE, Effect.PUBLISH})


class Lookout:
    """Watches every turn."""

    def __init__(self, canaries: Canaries, manifests: Callable[[], Sequence[ToolManifest]]) -> None:
        self._canaries = canaries
        self._manifests = manifests
        self._effects: dict[str, ToolManifest] = {}
        self._saw: Callable[[Signal], None] = lambda _: None
        self._calls: OrderedDict[CallId, tuple[str, int]] = OrderedDict()
        self._carrying: OrderedDict[CallId, str] = OrderedDict()
        self._read: OrderedDict[SessionId, tuple[str, CallId]] = OrderedDict()

    def report_to(self, saw: Callable[[Signal], None]) -> None:
        """Whom it tells. Before, it only remembers."""
        self._saw = saw

    def wished(self, proposals: Sequence[Proposal]) -> None:
        """Look at what a completion wants, before the guard answers."""
        for proposal in proposals:
            manifest = self._manifest(proposal.tool)
            if manifest is None or not (manifest.effect in _OUT or manifest.online):
                continue
            names = self._carried(proposal.arguments_json, manifest)
            if names:
                _keep(self._carrying, proposal.call, names[0])

    def judged(self, session: SessionId, event: Event) -> None:
        """Count what the guard answered and what was done."""
        if isinstance(event, StepJudged):
            _keep(self._calls, event.call, (event.tool, int(event.entry)))
            carried = self._carrying.pop(event.call, "")
            if carried:
                self._tell(SignalKind.CANARY_USED, session, event.call, f"{carried} -> {event.tool}")
            elif event.answer == "deny":
                self._tell(SignalKind.DENIED, session, event.call, event.rule)
        elif isinstance(event, StepDone):
            manifest = self._manifest(event.tool)
            if manifest is not None and event.outcome == Outcome.DONE.value:
                if manifest.effect in _MESSAGE:
                    self._tell(SignalKind.MESSAGE, session, event.call, event.tool)
                elif manifest.effect is Effect.READ:
                    self._tell(SignalKind.FILE, session, event.call, event.tool)

    def shown(self, session: SessionId, call: CallId, text: str) -> None:
        """Look at a result before the model sees it."""
        for name in self._canaries.find(text):
            _keep(self._read, session, (name, call))
            self._tell(SignalKind.CANARY_READ, session, call, name)

    def spent(self, session: SessionId, usd_micro: int) -> None:
        if usd_micro > 0:
            self._saw(Signal(SignalKind.SPENT, session, None, usd_micro))

    def how(self, trip: Trip) -> str:
        """Through what it came to a trip, in words a person can check in the ledger."""
        said = [f"{self._named(trip.call)} did it"] if trip.call is not None else []
        if trip.session is not None and (read := self._read.get(trip.session)) is not None:
            said.append(f"{self._named(read[1])} had read the canary {read[0]}")
        return "; ".join(said)

    def _named(self, call: CallId) -> str:
        tool, entry = self._calls.get(call, ("a call", -1))
        return f"{tool} (#{entry})" if entry >= 0 else f"{tool} ({call})"

    def _tell(self, kind: SignalKind, session: SessionId, call: CallId, detail: str) -> None:
        self._saw(Signal(kind, session, call, 1, detail))

    def _manifest(self, tool: str) -> ToolManifest | None:
        if not self._effects:
            self._effects = {manifest.name: manifest for manifest in self._manifests()}
        return self._effects.get(tool)

    def _carried(self, arguments_json: str, manifest: ToolManifest) -> tuple[str, ...]:
        try:
            given: Any = json.loads(arguments_json)
        except (ValueError, RecursionError):
            given = None
        found = self._canaries.find("\n".join([arguments_json, *_texts(given)]))
        if found or not isinstance(given, dict):
            return found
        handles = self._canaries.handles()
        secret = (given.get(spec.name) for spec in manifest.args if spec.role is ArgRole.SECRET)
        return tuple(f"vault/{value}" for value in secret if isinstance(value, str) and value in handles)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < MAX_DEPTH and isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each, depth + 1)


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MAX_CALLS:
        kept.popitem(last=False)
