"""Turns over fakes of every port but the workspace's absence: for tests of admission, order, budgets and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from carapax.adapters.engine.embedded.adapter import EmbeddedEngine
from carapax.app.canaries import Canaries
from carapax.app.desk import Desk
from carapax.app.hold import Hold
from carapax.app.lookout import Lookout
from carapax.app.meter import Meter
from carapax.app.run_turn import Means
from carapax.app.turns import Turns
from carapax.core.channel.queue import QueueMode
from carapax.core.policy.document import Policy
from carapax.core.terms.conversation import Inbound, Turn
from carapax.core.terms.event import Event, TurnEnded
from carapax.core.terms.ids import ApprovalId, PrincipalId, SessionId
from carapax.core.terms.label import OWNER, Readers
from carapax.core.terms.limit import Budget, Budgets
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.guard.monitor import Guard
from tests.fakes.provider import ScriptedProvider
from tests.unit.guard.rig import KEY, Rig

NOWHERE = Path("/nowhere")  # no file lies there: nothing is stopped, nothing planted
ME = Principal(OWNER, Role.OWNER, frozenset(Scope), "test")


class RealClock:
    """Monotonic time of the loop, told wall time."""

    def now_ms(self) -> int:
        return 1_800_000_000_000

    def monotonic_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


class Stage:
    """`turns` with a scripted model. The rig's tool and ledger are fakes that note what passes."""

    def __init__(self, *answers: object) -> None:
        self.rig = Rig()
        self.clock = RealClock()
        self.store, self.ledger = self.rig.store, self.rig.ledger
        self.provider = ScriptedProvider(*answers)  # type: ignore[arg-type]
        self.desk = Desk(self.store, self.clock)
        self.policy: Callable[[], Policy] = self.rig.policy
        guard = Guard(
            policy=lambda: self.policy(),
            ledger=self.ledger,
            store=self.store,
            approver=self.desk,
            workspace=self.rig.workspace,
            tools=(self.rig.tool,),
            clock=self.rig.clock,
            key=KEY,
            new_approval=lambda: ApprovalId(f"K{len(self.rig.events):02}{id(object()) % 97:02}"),
        )
        self.meter = Meter(self.store, self.clock)
        self.hold = Hold(NOWHERE / "stopped")
        self.lookout = Lookout(Canaries(NOWHERE / "canaries.json", NOWHERE, None, lambda: 0), guard.manifests)
        self.engine = EmbeddedEngine(self.store, self.clock)
        self.mode = QueueMode.FOLLOW_UP
        self.stranger = False  # somebody else asks, who may read nothing of the owner's
        self.who: list[Readers] = [Readers(names=frozenset({OWNER}))]
        self.means = Means(
            self.store,
            guard,
            self.meter,
            self.clock,
            lambda: self.provider,
            self.hold,
            self.lookout,
            self.ledger.append,
        )
        self.turns = self.begin()
        self._launched = False

    def begin(self) -> Turns:
        """Turns over the stage's ports, as a process makes them that was just started."""

        async def audience(turn: Turn) -> list[Readers]:
            return self.who

        async def mode(session: SessionId) -> QueueMode:
            return self.mode

        return Turns(
            self.means,
            ledger=self.ledger,
            desk=self.desk,
            engine=self.engine,
            who=lambda turn: ME,
            audience=audience,
            mode=mode,
        )

    def limit(self, *, turn: Budget | None = None, session: Budget | None = None, day: Budget | None = None) -> None:
        """Put these budgets in force."""
        open_ = Budget()
        tight = replace(self.rig.policy(), budgets=Budgets(turn or open_, session or open_, day or open_))
        self.policy = lambda: tight

    async def submit(self, text: str = "hello", **fields: object) -> AsyncIterator[Event]:
        if not self._launched:
            self._launched = True
            await self.engine.launch()
        who = replace(ME, id=PrincipalId("anna")) if self.stranger else ME
        return await self.turns.submit(who, Inbound(text, "test", conversation="c", **fields))  # type: ignore[arg-type]

    async def turn(self, text: str = "hello", **fields: object) -> list[Event]:
        """A whole turn, within 20 s."""
        async with asyncio.timeout(20):
            return [event async for event in await self.submit(text, **fields)]


def ended(events: list[Event]) -> TurnEnded:
    last = events[-1]
    assert isinstance(last, TurnEnded)
    return last
