"""The gVisor bundle as bytes: what is shown, what is bounded, and that the same job gives the same words."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import System, find_system
from carapax.adapters.sandbox.gvisor.bundle import FILES_UID, UID, Shown, lay_root, library_paths, render_config
from carapax.adapters.sandbox.gvisor.calls import refused_calls
from carapax.adapters.sandbox.gvisor.pins import lay_pins, open_pins
from carapax.core.terms.egress import Way
from carapax.core.terms.ids import CallId
from carapax.ports.sandbox import Job, Mount

SYSTEM = System((("usr/bin", "/bin"),), ("/usr",), "/usr/bin:/bin", "/usr/share/zoneinfo/UTC")
SHOWN = Shown(SYSTEM, Bounds(), Path("/somewhere/workspace"))


def config(job: Job, shown: Shown = SHOWN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render_config(job, job.argv, shown, uid=7, gid=8))
    return found


def mounts(job: Job, shown: Shown = SHOWN) -> dict[str, list[str]]:
    return {row["destination"]: row.get("options", []) for row in config(job, shown)["mounts"]}


def test_the_same_job_gives_the_same_bytes() -> None:
    job = Job(("echo", "é", "\n"), variables=(("A", "b"),))
    assert render_config(job, job.argv, SHOWN, uid=7, gid=8) == render_config(job, job.argv, SHOWN, uid=7, gid=8)
    assert config(job)["process"]["args"] == ["echo", "é", "\n"]


def test_the_job_is_an_ordinary_user_without_any_privilege() -> None:
    found = config(Job(("true",)))
    process = found["process"]
    assert process["user"] == {"uid": UID, "gid": UID}
    assert set(map(tuple, process["capabilities"].values())) == {()}
    assert process["noNewPrivileges"] is True
    assert {row["type"] for row in found["linux"]["namespaces"]} == {"pid", "network", "ipc", "uts", "mount", "user"}


def test_the_one_that_opens_files_is_never_the_hosts_root() -> None:
    linux = config(Job(("true",)))["linux"]
    for name, own in (("uidMappings", 7), ("gidMappings", 8)):
        inside = {row["containerID"]: row["hostID"] for row in linux[name]}
        assert inside == {0: FILES_UID, UID: own}
        assert all(row["size"] == 1 for row in linux[name])


@pytest.mark.parametrize(("mount", "way"), [(Mount.NONE, None), (Mount.READ, "ro"), (Mount.WRITE, "rw")])
def test_only_the_workspace_may_be_writable(mount: Mount, way: str | None) -> None:
    shown = mounts(Job(("true",), mount=mount))
    assert (shown.get("/workspace") or [None, None])[1] == way
    assert {path for path, options in shown.items() if "rw" in options} <= {"/workspace"}
    assert config(Job(("true",)))["root"]["readonly"] is True


def test_every_temporary_folder_has_a_size_and_runs_nothing() -> None:
    shown = mounts(Job(("true",)))
    for path, size in (("/tmp", Bounds().tmp_bytes), ("/dev/shm", Bounds().shm_bytes)):
        assert f"size={size}" in shown[path]
        assert {"noexec", "nosuid", "nodev"} <= set(shown[path])
    assert any(option.startswith("size=") for option in shown["/dev"])


def test_the_environment_is_the_fixed_few_the_jobs_own_and_the_ways() -> None:
    job = Job(("true",), variables=(("A", "b"), ("HTTPS_PROXY", "http://elsewhere.invalid")))
    plain = dict(word.split("=", 1) for word in config(job)["process"]["env"])
    assert plain.keys() == {"PATH", "HOME", "LANG", "TERM", "USER", "A", "HTTPS_PROXY"}
    led = config(dataclasses.replace(job, way=Way(CallId("c"), "secret-token", b"PEM")))["process"]["env"]
    assert dict(word.split("=", 1) for word in led)["HTTPS_PROXY"] == "http://127.0.0.1:3128"
    assert "secret-token" not in json.dumps(led)


def test_ceilings_are_told() -> None:
    limits = {row["type"]: row["hard"] for row in config(Job(("true",), processes=5))["process"]["rlimits"]}
    assert limits["RLIMIT_NPROC"] == 5
    assert limits["RLIMIT_CORE"] == 0
    assert limits["RLIMIT_FSIZE"] == Bounds().file_bytes


def test_the_refused_calls_are_those_of_the_default_tier() -> None:
    rows: Any = refused_calls()["syscalls"]
    named = {name for row in rows for name in row["names"]}
    assert {"mount", "unshare", "ptrace", "io_uring_setup", "bpf", "chmod", "fchmodat2", "openat2"} <= named
    assert "clone3" not in named
    set_id = [row for row in rows if row["names"] == ["chmod"]]
    assert {(row["args"][0]["value"], row["args"][0]["op"]) for row in set_id} == {
        (0o4000, "SCMP_CMP_MASKED_EQ"),
        (0o2000, "SCMP_CMP_MASKED_EQ"),
    }
    assert config(Job(("true",)))["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ALLOW"


def test_the_root_holds_only_places_and_fixed_files(tmp_path: Path) -> None:
    system = find_system(None)
    shown = Shown(system, Bounds(), tmp_path, authority=tmp_path / "pem")
    root = tmp_path / "root"
    lay_root(root, Job(("true",)), shown)
    assert os.readlink(root / "bin") == "usr/bin"
    assert b"agent:x:1000" in (root / "etc" / "passwd").read_bytes()
    assert (root / "etc" / "carapax-ca.pem").read_bytes() == b""
    assert not (root / "etc" / "shadow").exists()
    assert list((root / "usr").iterdir()) == []


def test_the_library_is_shown_only_when_wished_and_not_twice() -> None:
    plain, wished = Job(("true",)), Job(("true",), library=True)
    assert library_paths(plain, SYSTEM) == ()
    assert library_paths(wished, dataclasses.replace(SYSTEM, shown=("/",))) == ()
    for path in library_paths(wished, SYSTEM):
        assert "rw" not in mounts(wished)[path]


def repository(tmp_path: Path) -> Path:
    (tmp_path / ".git" / "hooks").mkdir(parents=True)
    (tmp_path / ".git" / "config").write_text("")
    return tmp_path


def test_pins_are_the_parts_that_are_there(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        assert open_pins(tmp_path, stack) == ()
        found = open_pins(repository(tmp_path), stack)
        assert [(pin.name, pin.writable, pin.folder) for pin in found] == [
            (".git", True, True),
            (".git/hooks", False, True),
            (".git/config", False, False),
        ]
        places = tmp_path / "places"
        places.mkdir()
        words = lay_pins(found, places)
    assert words.count(" && ") == 2 * len(found)
    assert {path.name for path in places.iterdir()} == {"git", "git-hooks", "git-config"}


@pytest.mark.parametrize("name", ["hooks", "config"])
def test_a_link_where_a_pin_should_be_starts_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / name).symlink_to("/etc")
    with contextlib.ExitStack() as stack, pytest.raises(OSError, match="neither a folder nor a file"):
        open_pins(tmp_path, stack)


def test_a_git_that_is_a_link_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / ".git").symlink_to("/etc")
    with contextlib.ExitStack() as stack, pytest.raises(OSError, match="neither a folder nor a file"):
        open_pins(tmp_path, stack)


def test_under_an_ordinary_user_nobody_else_is_mapped(tmp_path: Path) -> None:
    shown = dataclasses.replace(SHOWN, ordinary=True)
    found = config(Job(("true",)), shown)
    assert found["process"]["user"] == {"uid": 0, "gid": 0}
    assert set(map(tuple, found["process"]["capabilities"].values())) == {()}
    assert "uidMappings" not in found["linux"]
    assert "user" not in {row["type"] for row in found["linux"]["namespaces"]}
    assert found["linux"]["seccomp"] == config(Job(("true",)))["linux"]["seccomp"]
    lay_root(tmp_path / "root", Job(("true",)), dataclasses.replace(shown, system=find_system(None)))
    assert (tmp_path / "root" / "etc" / "passwd").read_bytes().startswith(b"agent:x:0:0:")
