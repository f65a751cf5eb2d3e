"""Probe: really tries to get out, by the recipe every job runs with, and demands the expected refusal of each try.

Layer: adapters/sandbox/bwrap. Owns the table of attempts, the bait on the host, and the judgement.
Absent: claims about later walls (Landlock, the egress proxy); the last check names them.
Law: an attempt that answers anything but what is expected, or does not answer, is a failed check.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.bwrap.launch import Plan
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job, Ran

Start = Callable[[Job], Awaitable[Ran]]

_CANARY = Path(__file__).with_name("canary.py")
_REPAIR = "Do not run tools on this machine; update bubblewrap, libseccomp and the kernel, then run `carapax doctor`."
_GONE = ("ENOENT", "EACCES")
_NO = ("EPERM",)
_NO_FAMILY = ("EAFNOSUPPORT",)
_READ_ONLY = ("EROFS", "EACCES", "EPERM")
_NONE = ("none",)

EXPECTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "secret": ("reading a secret file of the host", _GONE),
    "home": ("listing Carapax's own folder", _GONE),
    "write-usr": ("writing to the system", ("EROFS",)),
    "write-etc": ("changing the user list", ("EROFS",)),
    "write-root": ("writing beside the system", ("EROFS",)),
    "write-dev": ("filling the device folder", ("EROFS",)),
    "write-workspace": ("writing a workspace shown for reading", ("EROFS",)),
    "tmp-size": ("a temporary folder without a ceiling", _NONE),
    "shm-size": ("shared memory without a ceiling", _NONE),
    "init-environ": ("reading the first process's environment", ("EACCES",)),
    "init-mem": ("reading the first process's memory", ("EACCES",)),
    "core-pattern": ("changing where crashes are sent", _READ_ONLY),
    "sysrq": ("sending a command to the kernel", (*_READ_ONLY, "ENOENT")),
    "processes": ("seeing processes of the host", _NONE),
    "capabilities": ("holding a privilege", _NONE),
    "environment": ("finding the gateway's environment", _NONE),
    "descriptors": ("finding an open file of the gateway", _NONE),
    "loopback": ("reaching a service of this machine", ("ECONNREFUSED",)),
    "route": ("a route to the network", ("ENETUNREACH",)),
    "route-6": ("a route to the IPv6 network", ("ENETUNREACH",)),
    "dns": ("looking up a name", ("EAI",)),
    "abstract": ("reaching an abstract socket of the host", ("ECONNREFUSED",)),
    "daemon": ("reaching a service's socket file", _GONE),
    "raw": ("a raw socket", _NO),
    "packet": ("a packet socket", _NO_FAMILY),
    "vsock": ("a socket to the machine's host", _NO_FAMILY),
    "netlink": ("a socket to the kernel", _NO_FAMILY),
    "io-uring": ("a queue of system calls", _NO),
    "ptrace": ("taking over another process", _NO),
    "read-memory": ("reading another process's memory", _NO),
    "user-namespace": ("a user namespace of its own", _NO),
    "clone-namespace": ("a child in a namespace of its own", _NO),
    "clone3": ("the newer way to such a child", ("ENOSYS",)),
    "net-namespace": ("a network namespace of its own", _NO),
    "join-namespace": ("joining another namespace", _NO),
    "mount": ("mounting", _NO),
    "fsopen": ("the newer way of mounting", _NO),
    "device-file": ("making a device file", _NO),
    "devices": ("finding a device of the host", _NONE),
    "set-user-id": ("leaving a program that runs as its owner", _NO),
    "terminal": ("typing into a terminal", _NO),
    "keys": ("keeping a key in the kernel", _NO),
    "bpf": ("loading a kernel program", _NO),
    "perf": ("watching the processor", _NO),
    "userfaultfd": ("handling page faults", _NO),
    "memory-file": ("a program file in memory", _NO),
    "handles": ("opening a file by its handle", _NO),
    "steal-descriptor": ("taking an open file from a process", _NO),
    "personality": ("switching off address randomisation", _NO),
    "kernel-image": ("replacing the kernel", _NO),
    "host-name": ("renaming the machine", _NO),
}

LATER = (
    "not promised by this tier: running programs from /tmp, changing .git/hooks in a writable workspace, "
    "a socket file lying in the workspace, faults of the kernel itself"
)


@dataclass(frozen=True, slots=True)
class _Bomb:
    """A job that must be stopped by one limit."""

    name: str
    job: Job
    stopped: Callable[[Ran], bool]


_FORKS = """
import os, sys, time
made = 0
for _ in range(200):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        time.sleep(30)
        os._exit(0)
    made += 1
print(made, flush=True)
os._exit(0)
"""


def _bombs() -> tuple[_Bomb, ...]:
    python = (interpreter_program(), "-I", "-S", "-c")
    return (
        _Bomb(
            "taking more memory than allowed",
            Job((*python, "print(len(bytearray(256 << 20)))"), memory_bytes=48 << 20, timeout_ms=5_000),
            lambda ran: ran.exit_code != 0,
        ),
        _Bomb(
            "starting more processes than allowed",
            Job((*python, _FORKS), processes=16, timeout_ms=5_000),
            lambda ran: ran.output.strip().isdigit() and int(ran.output) <= 16,
        ),
        _Bomb(
            "running longer than allowed",
            Job(("/bin/sh", "-c", "sleep 60 & sleep 60"), timeout_ms=200),
            lambda ran: ran.ended_by == "time",
        ),
        _Bomb(
            "writing more output than allowed",
            Job(("/bin/sh", "-c", "while :; do echo overflow; done"), output_bytes=4_096, timeout_ms=5_000),
            lambda ran: ran.ended_by == "output" and len(ran.output) == 4_096,
        ),
    )


async def probe_walls(plan: Plan, forbidden: tuple[Path, ...], start: Start) -> Sequence[Check]:
    """Run the canary and the bombs; one check per attempt, and first of all what the walls are made of."""
    with _bait(plan, forbidden) as bait:
        canary = _try_canary(bait, start)
        checks = await asyncio.gather(canary, *(_try_bomb(bomb, start) for bomb in _bombs()))
    return (*_standing(plan), *(check for found in checks for check in found), _later())


def interpreter_program() -> str:
    """The running interpreter's own file, which the recipe shows inside."""
    return str(Path(sys.executable).resolve())


def _standing(plan: Plan) -> tuple[Check, ...]:
    made = f"{plan.walls.version}, system call filter, {plan.walls.ceilings}"
    if plan.walls.tree is None:
        advice = "For one ceiling over all processes of a job, run Carapax under systemd with `Delegate=yes`."
        return (Check("the sandbox", Standing.WARNING, made, advice),)
    if os.geteuid() == 0:
        advice = "Run Carapax as an ordinary user: what breaks out of a wall then gains less."
        return (Check("the sandbox", Standing.WARNING, f"{made}; the gateway runs as root", advice),)
    return (Check("the sandbox", Standing.OK, made),)


def _later() -> Check:
    return Check("what the sandbox does not stop", Standing.OK, LATER)


async def _try_canary(bait: dict[str, str], start: Start) -> tuple[Check, ...]:
    began = time.monotonic()
    words = (f"{name}={value}" for name, value in bait.items())
    job = Job((interpreter_program(), "-I", "-S", "-c", _CANARY.read_text(), *words), timeout_ms=10_000)
    try:
        ran = await start(job)
    except SandboxUnavailable as error:
        return (Check("starting a job", Standing.FAILED, error.what, error.next_step),)
    took_ms = int((time.monotonic() - began) * 1000)
    met = dict(line.split("\t", 1) for line in ran.output.decode("utf-8", "replace").splitlines() if "\t" in line)
    return tuple(judge(name, met.get(name), took_ms) for name in EXPECTED)


def judge(name: str, met: str | None, took_ms: int = 0) -> Check:
    """The check of one attempt from what it met: anything but the expected refusal fails."""
    words, expected = EXPECTED[name]
    if met in expected:
        return Check(words, Standing.OK, "refused" if met == "none" else f"refused ({met})", duration_ms=took_ms)
    found = "no answer" if met is None else "it was possible" if met == "open" else f"an unexpected answer ({met})"
    return Check(words, Standing.FAILED, found, _REPAIR, took_ms)


async def _try_bomb(bomb: _Bomb, start: Start) -> tuple[Check, ...]:
    try:
        ran = await start(bomb.job)
    except SandboxUnavailable as error:
        return (Check(bomb.name, Standing.FAILED, error.what, error.next_step),)
    if bomb.stopped(ran):
        return (Check(bomb.name, Standing.OK, "stopped", duration_ms=ran.duration_ms),)
    return (Check(bomb.name, Standing.FAILED, "it was not stopped", _REPAIR, ran.duration_ms),)


@contextmanager
def _bait(plan: Plan, forbidden: tuple[Path, ...]) -> Iterator[dict[str, str]]:
    """Things on the host that must not be reachable: each is really there, so a refusal means something."""
    abstract = f"carapax-canary-{secrets.token_hex(8)}"
    with (
        tempfile.TemporaryDirectory(prefix="carapax-canary-") as folder,
        socket.create_server(("127.0.0.1", 0)) as loopback,
        _listening("\0" + abstract),
        _listening(f"{folder}/daemon"),
    ):
        secret = Path(folder, "secret")
        secret.write_text("canary")
        with _left_open(secret):
            yield {
                "secret": str(secret),
                "home": str(forbidden[0]) if forbidden else folder,
                "port": str(loopback.getsockname()[1]),
                "abstract": abstract,
                "daemon": f"{folder}/daemon",
                "tmp": str(plan.bounds.tmp_bytes),
                "shm": str(plan.bounds.shm_bytes),
            }


@contextmanager
def _listening(address: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()
        yield


@contextmanager
def _left_open(path: Path) -> Iterator[None]:
    """A file that a child would inherit, were it not for the launch."""
    descriptor = os.open(path, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        yield
    finally:
        os.close(descriptor)
