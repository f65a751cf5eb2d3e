"""Recipe: the exact bubblewrap arguments of one job. Pure: same spec, same words.

Layer: adapters/sandbox/bwrap. Owns what is visible inside and how, and which of it Landlock lets be written or run;
the self-test runs the same recipe. Absent: the network, which the launcher has made before bubblewrap begins.
Traps met here: `--clearenv` leaves /proc/1/environ, so /proc/1 is covered and bwrap starts with no environment;
bubblewrap leaves /proc/sys writable for the host's root, so /proc is read-only as a whole.
Laws: nothing of the host is writable inside but the workspace; every tmpfs has a size or is read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.pins import Pin
from carapax.ports.sandbox import Mount

INSIDE = "/workspace"
LAUNCHER_INSIDE = "/launcher"
OLDEST_LANDLOCK = 2  # the first that lets a job rename between folders
NO_PORT = 0
MAX_LOOKED_THROUGH = 20_000  # entries of a workspace, for socket files
UID = "1000"
ETC = {
    "passwd": b"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:1000:1000:agent:/tmp:/bin/bash\n"
    b"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": b"root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
    "hosts": b"127.0.0.1 localhost carapax\n::1 localhost\n",
    "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",  # no dns: a name lookup leaves no packet
}
_SHOWN_IF_PRESENT = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
)
_ZONES = Path("/usr/share/zoneinfo")


@dataclass(frozen=True, slots=True)
class System:
    """What of the host every job sees, found once."""

    links: tuple[tuple[str, str], ...]  # (target, path): /bin → usr/bin and the like
    shown: tuple[str, ...]  # bound read-only at the same path
    path: str  # the PATH inside
    zone: str = ""  # target of /etc/localtime
    named: bool = True  # whether the machine may be given a name of its own inside


@dataclass(frozen=True, slots=True)
class Handed:
    """Descriptors that bubblewrap reads its recipe's data from."""

    filter: int
    status: int
    gate: int
    hold: int  # the gate's other end: if we die before opening it, it stays shut instead of reading its end as "go"
    etc: tuple[tuple[str, int], ...]
    launcher: int  # a descriptor of the launcher's second stage, read from its start
    interpreter: tuple[str, ...]  # what runs it, if it is not a program by itself
    verdict: int  # where the second stage says whether the walls hold


@dataclass(frozen=True, slots=True)
class View:
    """What one job sees besides the system. `placed` says where bubblewrap finds a path that its user cannot reach."""

    workspace: Path
    mount: Mount
    pins: tuple[Pin, ...] = ()
    library: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    placed: Mapping[str, str] = field(default_factory=dict)

    def source(self, path: str) -> str:
        """Where bubblewrap finds it."""
        return self.placed.get(path, path)


def find_system(interpreter: Path | None) -> System:
    """Look at the host once: how /bin and its like are laid out, which read-only files exist."""
    links: list[tuple[str, str]] = []
    shown = ["/usr"]
    for name in ("bin", "lib", "lib64", "sbin"):
        there = Path("/", name)
        if there.is_symlink() and there.resolve().is_relative_to("/usr"):
            links.append((str(there.resolve()).lstrip("/"), str(there)))
        elif there.is_dir():
            shown.append(str(there))
    shown += [p for p in _SHOWN_IF_PRESENT if Path(p).exists()]
    words = ["/usr/local/bin", "/usr/bin", "/bin"]
    if interpreter is not None:
        shown.append(str(interpreter))
        words.insert(0, str(interpreter / "bin"))
    zone = Path("/etc/localtime").resolve()
    return System(tuple(links), tuple(shown), ":".join(words), str(zone) if zone.is_relative_to(_ZONES) else "")


def render_recipe(system: System, bounds: Bounds, view: View, handed: Handed) -> tuple[str, ...]:
    """Every bubblewrap option of one job, in order (the second stage's and the program's own words follow them)."""
    return (
        *_isolation(handed),
        *(("--hostname", "carapax") if system.named else ()),
        *_environment(system, view),
        *_root(system, view, handed),
        *_kernel_folders(bounds),
        # Over the temporary folder, in which a checkout may lie.
        *(word for path in view.library for word in ("--ro-bind", view.source(path), path)),
        *_workspace(view),
        *("--perms", "0555", "--ro-bind-data", str(handed.launcher), LAUNCHER_INSIDE),
        *("--remount-ro", "/"),
    )


def render_inside(system: System, bounds: Bounds, view: View, handed: Handed, port: int) -> tuple[str, ...]:
    """The second stage's words: what Landlock lets be read, written and run. `port` is the way's, or NO_PORT."""
    runs = bounds.run_workspace
    kinds = {Mount.READ: "-x" if runs else "-r", Mount.WRITE: "-W" if runs else "-n", Mount.NONE: "-r"}
    shown = [path for path in (*system.shown, *view.library) if not path.startswith("/etc/")]
    return (
        *(*handed.interpreter, LAUNCHER_INSIDE, "inside", "-v", str(handed.verdict), "-a", str(OLDEST_LANDLOCK)),
        *("-l", "/", "-r", "/etc", "-r", "/proc", "-d", "/dev", "-w", "/dev/shm", "-w", "/tmp"),  # noqa: S108 - inside
        *(word for path in shown for word in ("-x", path)),
        *(kinds[view.mount], INSIDE),
        *(("-e", str(MAX_LOOKED_THROUGH), "-s", INSIDE) if view.mount is not Mount.NONE else ()),
        *(() if bounds.connect_inside else ("-p", str(port))),
    )


def _isolation(handed: Handed) -> tuple[str, ...]:
    return (
        *(
            "--unshare-all",
            "--share-net",
            "--unshare-user",
            "--disable-userns",
            "--uid",
            UID,
            "--gid",
            UID,
        ),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--seccomp", str(handed.filter), "--json-status-fd", str(handed.status), "--block-fd", str(handed.gate)),
        *("--sync-fd", str(handed.hold)),
    )


def _environment(system: System, view: View) -> tuple[str, ...]:
    fixed = dict(view.variables) | _fixed(system)
    return ("--clearenv", *(word for name, value in fixed.items() for word in ("--setenv", name, value)))


def _fixed(system: System) -> dict[str, str]:
    return {"PATH": system.path, "HOME": "/tmp", "LANG": "C.UTF-8", "TERM": "dumb", "USER": "agent"}  # noqa: S108 - inside


def _root(system: System, view: View, handed: Handed) -> tuple[str, ...]:
    words = ["--perms", "0755", "--dir", "/etc"]
    for path in system.shown:
        words += ["--ro-bind", view.source(path), path]
    for target, path in system.links:
        words += ["--symlink", target, path]
    for name, descriptor in handed.etc:
        words += ["--file", str(descriptor), f"/etc/{name}"]
    if system.zone:
        words += ["--symlink", system.zone, "/etc/localtime"]
    return tuple(words)


def _kernel_folders(bounds: Bounds) -> tuple[str, ...]:
    return (
        *("--proc", "/proc", "--perms", "0000", "--size", "4096", "--tmpfs", "/proc/1", "--remount-ro", "/proc/1"),
        *("--remount-ro", "/proc"),
        *("--dev", "/dev", "--perms", "1777", "--size", str(bounds.shm_bytes), "--tmpfs", "/dev/shm"),  # noqa: S108 - inside
        *("--remount-ro", "/dev"),
        *("--perms", "1777", "--size", str(bounds.tmp_bytes), "--tmpfs", "/tmp"),  # noqa: S108 - inside
    )


def _workspace(view: View) -> tuple[str, ...]:
    source = view.source(str(view.workspace))
    match view.mount:
        case Mount.NONE:
            return ("--perms", "0555", "--dir", INSIDE, "--chdir", INSIDE)
        case Mount.READ:
            return ("--ro-bind", source, INSIDE, "--chdir", INSIDE)
        case Mount.WRITE:
            return ("--bind", source, INSIDE, *_pinned(source, view.pins), "--chdir", INSIDE)


def _pinned(source: str, pins: tuple[Pin, ...]) -> tuple[str, ...]:
    """Each bound onto itself, outer ones first: what is a mount cannot be renamed, replaced or removed."""
    words: list[str] = []
    for pin in pins:
        option = "--bind" if pin.writable else "--ro-bind"
        words += [option, f"{source}/{pin.path}", f"{INSIDE}/{pin.path}"]
    return tuple(words)
