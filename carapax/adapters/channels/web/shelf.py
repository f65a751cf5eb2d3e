"""Files that visitors put down, in pieces among the channel's notes, until the gateway fetches them.

Layer: adapters/channels/web. Owns a ring of 32 pieces of 1 MiB: what is put down last takes the place of what is oldest.
"""

from __future__ import annotations

import asyncio
import json
import secrets

from carapax.adapters.channels.web.wire import Upload
from carapax.ports.channel import Keep, SendRefused

PIECES = 32
PIECE_BYTES = 1 << 20
FILE_BYTES = 10 << 20


class Shelf:
    """Made with a channel; everything is in its notes."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._index: dict[str, list[object]] | None = None
        self._lock = asyncio.Lock()

    async def put(self, visitor: str, name: str, type: str, content: bytes) -> Upload:
        """Keep a file of at most 10 MiB; durable when this returns."""
        async with self._lock:
            index = await self._read_index()
            count = max(1, -(-len(content) // PIECE_BYTES))
            start = _next(index)
            places = [(start + number) % PIECES for number in range(count)]
            for ref in [ref for ref, entry in index.items() if set(_places(entry)) & set(places)]:
                del index[ref]
            for number, place in enumerate(places):
                await self._keep.write(f"file-{place}", content[number * PIECE_BYTES : (number + 1) * PIECE_BYTES])
            made = Upload(secrets.token_urlsafe(24), name, type, len(content))
            index[made.ref] = [visitor, name, type, len(content), places]
            await self._keep.write("files", json.dumps(index).encode())
            return made

    async def find(self, ref: str, visitor: str = "") -> Upload | None:
        """A file that was put down, by this visitor when one is named."""
        entry = (await self._read_index()).get(ref)
        if entry is None or (visitor and entry[0] != visitor):
            return None
        return Upload(ref, str(entry[1]), str(entry[2]), int(str(entry[3])))

    async def read(self, ref: str) -> bytes:
        """Its bytes. Raises SendRefused: others took its place."""
        async with self._lock:
            entry = (await self._read_index()).get(ref)
            if entry is None:
                raise SendRefused("This file is no longer kept.")
            found = b"".join([await self._keep.read(f"file-{place}") or b"" for place in _places(entry)])
            if len(found) != entry[3]:
                raise SendRefused("This file is no longer whole.")
            return found

    async def _read_index(self) -> dict[str, list[object]]:
        if self._index is None:
            try:
                given = json.loads(await self._keep.read("files") or b"{}")
            except (ValueError, RecursionError):
                given = {}
            pairs = given.items() if isinstance(given, dict) else ()
            read = {key: entry for key, entry in pairs if isinstance(entry, list) and len(entry) == 5}
            if self._index is None:
                self._index = read
        return self._index


def _places(entry: list[object]) -> list[int]:
    found = entry[4]
    return [place for place in found if isinstance(place, int)] if isinstance(found, list) else []


def _next(index: dict[str, list[object]]) -> int:
    newest = _places(list(index.values())[-1]) if index else []
    return (newest[-1] + 1) % PIECES if newest else 0
