"""The fake gateway keeps the port's promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from carapax.ports.gateway import Gateway
from tests.conformance.gateway.suite import GatewaySuite
from tests.fakes.gateway import Ask, FakeGateway


class FakeStage:
    def __init__(self) -> None:
        self.fake = FakeGateway()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        yield self.fake

    def next_says(self, text: str) -> None:
        self.fake.scripts.clear()
        self.fake.script(text)

    def next_asks(self, then: str) -> None:
        self.fake.script(Ask(), then)


class TestFakeGateway(GatewaySuite):
    @pytest.fixture
    def stage(self) -> FakeStage:
        return FakeStage()
