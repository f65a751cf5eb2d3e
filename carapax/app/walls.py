"""Walls proven before use: no tool runs until this machine's sandbox has refused every attempt to get out.

Layer: app; wraps a ports.sandbox.Sandbox. A sandbox that was configured but never applied is the field's commonest
failure, so the attempts are really made at every start. Law: a failed or unfinished proof means nothing runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.sandbox import Job, Ran, Sandbox


class ProvenSandbox:
    """Implements Sandbox. The proof starts with `prove`, or with the first run."""

    def __init__(self, inner: Sandbox, refuse: Callable[[SessionId], None] | None = None) -> None:
        self._inner = inner
        self._refuse = refuse  # raises SandboxUnavailable while the session, or everything, is halted
        self._proof: asyncio.Task[Sequence[Check]] | None = None

    def prove(self) -> asyncio.Task[Sequence[Check]]:
        """Start the attempts once; the same task for everybody."""
        if self._proof is None:
            self._proof = asyncio.create_task(self._attempt(), name="walls")
        return self._proof

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        checks = await asyncio.shield(self.prove())
        failed = next((check for check in checks if check.standing is Standing.FAILED), None)
        if failed is not None:
            self._proof = None  # tried anew at the next call: the owner may have mended it
            raise SandboxUnavailable(
                f"A wall does not hold: {failed.name}: {failed.found}.", next_step=failed.next_step
            )
        if self._refuse is not None:
            self._refuse(authorized.call.session)
        return await self._inner.run(authorized, job)

    async def probe(self) -> Sequence[Check]:
        return await self._inner.probe()

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._inner.freeze(session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._inner.thaw(session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._inner.kill(session)

    async def _attempt(self) -> Sequence[Check]:
        try:
            return await self._inner.probe()
        except SandboxUnavailable as error:
            return (Check("sandbox", Standing.FAILED, error.what, error.next_step),)
