"""Calls: the default tier's table of refused system calls, in the words that gVisor's own filter reads.

Layer: adapters/sandbox/gvisor. Why here too: the kernel inside is the job's own, but a set-user-id file that it leaves
in the workspace is the host's, and what a job cannot call in that kernel it cannot attack in it.
Left out: `clone3`, which some versions would refuse with EPERM, and then no thread could be made.
Source: OCI runtime specification, config-linux.md, "Seccomp".
"""

from __future__ import annotations

import functools

from carapax.adapters.sandbox.bwrap.syscalls import Arg, Compare, Refusal, refusals

_LEFT_OUT = frozenset(("clone3",))
_WORDS = {
    Compare.NE: "SCMP_CMP_NE",
    Compare.EQ: "SCMP_CMP_EQ",
    Compare.GE: "SCMP_CMP_GE",
    Compare.MASKED_EQ: "SCMP_CMP_MASKED_EQ",
}


@functools.cache
def refused_calls() -> dict[str, object]:
    """The `linux.seccomp` object of a bundle."""
    rows = [_row(refusal) for refusal in refusals() if refusal.name not in _LEFT_OUT]
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [], "syscalls": rows}


def _row(refusal: Refusal) -> dict[str, object]:
    return {
        "names": [refusal.name],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": refusal.errno,
        "args": [_argument(arg) for arg in refusal.when],
    }


def _argument(arg: Arg) -> dict[str, object]:
    return {"index": arg.index, "value": arg.first, "valueTwo": arg.second, "op": _WORDS[arg.compare]}
