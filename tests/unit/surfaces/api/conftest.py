from collections.abc import Iterator

import pytest

from tests.unit.surfaces.api.served import Served, serving, stop_shared


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture(scope="session", autouse=True)
def shared_listener() -> Iterator[None]:
    yield
    stop_shared()
