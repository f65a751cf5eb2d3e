"""Attack: change the system, the kernel's settings, or a workspace that was shown for reading."""

from __future__ import annotations

import pytest

from carapax.ports.sandbox import Mount
from tests.attacks.sealing import Inside


@pytest.mark.parametrize(
    "path", ["/usr/bin/canary", "/usr/canary", "/bin/canary", "/etc/canary", "/canary", "/dev/canary", "/root/canary"]
)
def test_nothing_can_be_made_in_the_system(inside: Inside, path: str) -> None:
    (met,) = inside.met(f"tried(lambda: os.open({path!r}, os.O_WRONLY | os.O_CREAT))")
    assert met in ("EROFS", "EACCES", "ENOENT")


@pytest.mark.parametrize(
    "path", ["/usr/bin/env", "/etc/passwd", "/etc/hosts", "/etc/nsswitch.conf", "/proc/sys/kernel/core_pattern"]
)
def test_nothing_there_can_be_changed(inside: Inside, path: str) -> None:
    (met,) = inside.met(f"tried(lambda: os.open({path!r}, os.O_WRONLY))")
    assert met in ("EROFS", "EACCES")  # EACCES: to the job's user it would not even be its own


@pytest.mark.parametrize(
    "path", ["/proc/sysrq-trigger", "/proc/self/uid_map", "/proc/sys/vm/drop_caches", "/proc/self/oom_score_adj"]
)
def test_the_kernels_folder_takes_no_writing(inside: Inside, path: str) -> None:
    (met,) = inside.met(f"tried(lambda: os.open({path!r}, os.O_WRONLY))")
    assert met in ("EROFS", "EACCES", "ENOENT")


def test_a_workspace_shown_for_reading_is_not_written(inside: Inside) -> None:
    (inside.workspace / "kept").write_text("as it was")
    code = """
    tried(lambda: open("/workspace/kept", "w"))
    tried(lambda: open("/workspace/new", "w"))
    tried(lambda: os.unlink("/workspace/kept"))
    tried(lambda: os.chmod("/workspace/kept", 0o600))
    tried(lambda: os.utime("/workspace/kept", (0, 0)))
    tried(lambda: os.open("/proc/self/cwd/kept", os.O_WRONLY))
    """
    assert inside.met(code, Mount.READ) == ["EROFS"] * 6
    assert (inside.workspace / "kept").read_text() == "as it was"


def test_a_job_without_the_workspace_sees_none_of_it(inside: Inside) -> None:
    (inside.workspace / "kept").write_text("private")
    assert inside.shell("ls -A /workspace; pwd", mount=Mount.NONE).output == b"/workspace\n"
    assert inside.met("tried(lambda: open('/workspace/new', 'w'))", Mount.NONE) == ["EROFS"]


def test_only_harmless_devices_exist(inside: Inside) -> None:
    listed = set(inside.run("ls", "/dev").output.decode().split())
    assert listed <= {
        "core",
        "fd",
        "full",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
    }


def test_no_system_folder_of_the_kernel_is_shown(inside: Inside) -> None:
    assert inside.shell("ls -d /sys /run /var /boot /home /opt 2>/dev/null").output == b""
