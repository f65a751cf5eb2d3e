"""What of gVisor is found, what a missing one says, and whose folders are swept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carapax.adapters.sandbox.gvisor import mechanism
from carapax.adapters.sandbox.gvisor.box import read_log
from carapax.adapters.sandbox.gvisor.mechanism import FOLDER_MARK, find_runtime, sweep_folders
from carapax.adapters.sandbox.mark import own_mark
from carapax.core.terms.error import SandboxUnavailable


def runtime(folder: Path, flags: str) -> None:
    program = folder / "runsc"
    program.write_text(f"#!/bin/sh\ncase $1 in --version) echo runsc version test;; flags) printf '{flags}';; esac\n")
    program.chmod(0o755)


def test_a_missing_one_is_named_with_the_way_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "SEARCHED", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="not installed") as caught:
        find_runtime()
    assert "apt install runsc" in caught.value.next_step


def test_one_without_a_filter_inside_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "SEARCHED", str(tmp_path))
    runtime(tmp_path, r"  -network value\n  -ignore-cgroups\n")
    with pytest.raises(SandboxUnavailable, match="no option --oci-seccomp"):
        find_runtime()


def test_options_are_those_this_version_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "SEARCHED", str(tmp_path))
    runtime(tmp_path, r"  -network value\n  -ignore-cgroups\n  -oci-seccomp\n  -directfs\n")
    found = find_runtime()
    assert "--directfs=false" in found.options
    assert "--overlay2=none" not in found.options
    assert found.way_options == ()
    assert found.version == "runsc version test"


def test_an_ordinary_user_needs_a_version_that_lets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "SEARCHED", str(tmp_path))
    monkeypatch.setattr(mechanism, "is_ordinary", lambda: True)
    known = r"  -network value\n  -ignore-cgroups\n  -oci-seccomp\n"
    runtime(tmp_path, known)
    with pytest.raises(SandboxUnavailable, match="ordinary user"):
        find_runtime()
    runtime(tmp_path, known + r"  -rootless\n")
    assert "--rootless" in find_runtime().options
    monkeypatch.setattr(mechanism, "is_ordinary", lambda: False)
    assert "--rootless" not in find_runtime().options


def test_without_a_control_group_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "find_tree", lambda *_: None)
    with pytest.raises(SandboxUnavailable, match="control group") as caught:
        find_runtime()
    assert "Delegate=yes" in caught.value.next_step


def test_only_folders_of_gateways_that_are_gone_are_swept(tmp_path: Path) -> None:
    own = tmp_path / f"{own_mark()}{FOLDER_MARK}abc"
    namespace = os.stat("/proc/self/ns/pid").st_ino
    gone = tmp_path / f"carapax-{namespace}-{os.getpid()}-1{FOLDER_MARK}abc"
    elsewhere = tmp_path / f"carapax-1-{os.getpid()}-1{FOLDER_MARK}abc"
    link = tmp_path / f"carapax-{namespace}-{os.getpid()}-1{FOLDER_MARK}link"
    for folder in (own, gone, elsewhere):
        folder.mkdir()
    link.symlink_to(own)
    sweep_folders(tmp_path)
    assert [path.exists() for path in (own, gone, elsewhere, link)] == [True, False, True, True]


def test_the_runtimes_own_last_error_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_log(log) == ""
    log.write_text('{"msg":"one","level":"error"}{"msg":"two","level":"error"}{"msg":"three","level":"info"}\nrubbish')
    assert read_log(log) == "two"
