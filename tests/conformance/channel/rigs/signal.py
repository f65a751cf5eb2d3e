"""Signal against the local signal-cli."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms import signal as fake
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock

GAPS = {
    "buttons": "Signal has no buttons",
    "threads": "Signal has no threads",
    "forwarded": "Signal does not say that a message was forwarded",
}


class SignalRig:
    def __init__(self) -> None:
        self.traits = Traits(
            "signal", fake.GROUP, edits_in=True, deletes=True, voice=True, shows_typing=True, gaps=dict(GAPS)
        )
        self.signal = fake.FakeSignal()
        self.notes, self.clock = Notes(), ShiftedClock()

    async def start(self) -> None:
        await self.signal.server.start()

    async def stop(self) -> None:
        await self.signal.cut()
        await self.signal.server.stop()

    def open(self) -> Channel:
        values = {"server": f"http://127.0.0.1:{self.signal.server.port}", "account": fake.ACCOUNT}
        return open_channel("signal", Opening("signal", values, {}, DirectEgress(DictVault()), self.notes, self.clock))

    def sender_id(self, sender: str) -> str:
        return fake.PEOPLE[sender]

    def place_of(self, sender: str) -> Place:
        return Place("signal", fake.PEOPLE[sender])

    def hooked(self, channel: Channel, hear: Hear) -> None:
        raise NotImplementedError

    async def say(self, says: Says) -> str:
        author = fake.PEOPLE[says.sender]
        stamp = self.signal.stamp()
        message: dict[str, Any] = {"timestamp": stamp, "message": None, "expiresInSeconds": 0, "viewOnce": False}
        if says.chat:
            message["groupInfo"] = {"groupId": says.chat, "groupName": "Everybody", "revision": 3, "type": "DELIVER"}
        if says.deletes:
            self.signal.push(says.sender, dataMessage=message | {"remoteDelete": {"timestamp": _stamp(says.deletes)}})
            return says.deletes
        message["message"] = says.text
        if says.mention:
            message["message"] = f"￼ {says.text}"
            message["mentions"] = [
                {"name": "Carapax", "number": fake.ACCOUNT, "uuid": fake.OWN, "start": 0, "length": 1}
            ]
        if says.quoted:
            message["quote"] = {
                "id": stamp - 5_000,
                "author": fake.PEOPLE["bob"],
                "authorUuid": fake.PEOPLE["bob"],
                "text": says.quoted,
            }
        message["attachments"] = [self._file(*file, says.voice) for file in says.files]
        if says.edits:
            self.signal.push(
                says.sender, editMessage={"targetSentTimestamp": _stamp(says.edits), "dataMessage": message}
            )
            return says.edits
        self.signal.push(says.sender, dataMessage=message)
        return f"{stamp}:{author}"

    def _file(self, name: str, type: str, content: bytes, voice: bool) -> dict[str, Any]:
        id = f"file{len(self.signal.files)}"
        self.signal.files[id] = content
        kind = "audio/aac" if voice else type
        return {"contentType": kind, "filename": None if voice else name, "id": id, "size": len(content)}

    async def rename(self, sender: str, name: str) -> None:
        self.signal.names[sender] = name

    async def repeat(self) -> None:
        self.signal.repeat()

    async def seen(self) -> list[Seen]:
        return [
            Seen(
                chat=message["chat"],
                message=f"{stamp}:{fake.OWN}",
                text=message["text"],
                reply_to=f"{message['quote'][0]}:{message['quote'][1]}" if message["quote"][0] else "",
                files=tuple(message["files"]),
                pings=tuple(message["mentions"] or ()),
            )
            for stamp, message in self.signal.sent.items()
        ]

    async def typing_count(self) -> int:
        return self.signal.typings

    async def reactions(self, message: str) -> list[str]:
        found = self.signal.reactions.get(_stamp(message))
        return [found] if found else []

    async def leave(self, sender: str) -> None:
        self.signal.group.remove(fake.PEOPLE[sender])
        info = {"groupId": fake.GROUP, "groupName": "Everybody", "revision": 4, "type": "UPDATE"}
        self.signal.push(sender, dataMessage={"timestamp": self.signal.stamp(), "message": None, "groupInfo": info})

    async def cut(self) -> None:
        await self.signal.cut()

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.signal.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        self.signal.refuse = fake.RpcError(-3, "[403] Authorization failed! (AuthorizationFailedException)")
        await self.signal.cut()


def _stamp(message: str) -> int:
    return int(message.partition(":")[0])


def make_rig(folder: Path) -> SignalRig:
    return SignalRig()
