"""The terminal, with a client of this test's own user at its socket."""

from __future__ import annotations

import os
from pathlib import Path

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until
from tests.fakes.platforms.terminal_client import Client

GAPS = {
    "group": "a terminal is one user's conversation",
    "groups": "a terminal is one user's conversation",
    "members": "a terminal is one user's conversation",
    "threads": "a terminal is one user's conversation",
    "reply": "a terminal shows one conversation in its order",
    "react": "a terminal has no reactions",
    "files_in": "a terminal sends lines",
    "files_out": "a terminal is shown lines",
    "voice": "a terminal sends lines",
    "edits_in": "a line that was sent stays as it is",
    "deletes": "a line that was sent stays as it is",
    "quoted": "a line is all its writer's own",
    "forwarded": "a line is all its writer's own",
    "names": "a user's name is the machine's word and does not change",
    "cuts": "the gateway listens: a client that leaves ends nothing",
    "statuses": "nobody else is asked when something is sent",
    "refuses": "there is no credential: the kernel says who it is",
}


class TerminalRig:
    def __init__(self, folder: Path) -> None:
        self.traits = Traits("terminal", cuts=False, statuses=False, refuses=False, shows_typing=True, gaps=dict(GAPS))
        self.notes, self.clock = Notes(), ShiftedClock()
        self._path = str(folder / "t.sock")
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    async def start(self) -> None:
        self._client = Client(self._path)

    async def stop(self) -> None:
        await self.client.stop()

    def open(self) -> Channel:
        values = {"path": self._path}
        return open_channel(
            "terminal", Opening("terminal", values, {}, DirectEgress(DictVault()), self.notes, self.clock)
        )

    def sender_id(self, sender: str) -> str:
        return str(os.getuid() if sender == "alice" else 65_534)

    def place_of(self, sender: str) -> Place:
        return Place("terminal", self.sender_id(sender))

    def hooked(self, channel: Channel, hear: Hear) -> None:
        raise NotImplementedError

    async def say(self, says: Says) -> str:
        if says.presses:
            self.client.say(press=says.presses, message=says.edits)
            return says.edits
        id = self.client.say(text=says.text)
        told = len(self.client.refused)
        await until(lambda: id in self.client.taken or len(self.client.refused) > told)
        return self.client.taken.get(id, "")  # what was refused is said again with the next connection

    async def rename(self, sender: str, name: str) -> None:
        raise NotImplementedError

    async def repeat(self) -> None:
        id, message = list(self.client.taken.items())[-1]
        self.client.tell({"id": id, "text": f"once more, {message}"})

    async def seen(self) -> list[Seen]:
        lines = self.client.lines.values()
        chat = self.sender_id("alice")
        return [
            Seen(chat, line["id"], line["text"], buttons=tuple(label for label, _ in line["buttons"])) for line in lines
        ]

    async def typing_count(self) -> int:
        return self.client.typings

    async def reactions(self, message: str) -> list[str]:
        return []

    async def leave(self, sender: str) -> None:
        raise NotImplementedError

    async def cut(self) -> None:
        raise NotImplementedError

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        raise NotImplementedError

    async def refuse_credential(self) -> None:
        raise NotImplementedError


def make_rig(folder: Path) -> TerminalRig:
    return TerminalRig(folder)
