"""Expected: what each attempt to get out must meet, and which layer of the default tier stops it. A table.

Layer: adapters/sandbox/selftest. Owns the words and the answers; a tier may expect other answers of its own.
Absent: the attempts themselves (`attempts`) and the judgement (`judge`).
"""

from __future__ import annotations

from dataclasses import dataclass

MOUNTS = "mounts"
NAMESPACES = "namespaces"
SECCOMP = "system call filter"
LANDLOCK = "Landlock"
GROUP = "control group"
LIMIT = "resource limit"
LAUNCHER = "launcher"
READER = "host's reader"

_GONE = ("ENOENT", "EACCES")
_NO = ("EPERM",)
_NO_FAMILY = ("EAFNOSUPPORT",)
_READ_ONLY = ("EROFS", "EACCES", "EPERM")
_NONE = ("none",)
_EXEC = ("EACCES",)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row: what is tried, in words; the only answers that count as refused; the layer that refuses."""

    words: str
    expected: tuple[str, ...]
    layer: str


EXPECTED: dict[str, Attempt] = {
    "secret": Attempt("reading a secret file of the host", _GONE, MOUNTS),
    "home": Attempt("listing Carapax's own folder", _GONE, MOUNTS),
    "write-usr": Attempt("writing to the system", ("EROFS", "EACCES"), MOUNTS),
    "write-etc": Attempt("changing the user list", ("EROFS", "EACCES"), MOUNTS),
    "write-root": Attempt("filling the root folder", ("EROFS", "EACCES"), MOUNTS),
    "write-dev": Attempt("filling the device folder", ("EROFS", "EACCES"), MOUNTS),
    "write-workspace": Attempt("writing a workspace shown for reading", ("EROFS",), MOUNTS),
    "replace-hook": Attempt("writing a git hook", ("EROFS",), MOUNTS),
    "new-hook": Attempt("adding a git hook", ("EROFS",), MOUNTS),
    "git-config": Attempt("replacing git's configuration", ("EBUSY", "EROFS"), MOUNTS),
    "git-elsewhere": Attempt("pointing git to other hooks", ("EBUSY", "EROFS"), MOUNTS),
    "move-git": Attempt("moving .git away", ("EBUSY",), MOUNTS),
    "hard-link": Attempt("a hard link to a file outside the workspace", ("EXDEV", "EACCES", "EPERM"), MOUNTS),
    "planted-link": Attempt("a link planted for a reader on the host", ("ELOOP",), READER),
    "exec-tmp": Attempt("running a program from /tmp", _EXEC, LANDLOCK),
    "exec-shm": Attempt("running a program from shared memory", _EXEC, LANDLOCK),
    "make-socket": Attempt("making a socket file in the workspace", ("EACCES",), LANDLOCK),
    "workspace-daemon": Attempt("reaching a service whose socket lies in the workspace", ("EACCES",), LAUNCHER),
    "tmp-size": Attempt("a temporary folder without a ceiling", _NONE, MOUNTS),
    "shm-size": Attempt("shared memory without a ceiling", _NONE, MOUNTS),
    "init-environ": Attempt("reading the first process's environment", ("EACCES",), MOUNTS),
    "init-mem": Attempt("reading the first process's memory", ("EACCES",), MOUNTS),
    "core-pattern": Attempt("changing where crashes are sent", _READ_ONLY, MOUNTS),
    "sysrq": Attempt("sending a command to the kernel", (*_READ_ONLY, "ENOENT"), MOUNTS),
    "kernel-memory": Attempt("reading the kernel's memory", ("EACCES", "EPERM", "ENOENT"), NAMESPACES),
    "processes": Attempt("seeing processes of the host", _NONE, NAMESPACES),
    "host-user": Attempt("being root of a namespace", _NONE, NAMESPACES),
    "shared-memory": Attempt("reaching shared memory of the host", ("ENOENT",), NAMESPACES),
    "capabilities": Attempt("holding a privilege", _NONE, NAMESPACES),
    "environment": Attempt("finding the gateway's environment", _NONE, LAUNCHER),
    "descriptors": Attempt("finding an open file of the gateway", _NONE, LAUNCHER),
    "interfaces": Attempt("finding a network interface", _NONE, NAMESPACES),
    "loopback": Attempt("reaching a service of this machine", ("ECONNREFUSED", "EACCES"), NAMESPACES),
    "route": Attempt("a route to the network", ("ENETUNREACH",), NAMESPACES),
    "route-6": Attempt("a route to the IPv6 network", ("ENETUNREACH",), NAMESPACES),
    "dns": Attempt("looking up a name", ("EAI",), NAMESPACES),
    "abstract": Attempt("reaching an abstract socket of the host", ("ECONNREFUSED", "EPERM"), NAMESPACES),
    "daemon": Attempt("reaching a service's socket file", _GONE, MOUNTS),
    "raw": Attempt("a raw socket", _NO, NAMESPACES),
    "packet": Attempt("a packet socket", _NO_FAMILY, SECCOMP),
    "vsock": Attempt("a socket to the machine's host", _NO_FAMILY, SECCOMP),
    "netlink": Attempt("a socket to the kernel", _NO_FAMILY, SECCOMP),
    "io-uring": Attempt("a queue of system calls", _NO, SECCOMP),
    "ptrace": Attempt("taking over another process", _NO, SECCOMP),
    "read-memory": Attempt("reading another process's memory", _NO, SECCOMP),
    "user-namespace": Attempt("a user namespace of its own", _NO, SECCOMP),
    "clone-namespace": Attempt("a child in a namespace of its own", _NO, SECCOMP),
    "clone3": Attempt("the newer way to such a child", ("ENOSYS",), SECCOMP),
    "net-namespace": Attempt("a network namespace of its own", _NO, SECCOMP),
    "join-namespace": Attempt("joining another namespace", _NO, SECCOMP),
    "mount": Attempt("mounting", _NO, SECCOMP),
    "fsopen": Attempt("the newer way of mounting", _NO, SECCOMP),
    "device-file": Attempt("making a device file", _NO, SECCOMP),
    "devices": Attempt("finding a device of the host", _NONE, MOUNTS),
    "kvm": Attempt("the machine's virtualisation", _GONE, MOUNTS),
    "set-user-id": Attempt("leaving a program that runs as its owner", _NO, SECCOMP),
    "terminal": Attempt("typing into a terminal", _NO, SECCOMP),
    "keys": Attempt("keeping a key in the kernel", _NO, SECCOMP),
    "bpf": Attempt("loading a kernel program", _NO, SECCOMP),
    "perf": Attempt("watching the processor", _NO, SECCOMP),
    "userfaultfd": Attempt("handling page faults", _NO, SECCOMP),
    "memory-file": Attempt("a program file in memory", _NO, SECCOMP),
    "handles": Attempt("opening a file by its handle", _NO, SECCOMP),
    "steal-descriptor": Attempt("taking an open file from a process", _NO, SECCOMP),
    "personality": Attempt("switching off address randomisation", _NO, SECCOMP),
    "kernel-image": Attempt("replacing the kernel", _NO, SECCOMP),
    "host-name": Attempt("renaming the machine", _NO, SECCOMP),
}

READ_ONLY_PASS = ("write-workspace", "workspace-daemon")
"""Attempts made in a workspace shown for reading, with a service's socket in it; all others may write theirs."""

JUDGED_OUTSIDE = {"planted-link": "plant-link"}
"""Answers that the host gives, and the attempt inside that comes before each."""
