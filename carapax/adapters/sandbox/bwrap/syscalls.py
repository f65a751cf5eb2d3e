"""System calls that no job may make, with the answer each gets. A table; `filter` turns it into a program.

Layer: adapters/sandbox/bwrap. Owns the refusals. Everything not named here is allowed.
Absent: executing from memory that a job may write (a Landlock matter), per-address rules for unix sockets.
Why not just namespaces: AF_VSOCK, io_uring, keyrings and netlink are not fenced by them.
Source: seccomp(2), libseccomp's argument comparisons; numbers from 424 up are the same on every machine.
"""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass
from enum import IntEnum


class Compare(IntEnum):
    """libseccomp's `enum scmp_compare`."""

    NE = 1
    EQ = 4
    GE = 5
    MASKED_EQ = 7


@dataclass(frozen=True, slots=True)
class Arg:
    """One comparison of one argument. For MASKED_EQ: `argument & first == second`."""

    index: int
    compare: Compare
    first: int
    second: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call, when its arguments match, answers with this errno."""

    name: str
    errno: int = errno.EPERM
    when: tuple[Arg, ...] = ()
    number: int | None = None  # for calls newer than the library may know


def _bit(index: int, bit: int) -> Arg:
    return Arg(index, Compare.MASKED_EQ, bit, bit)


_NEVER = (
    # mounts
    *("mount", "umount2", "pivot_root", "chroot", "swapon", "swapoff", "quotactl"),
    # namespaces, and reaching into other processes
    *("unshare", "setns", "ptrace", "process_vm_readv", "process_vm_writev", "kcmp"),
    # keys and kernel machinery
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "fanotify_init", "lookup_dcookie"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "nfsservctl"),
    *("create_module", "get_kernel_syms", "query_module", "uselib", "_sysctl", "sysfs", "ustat"),
    *("syslog", "acct", "reboot", "vhangup", "iopl", "ioperm", "modify_ldt", "vm86", "vm86old"),
    *("sethostname", "setdomainname", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime"),
    *("move_pages", "migrate_pages", "mbind", "set_mempolicy"),
    # files without paths
    *("name_to_handle_at", "open_by_handle_at", "memfd_create"),
)
_NEVER_NEW = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "memfd_secret": 447,
    "statmount": 457,
    "listmount": 458,
    "open_tree_attr": 467,
}
# The C library falls back to the older call, whose arguments a filter can see, when it is told ENOSYS.
_FALL_BACK = {"clone3": 435, "openat2": 437, "fchmodat2": 452}

_NEW_NAMESPACE = (0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000)
_AF_UNSPEC, _AF_FIRST, _AF_LAST, _AF_INET6 = 0, 3, 9, 10  # 1 unix, 2 inet and 10 inet6 stay
_O_CREAT, _O_TMPFILE = 0o100, 0o20000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_LOW_32 = 0xFFFF_FFFF


def _namespaces() -> list[Refusal]:
    return [Refusal("clone", when=(_bit(0, flag),)) for flag in _NEW_NAMESPACE]


def _families() -> list[Refusal]:
    # Upper bits of the register are ignored by the kernel but not by a 64-bit comparison: GE refuses them all.
    low = [Arg(0, Compare.EQ, family) for family in (_AF_UNSPEC, *range(_AF_FIRST, _AF_LAST + 1))]
    return [
        Refusal(name, errno.EAFNOSUPPORT, (arg,))
        for name in ("socket", "socketpair")
        for arg in (*low, Arg(0, Compare.GE, _AF_INET6 + 1))
    ]


def _terminal() -> list[Refusal]:
    # The kernel reads 32 bits of the request; comparing all 64 would let a high bit through.
    return [Refusal("ioctl", when=(Arg(1, Compare.MASKED_EQ, _LOW_32, request),)) for request in (_TIOCSTI, _TIOCLINUX)]


def _devices() -> list[Refusal]:
    kinds = (stat.S_IFCHR, stat.S_IFBLK)
    modes = {"mknod": 1, "mknodat": 2}
    return [
        Refusal(name, when=(Arg(index, Compare.MASKED_EQ, 0o170000, kind),))
        for name, index in modes.items()
        for kind in kinds
    ]


def _set_id_files() -> list[Refusal]:
    # A set-user-id file left in the workspace would run with the gateway's user on the host.
    found: list[Refusal] = []
    for bit in (stat.S_ISUID, stat.S_ISGID):
        for name, index in {"chmod": 1, "fchmod": 1, "fchmodat": 2, "creat": 1, "mknod": 1, "mknodat": 2}.items():
            found.append(Refusal(name, when=(_bit(index, bit),)))
        for name, flags in {"open": 1, "openat": 2}.items():
            for making in (_O_CREAT, _O_TMPFILE):
                found.append(Refusal(name, when=(_bit(flags, making), _bit(flags + 1, bit))))
    return found


def refusals() -> tuple[Refusal, ...]:
    """The whole table, in a fixed order."""
    return (
        *(Refusal(name) for name in _NEVER),
        *(Refusal(name, number=number) for name, number in _NEVER_NEW.items()),
        *(Refusal(name, errno.ENOSYS, number=number) for name, number in _FALL_BACK.items()),
        *_namespaces(),
        *_families(),
        *_terminal(),
        *_devices(),
        *_set_id_files(),
        Refusal("personality", when=(Arg(0, Compare.NE, 0),)),
    )
