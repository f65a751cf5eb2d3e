"""The list of halted processes: who, whose child, which command, which files; bounded, and total on rubbish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.app import processes
from carapax.app.processes import look_at
from tests.unit.app.alarm import A, B


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "f = open('opened.txt', 'w'); print('ready', flush=True); import time; time.sleep(60)",
            "né",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.communicate(timeout=10)


def record(place: Path, session: str, *pids: int) -> None:
    """A job's record whose group is a folder of the test."""
    group = place / f"group-{session}"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    (place / f"{session}.json").write_text(json.dumps({"session": session, "groups": [str(group)]}))


def test_a_process_is_named_with_its_command_and_its_open_files(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    record(tmp_path / "jobs", A, sleeper.pid)
    (found,) = look_at(tmp_path / "jobs", A)
    assert (found.pid, found.parent) == (sleeper.pid, os.getpid())
    assert found.command[0] == sys.executable and found.command[-1] == "né"
    assert str(tmp_path / "opened.txt") in found.files


def test_only_the_sessions_own_are_looked_at(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    record(tmp_path / "jobs", A, sleeper.pid)
    record(tmp_path / "jobs", B, os.getpid())
    assert [p.pid for p in look_at(tmp_path / "jobs", B)] == [os.getpid()]
    assert len(look_at(tmp_path / "jobs", None)) == 2


def test_rubbish_and_what_is_gone_are_left_out(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    assert look_at(jobs, None) == ()
    record(jobs, A, 2**22 - 1)
    for number, text in enumerate(
        ("", "{", "[]", '{"session": 1}', '{"session": "x", "groups": 5}', '{"groups": ["/none"]}')
    ):
        (jobs / f"r{number}.json").write_text(text)
    (jobs / "group-rubbish").mkdir()
    assert look_at(jobs, None) == ()


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_PROCESSES", 3)
    monkeypatch.setattr(processes, "MAX_FILES", 2)
    living = [int(name) for name in os.listdir("/proc") if name.isdigit()][:20]
    record(tmp_path / "jobs", A, *living)
    found = look_at(tmp_path / "jobs", A)
    assert len(found) <= 3
    assert all(len(process.files) <= 2 for process in found)
