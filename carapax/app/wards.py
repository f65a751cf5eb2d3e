"""The wards: what watches over a running gateway, put together. Breaker, hold, canaries, incidents, the stop door.

Layer: app. Two steps, because they stand on both sides of the rest: `open` before the workspace is first looked at, so
that planted files count as nobody's change; `connect` when there are walls, turns and a ledger to act on.
Law: what an earlier gateway held is held before the first turn runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from carapax.app.breaker import Breaker, Reach
from carapax.app.bulletin import Bulletin
from carapax.app.canaries import Canaries, CanaryScanner
from carapax.app.hold import EVERYTHING, Hold
from carapax.app.home import Home
from carapax.app.incident_files import IncidentFiles
from carapax.app.incidents import Incidents, Means
from carapax.app.lookout import Lookout
from carapax.app.stop_door import StopDoor
from carapax.core.breaker.limits import DEFAULT, Limits
from carapax.core.policy.document import Policy
from carapax.core.terms.action import ToolManifest
from carapax.core.terms.error import CarapaxError, SandboxUnavailable
from carapax.core.terms.event import Event
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import Signal
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger
from carapax.ports.scanner import Scanner
from carapax.ports.store import Store
from carapax.ports.vault import Vault

LOG = logging.getLogger("carapax.wards")


class Halts(Protocol):
    """What is halted: the sandbox's half of the port."""

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]: ...
    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]: ...
    def kill(self, session: SessionId | None) -> tuple[CallId, ...]: ...


class Shown(Protocol):
    """What turns do for an incident."""

    def tell(self, session: SessionId | None, event: Event) -> None: ...
    def end(self, session: SessionId | None, text: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Connected:
    """What exists only beside a running gateway."""

    breaker: Breaker
    incidents: Incidents
    door: StopDoor


class Wards:
    """The wards of one gateway."""

    def __init__(self, home: Home, canaries: Canaries, clock: Clock, manifests: Callable[[], Sequence[ToolManifest]]):
        self.hold = Hold(home.stopped)
        self.canaries = canaries
        self.lookout = Lookout(canaries, manifests)
        self._home, self._clock = home, clock
        self._connected: Connected | None = None
        self._store: Store | None = None
        self._labelling: asyncio.Task[None] | None = None

    @classmethod
    def open(
        cls,
        home: Home,
        workspace: Path,
        vault: Vault,
        clock: Clock,
        manifests: Callable[[], Sequence[ToolManifest]],
    ) -> Wards:
        """Plant what is not planted yet. Raises StoreUnavailable."""
        canaries = Canaries(home.canaries, workspace, vault, clock.now_ms)
        for failed in canaries.begin():
            LOG.warning("a canary could not be planted: %s", failed)
        return cls(home, canaries, clock, manifests)

    def scanner(self, inner: Scanner) -> Scanner:
        """The scanner of outgoing text that also knows planted secrets."""
        return CanaryScanner(inner, self.canaries)

    def connect(
        self,
        ledger: Ledger,
        walls: Halts,
        turns: Shown,
        policy: Callable[[], Policy],
        *,
        cut: Callable[[SessionId | None], None] = lambda _: None,
        watch: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        """Make them act, and hold again what was held. In the loop. Raises StoreUnavailable, SandboxUnavailable.

        `watch` is told of canaries that are planted or removed while the gateway runs; it may block.
        """
        files = IncidentFiles(self._home.incidents)
        means = Means(walls.freeze, walls.thaw, walls.kill, turns.end, turns.tell)
        incidents = Incidents(files, self.hold, ledger, self._clock, means, Bulletin())
        breaker = Breaker(
            limits=lambda: _limits(policy),
            reach=Reach(walls.freeze, cut, self._home.jobs),
            hold=self.hold,
            files=files,
            ledger=ledger,
            tell=incidents.tell,
            clock=self._clock,
            how=self.lookout.how,
        )

        def halt() -> int:
            ended = walls.kill(None)
            cut(None)
            return len(ended)

        async def settle() -> tuple[int, bool]:
            ended = turns.end(None, EVERYTHING)
            try:
                await ledger.append("everything.stopped", {"turns": ended})
            except CarapaxError:
                return ended, False
            return ended, True

        incidents.load()
        door = StopDoor(self._home.run, halt, settle)
        try:
            door.open()
        except OSError as error:
            raise SandboxUnavailable(
                f"{self._home.run}/stop.sock cannot be made ({error.strerror}), so `carapax stop --all` would not reach this.",
                next_step="Set CARAPAX_HOME to a folder of your own on a local disk.",
            ) from error
        self.lookout.report_to(breaker.saw)
        if watch is not None:
            self._pass_on(watch)
        self._connected = Connected(breaker, incidents, door)

    async def label_planted(self, store: Store) -> None:
        """Keep the labels of the planted files, or every command that sees them would count as tainted."""
        self._store = store
        await store.join_content_labels(self.canaries.labels())

    async def _label_again(self) -> None:
        if self._store is not None:
            try:
                await self.label_planted(self._store)
            except CarapaxError as error:
                LOG.warning("a new canary could not be labelled: %s", error.what)

    def _pass_on(self, watch: Callable[[Mapping[str, str]], None]) -> None:
        loop = asyncio.get_running_loop()

        def later() -> None:
            loop.run_in_executor(None, lambda: watch(self.canaries.watched()))
            self._labelling = loop.create_task(self._label_again(), name="canary labels")

        # Noticed under the canaries' lock, in whichever thread looks at a text.
        self.canaries.on_change = lambda: _to_loop(loop, later)

    def saw(self, signal: Signal) -> None:
        """Tell the breaker; for parts that are made before it. From any thread."""
        if self._connected is not None:
            self._connected.breaker.saw(signal)

    @property
    def incidents(self) -> Incidents:
        """Raises SandboxUnavailable before `connect`."""
        if self._connected is None:
            raise SandboxUnavailable("The gateway is still starting.", next_step="Try again in a moment.")
        return self._connected.incidents

    async def close(self) -> None:
        """Close the stop door, and wait for what is still being recorded. Before the ledger is closed."""
        if self._connected is not None:
            self._connected.door.close()
            await self._connected.breaker.close()


def _limits(policy: Callable[[], Policy]) -> Limits:
    """The policy's figures; the usual ones without a valid policy, where nothing is allowed anyway."""
    try:
        return policy().breaker
    except CarapaxError:
        return DEFAULT


def _to_loop(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it what would be told
        loop.call_soon_threadsafe(act)
