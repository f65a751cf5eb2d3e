"""The system call filter, run by a small reader of its own program: each row of the table, and its near misses."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

import pytest

from carapax.adapters.sandbox.bwrap import filter as filter_module
from carapax.adapters.sandbox.bwrap.filter import filter_program
from carapax.adapters.sandbox.bwrap.syscalls import Compare, Refusal, refusals
from carapax.core.terms.error import SandboxUnavailable

X86_64, AARCH64, I386 = 0xC000_003E, 0xC000_00B7, 0x4000_0003
HERE = {"x86_64": X86_64, "aarch64": AARCH64}[platform.machine()]
ALLOW, ERRNO, KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000


def answer(program: bytes, number: int, *words: int, architecture: int = HERE) -> int:
    """What the filter answers: load, compare, jump and return are all it is made of."""
    seen = struct.pack("<IIQ6Q", number & 0xFFFF_FFFF, architecture, 0, *[*words, *[0] * (6 - len(words))])
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at = value = 0
    while True:
        operation, when_true, when_false, k = code[at]
        at += 1
        match operation:
            case 0x20:
                (value,) = struct.unpack_from("<I", seen, k)
            case 0x54:
                value &= k
            case 0x05:
                at += k
            case 0x15:
                at += when_true if value == k else when_false
            case 0x25:
                at += when_true if value > k else when_false
            case 0x35:
                at += when_true if value >= k else when_false
            case 0x06:
                return k
            case _:
                raise AssertionError(f"an operation this reader does not know: {operation:#x}")


def number(name: str, known: int | None = None) -> int:
    library = ctypes.CDLL("libseccomp.so.2")
    found: int = library.seccomp_syscall_resolve_name(name.encode())
    return known if found == -1 and known is not None else found


def matching(refusal: Refusal) -> list[int]:
    """Arguments that this row refuses."""
    words = [0] * 6
    for arg in refusal.when:
        match arg.compare:
            case Compare.EQ | Compare.GE:
                words[arg.index] = arg.first
            case Compare.MASKED_EQ:
                words[arg.index] |= arg.second
            case Compare.NE:
                words[arg.index] = arg.first + 1
    return words


def test_every_row_of_the_table_is_refused_as_it_says() -> None:
    program, tried = filter_program(), 0
    for refusal in refusals():
        if (call := number(refusal.name, refusal.number)) >= 0:
            assert answer(program, call, *matching(refusal)) == ERRNO | refusal.errno, refusal
            tried += 1
    assert tried > 120


# What is promised, written out a second time: a row taken from the table is missed here.
PROMISED = """
mount umount2 pivot_root chroot swapon swapoff quotactl unshare setns ptrace process_vm_readv process_vm_writev kcmp
keyctl add_key request_key bpf perf_event_open userfaultfd fanotify_init lookup_dcookie kexec_load kexec_file_load
init_module finit_module delete_module nfsservctl syslog acct reboot vhangup iopl ioperm modify_ldt
sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex move_pages migrate_pages mbind
set_mempolicy name_to_handle_at open_by_handle_at memfd_create
"""
PROMISED_NEW = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "process_madvise": 440,
    "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "statmount": 457, "listmount": 458,
    "open_tree_attr": 467,
}  # fmt: skip
ABSENT = {"clone3": 435, "openat2": 437, "fchmodat2": 452}


@pytest.mark.parametrize("name", PROMISED.split())
def test_a_promised_refusal_is_kept(name: str) -> None:
    if (call := number(name)) >= 0:
        assert answer(filter_program(), call) == ERRNO | errno.EPERM


@pytest.mark.parametrize("name", [*PROMISED_NEW, *ABSENT])
def test_a_promised_refusal_of_a_newer_call_is_kept(name: str) -> None:
    expected = errno.ENOSYS if name in ABSENT else errno.EPERM
    assert answer(filter_program(), {**PROMISED_NEW, **ABSENT}[name]) == ERRNO | expected


@pytest.mark.parametrize("name", ["chmod", "fchmod", "fchmodat", "creat", "mknod", "mknodat"])
@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_a_set_id_mode_is_refused(name: str, mode: int) -> None:
    if (call := number(name)) >= 0:
        words = [0, 0, mode] if name in ("fchmodat", "mknodat") else [0, mode]
        assert answer(filter_program(), call, *words) == ERRNO | errno.EPERM


@pytest.mark.parametrize("name", ["open", "openat"])
@pytest.mark.parametrize("flags", [0o101, 0o20200001])
def test_a_set_id_mode_of_a_new_file_is_refused(name: str, flags: int) -> None:
    if (call := number(name)) >= 0:
        words = [0, 0, flags, 0o4755] if name == "openat" else [0, flags, 0o2755]
        assert answer(filter_program(), call, *words) == ERRNO | errno.EPERM


def test_calls_that_programs_need_are_allowed() -> None:
    program = filter_program()
    for name in (
        "read",
        "write",
        "openat",
        "execve",
        "execveat",
        "futex",
        "mmap",
        "mprotect",
        "wait4",
        "pipe2",
        "kill",
    ):
        assert answer(program, number(name)) == ALLOW, name
    for family in (1, 2, 10):
        assert answer(program, number("socket"), family, 1) == ALLOW
    assert answer(program, number("clone"), 0x0100_0000 | 17) == ALLOW
    assert answer(program, number("personality"), 0) == ALLOW
    assert answer(program, number("ioctl"), 0, 0x5413) == ALLOW
    assert answer(program, number("openat"), 0, 0, 0o101, 0o755) == ALLOW
    assert answer(program, number("openat"), 0, 0, 0, 0o4755) == ALLOW  # no file is made, so the mode means nothing
    assert answer(program, number("fchmodat"), 0, 0, 0o755) == ALLOW


@pytest.mark.parametrize("family", [0, *range(3, 10), *range(11, 64), 1 | 1 << 32, 2 | 1 << 63])
def test_every_other_socket_family_is_refused(family: int) -> None:
    for name in ("socket", "socketpair"):
        assert answer(filter_program(), number(name), family, 1) == ERRNO | errno.EAFNOSUPPORT


def test_a_high_bit_does_not_hide_a_terminal_request() -> None:
    for request in (0x5412, 0x541C):
        assert answer(filter_program(), number("ioctl"), 0, request | 0xFFFF_FFFF << 32) == ERRNO | errno.EPERM


def test_another_architecture_ends_the_process() -> None:
    for other in {X86_64, AARCH64, I386} - {HERE}:
        assert answer(filter_program(), number("read"), architecture=other) == KILL


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86_64 alone has x32")
def test_x32_ends_the_process() -> None:
    assert answer(filter_program(), 0x4000_0000 | 39) == KILL


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_module, "LIBRARY", "libseccomp-that-is-not-there.so.9")
    with pytest.raises(SandboxUnavailable, match="not installed") as refused:
        filter_program.__wrapped__()
    assert "apt install" in refused.value.next_step


def test_a_machine_without_a_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(SandboxUnavailable, match="riscv64"):
        filter_program.__wrapped__()


def test_a_call_the_library_cannot_place_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_module, "refusals", lambda: (Refusal("no_such_call"),))
    with pytest.raises(SandboxUnavailable, match="no_such_call"):
        filter_program.__wrapped__()
