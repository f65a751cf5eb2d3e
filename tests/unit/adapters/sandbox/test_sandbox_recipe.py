"""The recipe says every wall, for every mount; the probe and `run` have no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import ETC, Handed, System, find_system, render_recipe
from carapax.ports.sandbox import Mount

SYSTEM = System((("usr/bin", "/bin"),), ("/usr", "/opt/python"), "/opt/python/bin:/usr/bin", "/usr/share/zoneinfo/UTC")
HANDED = Handed(filter=10, status=11, gate=12, hold=13, etc=(("passwd", 14),))


def recipe(mount: Mount) -> str:
    return " ".join(render_recipe(SYSTEM, Bounds(tmp_bytes=7, shm_bytes=8), Path("/w"), mount, HANDED))


@pytest.mark.parametrize("mount", list(Mount))
@pytest.mark.parametrize(
    "wall",
    [
        "--unshare-all --unshare-user --disable-userns --uid 1000 --gid 1000",
        "--die-with-parent --new-session --cap-drop ALL",
        "--seccomp 10",
        "--clearenv --setenv PATH",
        "--ro-bind /usr /usr",
        "--perms 0000 --size 4096 --tmpfs /proc/1 --remount-ro /proc/1 --remount-ro /proc --dev",
        "--size 8 --tmpfs /dev/shm --remount-ro /dev",
        "--size 7 --tmpfs /tmp",
        "--block-fd 12 --sync-fd 13",
    ],
)
def test_every_wall_is_in_it(mount: Mount, wall: str) -> None:
    assert wall in recipe(mount)


@pytest.mark.parametrize("mount", list(Mount))
def test_nothing_is_shared_back_and_the_root_is_closed_last(mount: Mount) -> None:
    words = recipe(mount)
    assert "--share-net" not in words
    assert "--dev-bind" not in words
    assert words.endswith("--remount-ro /")


def test_the_workspace_is_shown_as_asked() -> None:
    assert "--bind /w /workspace" in recipe(Mount.WRITE)
    assert "--ro-bind /w /workspace" in recipe(Mount.READ)
    assert " /w " not in recipe(Mount.NONE)
    assert recipe(Mount.WRITE).count(" --bind ") == 1
    assert " --bind " not in recipe(Mount.READ) + recipe(Mount.NONE)


def test_the_machine_is_looked_at_once() -> None:
    found = find_system(Path("/opt/python"))
    assert "/usr" in found.shown
    assert "/opt/python" in found.shown
    assert found.path.startswith("/opt/python/bin:")
    assert not any(path in found.shown for path in ("/etc", "/etc/ssl", "/root", "/home", "/", "/run", "/var"))
    assert "/opt/python" not in find_system(None).path


def test_no_name_service_is_named_and_no_user_has_a_password() -> None:
    assert b"dns" not in ETC["nsswitch.conf"]
    assert all(row.split(b":")[1] == b"x" for row in ETC["passwd"].splitlines())
