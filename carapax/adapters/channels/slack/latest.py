"""The newest message of each Slack channel that was taken: Slack gives an event up after some minutes, so a longer
pause is caught up by asking.

Layer: adapters/channels. Owns the bounded note. Law: it moves on only after a message was taken.
"""

from __future__ import annotations

import json

from carapax.adapters.channels.fields import parse_object, word
from carapax.core.terms.error import Malformed
from carapax.ports.channel import Keep

NOTE = "latest"
MOST = 40  # channels: each costs a request at a start, and Slack allows fifty a minute


class Latest:
    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._known: dict[str, str] | None = None

    async def all(self) -> dict[str, str]:
        """Channel → stamp, the longest silent first. Raises StoreUnavailable."""
        return dict(await self._loaded())

    async def took(self, channel: str, stamp: str) -> None:
        """Raises StoreUnavailable."""
        known = await self._loaded()
        before = known.pop(channel, "")
        known[channel] = max(before, stamp, key=_order)
        while len(known) > MOST:
            del known[next(iter(known))]
        if known[channel] != before:
            await self._keep.write(NOTE, json.dumps(known, separators=(",", ":")).encode())

    async def forget(self, channel: str) -> None:
        """Raises StoreUnavailable."""
        known = await self._loaded()
        if known.pop(channel, None) is not None:
            await self._keep.write(NOTE, json.dumps(known, separators=(",", ":")).encode())

    async def _loaded(self) -> dict[str, str]:
        if self._known is None:
            try:
                given = parse_object(await self._keep.read(NOTE) or b"{}")
                self._known = {channel: word(given, channel) for channel in given}
            except Malformed:
                self._known = {}
        return self._known


def _order(stamp: str) -> tuple[int, str]:
    return (len(stamp), stamp)
