"""Port: where a tool's code runs. Implementations check the guard's seal before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.check import Check
from carapax.core.terms.egress import Way
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.tier import Provenance


class Mount(StrEnum):
    """How the workspace is seen inside."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Job:
    """One program run: what to execute and its ceilings. The environment is empty but for a fixed few and `variables`."""

    argv: tuple[str, ...]
    stdin: bytes = b""
    mount: Mount = Mount.READ
    timeout_ms: int = 60_000
    output_bytes: int = 64_000  # stdout and stderr together; the rest is read and dropped, then the job is ended
    memory_bytes: int = 1 << 30
    processes: int = 64
    provenance: Provenance = Provenance.AGENT  # who wrote it: decides the tier
    way: Way | None = None  # the only way out; None is no network at all
    library: bool = False  # show the packages Carapax runs with, read-only, to a program of our own
    variables: tuple[tuple[str, str], ...] = ()  # never a secret; placeholders may stand here


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run left. `ended_by` is "" for its own exit, else the limit that ended it: "time", "output", "memory"."""

    exit_code: int | None
    output: bytes  # stdout and stderr interleaved as written
    truncated: bool
    ended_by: str
    duration_ms: int


class Sandbox(Protocol):
    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        """Run one job for one sealed call, once.

        Raises AuthorityInvalid (bad seal, past deadline, used before) and SandboxUnavailable (a wall that cannot
        be built); in both cases nothing was started. Every process of the job is gone when this returns.
        """
        ...

    async def probe(self) -> Sequence[Check]:
        """Really try to get out, in every way this sandbox promises to stop; one check per attempt."""
        ...

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Halt every process of the running jobs of a session (None: of all); returns their calls. Within 5 ms each.

        Callable from any thread, also while the event loop is stuck. A frozen job's time goes on.
        """
        ...

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Let frozen jobs go on."""
        ...

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        """End every process of the running jobs of a session (None: of all), frozen or not. Callable from any thread."""
        ...
