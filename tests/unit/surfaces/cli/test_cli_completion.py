"""Completion scripts offer what the grammar has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from carapax.surfaces.cli.parser import MODULES
from tests.unit.surfaces.cli.stage import FakeLocal, call


def _offered(script: str, *words: str) -> list[str]:
    listed = " ".join(f"'{word}'" for word in words)
    program = (
        f"{script}\nCOMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _carapax; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    ran = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("carapax", ""), set(MODULES)),
        (("carapax", "le"), {"ledger"}),
        (("carapax", "ledger", ""), {"show", "verify", "prove", "export"}),
        (("carapax", "--lang", "ledger", "show", "--n"), {"--newest"}),
        (("carapax", "ask", "--se"), {"--session"}),
        (("carapax", "completion", ""), {"bash", "zsh", "fish"}),
        (("carapax", "approve", "--ty"), {"--type"}),
        (("carapax", "sessions", "delete", "--y"), {"--yes"}),
    ],
)
def test_bash_completes(home: Path, words: tuple[str, ...], expected: set[str]) -> None:
    script = call(FakeLocal(home), "completion", "bash").out
    offered = set(_offered(script, *words))
    assert expected <= offered
    if words[-1]:
        assert offered == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_others_name_every_command(home: Path, shell: str) -> None:
    ran = call(FakeLocal(home), "completion", shell)
    assert ran.code == 0
    for word in (*MODULES, "verify", "revoke"):
        assert word in ran.out
    assert "path=" not in ran.out or shell != "zsh"
    for line in ran.out.splitlines():
        assert line.count("'") % 2 == 0, line


def test_another_shell_is_a_usage_error(home: Path) -> None:
    assert call(FakeLocal(home), "completion", "tcsh").code == 2
