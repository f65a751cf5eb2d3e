"""Each wall that is missing stops every job, is named, and says how it is put up."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import BwrapSandbox, adapter, launch, mechanism, recipe
from carapax.adapters.sandbox.bwrap.sources import Placing
from carapax.adapters.sandbox.selftest import EXPECTED, judge
from carapax.core.terms.check import Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job, Mount
from tests.attacks.sealing import KEY, WallClock, mint

TOUCH = Job(("touch", "/workspace/ran"), mount=Mount.WRITE)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[BwrapSandbox]:
    (tmp_path / "w").mkdir()
    made = BwrapSandbox(tmp_path / "w", KEY, WallClock())
    yield made
    made.close()


def refused(sandbox: BwrapSandbox, tmp_path: Path) -> SandboxUnavailable:
    with pytest.raises(SandboxUnavailable) as error:
        asyncio.run(sandbox.run(mint(), TOUCH))
    assert error.value.next_step
    assert error.value.kept == "Nothing was run."
    assert not (tmp_path / "w" / "ran").exists()
    return error.value


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "bwrap"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_no_bubblewrap(sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mechanism.shutil, "which", lambda *_, **__: None)
        error = refused(sandbox, tmp_path)
        assert "not installed" in error.what
        assert "apt install bubblewrap" in error.next_step
        (check,) = asyncio.run(sandbox.probe())
        assert (check.standing, check.next_step) == (Standing.FAILED, error.next_step)
    assert asyncio.run(sandbox.run(mint(), TOUCH)).exit_code == 0  # once mended, no restart is needed


def test_an_old_bubblewrap(sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = program(tmp_path, "echo --seccomp --size --json-status-fd --block-fd --cap-drop --perms")
    monkeypatch.setattr(mechanism.shutil, "which", lambda *_, **__: old)
    assert "--disable-userns" in refused(sandbox, tmp_path).what


@pytest.mark.parametrize(
    "behaviour",
    ["echo 'bwrap: No permissions to create new namespace' >&2; exit 1", "exit 0", "kill -9 $$"],
)
def test_a_bubblewrap_that_builds_nothing(
    sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    walls = mechanism.find_walls()
    broken = dataclasses.replace(walls, bubblewrap=program(tmp_path, behaviour))
    monkeypatch.setattr(adapter, "find_walls", lambda _: broken)
    monkeypatch.setattr(adapter, "UNPRIVILEGED_USER", None)  # who could not reach this test's folder
    error = refused(sandbox, tmp_path)
    assert "could not be built" in error.what
    assert "Traceback" not in error.what


def test_a_mount_that_fails(sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = adapter.find_system
    monkeypatch.setattr(
        adapter, "find_system", lambda i: dataclasses.replace(real(i), shown=(*real(i).shown, "/no/such/folder"))
    )
    assert "/no/such/folder" in refused(sandbox, tmp_path).what


def test_a_filter_the_kernel_will_not_take(
    sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walls = mechanism.find_walls()
    monkeypatch.setattr(adapter, "find_walls", lambda _: dataclasses.replace(walls, filter=b"\xff" * 16))
    assert "could not be built" in refused(sandbox, tmp_path).what


def test_a_ceiling_that_cannot_be_set(sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(launch.Group, "holds", fails)
    monkeypatch.setattr(launch.resource, "prlimit", fails)
    assert "ceilings" in refused(sandbox, tmp_path).what


@pytest.mark.parametrize("name", ["net", "pid", "mnt", "ipc", "uts", "cgroup"])
def test_a_namespace_that_is_still_the_hosts(
    sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = launch.render_recipe

    def shared(*words: object) -> tuple[str, ...]:
        kinds = [f"--unshare-{kind}" for kind in ("pid", "ipc", "uts", "cgroup") if kind != name]
        made = real(*words)  # type: ignore[arg-type]
        assert "--share-net" in made  # the launcher made the network
        return tuple(
            w
            for word in made
            for w in (kinds if word == "--unshare-all" else [word])
            if w not in ("--disable-userns", *(("--hostname", "carapax") if name == "uts" else ()))
        )

    real_loads = json.loads
    if name == "mnt":  # bubblewrap always makes one; take its word away instead
        monkeypatch.setattr(launch.json, "loads", lambda text: {**real_loads(text), "mnt-namespace": None})
    elif name == "net":  # as if the launcher had not been there
        monkeypatch.setattr(launch, "render_outside", lambda *_: ())
        monkeypatch.setattr(launch, "place_sources", lambda *_: Placing())
    else:
        monkeypatch.setattr(launch, "render_recipe", shared)
    assert "namespace of the job's own" in refused(sandbox, tmp_path).what


def test_each_attempt_is_judged_strictly() -> None:
    for name, row in EXPECTED.items():
        for met in row.expected:
            assert judge(name, met).standing is Standing.OK
        for met in ("open", None, "", "ENOSYS2", "EFAULT"):
            check = judge(name, met)
            assert (check.standing, check.name) == (Standing.FAILED, row.words)
            assert check.next_step


def test_a_job_that_is_not_in_its_group_does_not_begin(
    sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mechanism.find_walls().tree is None:
        pytest.skip("no control group can be made here")
    real = launch.render_outside
    monkeypatch.setattr(launch, "render_outside", lambda a, b, _, d, e: real(a, b, None, d, e))
    assert "not in its control group" in refused(sandbox, tmp_path).what


def test_a_kernel_without_landlock(sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "OLDEST_LANDLOCK", 1_000)
    assert "Landlock" in refused(sandbox, tmp_path).what


@pytest.mark.parametrize(
    ("word", "instead", "said"),
    [
        (f"{recipe.OLDEST_LANDLOCK}", "1000", "Landlock is too old"),
        ("/usr", "/usr", "it gave no verdict"),  # Landlock lets the launcher be run again: the canary sees it
    ],
)
def test_a_wall_missing_inside_refuses_the_job(
    sandbox: BwrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, instead: str, said: str
) -> None:
    real = launch.render_inside

    def weaker(*words: object) -> tuple[str, ...]:
        made = real(*words)  # type: ignore[arg-type]
        more = ("-x", recipe.LAUNCHER_INSIDE) if word == "/usr" else ()
        return (*(instead if w == word else w for w in made), *more)

    monkeypatch.setattr(launch, "render_inside", weaker)
    assert said in refused(sandbox, tmp_path).what
