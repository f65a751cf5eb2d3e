"""The hold: which sessions are halted, and the refusals that follow. Everything that acts asks here first.

Layer: app. Asked by turns (a message, each further proposal) and by everything that runs or opens a way out.
Absent: halting processes (ports.sandbox) and why (`incidents`). `run/stopped` is a file, so that a separate process can
write it while this one hangs.
Laws: what is held stays held until a person decides; asking is safe from any thread; a file that cannot be looked at
counts as there.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from carapax.core.terms.error import Conflict, SandboxUnavailable, StoreUnavailable
from carapax.core.terms.ids import SessionId

EVERYTHING = "Everything was stopped here (`carapax stop --all`)."
LIFT = "`carapax resume --all` lets it go on."


@dataclass(slots=True)
class _Held:
    session: SessionId | None
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class Hold:
    """Sessions that are held by an incident, and the stop of everything."""

    def __init__(self, stopped: Path) -> None:
        self._stopped = str(stopped)
        self._lock = threading.Lock()
        self._held: dict[int, _Held] = {}

    def hold(self, number: int, session: SessionId | None) -> None:
        """Hold a session, or all, for this incident."""
        with self._lock:
            self._held.setdefault(number, _Held(session))

    def lift(self, number: int) -> None:
        """Let go of what this incident held. From the loop: turns that wait there go on."""
        with self._lock:
            held = self._held.pop(number, None)
        for future in held.waiting if held is not None else ():
            if not future.done():
                future.set_result(None)

    def find(self, session: SessionId) -> int | None:
        """The incident that holds a session, the newest first; None when nothing does."""
        with self._lock:
            numbers = [number for number, held in self._held.items() if held.session in (None, session)]
        return max(numbers, default=None)

    def sessions(self) -> frozenset[SessionId]:
        """Every session that an incident of its own holds."""
        with self._lock:
            return frozenset(held.session for held in self._held.values() if held.session is not None)

    @property
    def stopped(self) -> bool:
        """Whether everything was stopped on this machine."""
        try:
            os.lstat(self._stopped)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def lift_stop(self) -> None:
        """Let everything go on again. Raises StoreUnavailable."""
        try:
            os.unlink(self._stopped)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreUnavailable(f"{self._stopped} cannot be removed: {error.strerror}.") from error

    def refuse_turn(self, session: SessionId) -> None:
        """Whether a session may take a message. Raises Conflict."""
        if self.stopped:
            raise Conflict(EVERYTHING, kept="Your message was not taken.", next_step=LIFT)
        number = self.find(session)
        if number is not None:
            raise Conflict(
                f"This session is halted (incident {number}).",
                kept="Your message was not taken.",
                next_step=f"Look at it with `carapax incident show {number}`.",
            )

    def refuse_run(self, session: SessionId) -> None:
        """Whether a session may run anything or have a way out. Raises SandboxUnavailable."""
        if self.stopped:
            raise SandboxUnavailable(EVERYTHING, next_step=LIFT)
        number = self.find(session)
        if number is not None:
            raise SandboxUnavailable(
                f"This session is halted (incident {number}).",
                next_step=f"Look at it with `carapax incident show {number}`.",
            )

    async def passed(self, session: SessionId) -> None:
        """Return when nothing holds the session any more; at once when nothing does. Raises Conflict when all is stopped."""
        if self.stopped:
            raise Conflict(EVERYTHING, kept="What was done stands in the ledger.", next_step=LIFT)
        while (number := self.find(session)) is not None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            with self._lock:
                held = self._held.get(number)
                if held is None:
                    continue
                held.waiting.append(future)
            await future
