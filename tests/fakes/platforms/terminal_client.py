"""A program at the terminal's socket: says lines, keeps what it was told, and says again what was not taken."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import suppress
from typing import Any


class Client:
    """One user's. `lines` is what it shows, by id; `waiting` what was not taken yet."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lines: dict[str, dict[str, Any]] = {}
        self.taken: dict[str, str] = {}
        self.refused: list[dict[str, Any]] = []
        self.waiting: dict[str, dict[str, Any]] = {}
        self.typings = 0
        self._numbers = itertools.count(1)
        self._writer: asyncio.StreamWriter | None = None
        self._task = asyncio.create_task(self._stay())

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def say(self, **given: Any) -> str:
        """Say it now, or once there is a connection; its id."""
        id = str(next(self._numbers))
        self.waiting[id] = {"id": id, **given}
        self.tell(self.waiting[id])
        return id

    def tell(self, given: dict[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(given).encode() + b"\n")

    async def _stay(self) -> None:
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(self.path, limit=1 << 20)
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.01)
                continue
            try:
                self.tell({"hello": True})
                for given in list(self.waiting.values()):
                    self.tell(given)
                while raw := await reader.readline():
                    self._take(json.loads(raw))
            except ConnectionError:
                pass
            finally:
                self._writer.close()
                self._writer = None

    def _take(self, told: dict[str, Any]) -> None:
        match told["type"]:
            case "line":
                self.lines[told["id"]] = told
            case "taken":
                self.waiting.pop(told["id"], None)
                self.taken[told["id"]] = told["message"]
            case "refused":
                self.refused.append(told)
            case "typing":
                self.typings += 1
