"""Attack: leave a program in the workspace that runs as its owner, or a device file."""

from __future__ import annotations

import pytest

from carapax.ports.sandbox import Mount
from tests.attacks.sealing import Inside

ATTEMPTS = [
    "os.chmod('/workspace/f', 0o4755)",
    "os.chmod('/workspace/f', 0o2755)",
    "os.fchmod(os.open('/workspace/f', os.O_RDONLY), 0o4755)",
    "os.open('/workspace/g', os.O_CREAT | os.O_WRONLY, 0o4755)",
    "os.open('/workspace', os.O_TMPFILE | os.O_WRONLY, 0o4755)",
    "os.mknod('/workspace/h', 0o104755)",
    "os.mknod('/workspace/d', 0o020666, os.makedev(1, 1))",
    "os.mknod('/workspace/d', 0o060666, os.makedev(8, 0))",
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_it_is_refused(inside: Inside, attempt: str) -> None:
    (inside.workspace / "f").write_text("program")
    assert inside.met(f"tried(lambda: {attempt})", Mount.WRITE) == ["EPERM"]
    assert all(path.stat().st_mode & 0o6000 == 0 for path in inside.workspace.iterdir())


def test_the_calls_whose_mode_cannot_be_seen_are_absent(inside: Inside) -> None:
    code = "tried(lambda: raw(437, 437, -100, 0, 0, 0)); tried(lambda: raw(452, 452, -100, 0, 0, 0))"
    assert inside.met(code) == ["ENOSYS", "ENOSYS"]


def test_ordinary_modes_work(inside: Inside) -> None:
    assert inside.met(
        "tried(lambda: os.chmod('/workspace', 0o755)); tried(lambda: open('/workspace/n', 'w'))", Mount.WRITE
    ) == [
        "open",
        "open",
    ]
