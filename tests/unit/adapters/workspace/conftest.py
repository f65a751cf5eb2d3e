from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.workspace.ceilings import Ceilings
from carapax.adapters.workspace.versions import Versions


class Place:
    """A workspace, a state folder, and something outside both that must never change."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state, self.outside = folder / "work", folder / "state", folder / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        (self.outside / "secret").write_text("outside")
        self._open: list[Versions] = []

    def versions(self, ceilings: Ceilings | None = None) -> Versions:
        made = Versions(self.root, self.state, ceilings)
        self._open.append(made)
        return made

    def close(self) -> None:
        for versions in self._open:
            versions.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()
