"""Build: the launcher, made once by the machine's C compiler and kept under a name that says what it was made of.

Layer: adapters/sandbox/launcher. Owns compiling, keeping and taking it up again. The program is held in memory while
the gateway runs, so that nobody exchanges the file between two jobs.
Where no compiler can make it, the same program in Python stands in (`fallback`), and the self-test says so.
Law: a kept file is taken up only when it is a plain file of our own that nobody else may write.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

SEARCHED = "/usr/local/bin:/usr/bin:/bin"
WITHIN_S = 60
MAX_PROGRAM_BYTES = 8 << 20
_SOURCES = ("launcher.c", "outside.c", "inside.c")
_HEADERS = ("launch.h",)
_OPTIONS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-s")
_HERE = Path(__file__).parent
_ONE_AT_A_TIME = threading.Lock()  # a cache alone lets all who come before its first answer compile
INSTALL = (
    "Install a C compiler (Debian, Ubuntu: `apt install gcc libc6-dev`; Fedora: `dnf install gcc glibc-static`), "
    "then run `carapax doctor`."
)


@dataclass(frozen=True, slots=True)
class Launcher:
    """A descriptor of the program, open while the gateway runs, and what runs it; `lacks` says why it is not C."""

    descriptor: int
    interpreter: tuple[str, ...] = ()
    lacks: str = ""


def find_launcher(folder: Path | None) -> Launcher:
    """The launcher, made once however many ask at the same time; with a folder, once for all starts."""
    with _ONE_AT_A_TIME:
        return _launcher(folder)


@functools.lru_cache(maxsize=4)
def _launcher(folder: Path | None) -> Launcher:
    kept = None if folder is None else _kept(folder / _name())
    made = _compile() if kept is None else kept
    if isinstance(made, str):
        interpreter = (str(Path(sys.executable).resolve()), "-I", "-S")
        return Launcher(_held((_HERE / "fallback.py").read_bytes()), interpreter, made)
    if kept is None and folder is not None:
        _keep(folder, made)
    return Launcher(_held(made))


def _held(content: bytes) -> int:
    descriptor = os.memfd_create("carapax-launcher", os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fchmod(descriptor, 0o500)
    return descriptor


def _name() -> str:
    made_of = hashlib.sha256("\0".join((platform.machine(), *_OPTIONS)).encode())
    for name in (*_SOURCES, *_HEADERS):
        made_of.update(b"\0" + (_HERE / name).read_bytes())
    return f"launcher-{made_of.hexdigest()[:40]}"


def _kept(path: Path) -> bytes | None:
    """The kept program, or None when there is none fit to be used."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        about = os.fstat(descriptor)
        ours = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o022
        if not ours or not 0 < about.st_size <= MAX_PROGRAM_BYTES:
            return None
        return os.pread(descriptor, about.st_size, 0)
    finally:
        os.close(descriptor)


def _keep(folder: Path, content: bytes) -> None:
    # A folder that cannot be written only means that the next start compiles again.
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = folder / f"launcher-new-{secrets.token_hex(8)}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o500)
        with open(descriptor, "wb") as file:
            file.write(content)
        new.rename(folder / _name())


def _compile() -> bytes | str:
    """The program, or why there is none."""
    compiler = shutil.which("cc", path=SEARCHED) or shutil.which("gcc", path=SEARCHED)
    if compiler is None:
        return "there is no C compiler"
    said = ""
    with tempfile.TemporaryDirectory(prefix="carapax-build-") as folder:
        made = Path(folder, "launcher")
        for linking in (("-static",), ()):  # without it where the static C library is not installed
            words = [compiler, *_OPTIONS, *linking, "-o", str(made), *(str(_HERE / name) for name in _SOURCES)]
            try:
                done = subprocess.run(  # noqa: S603 - a fixed program over our own sources
                    words, env={"PATH": SEARCHED, "TMPDIR": folder}, capture_output=True, timeout=WITHIN_S, text=True
                )
            except (OSError, subprocess.SubprocessError) as error:
                said = str(error)
                continue
            if done.returncode == 0:
                return made.read_bytes()
            said = done.stderr.strip().partition("\n")[0]
    return f"the C compiler fails: {said[:300]}"
