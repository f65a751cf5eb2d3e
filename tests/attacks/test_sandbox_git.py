"""Attack: leave something in the workspace's repository that the owner's next `git` command runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Mount
from tests.attacks.sealing import Inside

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.invalid")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run([*GIT, *words], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repository(inside: Inside) -> Inside:
    git(inside.workspace, "init", "-q", "-b", "main")
    (inside.workspace / "f").write_text("one\n")
    git(inside.workspace, "add", "f")
    git(inside.workspace, "commit", "-qm", "first")
    (inside.workspace / ".git" / "hooks" / "pre-commit").write_text("#!/bin/sh\nexit 0\n")
    return inside


ATTACKS = {
    "write a hook": "echo evil > .git/hooks/pre-commit",
    "add a hook": "echo evil > .git/hooks/post-checkout",
    "remove a hook": "rm -f .git/hooks/pre-commit",
    "let a hook run": "chmod 755 .git/hooks/pre-commit",
    "replace the hooks": "mv .git/hooks .git/old && mkdir .git/hooks",
    "replace the repository": "mv .git old && cp -r old .git",
    "remove the repository": "rm -rf .git/hooks .git/config && ! test -e .git/config",
    "link the repository away": "mv .git old && ln -s old .git",
    "write the configuration": "echo '[core] fsmonitor = /workspace/evil' >> .git/config",
    "replace the configuration": "cp .git/config .git/new && mv .git/new .git/config",
    "configure": "git config core.hooksPath /workspace/evil",
    "point to another repository": "echo ../evil > .git/commondir",
    "replace the pointer": "echo ../evil > .git/x && mv .git/x .git/commondir",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_hooks_and_configuration_stay(repository: Inside, attack: str) -> None:
    repository.run("true", mount=Mount.WRITE)  # what a launch makes for the pins is there from now on
    before = {path: path.read_bytes() for path in held(repository)}
    ran = repository.shell(f"mkdir evil; touch evil/x; {attack}", mount=Mount.WRITE)
    assert ran.exit_code != 0
    assert {path: path.read_bytes() for path in held(repository)} == before
    assert not os.access(repository.workspace / ".git" / "hooks" / "pre-commit", os.X_OK)
    assert (repository.workspace / "evil" / "x").exists()  # the attack itself was made


def held(inside: Inside) -> list[Path]:
    folder = inside.workspace / ".git"
    assert not folder.is_symlink()
    return [*sorted((folder / "hooks").iterdir()), folder / "config", folder / "commondir"]


def test_ordinary_work_in_the_repository_goes_on(repository: Inside) -> None:
    (repository.workspace / ".git" / "hooks" / "pre-commit").unlink()
    script = """
    set -e
    echo two >> f && git add f
    git -c user.name=a -c user.email=a@example.invalid commit -qm second
    git checkout -q -b other && git log --oneline | wc -l && git status --short
    """
    ran = repository.shell(script, mount=Mount.WRITE)
    assert (ran.exit_code, ran.output.strip()) == (0, b"2"), ran.output.decode()
    assert git(repository.workspace, "log", "--format=%s").split() == ["second", "first"]  # the host reads it too


def test_a_worktrees_pointer_stays(inside: Inside) -> None:
    pointer = inside.workspace / ".git"
    pointer.write_text("gitdir: /elsewhere\n")
    for attack in ("echo 'gitdir: evil' > .git", "mv .git x", "rm -f .git", "echo x > y && mv y .git"):
        assert inside.shell(attack, mount=Mount.WRITE).exit_code != 0
    assert pointer.read_text() == "gitdir: /elsewhere\n"


@pytest.mark.parametrize("place", [".git", ".git/hooks", ".git/config", ".git/commondir"])
def test_a_link_in_a_pinned_place_refuses_the_job(repository: Inside, tmp_path: Path, place: str) -> None:
    target = tmp_path / "elsewhere"
    subprocess.run(["rm", "-rf", str(repository.workspace / place)], check=True)
    (repository.workspace / place).symlink_to(target)
    with pytest.raises(SandboxUnavailable, match="cannot be protected"):
        repository.run("true", mount=Mount.WRITE)
    assert not target.exists()  # nothing was made through the link
    assert repository.run("true").exit_code == 0  # shown for reading it harms nobody


def test_what_is_made_for_the_pins_leaves_git_working(repository: Inside) -> None:
    for name in ("hooks/pre-commit", "commondir"):
        (repository.workspace / ".git" / name).unlink(missing_ok=True)
    subprocess.run(["rm", "-r", str(repository.workspace / ".git" / "hooks")], check=True)
    assert repository.run("true", mount=Mount.WRITE).exit_code == 0
    assert git(repository.workspace, "status", "--short") == ""
    assert git(repository.workspace, "log", "--format=%s") == "first\n"
