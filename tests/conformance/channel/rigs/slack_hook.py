"""Slack by signed requests, against the local Slack."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from carapax.core.terms.channel import HookRequest
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rigs.slack import SlackRig


class SlackHookRig(SlackRig):
    def __init__(self) -> None:
        super().__init__(signing_secret="slack-sign")
        self.traits.hook, self.traits.cuts = True, False
        self.traits.gaps["cuts"] = "Slack calls: no connection is held"
        self.traits.advance = self.clock.advance
        self.pending: list[dict[str, Any]] = []
        self.door: tuple[Channel, Hear] | None = None
        self.again: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        if self.again is not None:
            await asyncio.wait([self.again], timeout=5)
        await super().stop()

    def hooked(self, channel: Channel, hear: Hear) -> None:
        self.door = (channel, hear)
        if self.pending:
            self.again = asyncio.ensure_future(self._redeliver())

    async def _redeliver(self) -> None:
        for update in list(self.pending):
            await self._post(update)

    async def _deliver(self, payload: dict[str, Any], type: str = "events_api") -> None:
        update = {"payload": payload, "type": type}
        self.pending.append(update)
        await self._post(update)

    async def _post(self, update: dict[str, Any]) -> None:
        assert self.door is not None
        channel, hear = self.door
        self.slack.last = update
        headers, body = self.slack.signed(self.clock.now_ms() // 1000)
        answer = await channel.hook(HookRequest("POST", "", "", headers, body), hear)
        # A door that a test holds shut is not tried again: the test posts the request itself.
        if answer.status < 300 or getattr(channel, "closed", False):
            self.pending.remove(update)


def make_rig(folder: Path) -> SlackHookRig:
    return SlackHookRig()
