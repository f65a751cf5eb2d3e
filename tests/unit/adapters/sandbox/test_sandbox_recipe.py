"""The recipe says every wall, for every mount; the probe and `run` have no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import (
    ETC,
    NO_PORT,
    Handed,
    System,
    View,
    find_system,
    render_inside,
    render_recipe,
)
from carapax.adapters.sandbox.pins import Pin
from carapax.ports.sandbox import Mount

SYSTEM = System((("usr/bin", "/bin"),), ("/usr", "/opt/python"), "/opt/python/bin:/usr/bin", "/usr/share/zoneinfo/UTC")
HANDED = Handed(filter=10, status=11, gate=12, hold=13, etc=(("passwd", 14),), launcher=15, interpreter=(), verdict=16)


BOUNDS = Bounds(tmp_bytes=7, shm_bytes=8)
PINS = (Pin(".git", writable=True), Pin(".git/hooks"))


def recipe(mount: Mount, **view: object) -> str:
    return " ".join(render_recipe(SYSTEM, BOUNDS, View(Path("/w"), mount, **view), HANDED))  # type: ignore[arg-type]


def rules(mount: Mount, bounds: Bounds = BOUNDS, port: int = NO_PORT) -> str:
    return " ".join(render_inside(SYSTEM, bounds, View(Path("/w"), mount), HANDED, port))


@pytest.mark.parametrize("mount", list(Mount))
@pytest.mark.parametrize(
    "wall",
    [
        "--unshare-all --share-net --unshare-user --disable-userns --uid 1000 --gid 1000",
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
    assert words.count("--share-net") == 1  # of the launcher's making
    assert "--dev-bind" not in words
    assert words.endswith("--remount-ro /")


def test_the_workspace_is_shown_as_asked() -> None:
    assert "--bind /w /workspace" in recipe(Mount.WRITE)
    assert "--ro-bind /w /workspace" in recipe(Mount.READ)
    assert " /w " not in recipe(Mount.NONE)
    assert recipe(Mount.WRITE).count(" --bind ") == 1
    assert " --bind " not in recipe(Mount.READ) + recipe(Mount.NONE)


def test_what_is_pinned_is_bound_onto_itself_outer_ones_first() -> None:
    pinned = "--bind /w /workspace --bind /w/.git /workspace/.git --ro-bind /w/.git/hooks /workspace/.git/hooks"
    assert pinned in recipe(Mount.WRITE, pins=PINS)
    assert ".git" not in recipe(Mount.READ, pins=PINS) + recipe(Mount.NONE, pins=PINS)


def test_what_the_jobs_user_cannot_reach_is_taken_from_where_it_was_placed() -> None:
    placed = {"/w": "/sys/0", "/opt/python": "/sys/1", "/lib/own": "/sys/2"}
    words = recipe(Mount.WRITE, placed=placed, library=("/lib/own",), pins=PINS)
    for wanted in (
        "--ro-bind /sys/1 /opt/python",
        "--ro-bind /sys/2 /lib/own",
        "--bind /sys/0 /workspace",
        "--bind /sys/0/.git /workspace/.git",
    ):
        assert wanted in words


def test_a_variable_of_the_job_never_replaces_a_fixed_one() -> None:
    words = recipe(Mount.NONE, variables=(("PATH", "/workspace"), ("LD_LIBRARY_PATH", "/x"), ("A", "b")))
    assert "--setenv PATH /opt/python/bin:/usr/bin" in words
    assert "--setenv A b" in words
    assert "/workspace " not in words.partition("--setenv")[2].partition("--perms")[0]


@pytest.mark.parametrize("mount", list(Mount))
def test_landlock_lets_nothing_run_that_can_be_written_but_the_workspace(mount: Mount) -> None:
    words = rules(mount)
    assert words.startswith("/launcher inside -v 16 -a 2 ")
    for folder in ("/tmp", "/dev/shm"):
        assert f"-w {folder}" in words
        assert f"-x {folder}" not in words
    assert "-x /launcher" not in words
    assert words.endswith("-p 0")


def test_the_workspace_may_be_run_unless_the_bounds_say_not() -> None:
    assert "-W /workspace -e 20000 -s /workspace" in rules(Mount.WRITE)
    assert "-x /workspace -e 20000 -s /workspace" in rules(Mount.READ)
    closed = Bounds(run_workspace=False)
    assert "-n /workspace" in rules(Mount.WRITE, closed)
    assert "-r /workspace" in rules(Mount.READ, closed)
    assert "-x /workspace" not in rules(Mount.NONE)


def test_the_one_port_is_the_ways() -> None:
    assert rules(Mount.NONE, port=3128).endswith("-p 3128")
    assert "-p" not in rules(Mount.NONE, Bounds(connect_inside=True)).split()


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
