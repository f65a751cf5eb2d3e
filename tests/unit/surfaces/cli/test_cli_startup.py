"""The common path stays light: what is imported, not how long it took."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.surfaces.cli.stage import staged

HEAVY = ("dataclasses", "asyncio", "pydantic", "cyclopts", "rich", "httpx2", "sqlalchemy", "cryptography", "typing",
         "carapax.app", "carapax.surfaces.api")  # fmt: skip
PROGRAM = """
import sys
from pathlib import Path
before = set(sys.modules)
from carapax.surfaces.cli.run import run
class Local:
    def home(self): return Path(sys.argv[1])
code = run(sys.argv[2:], Local())
heavy = [m for m in %r if m in set(sys.modules) - before]
sys.stderr.write(f"code {code} heavy {heavy}")
"""


def _loaded(home: Path, *argv: str) -> str:
    # -S: what the installation itself loads at start is not ours.
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[4]), "LANG": "C.UTF-8", "PATH": ""}
    ran = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM % (HEAVY,), str(home), *argv],
        capture_output=True, text=True, timeout=30, env=environment, check=False,
    )  # fmt: skip
    return ran.stderr


@pytest.mark.parametrize("argv", [["--version"], ["status"], ["status", "--json"], ["approvals"], ["sessions"]])
def test_common_commands_load_nothing_heavy(home: Path, argv: list[str]) -> None:
    with staged(home):
        said = _loaded(home, *argv)
    assert said.endswith("heavy []"), said
    assert "code 0" in said
