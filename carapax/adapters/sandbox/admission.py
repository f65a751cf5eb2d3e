"""Admission: the check of the guard's seal that every tier makes before anything starts, and one use per call.

Layer: adapters/sandbox. One Admission may stand before several tiers, so that a call used in one is used in all.
Law: no authority, no start; what was admitted once is never admitted again.
"""

from __future__ import annotations

import threading

from carapax.core.terms.authority import AuthorizedCall, VerifiedCall, verify_call
from carapax.core.terms.error import AuthorityInvalid
from carapax.core.terms.ids import CallId
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Job, Mount

FORGET_AFTER_MS = 86_400_000  # past its deadline, so that a clock set back a little revives nothing
_MANY_USED = 10_000


class Admission:
    """Admits each sealed call once."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._used: dict[CallId, int] = {}
        self._lock = threading.Lock()

    def admit(self, authorized: AuthorizedCall, job: Job) -> VerifiedCall:
        """The verified call, from now on used. Raises AuthorityInvalid."""
        now_ms = self._clock.now_ms()
        verified = verify_call(authorized, self._key, now_ms)
        manifest = verified.call.manifest
        if job.mount is Mount.WRITE and not manifest.touches_workspace:
            raise AuthorityInvalid(f"the tool {manifest.name} does not declare that it changes the workspace")
        if job.way is not None and job.way.call != verified.call.call:
            raise AuthorityInvalid("the way out was opened for another call")
        with self._lock:
            self._use(verified.call.call, authorized.deadline_ms, now_ms)
        return verified

    def _use(self, call: CallId, deadline_ms: int, now_ms: int) -> None:
        if call in self._used:
            raise AuthorityInvalid("the call was already used")
        if len(self._used) >= _MANY_USED:
            self._used = {c: until for c, until in self._used.items() if until + FORGET_AFTER_MS > now_ms}
        self._used[call] = deadline_ms
