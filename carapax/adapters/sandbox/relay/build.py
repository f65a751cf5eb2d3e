"""Build: the relay's C program, made once per gateway with the machine's compiler and kept in memory.

Layer: adapters/sandbox/relay. Absent: a file that stays on disk, which somebody could replace between two starts.
Law: None when no compiler can make it; the Python relay then stands in, and the self-test says so.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

SEARCHED = "/usr/local/bin:/usr/bin:/bin"
WITHIN_S = 60
_SOURCE = Path(__file__).with_name("relay.c")
_OPTIONS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s")


@functools.cache
def build_relay() -> bytes | None:
    """The program's bytes, or None."""
    compiler = shutil.which("cc", path=SEARCHED)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="carapax-build-") as folder:
        made = Path(folder, "relay")
        try:
            subprocess.run(  # noqa: S603 - a fixed program over our own source
                [compiler, *_OPTIONS, "-o", str(made), str(_SOURCE)],
                env={"PATH": SEARCHED, "TMPDIR": folder},
                check=True,
                capture_output=True,
                timeout=WITHIN_S,
            )
            return made.read_bytes()
        except (OSError, subprocess.SubprocessError):
            return None
