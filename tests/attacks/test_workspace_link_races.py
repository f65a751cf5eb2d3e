"""Attack: swap files and folders for links while the host reads and writes the workspace, 100,000 times."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from carapax.adapters.workspace.beneath import look, open_file, remove, replace_file

TRIES = 100_000
SECRET = b"the-secret"


SWAP = """
import ctypes, sys
library = ctypes.CDLL(None)
shown, link = sys.argv[1].encode(), sys.argv[2].encode()
print("swapping", flush=True)
for _ in range(200_000_000):
    library.renameat2(-100, shown, -100, link, 2)  # an exchange: one of the two is there at any moment
"""


def test_a_reader_and_writer_on_the_host_never_follows_a_planted_link(tmp_path: Path) -> None:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    (workspace / "real").mkdir(parents=True)
    outside.mkdir()
    (outside / "f").write_bytes(SECRET)
    (workspace / "real" / "f").write_bytes(b"inside")
    (workspace / "link").symlink_to(outside)
    (workspace / "real").rename(workspace / "d")
    swapping = subprocess.Popen(
        [sys.executable, "-c", SWAP, str(workspace / "d"), str(workspace / "link")], stdout=subprocess.PIPE
    )
    assert swapping.stdout is not None
    assert swapping.stdout.readline() == b"swapping\n"
    met: dict[str, int] = {}
    try:
        for turn in range(TRIES):
            what = "refused"
            with contextlib.suppress(OSError):
                if turn % 50 == 0:
                    replace_file(workspace, "d/f", b"inside", 0o600)
                    what = "written"
                elif turn % 50 == 1:
                    remove(workspace, "d/nothing", folder=False)
                elif turn % 50 == 2:
                    about = look(workspace, "d/f")
                    what = "seen" if about is not None else "nothing"
                    assert about is None or about.st_size != len(SECRET)
                else:
                    descriptor = open_file(workspace, "d/f")
                    content = os.read(descriptor, 64)
                    os.close(descriptor)
                    assert content == b"inside"
                    what = "read"
            met[what] = met.get(what, 0) + 1
    finally:
        swapping.kill()
        swapping.wait(20)
        swapping.stdout.close()
    assert (outside / "f").read_bytes() == SECRET
    assert os.listdir(outside) == ["f"]
    assert sum(met.values()) == TRIES
    assert met["refused"] > 100  # the link was there when it was tried
    assert met["read"] > 100
