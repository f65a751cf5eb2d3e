"""Qemu: the exact words that start a machine, the first one and every copy. Pure: same machine, same words.

Layer: adapters/sandbox/vm. Owns the list of devices: one serial bus with two ports, and one share per folder shown.
Absent, and that is the point: a network device, a disk, a display, a sound card, USB, and any
file of the host that could be written. Qemu itself stands in a cell of bubblewrap: no network, no home, no other
process, so that a fault in its devices leads into another empty room.
Law: the first machine and its copies have the same devices, or a copy would not start.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEMORY_BYTES = 1 << 30  # of every machine; only what is touched is taken
TRANSLATED_MB = 64  # of translated instructions, when emulated
MEMORY_ID = "ram"
_CELL_UID = "1000"
_SHARES = "/shares"  # in the cell: bubblewrap gives the folders above a private path to root alone
_FIRMWARE = ("/etc/alternatives", "/etc/ld.so.cache")
_EMULATED = "Nehalem"  # x86-64-v2: what current distributions ask for, and no more, as every extension costs time
_COMMAND_LINE = "quiet cryptomgr.notests panic=-1 random.trust_cpu=off nokaslr mitigations=off tsc=reliable"


@dataclass(frozen=True, slots=True)
class Share:
    """A folder of the host that the guest can show, read-only."""

    tag: str
    path: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What the first machine and every copy have in common."""

    qemu: str
    bubblewrap: str
    accelerator: str  # "kvm" or "tcg"
    shares: tuple[Share, ...]
    links: tuple[tuple[str, str], ...]  # /bin → usr/bin and the like, for qemu's own cell


@dataclass(frozen=True, slots=True)
class Ends:
    """Descriptors that a machine is given: the ends of its monitor and its ports, its memory, and how it begins."""

    monitor: int
    control: int
    way: int
    memory: int
    status: int
    gate: int
    hold: int
    state: int = -1  # a copy's
    kernel: int = -1  # the first machine's, and `initial`
    initial: int = -1

    def all(self) -> tuple[int, ...]:
        """Every descriptor that is really there."""
        every = (self.monitor, self.control, self.way, self.memory, self.status, self.gate, self.hold)
        return tuple(end for end in (*every, self.state, self.kernel, self.initial) if end >= 0)


def render_machine(machine: Machine, ends: Ends, uid: int | None) -> tuple[str, ...]:
    """The whole command: bubblewrap, its cell, qemu, its devices. `uid` is the machine's user, when root starts it."""
    qemu = (machine.qemu, *_devices(machine, ends), *_begin(ends))
    return (machine.bubblewrap, *_user(uid), *_cell(machine, ends), "--", *_become(uid), *qemu)


def _user(uid: int | None) -> tuple[str, ...]:
    """Root builds the cell as root, who can see folders lying in private ones, and keeps the two powers to leave root."""
    if uid is None:
        return ("--unshare-user", "--disable-userns", "--uid", _CELL_UID, "--gid", _CELL_UID, "--cap-drop", "ALL")
    return ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")


def _become(uid: int | None) -> tuple[str, ...]:
    if uid is None:
        return ()
    return ("/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--")


def _cell(machine: Machine, ends: Ends) -> tuple[str, ...]:
    shown = ["--ro-bind", "/usr", "/usr", "--perms", "0755", "--dir", _SHARES]
    shown += [word for share in machine.shares for word in ("--ro-bind", share.path, f"{_SHARES}/{share.tag}")]
    shown += [word for path in _FIRMWARE for word in ("--ro-bind-try", path, path)]
    links = [word for target, path in machine.links for word in ("--symlink", target, path)]
    kvm = ("--dev-bind", "/dev/kvm", "/dev/kvm") if machine.accelerator == "kvm" else ()
    return (
        *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup"),
        *("--die-with-parent", "--new-session", "--clearenv"),
        *("--json-status-fd", str(ends.status), "--block-fd", str(ends.gate), "--sync-fd", str(ends.hold)),
        *(*shown, *links, "--proc", "/proc", "--dev", "/dev", *kvm),
        *("--size", "1048576", "--tmpfs", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"),  # noqa: S108 - the cell's own
    )


def _devices(machine: Machine, ends: Ends) -> tuple[str, ...]:
    sharing = "on" if ends.state < 0 else "off"  # a copy's writes are its own; the snapshot is sealed
    words = [
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-no-hpet"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-machine", f"pc,usb=off,vmport=off,graphics=off,memory-backend={MEMORY_ID}"),
        *("-accel", "kvm" if machine.accelerator == "kvm" else f"tcg,tb-size={TRANSLATED_MB}"),
        *("-cpu", "host" if machine.accelerator == "kvm" else _EMULATED, "-smp", "1", "-m", f"{MEMORY_BYTES >> 20}M"),
        *("-object", f"memory-backend-file,id={MEMORY_ID},mem-path=/proc/self/fd/{ends.memory},"
                     f"size={MEMORY_BYTES},share={sharing}"),
        *("-chardev", f"socket,id=monitor,fd={ends.monitor}", "-mon", "chardev=monitor,mode=control"),
        *("-device", "virtio-serial-pci,max_ports=3"),
    ]  # fmt: skip
    for name, end, number in (("control", ends.control, 1), ("way", ends.way, 2)):
        words += ["-chardev", f"socket,id={name},fd={end}"]
        words += ["-device", f"virtserialport,chardev={name},name={name},nr={number}"]
    for share in machine.shares:
        words += ["-fsdev", f"local,id={share.tag},path={_SHARES}/{share.tag},security_model=none,readonly=on"]
        words += ["-device", f"virtio-9p-pci,fsdev={share.tag},mount_tag={share.tag}"]
    return tuple(words)


def _begin(ends: Ends) -> tuple[str, ...]:
    if ends.state >= 0:
        return ("-incoming", "defer")
    return (
        *("-kernel", f"/proc/self/fd/{ends.kernel}", "-initrd", f"/proc/self/fd/{ends.initial}"),
        *("-append", _COMMAND_LINE),
    )


def plan_shares(interpreter: Path | None, library: Path | None) -> tuple[Share, ...]:
    """What the guest can show: the system, the interpreter when it lies elsewhere, the packages Carapax runs with."""
    found = [Share("system", "/usr")]
    if interpreter is not None:
        found.append(Share("interpreter", str(interpreter)))
    if library is not None:
        found.append(Share("library", str(library)))
    return tuple(found)
