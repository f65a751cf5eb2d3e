"""Attack: get a user namespace of one's own, and with it every privilege inside it."""

from __future__ import annotations

import pytest

from carapax.core.terms.error import SandboxUnavailable
from tests.attacks.sealing import Inside

FLAGS = {
    "user": 0x1000_0000,
    "mount": 0x0002_0000,
    "network": 0x4000_0000,
    "process": 0x2000_0000,
    "ipc": 0x0800_0000,
    "name": 0x0400_0000,
    "cgroup": 0x0200_0000,
}


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_unshare_and_clone_are_refused(inside: Inside, name: str) -> None:
    flag = FLAGS[name]
    code = f"""
    tried(lambda: raw(272, 97, {flag}))
    tried(lambda: raw(56, 220, {flag} | 17, 0, 0, 0, 0))
    tried(lambda: raw(56, 220, {flag} | 17 | 1 << 40, 0, 0, 0, 0))
    """
    assert inside.met(code) == ["EPERM"] * 3


def test_clone3_is_absent_so_that_the_library_falls_back(inside: Inside) -> None:
    assert inside.met("tried(lambda: raw(435, 435, ctypes.create_string_buffer(88), 88))") == ["ENOSYS"]


def test_joining_a_namespace_is_refused(inside: Inside) -> None:
    assert inside.met("tried(lambda: raw(308, 268, os.open('/proc/self/ns/net', 0), 0))") == ["EPERM"]


def test_the_kernel_gives_no_more_user_namespaces_either(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from carapax.adapters.sandbox.bwrap import launch

    allow_all = (6).to_bytes(2, "little") + bytes(2) + (0x7FFF_0000).to_bytes(4, "little")
    real = launch.launch
    monkeypatch.setattr(
        "carapax.adapters.sandbox.bwrap.adapter.launch",
        lambda plan, errand: real(
            dataclasses.replace(plan, walls=dataclasses.replace(plan.walls, filter=allow_all)), errand
        ),
    )
    with pytest.raises(SandboxUnavailable) as refused:
        inside.run("true")
    assert "a user namespace could be made" in refused.value.what  # the canary of every launch
    assert "No space left" in refused.value.what  # and yet the second wall stood, with the first removed


def test_a_job_has_no_privilege(inside: Inside) -> None:
    rows = dict(line.split(":\t", 1) for line in inside.run("cat", "/proc/self/status").output.decode().splitlines())
    assert {int(rows[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert rows["NoNewPrivs"] == "1"
    assert rows["Seccomp"] == "2"
    assert rows["Uid"].split() == ["1000"] * 4
