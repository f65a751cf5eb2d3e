"""The self-test: its bait is real, its table is whole, and it believes no answer but the expected one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.selftest import EXPECTED, Tried, judge, try_walls
from carapax.adapters.sandbox.selftest.attempts import ATTEMPTS
from carapax.adapters.sandbox.selftest.bait import laid_bait, read_planted
from carapax.adapters.sandbox.selftest.expected import JUDGED_OUTSIDE, READ_ONLY_PASS
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job, Mount, Ran

PROGRAM = Path(sys.modules[ATTEMPTS["secret"].__module__].__file__ or "")


def test_every_row_has_an_attempt_and_every_attempt_a_row() -> None:
    made_inside = {JUDGED_OUTSIDE.get(name, name) for name in EXPECTED}
    assert made_inside == set(ATTEMPTS)
    assert set(READ_ONLY_PASS) <= set(EXPECTED)
    assert len({row.words for row in EXPECTED.values()}) == len(EXPECTED)
    for name, row in EXPECTED.items():
        assert row.layer, name
        assert "open" not in row.expected


def test_the_bait_is_really_there(tmp_path: Path) -> None:
    """The same program on the host itself, without walls, reaches what no job may reach."""
    names = ["secret", "home", "loopback", "abstract", "daemon", "shared-memory", "processes", "interfaces"]
    with laid_bait((tmp_path,)) as bait:
        words = [f"{name}={value}" for name, value in bait.words.items()]
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(PROGRAM), *words, f"only={','.join(names)}"],
            capture_output=True,
            text=True,
            timeout=60,
            pass_fds=(int_descriptor(bait.words["secret"]),),
        )
        met = dict(line.split("\t") for line in done.stdout.splitlines())
        assert {name: met.get(name) for name in names} == dict.fromkeys(names, "open"), done.stderr
        assert (bait.workspace / ".git" / "hooks" / "pre-commit").is_file()
        assert (bait.shared / "daemon").is_socket()
    assert not bait.workspace.exists()


def int_descriptor(path: str) -> int:
    return next(int(n) for n in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{n}") == path)


def test_a_reader_on_the_host_is_not_led_by_a_planted_link(tmp_path: Path) -> None:
    with laid_bait(()) as bait:
        (bait.workspace / "carapax-link").symlink_to(bait.words["secret"])
        assert read_planted(bait) == "ELOOP"
        (bait.workspace / "carapax-link").unlink()
        (bait.workspace / "carapax-link").write_text("plain")
        assert read_planted(bait) == "open"


def answers(said: dict[str, str], tier_without: frozenset[str] = frozenset()) -> list[Check]:
    """The checks of a tier whose attempts print these answers, whatever was asked."""

    async def start(job: Job, workspace: Path) -> Ran:
        if not any(word.startswith("only=") for word in job.argv):
            return Ran(0, b"", False, "", 1)
        text = "".join(f"{name}\t{answer}\n" for name, answer in said.items())
        return Ran(0, text.encode(), False, "", 1)

    return list(asyncio.run(try_walls(Tried(start, Bounds(), without=tier_without))))


def test_a_tier_that_prints_nothing_fails_everywhere() -> None:
    checks = answers({})
    failed = {check.name for check in checks if check.standing is Standing.FAILED}
    assert {row.words for row in EXPECTED.values()} <= failed


def test_an_expected_refusal_is_believed_and_nothing_else_is() -> None:
    good = {name: row.expected[0] for name, row in EXPECTED.items()} | {"plant-link": "open"}
    checks = {check.name: check for check in answers(good)}
    stood = [row.words for name, row in EXPECTED.items() if checks[row.words].standing is not Standing.OK]
    assert stood == [EXPECTED["planted-link"].words]  # nothing was planted, so the host's reader found nothing


def test_what_a_tier_does_not_promise_is_left_out_and_its_own_answers_hold() -> None:
    names = {check.name for check in answers({}, frozenset(("keys", "bomb-tmp", "node")))}
    assert EXPECTED["keys"].words not in names
    assert "filling the temporary folder" not in names
    tier = Tried(None, Bounds(), expected={"keys": ("ENOSYS",)}, prefix="vm: ")  # type: ignore[arg-type]
    assert judge("keys", "ENOSYS", tier=tier).standing is Standing.OK
    assert judge("keys", "EPERM", tier=tier).standing is Standing.FAILED
    assert judge("keys", "EPERM", tier=tier).name.startswith("vm: ")


def test_a_tier_that_does_not_start_fails_with_its_reason() -> None:
    async def start(job: Job, workspace: Path) -> Ran:
        raise SandboxUnavailable("no wall", next_step="Build one.")

    checks = asyncio.run(try_walls(Tried(start, Bounds())))
    assert all(check.standing is Standing.FAILED for check in checks)
    assert {(check.found, check.next_step) for check in checks} == {("no wall", "Build one.")}


@pytest.mark.parametrize("mount", [Mount.READ, Mount.WRITE])
def test_each_pass_is_shown_its_workspace_as_it_should_be(mount: Mount) -> None:
    seen: list[tuple[Mount, str, str]] = []

    async def start(job: Job, workspace: Path) -> Ran:
        for word in job.argv:
            if word.startswith("only="):
                seen.append((job.mount, workspace.name, word))
        return Ran(0, b"", False, "", 1)

    asyncio.run(try_walls(Tried(start, Bounds())))
    folder = {Mount.READ: "shared", Mount.WRITE: "workspace"}[mount]
    (words,) = (word for shown, name, word in seen if (shown, name) == (mount, folder))
    assert ("write-workspace" in words) is (mount is Mount.READ)
    assert ("new-hook" in words) is (mount is Mount.WRITE)
