"""Filter: the table of refused system calls as a seccomp program, made once by libseccomp.

Layer: adapters/sandbox/bwrap. Owns the calls into the library; the table is `syscalls`.
Law: a call the library cannot place on this machine is an error, never a hole. Calls made for another
architecture (32-bit, x32) end the process.
Source: seccomp_init(3), seccomp_rule_add(3), seccomp_export_bpf(3).
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform

from carapax.adapters.sandbox.bwrap.syscalls import Refusal, refusals
from carapax.core.terms.error import SandboxUnavailable

LIBRARY = "libseccomp.so.2"
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_BAD_ARCHITECTURE = 2  # SCMP_FLTATR_ACT_BADARCH
_UNKNOWN = -1  # __NR_SCMP_ERROR; other negative numbers mean "not on this machine"
_INSTALL = "Install libseccomp (Debian, Ubuntu: `apt install libseccomp2`; Fedora: `dnf install libseccomp`)."


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


@functools.cache
def filter_program() -> bytes:
    """The BPF program for this machine. Raises SandboxUnavailable when it cannot be made whole."""
    if platform.machine() not in ("x86_64", "aarch64"):
        raise SandboxUnavailable(
            f"the system call filter is not written for {platform.machine()}",
            next_step="Run Carapax on an x86_64 or aarch64 machine.",
        )
    library = _load()
    context = library.seccomp_init(_ALLOW)
    if not context:
        raise SandboxUnavailable("libseccomp did not start", next_step=_INSTALL)
    try:
        _must(library.seccomp_attr_set(context, _BAD_ARCHITECTURE, _KILL_PROCESS), "its architecture rule")
        for refusal in refusals():
            _add(library, context, refusal)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise SandboxUnavailable(f"{LIBRARY} is not installed", next_step=_INSTALL) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.restype = None
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Comparison),
    )
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return library


def _add(library: ctypes.CDLL, context: int, refusal: Refusal) -> None:
    number = library.seccomp_syscall_resolve_name(refusal.name.encode("ascii"))
    if number == _UNKNOWN and refusal.number is not None:
        number = refusal.number
    if number == _UNKNOWN:
        _must(number, refusal.name)
    if number < 0:
        return
    rows = [_Comparison(a.index, a.compare, a.first, a.second) for a in refusal.when]
    action = _ERRNO | refusal.errno
    _must(
        library.seccomp_rule_add_array(context, action, number, len(rows), (_Comparison * len(rows))(*rows)),
        refusal.name,
    )


def _export(library: ctypes.CDLL, context: int) -> bytes:
    descriptor = os.memfd_create("filter", os.MFD_CLOEXEC)
    try:
        _must(library.seccomp_export_bpf(context, descriptor), "its export")
        return os.pread(descriptor, 1 << 20, 0)
    finally:
        os.close(descriptor)


def _must(result: int, what: str) -> None:
    if result < 0:
        raise SandboxUnavailable(
            f"libseccomp could not take {what} into the system call filter",
            next_step="Update libseccomp to 2.5 or newer.",
        )
