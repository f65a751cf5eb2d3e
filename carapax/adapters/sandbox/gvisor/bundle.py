"""Bundle: the exact OCI configuration of one job, and the empty root it is mounted upon.

Layer: adapters/sandbox/gvisor. Owns what is visible inside and how; the probe runs the same bundle.
`render_config` is pure: same job, same bytes. `lay_root` makes the folders and fixed files of a root.
Who runs, under a gateway that is root: the job is 1000 inside, which is the gateway's user on the host, so files keep
their owner; what opens files for it is host user FILES_UID. Under an ordinary user there is only that user on the host,
whom the kernel inside shows as 0, without a privilege.
Laws: nothing of the host is writable inside but the workspace; every tmpfs has a size; no capability is given.
"""

from __future__ import annotations

import json
import os
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import ETC, INSIDE, System
from carapax.adapters.sandbox.gvisor.calls import refused_calls
from carapax.adapters.sandbox.way import CA_INSIDE, way_variables
from carapax.ports.sandbox import Job, Mount

UID = 1000
FILES_UID = 64_243  # host user and group of the process that opens files; nobody's on any distribution, and no job's
RELAY_INSIDE = "/run/carapax"  # the folder with the way's socket and the relay to it
_NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "user")
_SHOWN_AS_ROOT = {
    "passwd": b"agent:x:0:0:agent:/tmp:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": b"agent:x:0:\nnogroup:x:65534:\n",
}
_TEMPORARY = ("nosuid", "nodev", "noexec", "mode=1777")


@dataclass(frozen=True, slots=True)
class Shown:
    """What of the host one job sees."""

    system: System
    bounds: Bounds
    workspace: Path
    way: Path | None = None  # the folder to show at RELAY_INSIDE
    authority: Path | None = None  # the file to show at CA_INSIDE
    ordinary: bool = False  # the gateway is an ordinary user
    pinned: tuple[tuple[str, str, bool], ...] = ()  # (source, name in the workspace, writable)


def render_config(job: Job, argv: tuple[str, ...], shown: Shown, *, uid: int, gid: int) -> bytes:
    """The OCI configuration. `argv` is what runs first inside; `uid` and `gid` are the gateway's own."""
    namespaces = [kind for kind in _NAMESPACES if not (shown.ordinary and kind == "user")]
    mapped = {} if shown.ordinary else {"uidMappings": _mapping(uid), "gidMappings": _mapping(gid)}
    config = {
        "ociVersion": "1.0.2",
        "process": _process(job, argv, shown),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "carapax",
        "mounts": list(_mounts(job, shown)),
        "linux": {
            "namespaces": [{"type": kind} for kind in namespaces],
            **mapped,
            "seccomp": refused_calls(),
        },
    }
    return json.dumps(config, ensure_ascii=True).encode("ascii")


def _process(job: Job, argv: tuple[str, ...], shown: Shown) -> dict[str, object]:
    user = 0 if shown.ordinary else UID
    return {
        "user": {"uid": user, "gid": user},
        "args": list(argv),
        "env": [f"{name}={value}" for name, value in environment(job, shown.system).items()],
        "cwd": INSIDE,
        "capabilities": {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
        "noNewPrivileges": True,
        "rlimits": [{"type": name, "hard": value, "soft": value} for name, value in _ceilings(job, shown.bounds)],
    }


def environment(job: Job, system: System) -> dict[str, str]:
    """The fixed few, the job's own, and what leads to its way out."""
    fixed = {"PATH": system.path, "HOME": "/tmp", "LANG": "C.UTF-8", "TERM": "dumb", "USER": "agent"}  # noqa: S108 - inside
    return fixed | dict(job.variables) | dict(way_variables(job.way))


def _ceilings(job: Job, bounds: Bounds) -> tuple[tuple[str, int], ...]:
    return (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", bounds.file_bytes),
        ("RLIMIT_NOFILE", bounds.open_files),
        ("RLIMIT_NPROC", job.processes),  # gVisor keeps it for its own users, so it binds here
    )


def _mapping(own: int) -> list[dict[str, int]]:
    return [
        {"containerID": 0, "hostID": FILES_UID, "size": 1},
        {"containerID": UID, "hostID": own, "size": 1},
    ]


def _mounts(job: Job, shown: Shown) -> list[dict[str, object]]:
    found: list[dict[str, object]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536"]},
        _temporary("/dev/shm", shown.bounds.shm_bytes),  # noqa: S108 - inside
        _temporary("/tmp", shown.bounds.tmp_bytes),  # noqa: S108 - inside
    ]
    found += [_bind(path, path) for path in (*shown.system.shown, *library_paths(job, shown.system))]
    if job.mount is not Mount.NONE:
        found.append(_bind(str(shown.workspace), INSIDE, writable=job.mount is Mount.WRITE))
    found += [_bind(source, f"{INSIDE}/{name}", writable=writable) for source, name, writable in shown.pinned]
    if shown.way is not None:
        found.append(_bind(str(shown.way), RELAY_INSIDE))
    if shown.authority is not None:
        found.append(_bind(str(shown.authority), CA_INSIDE))
    return found


def _temporary(path: str, size: int) -> dict[str, object]:
    return {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": [*_TEMPORARY, f"size={size}"]}


def _bind(source: str, path: str, *, writable: bool = False) -> dict[str, object]:
    options = ["rbind", "rw" if writable else "ro", "nosuid", "nodev"]
    return {"destination": path, "type": "bind", "source": source, "options": options}


def library_paths(job: Job, system: System) -> tuple[str, ...]:
    """The packages that Carapax runs with, when the job may see them and what is shown does not hold them already."""
    if not job.library:
        return ()
    folders = {os.path.realpath(sysconfig.get_paths()[kind]) for kind in ("purelib", "platlib")}
    return tuple(sorted(f for f in folders if not any(Path(f).is_relative_to(known) for known in system.shown)))


def lay_root(root: Path, job: Job, shown: Shown) -> None:
    """Make the folders, links and fixed files that the mounts stand on. Raises OSError."""
    for name in ("etc", "proc", "dev", "tmp", "sys", INSIDE.lstrip("/"), RELAY_INSIDE.lstrip("/")):
        (root / name).mkdir(mode=0o755, parents=True, exist_ok=True)
    for target, path in shown.system.links:
        (root / path.lstrip("/")).symlink_to(target)
    for name, content in (ETC | _SHOWN_AS_ROOT if shown.ordinary else ETC).items():
        (root / "etc" / name).write_bytes(content)
    for path in (*shown.system.shown, *library_paths(job, shown.system)):
        _lay_place(root, path)
    if shown.authority is not None:
        (root / CA_INSIDE.lstrip("/")).touch()
    if shown.system.zone:
        (root / "etc" / "localtime").symlink_to(shown.system.zone)


def _lay_place(root: Path, path: str) -> None:
    place = root / path.lstrip("/")
    if os.path.isdir(path):
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        return
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    place.touch()
