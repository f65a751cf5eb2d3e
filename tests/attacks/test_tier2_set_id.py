"""Attack from the strong tier: leave in the workspace what is dangerous on the host: a set-user-id program, a device,
a capability, a link out, a socket or queue that somebody opens."""

from __future__ import annotations

from pathlib import Path

from carapax.ports.sandbox import Mount
from tests.attacks.strong import each, strong

SET_ID = [
    "os.chmod('/workspace/f', 0o4755)",
    "os.chmod('/workspace/f', 0o2755)",
    "os.fchmod(os.open('/workspace/f', os.O_RDONLY), 0o4755)",
    "os.open('/workspace/g', os.O_CREAT | os.O_WRONLY, 0o4755)",
    "os.mknod('/workspace/h', 0o104755)",
    "os.mknod('/workspace/d', 0o020666, os.makedev(1, 1))",
    "os.mknod('/workspace/b', 0o060666, os.makedev(8, 0))",
    "raw(452, 452, -100, ctypes.c_char_p(b'/workspace/f'), 0o4755, 0)",
    "raw(437, 437, -100, ctypes.c_char_p(b'/workspace/o'), ctypes.create_string_buffer(24), 24)",
]
OWNERS = [
    "os.chown('/workspace/f', 0, 0)",
    "os.setxattr('/workspace/f', 'security.capability', bytes(20))",
    "os.setxattr('/workspace/f', 'trusted.x', b'1')",
    "os.link('/usr/bin/env', '/workspace/hard')",
]


def test_nothing_runs_as_its_owner(tmp_path: Path) -> None:
    with strong(tmp_path) as inside:
        (inside.workspace / "f").write_text("program")
        met = each(inside, SET_ID, Mount.WRITE)
        assert set(met.values()) <= {"EPERM", "ENOSYS"}, met
        assert {path.name for path in inside.workspace.iterdir()} == {"f"}
        assert (inside.workspace / "f").stat().st_mode & 0o6000 == 0


def test_neither_owner_nor_capability_is_given_away(tmp_path: Path) -> None:
    with strong(tmp_path) as inside:
        (inside.workspace / "f").write_text("program")
        before = (inside.workspace / "f").stat()
        met = each(inside, OWNERS, Mount.WRITE)
        assert "open" not in met.values(), met
        after = (inside.workspace / "f").stat()
        assert (after.st_uid, after.st_gid, after.st_mode, after.st_nlink) == (
            *(before.st_uid, before.st_gid, before.st_mode),
            1,
        )


def test_sockets_and_queues_stay_in_the_kernel_inside(tmp_path: Path) -> None:
    with strong(tmp_path) as inside:
        each(inside, ["socket.socket(socket.AF_UNIX).bind('/workspace/s')", "os.mkfifo('/workspace/q')"], Mount.WRITE)
        assert list(inside.workspace.iterdir()) == []


def test_a_link_out_leads_nowhere_inside(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the-secret")
    with strong(tmp_path) as inside:
        (inside.workspace / "planted").symlink_to(secret)
        met = each(
            inside,
            [
                "open('/workspace/planted').read()",
                f"os.symlink({str(secret)!r}, '/workspace/own')",
                "open('own').read()",
            ],
            Mount.WRITE,
        )
        assert list(met.values()) == ["ENOENT", "open", "ENOENT"]
