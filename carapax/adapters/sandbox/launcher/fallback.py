"""Fallback: the launcher's two stages in Python, for a machine without a C compiler. Slower, by two interpreters a job.

Layer: adapters/sandbox/launcher; its text is run by `python3 -I -S` before and behind bubblewrap, so it imports the
standard library alone. Options, order, words and laws are those of `outside.c` and `inside.c`, which explain them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import socket
import stat
import struct
import sys
from collections.abc import Iterator

X86 = platform.machine() == "x86_64"
LIBC = ctypes.CDLL(None, use_errno=True)
UNSHARE, MOUNT, SOCKET, SOCKETPAIR, MEMFD = (272, 165, 41, 53, 319) if X86 else (97, 40, 198, 199, 279)
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
NEW_MOUNTS, NEW_USER, NEW_NETWORK = 0x0002_0000, 0x1000_0000, 0x4000_0000
CLONED = 0x1 | os.O_CLOEXEC | 0x8000 | 0x100  # clone, recursive, no link followed
PRIVATE, RECURSIVE, NO_SET_ID, NO_DEVICES = 1 << 18, 1 << 14, 2, 4
EMPTY_PATH, IDMAP, AT_FDCWD = 0x1000, 0x0010_0000, -100
SCRATCH, WAY_PORT, FAILED, MAX_DEPTH = "/sys", 3128, 125, 64
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, MAKE_SOCK = 1, 2, 4, 8, 1 << 9
NODES, REFER, TRUNCATE, IOCTL_DEV = 1 << 6 | 1 << 11, 1 << 13, 1 << 14, 1 << 15
ALL_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
SECCOMP_ERRNO, SECCOMP_ALLOW = 0x0005_0000, 0x7FFF_0000


class Fault(Exception):
    """Something does not hold; the job must not begin."""


def call(number: int, *words: object) -> int:
    """One raw system call. Raises OSError."""
    made = [ctypes.c_long(word) if isinstance(word, int) else word for word in words]
    result: int = LIBC.syscall(ctypes.c_long(number), *made)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def control(option: int, *words: int) -> int:
    """prctl(2). Raises OSError."""
    padded = (*words, 0, 0, 0, 0)[:4]
    result: int = LIBC.prctl(option, *(ctypes.c_ulong(word) for word in padded))
    if result < 0:
        raise OSError(ctypes.get_errno(), "prctl")
    return result


def options(words: list[str], known: str) -> tuple[list[tuple[str, str]], list[str]]:
    """(option, value) pairs and the words after "--". Raises Fault."""
    found: list[tuple[str, str]] = []
    while len(words) > 1 and words[0] != "--":
        if len(words[0]) != 2 or words[0][0] != "-" or words[0][1] not in known:
            raise Fault("launcher: an unknown option")
        found.append((words[0][1], words[1]))
        words = words[2:]
    if len(words) < 2:
        raise Fault("launcher: no program was named")
    return found, words[1:]


def write_file(path: str, text: str) -> None:
    """Write to a file of the kernel's."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def mapping(about: os.stat_result, user: int) -> int:
    """A user namespace in which the owner on the disk is `user`; only its mapping is used."""
    going, go = os.pipe()
    made, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        try:
            call(UNSHARE, NEW_USER)
            os.write(told, b"1")
            os.read(going, 1)
        finally:
            os._exit(0)
    os.close(told)
    ready = os.read(made, 1)
    try:
        if not ready:
            raise Fault("launcher: a user namespace could not be made")
        write_file(f"/proc/{child}/uid_map", f"{about.st_uid} {user} 1\n")
        write_file(f"/proc/{child}/gid_map", f"{about.st_gid} {user} 1\n")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(go)
        os.waitpid(child, 0)


def clone_tree(source: str, mapped: bool, user: int) -> int:
    """A detached copy of what is shown."""
    tree = call(OPEN_TREE, AT_FDCWD, ctypes.c_char_p(os.fsencode(source)), CLONED)
    about = os.fstat(tree)
    if stat.S_ISLNK(about.st_mode):
        raise Fault(f"launcher: {source} became a link")
    space = mapping(about, user) if mapped else 0
    change = ctypes.create_string_buffer(struct.pack("=QQQQ", IDMAP if mapped else 0, 0, PRIVATE, space))
    try:
        call(MOUNT_SETATTR, tree, ctypes.c_char_p(b""), EMPTY_PATH | 0x8000, change, 32)
    except OSError as error:
        raise Fault(f"launcher: the file system of {source} takes no id-mapped mount: {error.strerror}") from error
    return tree


def show(sources: list[tuple[str, bool]], user: int) -> None:
    """Put what is shown where every user may walk to, in a mount namespace of this launch's own."""
    trees = [clone_tree(source, mapped, user) for source, mapped in sources]
    call(UNSHARE, NEW_MOUNTS)
    call(MOUNT, 0, ctypes.c_char_p(b"/"), 0, RECURSIVE | PRIVATE, 0)
    words = (ctypes.c_char_p(b"none"), ctypes.c_char_p(SCRATCH.encode()), ctypes.c_char_p(b"tmpfs"))
    call(MOUNT, *words, NO_SET_ID | NO_DEVICES, ctypes.c_char_p(b"size=65536,mode=0755"))
    for number, tree in enumerate(trees):
        path = f"{SCRATCH}/{number}"
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.mkdir(path, 0o755)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        target = ctypes.c_char_p(path.encode())
        call(MOVE_MOUNT, tree, ctypes.c_char_p(b""), AT_FDCWD, target, 4)
        os.close(tree)


def new_network(as_root: bool) -> None:
    """A network of this job's own, with its loopback up."""
    user, group = os.getuid(), os.getgid()
    call(UNSHARE, NEW_NETWORK | (0 if as_root else NEW_USER))
    if not as_root:
        write_file("/proc/self/setgroups", "deny")
        write_file("/proc/self/uid_map", f"{user} {user} 1\n")
        write_file("/proc/self/gid_map", f"{group} {group} 1\n")
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"lo", 0x41))


def open_door(door: int) -> None:
    """Listen inside and pass the listener on; nothing of it stays."""
    with socket.create_server(("127.0.0.1", WAY_PORT)) as listener, socket.socket(fileno=door) as way:
        socket.send_fds(way, [b"\1"], [listener.fileno()])


def become(user: int) -> None:
    """Give up root for good."""
    for number in (1, 2):
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            os.fchown(number, user, user)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise Fault("launcher: root was not given up")


def outside(words: list[str]) -> None:
    """The stage on the host."""
    found, rest = options(words, "gumbrcl")
    user = next((int(value) for name, value in found if name == "u"), -1)
    for name, value in found:
        if name == "r":
            which, _, bound = value.partition(":")
            hard = resource.getrlimit(int(which))[1]
            lowered = int(bound) if hard == resource.RLIM_INFINITY else min(int(bound), hard)
            resource.setrlimit(int(which), (lowered, lowered))
        elif name == "g":
            write_file(value, "0")
        elif name == "c":
            os.set_inheritable(int(value), False)
    if user >= 0:
        show([(value, name == "m") for name, value in found if name in "mb"], user)
    new_network(user >= 0)
    for value in (value for name, value in found if name == "l"):
        open_door(int(value))
    if user >= 0:
        become(user)
    control(38, 1)
    os.execve(rest[0], rest, {})  # noqa: S606 - bubblewrap, behind this stage


def rights(kind: str, known: int) -> int:
    """What Landlock lets be done beneath a path of this kind."""
    never = NODES | IOCTL_DEV
    return {
        "x": EXECUTE | READ_FILE | READ_DIR,
        "r": READ_FILE | READ_DIR,
        "l": READ_DIR,
        "d": known & (READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV),
        "w": known & ~(EXECUTE | never),
        "W": known & ~(MAKE_SOCK | never),
        "n": known & ~(MAKE_SOCK | EXECUTE | never),
    }[kind]


def restrict(paths: list[tuple[str, str]], port: int, oldest: int) -> None:
    """Put Landlock in force."""
    abi = call(LANDLOCK_CREATE, 0, 0, 1)
    if abi < oldest:
        raise Fault(f"this kernel's Landlock is too old or switched off (it has {abi}, {oldest} is needed)")
    known = (1 << 13) - 1 | (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0) | (IOCTL_DEV if abi >= 5 else 0)
    net = 2 if abi >= 4 and port >= 0 else 0
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = ctypes.create_string_buffer(struct.pack("=QQQ", known, net, 3), 24)
    ruleset = call(LANDLOCK_CREATE, rules, size, 0)
    for kind, path in paths:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        allowed = rights(kind, known) & (-1 if stat.S_ISDIR(os.fstat(place).st_mode) else ALL_FILE)
        call(LANDLOCK_ADD, ruleset, 1, ctypes.create_string_buffer(struct.pack("=Qi", allowed, place)), 0)
        os.close(place)
    if net and port > 0:
        call(LANDLOCK_ADD, ruleset, 2, ctypes.create_string_buffer(struct.pack("=QQ", 2, port)), 0)
    control(4, 0)
    call(LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def entries(folder: str, depth: int) -> Iterator[bool]:
    """One answer per entry beneath: is it a socket? Too deep counts as one."""
    if depth > MAX_DEPTH:
        yield True
        return
    try:
        found = os.scandir(folder)
    except OSError:
        return
    with found:
        for entry in found:
            is_folder = entry.is_dir(follow_symlinks=False)
            plain = is_folder or entry.is_symlink() or entry.is_file(follow_symlinks=False)
            yield not plain and stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)
            if is_folder:
                yield from entries(entry.path, depth + 1)


def look_through(path: str, left: int) -> None:
    """Refuse unix sockets with names when one lies beneath, or too much to look through."""
    for is_socket in entries(path, 0):
        left -= 1
        if is_socket or left < 0:
            refuse_unix_sockets()
            return


def refuse_unix_sockets() -> None:
    """The same filter as in `inside.c`."""
    load, equal, mask, end = 0x20, 0x15, 0x54, 0x06
    steps = (
        *((load, 0, 0, 0), (equal, 0, 2, SOCKET), (load, 0, 0, 16), (equal, 4, 5, socket.AF_UNIX)),
        *((equal, 0, 4, SOCKETPAIR), (load, 0, 0, 24), (mask, 0, 0, 0xF), (equal, 1, 0, socket.SOCK_STREAM)),
        *((end, 0, 0, SECCOMP_ERRNO | errno.EACCES), (end, 0, 0, SECCOMP_ALLOW)),
    )
    text = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("=H6xQ", len(steps), ctypes.addressof(text)))
    control(22, 2, ctypes.addressof(program))


def must_fail(attempt: object, wanted: int, what: str) -> None:
    """Demand the refusal of one attempt. Raises Fault."""
    try:
        if callable(attempt):
            attempt()
    except OSError as error:
        if error.errno == wanted:
            return
        raise Fault(f"{what}: {error.strerror}") from error
    raise Fault(what)


def canary() -> None:
    """A few cheap attempts to get out. Raises Fault."""
    if 0 in (os.getuid(), os.geteuid()):
        raise Fault("the job would be root")
    if control(39) != 1 or control(21) != 2:
        raise Fault("the system call filter is not in force")
    for number in range(64):
        if LIBC.prctl(23, ctypes.c_ulong(number), 0, 0, 0) == 1:
            raise Fault("a privilege is left")
    must_fail(lambda: call(UNSHARE, NEW_USER), errno.EPERM, "a user namespace could be made")
    must_fail(lambda: call(MEMFD, ctypes.c_char_p(b"x"), 0), errno.EPERM, "a program file in memory could be made")
    must_fail(lambda: os.open("/proc/1/environ", os.O_RDONLY), errno.EACCES, "the first process could be read")
    must_fail(lambda: os.execve(sys.argv[0], ["x"], {}), errno.EACCES, "Landlock is not in force")  # noqa: S606 - must fail
    with open("/proc/self/net/dev") as table:
        if any(not line.lstrip().startswith("lo:") for line in table.readlines()[2:]):
            raise Fault("a network interface of the host is there")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        must_fail(lambda: any_socket.connect(("192.0.2.1", 9)), errno.ENETUNREACH, "there is a route to the network")


def inside(words: list[str]) -> None:
    """The stage behind the walls."""
    verdict = 2
    try:
        found, rest = options(words, "vaepsxrwWdnl")
        last = dict(found)
        verdict = int(last.get("v", "2"))
        os.set_inheritable(verdict, False)
        paths = [(name, value) for name, value in found if name in "xrwWdnl"]
        restrict(paths, int(last.get("p", "-1")), int(last.get("a", "1")))
        if "s" in last:
            look_through(last["s"], int(last.get("e", "0")))
        canary()
    except (Fault, OSError, ValueError) as error:
        os.write(verdict, f"{error}\n".encode())
        os._exit(FAILED)
    os.write(verdict, b"ok")
    try:
        os.execvp(rest[0], rest)  # noqa: S606 - the job, behind every wall
    except OSError as error:
        os.write(2, f"{rest[0]}: {error.strerror}\n".encode())
        os._exit(127 if error.errno == errno.ENOENT else 126)


def main() -> None:
    stage, words = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 2 else ("", [])
    try:
        if stage == "outside":
            outside(words)
        elif stage == "inside":
            inside(words)
        raise Fault("launcher: no stage was named")
    except (Fault, OSError, ValueError) as error:
        os.write(2, f"{error}\n".encode())
        os._exit(FAILED)


if __name__ == "__main__":
    main()
