"""Probe: boots and restores the machine, tries every way out from inside, and what only a machine can get wrong.

Layer: adapters/sandbox/vm. Owns this tier's own attempts: two copies that draw the same random numbers, a network
device, a change of `.git/hooks` that comes back. The other attempts and the judgement are `selftest`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from carapax.adapters.sandbox.selftest import Online, Tried, try_online, try_walls
from carapax.adapters.sandbox.vm.launch import Plan
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job, Mount, Ran

Start = Callable[[Job, Path], Awaitable[Ran]]
PREFIX = "tier 3: "
GUARDED_OUTSIDE = frozenset(("replace-hook", "new-hook", "git-config", "git-elsewhere", "move-git", "make-socket"))
"""Possible inside, on the copy; `_comes_back` proves that none of it reaches the workspace."""
INSIDE_ITS_OWN = frozenset(("host-user",))
"""The guest has users of its own and no map to the host's; qemu's own user is the launch's matter."""
OWN_ANSWERS = {
    "workspace-daemon": ("ENOENT",),  # a socket file is not copied in
    "kernel-memory": ("EACCES", "EPERM", "ENOENT", "none"),
}
_REPAIR = "Do not run untrusted programs on this machine; update qemu, then run `carapax doctor --walls`."
_DRAW = "od -An -N16 -tx1 /dev/urandom; cat /proc/sys/kernel/random/boot_id"
_DEVICES = "tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/bus/pci/devices | cut -f2"
_HOOK = """
rm -rf .git/hooks; mkdir -p .git/hooks; echo evil > .git/hooks/pre-commit; echo evil > .git/config
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('door')"
mv .git moved; mkdir .git; echo evil > .git/config; echo fine > fine
"""


async def probe_machine(
    plan: Plan, start: Start, forbidden: tuple[Path, ...], online: Online | None = None
) -> Sequence[Check]:
    """What the machine is, one check per attempt, and what is not promised."""
    tried = Tried(
        *(start, plan.bounds, forbidden),
        expected=OWN_ANSWERS,
        without=GUARDED_OUTSIDE | INSIDE_ITS_OWN,
        prefix=PREFIX,
        online=online,
    )
    try:
        own = (await _draws_anew(start), await _has_no_network(start), await _comes_back(start))
    except SandboxUnavailable as error:
        return (_standing(plan), Check(f"{PREFIX}starting a job", Standing.FAILED, error.what, error.next_step))
    return (_standing(plan), *own, *await try_walls(tried), *await try_online(tried), _later())


def _standing(plan: Plan) -> Check:
    found = plan.snapshot
    made = f"{found.qemu}, kernel {found.kernel}, booted in {found.booted_ms / 1000:.1f} s"
    if found.machine.accelerator == "kvm":
        return Check(f"{PREFIX}the machine", Standing.OK, f"{made}, with KVM")
    advice = "It holds as well, but is slower; to use KVM, give the gateway's user /dev/kvm (group `kvm`)."
    return Check(f"{PREFIX}the machine", Standing.WARNING, f"{made}, emulated: KVM cannot be used here", advice)


async def _draws_anew(start: Start) -> Check:
    name = f"{PREFIX}two machines that draw the same random numbers"
    job = Job(("/bin/sh", "-c", _DRAW), mount=Mount.NONE, timeout_ms=60_000)
    with tempfile.TemporaryDirectory(prefix="carapax-canary-") as folder:
        drawn = [(await start(job, Path(folder))).output.split() for _ in range(2)]
    if all(len(words) == 17 for words in drawn) and drawn[0][:16] != drawn[1][:16] and drawn[0][16] != drawn[1][16]:
        return Check(name, Standing.OK, "each drew its own")
    return Check(name, Standing.FAILED, "they were not stirred", _REPAIR)


async def _has_no_network(start: Start) -> Check:
    name = f"{PREFIX}a network device"
    with tempfile.TemporaryDirectory(prefix="carapax-canary-") as folder:
        ran = await start(Job(("/bin/sh", "-c", _DEVICES), mount=Mount.NONE, timeout_ms=60_000), Path(folder))
    words = ran.output.split()
    network = [word for word in words if word.startswith(b"1af4") and word.endswith((b"1000", b"1041"))]
    if words.count(b"lo") and not network and all(word == b"lo" or len(word) == 8 for word in words):
        return Check(name, Standing.OK, "there is none")
    return Check(name, Standing.FAILED, f"found {ran.output[:100]!r}", _REPAIR)


async def _comes_back(start: Start) -> Check:
    name = f"{PREFIX}bringing back a git hook, or a socket"
    with tempfile.TemporaryDirectory(prefix="carapax-canary-") as folder:
        _lay_repository(Path(folder))
        await start(Job(("/bin/sh", "-c", _HOOK), mount=Mount.WRITE, timeout_ms=60_000), Path(folder))
        untouched = _is_untouched(Path(folder))
    if untouched:
        return Check(name, Standing.OK, "none came")
    return Check(name, Standing.FAILED, "it was possible", _REPAIR)


def _lay_repository(folder: Path) -> None:
    hooks = folder / ".git" / "hooks"
    hooks.mkdir(parents=True)
    for path in (hooks / "pre-commit", hooks.parent / "config"):
        path.write_text("ours")


def _is_untouched(folder: Path) -> bool:
    """What is protected is as it was, and yet the job's other file came."""
    kept = [(folder / ".git" / name).read_text() for name in ("hooks/pre-commit", "config")]
    return kept == ["ours", "ours"] and (folder / "fine").exists() and not os.path.lexists(folder / "door")


def _later() -> Check:
    told = (
        "not promised by this tier: faults of qemu and of this machine's kernel together; what the host's /usr holds "
        "is visible inside"
    )
    return Check(f"{PREFIX}what the machine does not stop", Standing.OK, told)
