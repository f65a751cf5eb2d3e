"""The rig's stage, and the order in which its tests run: a rig starts once, and what breaks it comes last."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.channel.stage import Stage


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    # A short folder of its own: sockets of servers have short paths.
    with tempfile.TemporaryDirectory(prefix="rig-", dir="/tmp") as folder:
        made = Stage(request.param, Path(folder))
        try:
            yield made
        finally:
            made.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every rig's tests stand together, in the order of the file: tests have different rigs, so pytest mixes them."""
    here = Path(__file__).parent
    mine = [
        n
        for n, item in enumerate(items)
        if item.path.parent == here and "stage" in getattr(getattr(item, "callspec", None), "params", {})
    ]

    def place(item: pytest.Item) -> tuple[str, str, int]:
        assert isinstance(item, pytest.Function)
        return str(item.path), item.callspec.params["stage"], item.function.line

    for n, item in zip(mine, sorted((items[n] for n in mine), key=place), strict=True):
        items[n] = item
