"""Probe: the strong tier's self-test, by the bundle every job runs with, and what its walls are made of.

Layer: adapters/sandbox/gvisor. Owns the answers that differ from the default tier's: an attempt on the kernel meets
the job's own kernel, which answers in its own words or serves it without any effect outside.
Law: whatever is left out of the attempts is named in the last check.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from carapax.adapters.sandbox.gvisor.box import Plan
from carapax.adapters.sandbox.relay.build import build_relay
from carapax.adapters.sandbox.selftest import Online, Tried, try_online, try_walls
from carapax.core.terms.check import Check, Standing
from carapax.ports.sandbox import Job, Mount, Ran

Start = Callable[[Job, Path], Awaitable[Ran]]

_REFUSED = ("EPERM", "ENOSYS")
EXPECTED: dict[str, tuple[str, ...]] = {
    "core-pattern": ("ENOENT", "EROFS", "EACCES", "EPERM"),
    "route": ("ENETUNREACH", "EHOSTUNREACH"),
    "route-6": ("ENETUNREACH", "EHOSTUNREACH", "EAFNOSUPPORT"),
    "packet": ("EPERM", "EAFNOSUPPORT"),
    "vsock": ("EPERM", "EAFNOSUPPORT"),
    "netlink": ("EPERM", "EAFNOSUPPORT"),
    "workspace-daemon": ("ECONNREFUSED", "EACCES", "EPERM"),
    **dict.fromkeys(("clone3", "io-uring", "fsopen", "bpf", "perf", "userfaultfd", "kernel-image"), _REFUSED),
    **dict.fromkeys(("read-memory", "steal-descriptor", "handles", "keys", "join-namespace"), _REFUSED),
}
WITHOUT = frozenset(
    (
        "init-environ",  # the first process is the job itself
        "init-mem",
        "host-user",  # the kernel inside maps its own users
        "devices",  # those of the kernel inside; the host's are tried by name
        "make-socket",  # stands in the kernel inside, not in the folder
        "git-elsewhere",
    )
)
NOT_STOPPED = (
    "not promised by this tier: pointing git to other hooks in a writable workspace, a host's socket file lying in "
    "the workspace of a job that has a way out, faults of the kernel in user space that hold against its own filter too"
)


_FILLED = "; files in /dev, which count as the job's memory"


async def probe_walls(
    plan: Plan, forbidden: tuple[Path, ...], start: Start, online: Online | None = None
) -> Sequence[Check]:
    """What the walls are made of, one check per attempt, and what is not promised."""
    tried = Tried(start, plan.bounds, forbidden, expected=EXPECTED, without=_without(plan), online=online)
    tests = (*await try_walls(tried), *await try_online(tried))
    return (_standing(plan), _relay(plan), await _listing(start), *tests, _left(plan))


def _without(plan: Plan) -> frozenset[str]:
    # Under an ordinary user the job is 0 in its own kernel, and that one's device folder belongs to 0.
    return WITHOUT | {"write-dev"} if plan.runtime.ordinary else WITHOUT


def _standing(plan: Plan) -> Check:
    made = f"{plan.runtime.version}, its own system call filter, control groups, version {plan.runtime.tree.version}"
    if not plan.runtime.ordinary:
        advice = "Run Carapax as an ordinary user: what breaks out of a wall then gains less."
        return Check("the sandbox", Standing.WARNING, f"{made}; the gateway runs as root", advice)
    return Check("the sandbox", Standing.OK, made)


def _relay(plan: Plan) -> Check:
    if not plan.runtime.way_options:
        return Check(
            "a way out of the sandbox",
            Standing.WARNING,
            "this version of gVisor cannot reach the proxy's socket, so a job that needs the network is refused",
            "Install a newer gVisor (release on gvisor.dev).",
        )
    made = "a relay in C" if build_relay() is not None else "a relay in Python, since no compiler is here"
    return Check("a way out of the sandbox", Standing.OK, made)


async def _listing(start: Start) -> Check:
    """Whether `ls` works: gVisor of before 2023 refuses a flag that newer coreutils give."""
    ran = await start(Job(("ls", "/"), mount=Mount.NONE, timeout_ms=20_000), Path("/"))
    if ran.exit_code == 0:
        return Check("ls works inside", Standing.OK, "it does", duration_ms=ran.duration_ms)
    return Check(
        "ls works inside",
        Standing.WARNING,
        "it does not: this version of gVisor does not know how newer programs ask about files",
        "Install a newer gVisor (release on gvisor.dev, into /usr/local/bin).",
    )


def _left(plan: Plan) -> Check:
    filled = _FILLED if plan.runtime.ordinary else ""
    return Check("what the sandbox does not stop", Standing.OK, NOT_STOPPED + filled)
