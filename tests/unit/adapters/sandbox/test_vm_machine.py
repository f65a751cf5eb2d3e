"""The disposable machine, really booted once and restored for each job, through the port."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
import threading
from functools import partial
from pathlib import Path

import pytest

from carapax.adapters.sandbox.running import RunningJobs
from carapax.adapters.sandbox.vm import VmSandbox
from carapax.adapters.sandbox.vm.kernel import find_kernel
from carapax.core.terms.egress import Way
from carapax.core.terms.error import AuthorityInvalid, Malformed, SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.sandbox import Job, Mount, Ran
from tests.attacks.machine import KERNELS, inside_machine, machine, original
from tests.attacks.sealing import KEY, MANIFEST, Inside, WallClock, mint

SOON_S = 60


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    return inside_machine(tmp_path)


def test_a_job_sees_a_copy_of_the_workspace_and_its_exit_code_comes_out(inside: Inside) -> None:
    (inside.workspace / "given").write_text("seen")
    (inside.workspace / "run").write_text("#!/bin/sh\necho ran\n")
    (inside.workspace / "run").chmod(0o755)
    ran = inside.shell("pwd; cat given; echo; ./run; id -un; stat -c %Y given >&2; exit 7")
    when = int((inside.workspace / "given").stat().st_mtime)
    assert ran.output.decode().split() == ["/workspace", "seen", "ran", "agent", str(when)]
    assert (ran.exit_code, ran.ended_by, ran.truncated) == (7, "", False)


def test_input_and_words_pass_unchanged(inside: Inside) -> None:
    given = bytes(range(256)) * 200
    ran = inside.shell('cat; printf %s "$0$WORD"', stdin=given, variables=(("WORD", "é \u2028"),))
    assert ran.output == given + "/bin/bashé \u2028".encode()


def test_what_a_job_changed_comes_back_and_says_what_did_not(inside: Inside) -> None:
    git = inside.workspace / ".git"
    git.mkdir()
    (git / "config").write_text("ours")
    (inside.workspace / "old").write_text("old")
    ran = inside.shell(
        "echo new > new; mkdir d; ln new d/again; rm old; echo evil > .git/config; mkfifo p", mount=Mount.WRITE
    )
    assert ran.output == b"[carapax: protected, so not changed: '.git/config']\n"
    assert sorted(path.name for path in inside.workspace.rglob("*")) == [".git", "again", "config", "d", "new"]
    assert (git / "config").read_text() == "ours"


def test_a_workspace_for_reading_and_none(inside: Inside) -> None:
    (inside.workspace / "given").write_text("seen")
    ran = inside.shell("ls; echo x > given; echo x > new")
    assert ran.output.count(b"Read-only file system") == 2
    assert (inside.workspace / "given").read_text() == "seen"
    assert inside.shell("ls -A", mount=Mount.NONE).output == b""


def test_a_job_that_meets_a_limit_hands_over_what_it_changed(inside: Inside) -> None:
    ran = inside.shell("echo made > new; yes", mount=Mount.WRITE, output_bytes=1_000)
    assert (ran.ended_by, ran.truncated, len(ran.output), ran.exit_code) == ("output", True, 1_000, None)
    assert (inside.workspace / "new").read_text() == "made\n"


def test_time_and_memory_are_said(inside: Inside) -> None:
    assert inside.run("sleep", "60", timeout_ms=50).ended_by == "time"
    ran = inside.shell("tail /dev/zero", memory_bytes=24 << 20)
    assert (ran.ended_by, ran.exit_code) == ("memory", None)


def test_processes_are_bounded_and_none_outlives_the_program(inside: Inside) -> None:
    ran = inside.run("/bin/sh", "-c", "for n in 1 2 3 4 5 6 7 8 9; do sleep 60 & done", processes=4)
    assert b"Cannot fork" in ran.output
    assert inside.shell("sleep 60 & exit 3").exit_code == 3


def test_no_authority_no_start_and_one_use(inside: Inside) -> None:
    async def twice() -> None:
        sealed = mint()
        await inside.sandbox.run(sealed, Job(("/bin/true",), mount=Mount.NONE))
        for bad in (sealed, mint(key=b"x" * 32), mint(deadline_ms=0)):
            with pytest.raises(AuthorityInvalid):
                await inside.sandbox.run(bad, Job(("/bin/true",)))
        with pytest.raises(Malformed):
            await inside.sandbox.run(mint(), Job(()))

    asyncio.run(twice())


def test_a_call_that_may_not_write_gets_nothing_to_write(inside: Inside) -> None:
    reads = dataclasses.replace(MANIFEST, touches_workspace=False)
    with pytest.raises(AuthorityInvalid, match="does not declare"):
        asyncio.run(inside.sandbox.run(mint(manifest=reads), Job(("/bin/true",), mount=Mount.WRITE)))


class Standing:
    """Runs one long job, and acts on it once it stands."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self.jobs = RunningJobs(folder / "records")
        self.added = threading.Event()
        add = self.jobs.add

        def noted(call: CallId, session: SessionId, *rest: object) -> None:
            add(call, session, *rest)  # type: ignore[arg-type]
            self.added.set()

        self.jobs.add = noted  # type: ignore[method-assign]
        self.sandbox = VmSandbox(
            self.workspace, KEY, WallClock(), jobs=self.jobs, kernels=(KERNELS,), original=original()
        )

    async def start(self, *argv: str, timeout_ms: int = 60_000) -> asyncio.Task[Ran]:
        task = asyncio.create_task(
            self.sandbox.run(mint(call="it"), Job(argv, timeout_ms=timeout_ms, mount=Mount.WRITE))
        )
        assert await asyncio.to_thread(self.added.wait, SOON_S)
        return task


def test_a_running_machine_is_killed_from_any_thread_and_brings_nothing_back(tmp_path: Path) -> None:
    async def kill() -> Ran:
        task = await standing.start("/bin/sh", "-c", "echo made > new; sleep 60")
        assert await asyncio.to_thread(standing.sandbox.kill, SessionId("other")) == ()
        assert await asyncio.to_thread(standing.sandbox.kill, SessionId("s")) == (CallId("it"),)
        return await asyncio.wait_for(task, SOON_S)

    standing = Standing(tmp_path)
    ran = asyncio.run(kill())
    assert (ran.exit_code, ran.ended_by) == (137, "")
    assert [*standing.workspace.iterdir()] == []
    assert standing.jobs.calls() == ()
    assert [*(tmp_path / "records").iterdir()] == []


def test_a_frozen_machine_does_nothing_until_it_is_let_go_on(tmp_path: Path) -> None:
    async def halt() -> Ran:
        task = await standing.start("/bin/echo", "done")
        assert standing.sandbox.freeze(None) == (CallId("it"),)
        done, _ = await asyncio.wait({task}, timeout=2)  # bounded; a machine that went on would have answered by then
        assert done == set()
        assert standing.sandbox.thaw(None) == (CallId("it"),)
        return await asyncio.wait_for(task, SOON_S)

    standing = Standing(tmp_path)
    assert asyncio.run(halt()).output == b"done\n"


@pytest.mark.parametrize("end", ["time", "cancel"])
def test_a_frozen_machines_time_goes_on_and_its_end_is_certain(tmp_path: Path, end: str) -> None:
    async def halt() -> None:
        task = await standing.start("sleep", "60", timeout_ms=500)
        assert standing.sandbox.freeze(None) == (CallId("it"),)
        if end == "cancel":
            task.cancel()
        done, _ = await asyncio.wait({task}, timeout=9)  # below the bound at which ending is given up
        assert done == {task}
        assert task.cancelled() if end == "cancel" else task.result().ended_by == "time"

    standing = Standing(tmp_path)
    asyncio.run(halt())
    assert standing.jobs.calls() == ()
    standing.sandbox.thaw(None)


def test_a_cancelled_job_is_gone_when_the_turn_is(tmp_path: Path) -> None:
    async def cancel() -> None:
        task = await standing.start("sleep", "60")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, SOON_S)

    standing = Standing(tmp_path)
    before = _machines()
    asyncio.run(cancel())
    assert _machines() == before
    assert standing.jobs.calls() == ()


def _machines() -> set[str]:
    """The qemu processes that are children of this one's children."""
    me, found = str(os.getpid()), set()
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text() if entry.name.isdigit() else ""
        except OSError:
            continue
        if "(bwrap)" in fields and fields.rpartition(")")[2].split()[1] == me:
            found.add(entry.name)
    return found


def test_a_missing_kernel_is_named_with_the_way_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="needs a kernel") as caught:
        find_kernel((tmp_path,))
    assert "guest_kernel.sh" in caught.value.next_step


def test_the_restore_is_timed(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    assert 0 < asyncio.run(machine(tmp_path / "w").time_restore()) < 60_000


class Proxy:
    """Stands behind the way: answers each connection with what came, upper case, once its sender has ended."""

    def __init__(self) -> None:
        self.ways: list[Way] = []
        self._threads: list[threading.Thread] = []

    def attach(self, way: Way, listener: int) -> None:
        self.ways.append(way)
        served = socket.socket(fileno=socket.dup(listener))
        served.settimeout(SOON_S)
        self._threads.append(threading.Thread(target=self._serve, args=(served,)))
        self._threads[-1].start()

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            for _ in range(2):
                outer, _ = listener.accept()
                with outer:
                    outer.settimeout(SOON_S)
                    got = b"".join(iter(partial(outer.recv, 65_536), b""))
                    outer.sendall(got.upper())

    def join(self) -> None:
        for thread in self._threads:
            thread.join(SOON_S)
            assert not thread.is_alive()


ASKS = """
import hashlib, os, socket
for size in (5, 300_000):
    with socket.create_connection(("127.0.0.1", 3128)) as way:
        sent = (b"carapax" * size)[:size]
        way.sendall(sent)
        way.shutdown(socket.SHUT_WR)
        got = b"".join(iter(lambda: way.recv(65_536), b""))
        print(got == sent.upper(), len(got))
print(os.environ["HTTPS_PROXY"], open(os.environ["SSL_CERT_FILE"]).read())
"""


def test_a_way_leads_to_the_proxy_and_nowhere_else(tmp_path: Path) -> None:
    workspace, proxy = tmp_path / "workspace", Proxy()
    workspace.mkdir()
    sandbox = VmSandbox(workspace, KEY, WallClock(), attach=proxy.attach, kernels=(KERNELS,), original=original())
    way = Way(CallId("ways"), "token", b"the authority")
    job = Job(("python3", "-I", "-S", "-c", ASKS), way=way, mount=Mount.NONE)
    ran = asyncio.run(sandbox.run(mint(call="ways"), job))
    assert ran.output.decode().splitlines() == [
        "True 5",
        "True 300000",
        "http://127.0.0.1:3128 the authority",
    ], ran
    assert proxy.ways == [way]
    proxy.join()


def test_without_a_way_nothing_listens_inside(inside: Inside) -> None:
    assert inside.met('tried(lambda: socket.create_connection(("127.0.0.1", 3128)))') == ["ECONNREFUSED"]
    with pytest.raises(SandboxUnavailable, match="no proxy"):
        asyncio.run(inside.sandbox.run(mint(call="w"), Job(("/bin/true",), way=Way(CallId("w"), "token"))))


def test_a_way_of_another_call_is_refused(inside: Inside) -> None:
    job = Job(("/bin/true",), way=Way(CallId("another"), "token"))
    with pytest.raises(AuthorityInvalid, match="another call"):
        asyncio.run(inside.sandbox.run(mint(), job))
