"""Attack: read the gateway's environment or memory through the first process of the sandbox."""

from __future__ import annotations

import pytest

from tests.attacks.sealing import Inside


@pytest.mark.parametrize(
    "name", ["environ", "mem", "cmdline", "maps", "fd", "root", "cwd", "task/1/environ", "task/1/mem"]
)
def test_the_first_process_is_covered(inside: Inside, name: str) -> None:
    assert inside.met(f"tried(lambda: os.open('/proc/1/{name}', os.O_RDONLY))") == ["EACCES"]


def test_the_cover_cannot_be_lifted(inside: Inside) -> None:
    assert inside.met("tried(lambda: os.chmod('/proc/1', 0o755)); tried(lambda: os.rmdir('/proc/1'))") == [
        "EROFS",
        "EROFS",
    ]


def test_no_process_inside_carries_the_gateways_environment(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARAPAX_TEST_SECRET", "in-the-environment")
    ran = inside.shell("cat /proc/*/environ /proc/*/task/*/environ 2>/dev/null | tr '\\0' '\\n'; env")
    assert b"PATH=" in ran.output
    assert b"in-the-environment" not in ran.output


def test_bubblewrap_itself_carries_none(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    from carapax.adapters.sandbox.bwrap import recipe

    monkeypatch.setenv("CARAPAX_TEST_SECRET", "in-the-environment")
    monkeypatch.setattr(
        recipe, "_kernel_folders", lambda bounds: ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")
    )
    ran = inside.shell("cat /proc/1/environ && echo; echo read")  # the cover taken away, as on a faulty kernel
    assert b"denied" in ran.output  # Landlock: a process outside the job's own domain
    assert b"in-the-environment" not in ran.output


def test_a_job_sees_only_the_fixed_few_variables(inside: Inside) -> None:
    names = {line.split("=", 1)[0] for line in inside.run("env").output.decode().splitlines()}
    assert names == {"PATH", "HOME", "LANG", "TERM", "USER", "PWD"}
