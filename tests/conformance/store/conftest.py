"""Each test of the suite runs once for every store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conformance.store.rig import MAKERS, Drive, Scene, Ticks


@pytest.fixture(params=sorted(MAKERS))
def drive(request: pytest.FixtureRequest, tmp_path: Path) -> Drive:
    """Runs a scene on a new store and closes it."""

    def run(scene: Scene) -> None:
        async def whole() -> None:
            clock = Ticks()
            store = MAKERS[request.param](tmp_path, clock)
            try:
                await scene(store, clock)
            finally:
                await store.close()

        asyncio.run(whole())

    return run
