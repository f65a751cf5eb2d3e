"""The strong tier as a whole, with a real kernel in user space: its ends, its way out, its leftovers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.gvisor import GvisorSandbox
from carapax.adapters.sandbox.gvisor import box as boxes
from carapax.adapters.sandbox.gvisor.bundle import FILES_UID
from carapax.adapters.sandbox.gvisor.mechanism import FOLDER_MARK
from carapax.adapters.sandbox.gvisor.pins import Pin
from carapax.adapters.sandbox.mark import own_mark
from carapax.adapters.sandbox.running import RunningJobs
from carapax.core.terms.check import Standing
from carapax.core.terms.egress import Way
from carapax.core.terms.error import EgressUnavailable, SandboxUnavailable
from carapax.core.terms.ids import SessionId
from carapax.ports.sandbox import Job, Mount, Ran
from tests.attacks.sealing import KEY, Inside, WallClock, mint

ASK = """
import socket
with socket.create_connection(("127.0.0.1", 3128), 10) as proxy:
    proxy.sendall(b"hello")
    proxy.shutdown(socket.SHUT_WR)
    said = b""
    while piece := proxy.recv(65536):
        said += piece
print(len(said), said[:10].decode())
"""


class Echo:
    """A proxy that answers each connection with what it got, many times over."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.ways: list[Way] = []
        self._threads: list[threading.Thread] = []
        self._listeners: list[socket.socket] = []

    def attach(self, way: Way, listener: int) -> None:
        self.ways.append(way)
        server = socket.socket(fileno=os.dup(listener))
        server.settimeout(20)
        self._listeners.append(server)
        thread = threading.Thread(target=self._serve, args=(server,))
        self._threads.append(thread)
        thread.start()

    def _serve(self, server: socket.socket) -> None:
        with server:
            client, _ = server.accept()
            with client:
                client.settimeout(20)
                said = b""
                while piece := client.recv(65_536):
                    said += piece
                client.sendall(said * self.times)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


def led(box: GvisorSandbox, *argv: str, timeout_ms: int = 30_000) -> Ran:
    sealed = mint()
    way = Way(sealed.call.call, "token", b"-----PEM-----\n")
    return asyncio.run(box.run(sealed, Job(argv, way=way, timeout_ms=timeout_ms)))


def leftovers() -> list[str]:
    return [path.name for path in Path(tempfile.gettempdir()).glob(f"{own_mark()}{FOLDER_MARK}*")]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def inside(workspace: Path) -> Iterator[Inside]:
    box = GvisorSandbox(workspace, KEY, WallClock())
    yield Inside(box, workspace)
    box.close()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_way_leads_to_the_proxy_and_back(workspace: Path, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr("carapax.adapters.sandbox.relay.build_relay", lambda: None)
    echo = Echo(times=200_000)
    box = GvisorSandbox(workspace, KEY, WallClock(), attach=echo.attach)
    ran = led(box, "python3", "-I", "-S", "-c", ASK)
    echo.join()
    assert (ran.exit_code, ran.output) == (0, b"1000000 hellohello\n"), ran.output.decode()
    assert [way.token for way in echo.ways] == ["token"]
    box.close()
    assert leftovers() == []


def test_a_way_shows_its_authority_and_nothing_more(workspace: Path) -> None:
    box = GvisorSandbox(workspace, KEY, WallClock(), attach=lambda way, listener: None)
    ran = led(box, "/bin/bash", "-c", "cat $SSL_CERT_FILE; echo $https_proxy; cd /run/carapax; echo *; exit 3")
    assert ran.output == b"-----PEM-----\nhttp://127.0.0.1:3128\nrelay socket\n"
    assert ran.exit_code == 3
    assert led(box, "no-such-program").exit_code == 127
    box.close()


def test_a_way_that_cannot_be_opened_starts_nothing(workspace: Path) -> None:
    def refuse(way: Way, listener: int) -> None:
        raise EgressUnavailable("the proxy is gone")

    box = GvisorSandbox(workspace, KEY, WallClock(), attach=refuse)
    with pytest.raises(SandboxUnavailable, match="the proxy is gone"):
        led(box, "/bin/sh", "-c", "echo ran > /workspace/ran")
    box.close()
    unattached = GvisorSandbox(workspace, KEY, WallClock())
    with pytest.raises(SandboxUnavailable, match="no way out"):
        led(unattached, "true")
    unattached.close()
    assert list(workspace.iterdir()) == []
    assert leftovers() == []


def test_without_a_way_there_is_no_door(inside: Inside) -> None:
    code = (
        "tried(lambda: socket.create_connection(('127.0.0.1', 3128), 2)); print(os.path.exists('/run/carapax/socket'))"
    )
    assert inside.met(code) == ["ECONNREFUSED", "False"]


def test_files_keep_their_owner_on_both_sides(inside: Inside) -> None:
    (inside.workspace / "given").write_text("x")
    ran = inside.shell("echo y > made; find . -type f -printf '%f %u\\n' | sort", mount=Mount.WRITE)
    assert ran.output == b"given agent\nmade agent\n"
    assert (inside.workspace / "made").stat().st_uid == os.geteuid()


def test_the_way_of_an_ordinary_user_holds_too(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same walls without any other user on the host, as when the gateway is not root."""
    monkeypatch.setattr("carapax.adapters.sandbox.gvisor.mechanism.is_ordinary", lambda: True)
    (workspace / ".git" / "hooks").mkdir(parents=True)
    echo = Echo(times=2)
    box = GvisorSandbox(workspace, KEY, WallClock(), attach=echo.attach)
    inside = Inside(box, workspace)
    ran = inside.shell("echo made > made; id -un; echo > .git/hooks/evil; chmod 4755 made", mount=Mount.WRITE)
    assert b"agent" in ran.output
    assert (workspace / "made").stat().st_mode & 0o6000 == 0
    assert list((workspace / ".git" / "hooks").iterdir()) == []
    assert led(box, "python3", "-I", "-S", "-c", ASK).output == b"10 hellohello\n"
    echo.join()
    checks = asyncio.run(box.probe())
    assert [check for check in checks if check.standing is Standing.FAILED] == []
    box.close()
    assert leftovers() == []


def test_memory_over_its_ceiling_ends_the_job(inside: Inside) -> None:
    ran = inside.python("print(len(bytearray(512 << 20)))", memory_bytes=64 << 20, timeout_ms=30_000)
    assert (ran.exit_code, ran.ended_by) == (None, "memory")


def test_a_link_put_in_gits_place_is_refused_before_anything_runs(inside: Inside) -> None:
    (inside.workspace / ".git").symlink_to("/etc")
    with pytest.raises(SandboxUnavailable, match="neither a folder nor a file"):
        inside.shell("echo ran > ran", mount=Mount.WRITE)
    assert not (inside.workspace / "ran").exists()


def test_another_folder_than_the_one_looked_at_is_never_shown(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """The swap happens between the look and the mount; the mount's own identity is compared."""
    (inside.workspace / ".git" / "hooks").mkdir(parents=True)
    real = boxes.lay_pins

    def swapped(pins: tuple[Pin, ...], folder: Path) -> str:
        words = real(pins, folder)
        (inside.workspace / ".git" / "hooks").rename(inside.workspace / "old")
        (inside.workspace / ".git" / "hooks").symlink_to("/etc")
        return words

    monkeypatch.setattr(boxes, "lay_pins", swapped)
    with pytest.raises(SandboxUnavailable, match="could not build"):
        inside.shell("echo ran > ran", mount=Mount.WRITE)
    assert not (inside.workspace / "ran").exists()


class Held:
    """A job that has begun and waits; `made` tells that it began."""

    def __init__(self, inside: Inside, jobs: RunningJobs) -> None:
        self.inside, self.jobs = inside, jobs

    async def begun(self, task: asyncio.Task[Ran]) -> None:
        for _ in range(3_000):
            if (self.inside.workspace / "begun").exists() or task.done():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the job never began")


HOLD = "echo $$ > begun; while :; do echo x >> beat; sleep 0.01; done"


def test_a_running_job_is_halted_let_go_on_and_ended_by_session(workspace: Path) -> None:
    jobs = RunningJobs()
    box = GvisorSandbox(workspace, KEY, WallClock(), jobs=jobs)
    held = Held(Inside(box, workspace), jobs)
    beat = workspace / "beat"

    async def act() -> Ran:
        sealed = mint()
        job = Job(("/bin/bash", "-c", HOLD), mount=Mount.WRITE, timeout_ms=60_000)
        task = asyncio.create_task(box.run(sealed, job))
        await held.begun(task)
        assert box.freeze(SessionId("other")) == ()
        for _ in range(50):  # on a machine that is very busy the kernel confirms late
            if box.freeze(sealed.call.session) == (sealed.call.call,):
                break
        else:
            raise AssertionError("it does not stand")
        size = beat.stat().st_size if beat.exists() else 0
        await asyncio.sleep(0.2)
        assert (beat.stat().st_size if beat.exists() else 0) == size
        assert box.thaw(None) == (sealed.call.call,)
        for _ in range(1_000):
            if beat.exists() and beat.stat().st_size > size:
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("it does not go on")
        box.freeze(None)  # halted or not, it ends
        assert box.kill(None) == (sealed.call.call,)
        return await asyncio.wait_for(task, 20)

    assert asyncio.run(act()).exit_code != 0
    assert jobs.calls() == ()
    box.close()
    assert leftovers() == []


def test_a_cancelled_turn_leaves_no_process(workspace: Path) -> None:
    jobs = RunningJobs()
    box = GvisorSandbox(workspace, KEY, WallClock(), jobs=jobs)
    held = Held(Inside(box, workspace), jobs)

    async def act() -> None:
        job = Job(("/bin/bash", "-c", HOLD), mount=Mount.WRITE, timeout_ms=60_000)
        task = asyncio.create_task(box.run(mint(), job))
        await held.begun(task)
        assert FILES_UID in own_jobs(), "somebody opens files for it, and is not the host's root"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(act())
    box.close()
    assert own_jobs() == []
    assert leftovers() == []


def own_jobs() -> list[int]:
    """Host users of every process that stands in a control group of this gateway's jobs."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"/{own_mark()}-" in Path(entry.path, "cgroup").read_text():
                    found.append(entry.stat().st_uid)
    return found
