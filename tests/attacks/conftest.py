"""A real sandbox per test, and a forbidden folder beside its workspace that stands for Carapax's own state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import BwrapSandbox
from tests.attacks.sealing import KEY, Inside, WallClock


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Carapax's own folder, with a secret in it."""
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "secret").write_text("the-secret")
    return folder


@pytest.fixture
def inside(tmp_path: Path, state: Path) -> Iterator[Inside]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    sandbox = BwrapSandbox(workspace, KEY, WallClock(), forbidden=(state,))
    yield Inside(sandbox, workspace)
    sandbox.close()


@pytest.fixture
def grouped(inside: Inside) -> Inside:
    """The same where control groups can be made; an ordinary user without them has ceilings per process only."""
    inside.run("true")
    if inside.sandbox._plan.walls.tree is None:  # type: ignore[attr-defined]
        pytest.skip("no control group can be made here")
    return inside
