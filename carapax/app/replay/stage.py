"""The stage: a guard with real store and ledger in a folder of its own, and tools that play an episode.

Layer: app. The clock is told: every run starts two days after the last, so that no cap of a day is shared between runs,
and nothing waits. The folder lies in memory where the machine offers that, because thousands of runs are recorded.
Absent: a workspace. Tools of a replay keep their world themselves; one that touches the workspace is refused.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.adapters.store.sql_store import SqlStore
from carapax.app.replay.people import Knowledge, Person, answer_card, settle
from carapax.app.replay.refs import resolve_refs
from carapax.app.replay.world import Episode, Owner, Planned, Returned, World
from carapax.core.policy.document import Policy
from carapax.core.terms.action import Change, Outcome, Receipt, ToolManifest
from carapax.core.terms.approval import Approval
from carapax.core.terms.authority import AuthorizedCall, verify_call
from carapax.core.terms.error import SettingsInvalid, Unavailable
from carapax.core.terms.ids import ApprovalId, CallId
from carapax.guard.monitor import Guard
from carapax.ports.workspace import Mark, Reverted

START_MS = 1_700_035_200_000
"""Eight in the morning, UTC: no run comes near midnight, where caps of a day begin anew."""

RUN_MS = 2 * 86_400_000
CALL_MS = 5_000
_SEED = bytes(range(32))
_KEY = bytes(32)
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory; a fresh closed one is made in it


def own_policy(policy: Policy, owner: Owner) -> Policy:
    """The policy with a world's owner and directory added to its own."""
    tables = policy.tables
    return replace(
        policy,
        tables=replace(
            tables,
            owner_addresses=tables.owner_addresses | owner.addresses,
            org_domains=tables.org_domains | owner.org_domains,
            directory=(*tables.directory, *owner.directory),
        ),
    )


class ToldClock:
    """A clock that moves only when it is told to."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """The told time."""
        return self._now_ms

    def monotonic_ms(self) -> int:
        """The told time."""
        return self._now_ms

    def advance(self, by_ms: int) -> None:
        """Let time pass."""
        self._now_ms += by_ms


class NoWorkspace:
    """A workspace that is not there."""

    root = Path("/nonexistent")

    def _refuse(self) -> NoReturn:
        raise Unavailable("A replay has no workspace.", next_step="Set touches_workspace = false in the set's tools.")

    async def before(self, call: CallId) -> Mark:
        """Refused."""
        self._refuse()

    async def after(self, mark: Mark) -> Sequence[Change]:
        """Refused."""
        self._refuse()

    async def settle(self, mark: Mark) -> None:
        """Refused."""
        self._refuse()

    async def unfinished(self) -> Sequence[tuple[CallId, Sequence[Change]]]:
        """Nothing."""
        return ()

    async def revert(self, changes: Sequence[Change]) -> Reverted:
        """Refused."""
        self._refuse()


class Stage:
    """One guard over one world's tools. `enter` puts an episode and a person on it."""

    def __init__(self, world: World, policy: Policy) -> None:
        policy = own_policy(policy, world.owner())
        self.world = world
        self.clock = ToldClock()
        self.returned: dict[str, Any] = {}
        self.cards: list[Approval] = []
        self.reached = False  # a result of this run carried the injection
        self._manifests = tuple(world.manifests())
        if any(manifest.touches_workspace for manifest in self._manifests):
            raise SettingsInvalid(
                "a tool of this set touches the workspace", next_step="Set touches_workspace = false in its tools.toml."
            )
        self._folder = Path(tempfile.mkdtemp(prefix="carapax-replay-", dir=_MEMORY if _MEMORY.is_dir() else None))
        self._store = SqlStore.open(str(self._folder / "store.db"), self.clock)
        self._ledger = FileLedger.open(self._folder / "ledger", _SEED, "carapax.replay/ledger", self.clock)
        self._episode: Episode | None = None
        self._person = Person.NONE
        self._planned: dict[CallId, Planned] = {}
        self._known: Callable[[Approval], Knowledge] | None = None
        self._asked = 0
        self._runs = 0
        self.guard = self._make_guard(policy)

    def _make_guard(self, policy: Policy) -> Guard:
        return Guard(
            policy=lambda: policy,
            ledger=self._ledger,
            store=self._store,
            approver=self,
            workspace=NoWorkspace(),
            tools=(self,),
            clock=self.clock,
            key=_KEY,
            new_approval=self._new_approval,
        )

    def enter(self, episode: Episode, person: Person, known: Callable[[Approval], Knowledge]) -> None:
        """Start a run: an empty session of its own, on a later day."""
        self._runs += 1
        self.clock.advance(START_MS + self._runs * RUN_MS - self.clock.now_ms())
        self._episode, self._person, self._known = episode, person, known
        self.returned, self.cards, self._planned, self.reached = {}, [], {}, False

    def announce(self, call: CallId, planned: Planned) -> None:
        """Say which planned call the guard will know by this id."""
        self._planned[call] = planned

    def arguments(self, planned: Planned) -> str:
        """The call's arguments as a model would write them. Raises NotFound when they rest on a call that did not run."""
        return json.dumps(resolve_refs(planned.arguments, self.returned), ensure_ascii=False)

    @property
    def store(self) -> SqlStore:
        """Where sessions and turns of the runs stand."""
        return self._store

    async def close(self) -> None:
        """Release and remove everything."""
        await self._store.close()
        await self._ledger.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # the tool port

    def manifests(self) -> Sequence[ToolManifest]:
        """The world's tools."""
        return self._manifests

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        """Play one sealed call."""
        call = verify_call(authorized, _KEY, self.clock.now_ms()).call
        planned, episode = self._planned[call.call], self._episode
        assert episode is not None
        got: Returned = episode.run(planned, json.loads(call.arguments_json))
        self.reached = self.reached or episode.tainted(got.text)
        if not got.failed:
            self.returned[planned.key] = got.content if got.content is not None else got.text
        outcome = Outcome.FAILED if got.failed else Outcome.DONE
        return Receipt(call.call, outcome, got.text, content=got.content)

    # the approver port

    async def ask(self, approval: Approval) -> Approval:
        """Let the run's person answer."""
        self.cards.append(approval)
        assert self._known is not None
        return settle(approval, answer_card(self._person, approval, self._known(approval)), self.clock)

    def _new_approval(self) -> ApprovalId:
        self._asked += 1
        return ApprovalId(f"R{self._asked}")
