"""The main job on a fresh machine: a terminal, the embedded model, a file written and run. Needs `make setup`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_session", ROOT / "scripts" / "record_session.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.embedded
def test_a_newcomer_has_a_file_written_and_run_and_can_prove_it(tmp_path: Path) -> None:
    record = recorder()
    said = ("create hello.py that prints hello and run it", "/undo")
    transcript = record.talk(tmp_path, said)
    assert "✓ write" in transcript, transcript
    assert "✓ run" in transcript, transcript
    assert "taken back" in transcript, transcript
    assert not (tmp_path / "work" / "hello.py").exists()
    environ = record.environment(tmp_path)
    shown = subprocess.run(
        [sys.executable, "-m", "carapax.app.entry", "ledger", "show", "--json"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    kinds = [json.loads(line)["kind"] for line in shown.stdout.splitlines()]
    assert kinds.count("call") >= 2
    assert "undo" in kinds
    verified = record.command(tmp_path, "ledger", "verify")
    assert "verified" in verified
