"""Attack from the strong tier: have git on the host run a program, by its hooks or its configuration."""

from __future__ import annotations

from pathlib import Path

from carapax.ports.sandbox import Mount
from tests.attacks.strong import each, strong

HOOK, CONFIG = "#!/bin/sh\n", "[core]\n"
ATTEMPTS = [
    "open('/workspace/.git/hooks/pre-commit', 'w')",
    "open('/workspace/.git/hooks/post-checkout', 'w')",
    "os.unlink('/workspace/.git/hooks/pre-commit')",
    "os.rename('/workspace/.git/hooks', '/workspace/.git/old')",
    "os.rename('/workspace/.git', '/workspace/moved')",
    "open('/workspace/.git/config', 'w')",
    "os.rename('/workspace/new', '/workspace/.git/config')",
    "os.unlink('/workspace/.git/config')",
    "__import__('shutil').rmtree('/workspace/.git')",
]


def test_hooks_and_configuration_stay_as_they_were(tmp_path: Path) -> None:
    with strong(tmp_path) as inside:
        git = inside.workspace / ".git"
        (git / "hooks").mkdir(parents=True)
        (git / "hooks" / "pre-commit").write_text(HOOK)
        (git / "config").write_text(CONFIG)
        (inside.workspace / "new").write_text("[core]\n\tfsmonitor = /workspace/evil\n")
        met = each(inside, ATTEMPTS, Mount.WRITE)
        assert set(met.values()) <= {"EROFS", "EBUSY", "EXDEV"}, met
        assert sorted(path.name for path in (git / "hooks").iterdir()) == ["pre-commit"]
        assert ((git / "hooks" / "pre-commit").read_text(), (git / "config").read_text()) == (HOOK, CONFIG)


def test_git_itself_still_works_there(tmp_path: Path) -> None:
    script = """
    set -e
    git -c user.name=a -c user.email=a@example.invalid commit -q --allow-empty -m second
    git log --oneline | wc -l
    """
    with strong(tmp_path) as inside:
        first = "git init -q . && git -c user.name=a -c user.email=a@example.invalid commit -q --allow-empty -m first"
        assert inside.shell(first, mount=Mount.WRITE).exit_code == 0
        ran = inside.shell(script, mount=Mount.WRITE)
        assert (ran.exit_code, ran.output.strip()) == (0, b"2"), ran.output.decode()
