"""Attack from the strong tier: read the host's files, processes and devices, or be somebody on the host."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from carapax.adapters.sandbox.gvisor.bundle import FILES_UID
from carapax.adapters.sandbox.mark import own_mark
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job, Mount
from tests.attacks.sealing import mint
from tests.attacks.strong import each, strong


def test_carapaxs_own_folder_is_not_there(tmp_path: Path, state: Path) -> None:
    with strong(tmp_path, forbidden=(state,)) as inside:
        (inside.workspace / "link").symlink_to(state / "secret")
        attempts = [
            f"open({str(state / 'secret')!r})",
            "open('/workspace/link')",
            "open('/workspace/../state/secret')",
            f"open('/proc/self/root{state}/secret')",
            "open('/proc/1/root/etc/shadow')",
            "open('/etc/shadow')",
            f"os.listdir({str(Path.home() / '.carapax')!r})",
        ]
        met = each(inside, attempts)
        assert set(met.values()) <= {"ENOENT", "EACCES"}, met
        home = inside.shell(f"find {Path.home()} -maxdepth 1 -mindepth 1 2>/dev/null").output.split()
        assert len(home) <= 1  # the way to the interpreter, when it is installed there


def test_a_workspace_replaced_after_the_start_is_refused(tmp_path: Path, state: Path) -> None:
    with strong(tmp_path, forbidden=(state,)) as inside:
        assert inside.run("true").exit_code == 0
        inside.workspace.rename(tmp_path / "moved")
        inside.workspace.symlink_to(state)
        with pytest.raises(SandboxUnavailable, match="replaced"):
            inside.run("cat", "secret")


def test_the_system_cannot_be_changed(tmp_path: Path) -> None:
    attempts = [
        *(f"open('{path}', 'w')" for path in ("/usr/canary", "/etc/passwd", "/canary", "/dev/canary")),
        "os.unlink('/usr/bin/env')",
        "os.rename('/etc/passwd', '/etc/other')",
        "os.mkdir('/new')",
        "open('/proc/sysrq-trigger', 'w')",
        "open('/proc/sys/kernel/core_pattern', 'w')",
    ]
    with strong(tmp_path) as inside:
        met = each(inside, attempts, Mount.WRITE)
        assert set(met.values()) <= {"EROFS", "EACCES", "ENOENT", "EPERM", "EXDEV"}, met


def test_no_host_process_device_or_environment_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARAPAX_TEST_SECRET", "in-the-environment")
    with strong(tmp_path) as inside:
        script = "cat /proc/*/environ | tr '\\0' '\\n'; env; echo /proc/[0-9]*; echo /dev/kvm* /dev/[sv]d* /dev/mem*"
        said = inside.shell(script).output
        assert b"PATH=" in said
        assert b"in-the-environment" not in said
        assert said.splitlines()[-2].split() == [b"/proc/1"] or len(said.splitlines()[-2].split()) <= 3
        assert said.splitlines()[-1] == b"/dev/kvm* /dev/[sv]d* /dev/mem*"


def test_descriptors_of_the_gateway_are_not_inherited(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        with strong(tmp_path) as inside:
            code = "print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:4])"
            assert inside.python(code).output in (b"[0, 1, 2]\n", b"[0, 1, 2, 3]\n")  # 3 reads the folder itself
    finally:
        os.close(descriptor)


def test_no_process_that_serves_the_job_is_the_hosts_root(tmp_path: Path) -> None:
    """Seen from the host: the kernel in user space and the opener of files; the waiting runtime runs none of the job."""
    with strong(tmp_path) as inside:

        async def look() -> dict[str, set[int]]:
            job = Job(("/bin/sh", "-c", "touch begun; sleep 60"), mount=Mount.WRITE, timeout_ms=60_000)
            task = asyncio.create_task(inside.sandbox.run(mint(), job))
            for _ in range(3_000):
                if (inside.workspace / "begun").exists() or task.done():
                    break
                await asyncio.sleep(0.01)
            found = serving()
            inside.sandbox.kill(None)
            await asyncio.wait_for(task, 30)
            return found

        users = asyncio.run(look())
    assert users["gofer"] == {FILES_UID}
    assert users["sandbox"]
    assert 0 not in users["sandbox"]


def serving() -> dict[str, set[int]]:
    """Host users of this gateway's sandbox processes, by what the runtime calls them."""
    found: dict[str, set[int]] = {"gofer": set(), "sandbox": set()}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if f"/{own_mark()}-" not in Path(entry.path, "cgroup").read_text():
                continue
            name = Path(entry.path, "cmdline").read_bytes().split(b"\0")[0].decode()
            for kind in found:
                if name == f"runsc-{kind}":
                    found[kind].add(entry.stat().st_uid)
    return found


def test_no_file_of_the_host_changes_its_owner(tmp_path: Path) -> None:
    # gVisor gives its own user what it was handed as input and output.
    before = os.stat(os.devnull)
    with strong(tmp_path) as inside:
        assert inside.run("true").exit_code == 0
        assert inside.run("cat", stdin=b"given").output == b"given"
    after = os.stat(os.devnull)
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode)
