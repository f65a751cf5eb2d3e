"""Attacks on a disposable machine's own process: what somebody who broke out of the guest into qemu would find."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.running import RunningJobs
from carapax.adapters.sandbox.vm import VmSandbox
from carapax.adapters.sandbox.vm.spawn import FIRST_UID, MAX_MACHINES
from carapax.core.terms.ids import CallId
from carapax.ports.sandbox import Job, Mount, Ran
from tests.attacks.machine import KERNELS, inside_machine, original
from tests.attacks.sealing import KEY, WallClock, mint

SOON_S = 60


class Seen:
    """What of qemu's process was seen while it ran."""

    def __init__(self, pid: int) -> None:
        proc = Path("/proc", str(pid))
        rows = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
        self.status = {name: value.split() for name, value in rows.items()}
        self.command = (proc / "cmdline").read_bytes().split(b"\0")
        self.filtered = [
            line.split()[1]
            for task in (proc / "task").iterdir()
            for line in (task / "status").read_text().splitlines()
            if line.startswith("Seccomp:")
        ]
        self.environment = (proc / "environ").read_bytes()
        self.mounts = [line.split()[4] for line in (proc / "mountinfo").read_text().splitlines()]
        self.network = (proc / "net" / "dev").read_text().splitlines()[2:]
        self.root = sorted(os.listdir(proc / "root"))
        self.namespaces = {name: os.readlink(proc / "ns" / name) for name in ("net", "pid", "mnt", "ipc", "uts")}
        self.files = [os.readlink(link) for link in (proc / "fd").iterdir()]


def _find_qemu(first: int) -> int | None:
    """The qemu below the cell's first process, once it runs the machine."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().startswith("qemu-system"):
                above = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                # It maps the guest's memory after it has locked itself in.
                if first in (int(above), int(entry.name)) and "/memfd:carapax" in (entry / "maps").read_text():
                    return int(entry.name)
        except OSError:
            continue
    return None


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    """Qemu's process, looked at while its job sleeps."""
    firsts: list[int] = []
    stands = threading.Event()
    jobs = RunningJobs()
    add = jobs.add

    def noted(call: CallId, session: object, reach: object, record: object) -> None:
        add(call, session, reach, record)  # type: ignore[arg-type]
        firsts.extend(record.processes)  # type: ignore[attr-defined]
        stands.set()

    jobs.add = noted  # type: ignore[method-assign,assignment]
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    sandbox = VmSandbox(workspace, KEY, WallClock(), jobs=jobs, kernels=(KERNELS,), original=original())

    async def look() -> Seen:
        task: asyncio.Task[Ran] = asyncio.create_task(
            sandbox.run(mint(), Job(("sleep", "50"), timeout_ms=55_000, mount=Mount.NONE))
        )
        assert await asyncio.to_thread(stands.wait, SOON_S)
        found = None
        for _ in range(1_000):
            found = await asyncio.to_thread(_find_qemu, firsts[0])
            if found is not None:
                break
            await asyncio.sleep(0.01)
        assert found is not None, "qemu was not seen"
        result = Seen(found)
        sandbox.kill(None)
        await asyncio.wait_for(task, SOON_S)
        return result

    yield asyncio.run(look())


def test_qemu_is_a_user_without_powers_or_a_cell_of_its_own_user(seen: Seen) -> None:
    uids = {int(word) for word in seen.status["Uid"]}
    if os.geteuid() == 0:
        assert uids <= set(range(FIRST_UID, FIRST_UID + MAX_MACHINES))
        assert len(uids) == 1
        assert seen.status["Groups"] == []
    else:
        assert uids == {os.geteuid()}
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(seen.status[name][0], 16) == 0, name
    assert seen.status["NoNewPrivs"] == ["1"]
    assert set(seen.filtered) == {"2"}


def test_qemu_stands_in_an_empty_cell_without_a_network(seen: Seen) -> None:
    assert [line.split(":")[0].strip() for line in seen.network] == ["lo"]
    assert set(seen.root) <= {"bin", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin", "shares", "tmp", "usr"}
    assert not any(place.startswith(("/root", "/home", "/var", "/run", "/sys", "/work")) for place in seen.mounts)
    for name, theirs in seen.namespaces.items():
        assert theirs != os.readlink(f"/proc/self/ns/{name}"), name


def test_qemu_has_none_of_the_gateways_environment_or_files(seen: Seen) -> None:
    assert seen.environment.strip(b"\0") in (b"", b"PWD=/")
    strange = [
        name
        for name in seen.files
        if not name.startswith(
            ("socket:", "pipe:", "anon_inode:", "/memfd:", "/dev/null", "/shares/", "/usr", "/dev/ptmx")
        )
    ]
    assert strange == []


def test_the_machine_has_no_device_that_leads_out(seen: Seen) -> None:
    devices = [seen.command[n + 1] for n, word in enumerate(seen.command) if word == b"-device"]
    kinds = {device.split(b",")[0] for device in devices}
    assert kinds == {b"virtio-serial-pci", b"virtserialport", b"virtio-9p-pci"}
    assert not {b"-netdev", b"-nic", b"-net", b"-drive", b"-hda", b"-vnc", b"-usb", b"-gdb"} & set(seen.command)
    assert {b"-nodefaults", b"-no-user-config"} <= set(seen.command)
    shares = [word for n, word in enumerate(seen.command) if seen.command[n - 1] == b"-fsdev"]
    assert all(word.endswith(b"readonly=on") for word in shares)


def test_the_host_s_system_cannot_be_written_through_the_share(tmp_path: Path) -> None:
    inside = inside_machine(tmp_path)
    met = inside.met(
        """
        tried(lambda: open("/usr/evil", "w"))
        tried(lambda: os.unlink("/usr/bin/env"))
        tried(lambda: os.chmod("/usr/bin/env", 0o777))
        tried(lambda: os.symlink("x", "/usr/lib/evil"))
        tried(lambda: os.rename("/usr/bin/env", "/usr/bin/evil"))
        """
    )
    assert met == ["EROFS"] * 5


def test_a_link_inside_leads_nowhere_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the-secret")
    inside = inside_machine(tmp_path)
    (inside.workspace / "link").symlink_to(tmp_path / "secret")
    (inside.workspace / "folder").symlink_to(tmp_path)
    ran = inside.shell("cat link folder/secret; ls /home /work /var /boot; true")
    assert b"the-secret" not in ran.output
    assert ran.output.count(b"No such file") == 6
