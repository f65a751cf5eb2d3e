"""Where each conversation is answered: Teams tells it with every activity, and a restart must not forget it.

Layer: adapters/channels. Owns the bounded note of chats, their service addresses and teams.
"""

from __future__ import annotations

import json

from carapax.adapters.channels.fields import parse_object, part, word
from carapax.core.terms.error import Malformed
from carapax.ports.channel import Keep

NOTE = "places"
MOST = 1_000


class Places:
    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._known: dict[str, tuple[str, str]] | None = None  # chat → service address, team

    async def remember(self, chat: str, service_url: str, team: str) -> None:
        """Raises StoreUnavailable."""
        known = await self._loaded()
        before = known.get(chat)
        now = (service_url, team or (before[1] if before else ""))
        if now == before:
            return
        known[chat] = now
        while len(known) > MOST:
            del known[next(iter(known))]
        note = {chat: {"url": url, "team": its_team} for chat, (url, its_team) in known.items()}
        await self._keep.write(NOTE, json.dumps(note, separators=(",", ":")).encode())

    async def service_of(self, chat: str) -> str:
        """The address for a chat, another chat's when nothing is known of it, "" when nobody ever wrote."""
        known = await self._loaded()
        return known[chat][0] if chat in known else next(iter(known.values()), ("", ""))[0]

    async def chats_of(self, team: str) -> list[str]:
        return [chat for chat, (_, its_team) in (await self._loaded()).items() if its_team == team]

    async def _loaded(self) -> dict[str, tuple[str, str]]:
        if self._known is None:
            self._known = _parse(await self._keep.read(NOTE) or b"{}")
        return self._known


def _parse(raw: bytes) -> dict[str, tuple[str, str]]:
    try:
        given = parse_object(raw)
        return {chat: (word(part(given, chat), "url", 4_096), word(part(given, chat), "team")) for chat in given}
    except Malformed:
        return {}
