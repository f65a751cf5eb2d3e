"""The real gateway keeps the port's promises: real store, ledger, versions, guard and sandbox; a scripted model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from carapax.app.compose import compose
from carapax.app.home import Home
from carapax.app.settings import Settings
from carapax.ports.gateway import Gateway
from tests.conformance.gateway.suite import GatewaySuite
from tests.fakes.provider import ScriptedProvider, says, wishes

FILES = 7


class RealStage:
    def __init__(self, place: Path) -> None:
        self._home, self._work = Home(place / "home"), place / "work"
        self._provider = ScriptedProvider()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        settings = Settings(workspace=str(self._work))
        running = await compose(self._home, settings, {}, ask_stop=lambda: None, provider=lambda: self._provider)
        try:
            yield running.gateway
        finally:
            await running.close()

    def next_says(self, text: str) -> None:
        self._provider = ScriptedProvider(says(text))

    def next_asks(self, then: str) -> None:
        for number in range(FILES):
            (self._work / f"f{number}").write_text("x")
        paths = "\n".join(f"f{number}" for number in range(FILES))
        self._provider = ScriptedProvider(
            wishes(("delete_file", json.dumps({"paths": paths}))),
            lambda prompt: says("refused" if "refused" in prompt.messages[-1].text else then),
        )


class TestRealGateway(GatewaySuite):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> RealStage:
        return RealStage(tmp_path)
