"""Guest: the first file system of the machine, built in memory from our own program and a few files of this host.

Layer: adapters/sandbox/vm. Owns compiling the guest's program (inside/*.c) and writing the archive that the kernel unpacks.
Absent: any distribution, shell or package in the guest: /usr of the host is shown to it, read-only.
Source: the kernel's initramfs buffer format ("newc").
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from carapax.adapters.sandbox.bwrap.recipe import ETC, System
from carapax.adapters.sandbox.vm.kernel import Kernel, read_module
from carapax.core.terms.error import SandboxUnavailable

MAX_ETC_FILES = 2_000
MAX_ETC_BYTES = 16 << 20
COMPILE_WITHIN_S = 60
_SOURCES = Path(__file__).with_name("inside")
_ROOT = "r"  # where the guest's program finds what a job will see as /
_FOLDERS = ("dev", "etc", "proc", "tmp", "usr", "workspace")
_COMPILER = "A disposable machine's own program is built with a C compiler: `apt install gcc libc6-dev`."


def build_program() -> bytes:
    """Compile the guest's program, static. Raises SandboxUnavailable."""
    compiler = shutil.which("cc", path="/usr/local/bin:/usr/bin:/bin")
    if compiler is None:
        raise SandboxUnavailable("no C compiler is installed", next_step=_COMPILER)
    with tempfile.TemporaryDirectory(prefix="carapax-guest-") as folder:
        made = Path(folder, "init")
        words = [compiler, "-static", "-O2", "-Wall", "-o", str(made), *map(str, sorted(_SOURCES.glob("*.c")))]
        try:
            subprocess.run(  # noqa: S603 - a fixed program and our own files
                words,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": folder},
                capture_output=True,
                check=True,
                timeout=COMPILE_WITHIN_S,
            )
            return made.read_bytes()
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise SandboxUnavailable(f"the guest's program was not built: {said}", next_step=_COMPILER) from error
        except (OSError, subprocess.SubprocessError) as error:
            raise SandboxUnavailable(f"the guest's program was not built: {error}", next_step=_COMPILER) from error


def build_archive(program: bytes, kernel: Kernel, system: System) -> bytes:
    """The first file system as the kernel unpacks it. Raises SandboxUnavailable."""
    try:
        rows = [*_rows(program, kernel, system)]
    except OSError as error:
        raise SandboxUnavailable(
            f"the guest could not be put together: {error}", next_step="Run `carapax doctor`."
        ) from error
    entries = (_entry(n, name, mode, content) for n, (name, mode, content) in enumerate(rows, 1))
    return b"".join((*entries, _entry(0, "TRAILER!!!", 0, b"")))


def _rows(program: bytes, kernel: Kernel, system: System) -> Iterator[tuple[str, int, bytes]]:
    yield "init", stat.S_IFREG | 0o755, program
    yield "modules", stat.S_IFDIR | 0o755, b""
    for number, path in enumerate(kernel.modules):
        yield f"modules/{number}", stat.S_IFREG | 0o644, read_module(path)
    yield _ROOT, stat.S_IFDIR | 0o755, b""
    for name in _FOLDERS:
        yield f"{_ROOT}/{name}", stat.S_IFDIR | (0o555 if name == "workspace" else 0o755), b""
    for target, link in system.links:
        yield f"{_ROOT}{link}", stat.S_IFLNK | 0o777, os.fsencode(target)
    for name, content in ETC.items():
        yield f"{_ROOT}/etc/{name}", stat.S_IFREG | 0o644, content
    if system.zone:
        yield f"{_ROOT}/etc/localtime", stat.S_IFLNK | 0o777, os.fsencode(system.zone)
    yield from _shown_etc(system)


def _shown_etc(system: System) -> Iterator[tuple[str, int, bytes]]:
    """Copies of the few files of the host's /etc that every tier shows."""
    made: set[Path] = {Path("/etc")}
    count = total = 0
    for top in (Path(path) for path in system.shown if path.startswith("/etc/")):
        for path in (top, *sorted(top.rglob("*"))):
            for folder in reversed(path.parents[:-2]):
                if folder not in made:
                    made.add(folder)
                    yield f"{_ROOT}{folder}", stat.S_IFDIR | 0o755, b""
            row = _etc_row(path)
            if row is None:
                continue
            made.add(path)
            count, total = count + 1, total + len(row[2])
            if count > MAX_ETC_FILES or total > MAX_ETC_BYTES:
                raise OSError(f"{top} holds more than a guest is given")
            yield row


def _etc_row(path: Path) -> tuple[str, int, bytes] | None:
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        return f"{_ROOT}{path}", stat.S_IFLNK | 0o777, os.fsencode(os.readlink(path))
    if stat.S_ISREG(found.st_mode):
        return f"{_ROOT}{path}", stat.S_IFREG | 0o644, path.read_bytes()
    return None


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    path = os.fsencode(name) + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return _padded(head) + _padded(content)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)
