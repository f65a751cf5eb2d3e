"""Attempts: the program that the self-test runs inside a sandbox. It tries every way out and prints what it met.

Layer: adapters/sandbox/selftest; its text is run by `python3 -I -S` inside, so it imports the standard library alone.
Words: `only=a,b` names the attempts, the others are bait. Prints one line per attempt: name, tab, "open" or the
errno's name. Judging that is `judge`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable

X86 = platform.machine() == "x86_64"
LIBC = ctypes.CDLL(None, use_errno=True)
BAIT: dict[str, str] = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
NEW_USER, NEW_NET = 0x1000_0000, 0x4000_0000


class Missed(Exception):
    """An attempt was refused without an errno of its own."""


def call(x86: int, arm: int, *arguments: object) -> int:
    """One raw system call by its number. Raises OSError."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = LIBC.syscall(ctypes.c_long(x86 if X86 else arm), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def write(path: str, flags: int = os.O_WRONLY | os.O_CREAT) -> None:
    os.close(os.open(path, flags, 0o600))


def connect(family: int, kind: int, address: object) -> None:
    with socket.socket(family, kind) as reached:
        reached.settimeout(1)
        reached.connect(address)  # type: ignore[arg-type] # as each family wants it


def serve(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


def execute(folder: str) -> None:
    """A program of one's own, from a folder where anything may be written."""
    path = f"{folder}/carapax-program"
    shutil.copyfile("/usr/bin/true", path)
    os.chmod(path, 0o700)
    subprocess.run([path], check=False)  # noqa: S603 - the attempt itself


def replace(path: str) -> None:
    """Another file put in a protected one's place."""
    new = f"{path}.lock"
    write(new)
    os.rename(new, path)


def shared_memory() -> None:
    """The host's segment, by its key."""
    if LIBC.shmget(int(BAIT["segment"]), 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "")


def interfaces() -> None:
    with open("/proc/net/dev") as table:
        if [line.split(":")[0].strip() for line in table.readlines()[2:]] != ["lo"]:
            return
    raise Missed("none")


def host_user() -> None:
    """Is the user this runs as also root outside? The map's middle column says so, one namespace up."""
    with open("/proc/self/uid_map") as rows:
        if any(row.split()[0] == "0" for row in rows):
            return
    raise Missed("none")


def resolve() -> None:
    try:
        socket.getaddrinfo("carapax-canary.invalid", 443)
    except socket.gaierror as error:
        raise Missed("EAI") from error


def inherited() -> None:
    if any(int(name) > 2 and not closed(int(name)) for name in os.listdir("/proc/self/fd")):
        return
    raise Missed("none")


def closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


def other_processes() -> None:
    if sum(name.isdigit() for name in os.listdir("/proc")) > 3:
        return
    raise Missed("none")


def capabilities() -> None:
    with open("/proc/self/status") as status:
        rows = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    if rows.get("NoNewPrivs", "1").strip() == "1" and all(
        int(rows[name], 16) == 0 for name in ("CapEff", "CapPrm", "CapBnd")
    ):
        raise Missed("none")


def environment() -> None:
    if set(os.environ) <= {"PATH", "HOME", "LANG", "TERM", "USER", "PWD"}:
        raise Missed("none")


def unlimited(path: str, ceiling: int) -> None:
    size = os.statvfs(path)
    if 0 < size.f_blocks * size.f_frsize <= ceiling:
        raise Missed("none")


def devices() -> None:
    allowed = {"null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "fd", "core", "console"}
    if set(os.listdir("/dev")) <= allowed | {"stdin", "stdout", "stderr"}:
        raise Missed("none")


def set_user_id() -> None:
    path = "/tmp/set-id"  # noqa: S108 - the sandbox's own
    write(path)
    os.chmod(path, 0o4755)  # noqa: S103 - the attempt itself


def push_back() -> None:
    master, worker = os.openpty()
    os.close(master)
    fcntl.ioctl(worker, 0x5412, b"x")


def text(words: str) -> ctypes.c_char_p:
    return ctypes.c_char_p(words.encode())


ATTEMPTS: dict[str, Callable[[], object]] = {
    "secret": lambda: read(BAIT["secret"]),
    "home": lambda: os.listdir(BAIT["home"]),
    "write-usr": lambda: write("/usr/canary"),
    "write-etc": lambda: write("/etc/passwd", os.O_WRONLY),
    "write-root": lambda: write("/canary"),
    "write-dev": lambda: write("/dev/canary"),
    "write-workspace": lambda: write("/workspace/carapax-canary"),
    "replace-hook": lambda: write("/workspace/.git/hooks/pre-commit", os.O_WRONLY),
    "new-hook": lambda: write("/workspace/.git/hooks/post-checkout"),
    "git-config": lambda: replace("/workspace/.git/config"),
    "git-elsewhere": lambda: replace("/workspace/.git/commondir"),
    "move-git": lambda: os.rename("/workspace/.git", "/workspace/moved"),
    "hard-link": lambda: os.link("/usr/bin/env", "/workspace/carapax-hard-link"),
    "plant-link": lambda: os.symlink(BAIT["secret"], "/workspace/carapax-link"),
    "exec-tmp": lambda: execute("/tmp"),  # noqa: S108 - the sandbox's own
    "exec-shm": lambda: execute("/dev/shm"),  # noqa: S108 - the sandbox's own
    "make-socket": lambda: serve("/workspace/carapax-socket"),
    "workspace-daemon": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "/workspace/daemon"),
    "shared-memory": shared_memory,
    "interfaces": interfaces,
    "host-user": host_user,
    "kvm": lambda: write("/dev/kvm", os.O_RDWR),
    "kernel-memory": lambda: read("/proc/kcore"),
    "tmp-size": lambda: unlimited("/tmp", int(BAIT["tmp"])),  # noqa: S108 - the sandbox's own
    "shm-size": lambda: unlimited("/dev/shm", int(BAIT["shm"])),  # noqa: S108 - the sandbox's own
    "init-environ": lambda: read("/proc/1/environ"),
    "init-mem": lambda: read("/proc/1/mem"),
    "core-pattern": lambda: write("/proc/sys/kernel/core_pattern", os.O_WRONLY),
    "sysrq": lambda: write("/proc/sysrq-trigger", os.O_WRONLY),
    "processes": other_processes,
    "capabilities": capabilities,
    "environment": environment,
    "descriptors": inherited,
    "loopback": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int(BAIT["port"]))),
    "route": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 9)),
    "route-6": lambda: connect(socket.AF_INET6, socket.SOCK_DGRAM, ("2001:db8::1", 9)),
    "dns": resolve,
    "abstract": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + BAIT["abstract"]),
    "daemon": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, BAIT["daemon"]),
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
    "vsock": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "io-uring": lambda: call(425, 425, 1, ctypes.create_string_buffer(120)),
    "ptrace": lambda: call(101, 117, 16, 1, 0, 0),
    "read-memory": lambda: call(310, 270, 1, 0, 0, 0, 0, 0),
    "user-namespace": lambda: call(272, 97, NEW_USER),
    "clone-namespace": lambda: call(56, 220, NEW_USER | 17, 0, 0, 0, 0),
    "clone3": lambda: call(435, 435, 0, 0),
    "net-namespace": lambda: call(272, 97, NEW_NET),
    "join-namespace": lambda: call(308, 268, 0, 0),
    "mount": lambda: call(165, 40, text("none"), text("/tmp"), text("tmpfs"), 0, 0),  # noqa: S108 - the sandbox's own
    "fsopen": lambda: call(430, 430, text("tmpfs"), 0),
    "device-file": lambda: os.mknod("/tmp/device", 0o020600, os.makedev(1, 1)),  # noqa: S108 - the sandbox's own
    "devices": devices,
    "set-user-id": set_user_id,
    "terminal": push_back,
    "keys": lambda: call(248, 217, text("user"), text("canary"), text("x"), 1, -3),
    "bpf": lambda: call(321, 280, 0, 0, 0),
    "perf": lambda: call(298, 241, 0, 0, -1, -1, 0),
    "userfaultfd": lambda: call(323, 282, 1),
    "memory-file": lambda: call(319, 279, text("canary"), 0),
    "handles": lambda: call(304, 265, -100, 0, 0),
    "steal-descriptor": lambda: call(438, 438, 0, 0, 0),
    "personality": lambda: call(135, 92, 0x0040_0000),
    "kernel-image": lambda: call(246, 104, 0, 0, 0, 0),
    "host-name": lambda: call(170, 161, text("x"), 1),
}


def met(attempt: Callable[[], object]) -> str:
    """ "open", or the name of what refused it."""
    try:
        attempt()
    except Missed as refused:
        return str(refused)
    except OSError as refused:
        return errno.errorcode.get(refused.errno or 0, type(refused).__name__)
    return "open"


def main() -> None:
    wanted = BAIT["only"].split(",") if "only" in BAIT else list(ATTEMPTS)
    for name in wanted:
        attempt = ATTEMPTS[name]
        sys.stdout.write(f"{name}\t{met(attempt)}\n")


if __name__ == "__main__":
    main()
