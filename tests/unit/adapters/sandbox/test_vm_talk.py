"""The talk with a copy that lies, with a test playing the machine: what it says is cut, refused, or not believed."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from carapax.adapters.sandbox.vm import launch
from carapax.adapters.sandbox.vm.launch import _bring_back, _Talk
from carapax.adapters.sandbox.vm.wire import Record, render_archive
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job, Mount

SOON_S = 30
JOB = Job(("x",), output_bytes=10, mount=Mount.WRITE)


def frame(kind: bytes, content: bytes = b"") -> bytes:
    return kind + struct.pack(">I", len(content)) + content


END = frame(b"E", b"\x07\x00")


@dataclass
class Played:
    """A copy played by a thread: it reads the job's message, then does what the test says."""

    act: Callable[[socket.socket], None]
    message: bytes = b"message"
    job: Job = JOB
    over: threading.Event = field(default_factory=threading.Event)  # set once the talk is over
    talk: _Talk = field(init=False)

    def follow(self, within_s: float = SOON_S) -> str:
        ours, theirs = socket.socketpair()
        alive, gone = os.pipe()  # stands for the process's descriptor: readable once it is gone
        never, keep = os.pipe()
        copy: Any = SimpleNamespace(control=ours, outside=alive, process=SimpleNamespace(returncode=1))
        self.talk = _Talk(copy, self.job, self.message)

        def play() -> None:
            with theirs:
                theirs.settimeout(SOON_S)
                got = b""
                while len(got) < len(self.message):
                    got += theirs.recv(65_536)
                self.act(theirs)

        thread = threading.Thread(target=play)
        thread.start()
        try:
            return self.talk.follow(time.monotonic() + within_s, never)
        finally:
            self.over.set()
            os.close(gone)
            thread.join(SOON_S)
            ours.close()
            for descriptor in (alive, never, keep):
                os.close(descriptor)


def says(*frames: bytes) -> Callable[[socket.socket], None]:
    return lambda end: end.sendall(b"".join(frames))


def test_a_job_ends_with_its_code_and_its_output() -> None:
    played = Played(says(frame(b"O", b"he"), frame(b"O", b"llo"), END))
    assert played.follow() == ""
    assert (bytes(played.talk.kept), played.talk.code, played.talk.done, played.talk.over) == (b"hello", 7, True, False)


def test_a_large_message_goes_in_while_output_comes_out() -> None:
    played = Played(says(END), message=b"m" * (8 << 20))
    assert played.follow() == ""
    assert played.talk.done


def test_output_beyond_the_ceiling_is_dropped_and_the_job_asked_to_end() -> None:
    def act(end: socket.socket) -> None:
        end.sendall(frame(b"O", b"x" * 100))
        assert end.recv(1) == b"k"
        end.sendall(frame(b"O", b"y" * 100) + frame(b"W", render_archive(())) + END)

    played = Played(act)
    assert played.follow() == "output"
    assert (bytes(played.talk.kept), played.talk.over, played.talk.done) == (b"x" * 10, True, True)


def test_a_copy_that_does_not_end_when_asked_hands_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "STOP_WITHIN_MS", 50)
    over = threading.Event()

    def act(end: socket.socket) -> None:
        assert end.recv(1) == b"k"
        assert over.wait(SOON_S)

    played = Played(act, over=over)
    assert played.follow(0.05) == "time"
    assert not played.talk.done


@pytest.mark.parametrize(
    "said", [b"X\0\0\0\0", frame(b"R"), frame(b"E", b"1"), frame(b"E", b"123"), b"O\xff\xff\xff\xff"]
)
def test_what_no_guest_of_ours_says_breaks_the_machine(said: bytes) -> None:
    with pytest.raises(SandboxUnavailable, match="the disposable machine broke"):
        Played(says(said)).follow()


def test_a_workspace_that_grows_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "MAX_BROUGHT_BYTES", 1_000)
    with pytest.raises(SandboxUnavailable, match="grew beyond"):
        Played(says(frame(b"W", b"x" * 600), frame(b"W", b"x" * 600))).follow()


def test_a_guest_that_cannot_build_the_job_says_why() -> None:
    with pytest.raises(SandboxUnavailable, match="could not build the job: no memory"):
        Played(says(frame(b"F", b"no memory"))).follow()


def test_a_copy_that_is_gone_is_not_a_job_that_ended() -> None:
    played = Played(says(frame(b"O", b"half")))
    assert played.follow() == ""
    assert not played.talk.done
    with pytest.raises(SandboxUnavailable, match="stopped by itself"):
        played.talk.ended_by()
    played.talk.copy.process.returncode = -9
    assert (played.talk.ended_by(), played.talk.code) == ("", 137)


def test_memory_is_believed_only_of_a_job_that_failed() -> None:
    for code, expected in ((b"\x89\x01", "memory"), (b"\x00\x01", "")):
        played = Played(says(frame(b"E", code)))
        assert played.follow() == ""
        assert played.talk.ended_by() == expected


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "kept").write_text("kept")
    yield folder


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"garbage",
        render_archive((Record("f", b"../evil", 0o644, 0, b"x"),)),
        render_archive((Record("l", b"a", 0o777, 0, b"/etc"), Record("f", b"a/evil", 0o644, 0, b"x"))),
        render_archive((Record("f", b"/etc/evil", 0o644, 0, b"x"),)),
    ],
)
def test_a_workspace_that_does_not_parse_changes_nothing(workspace: Path, archive: bytes) -> None:
    with pytest.raises(SandboxUnavailable, match="broke") as caught:
        _bring_back(workspace, (), archive)
    assert "the workspace is as it was" in caught.value.kept
    assert [path.name for path in workspace.rglob("*")] == ["kept"]
    assert not (workspace.parent / "evil").exists()


def test_notes_name_a_few_paths_and_count_the_rest(workspace: Path) -> None:
    for n in range(7):
        (workspace / f"f{n}").write_text("theirs")
    records = tuple(Record("f", f"f{n}".encode(), 0o644, 0, b"ours") for n in range(7))
    notes = _bring_back(workspace, (), render_archive(records)).decode()
    assert notes == ("[carapax: kept as somebody else changed it meanwhile: 'f0', 'f1', 'f2', 'f3', 'f4' and 2 more]\n")


def test_a_job_for_reading_is_ended_without_asking() -> None:
    played = Played(says(frame(b"O", b"x" * 100)), job=replace(JOB, mount=Mount.READ))
    assert played.follow() == "output"
