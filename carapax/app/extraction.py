"""Extraction: the present model, in quarantine, reads one value out of a file for the extract tool.

Layer: app. Ties the tool (`adapters/tools/extract`) to the asking (`agent/quarantine`): which model, whether it may see this
file, and whose budget pays. Absent: the value's form and every label of the result (the guard's).
Law: a model that is not cleared for the file's data is not asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from carapax.agent.quarantine import extract
from carapax.core.flow.clearance import uncleared
from carapax.core.flow.scalar import Scalar, Wanted
from carapax.core.terms.action import CanonicalCall
from carapax.core.terms.error import Refused
from carapax.core.terms.ids import SessionId, TurnId
from carapax.core.terms.tables import Tables
from carapax.ports.labels import FileLabels
from carapax.ports.provider import Completion, Provider

Pay = Callable[[SessionId, TurnId, Completion], Awaitable[None]]
"""Counts a completion on its turn. Raises BudgetSpent."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What the extract tool asks with."""

    provider: Callable[[], Provider]
    labels: FileLabels
    tables: Callable[[], Tables]
    pay: Pay

    async def __call__(self, call: CanonicalCall, text: str, question: str, wanted: Wanted) -> Scalar:
        """The value. Raises Refused for data the model is not cleared for, and what the model and `pay` raise."""
        provider = self.provider()
        await self._check_clearance(call, provider)

        async def charge(completion: Completion) -> None:
            await self.pay(call.session, call.turn, completion)

        return await extract(provider, text, question, wanted, charge=charge)

    async def _check_clearance(self, call: CanonicalCall, provider: Provider) -> None:
        label = await self.labels.label([str(call.value("path"))])
        facts = provider.facts()
        model = f"{facts.name}:{facts.model}"
        domain = frozenset({f"domain:{call.manifest.domain}"} if call.manifest.domain else ())
        classes = uncleared(replace(label, classes=label.classes | domain), model, self.tables())
        if classes:
            named = ", ".join(sorted(classes))
            raise Refused(
                f"The file holds confidential data ({named}); the model {model} is not cleared for it.",
                kept="It was not shown to the model.",
            )
