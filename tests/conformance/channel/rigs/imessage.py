"""iMessage against the local BlueBubbles server, which calls the webhook once and never again."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import HookRequest, Place
from carapax.core.terms.error import StoreUnavailable
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms import imessage as fake
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock

GAPS = {
    "buttons": "iMessage has no buttons",
    "threads": "replies on iMessage make no place of their own",
    "cuts": "no connection is held: the server calls, and is asked every minute",
    "quoted": "a reply names the message that it answers, without its words",
    "header_signed": "BlueBubbles signs nothing: the proof is the end of the address, tested with the adapter",
    "body_signed": "BlueBubbles signs nothing",
    "stale": "BlueBubbles signs nothing, so no time either",
}


class IMessageRig:
    def __init__(self) -> None:
        self.traits = Traits(
            "imessage", fake.GROUP, hook=True, cuts=False, edits_in=True, deletes=True, voice=True, shows_typing=True,
            gaps=dict(GAPS),
        )  # fmt: skip
        self.server = fake.FakeBlueBubbles()
        self.notes, self.clock = Notes(), ShiftedClock()
        self.vault = DictVault({"bb-password": fake.PASSWORD, "bb-hook": fake.WORD})
        self._channel: Channel | None = None
        self._hear: Hear | None = None
        self._last: HookRequest | None = None

    async def start(self) -> None:
        await self.server.server.start()

    async def stop(self) -> None:
        await self.server.server.stop()

    def open(self) -> Channel:
        values = {"server": f"http://127.0.0.1:{self.server.server.port}"}
        opening = Opening(
            "imessage",
            values,
            {"password": "bb-password", "hook": "bb-hook"},
            DirectEgress(self.vault),
            self.notes,
            self.clock,
        )
        return open_channel("imessage", opening)

    def sender_id(self, sender: str) -> str:
        return fake.PEOPLE[sender]

    def place_of(self, sender: str) -> Place:
        return Place("imessage", fake.private_chat(sender))

    def hooked(self, channel: Channel, hear: Hear) -> None:
        self._channel, self._hear = channel, hear

    async def say(self, says: Says) -> str:
        chat = says.chat or fake.private_chat(says.sender)
        if says.deletes:
            message = self.server.messages[says.deletes]
            message["dateRetracted"] = self.server.stamp()
            await self._call("updated-message", message)
            return says.deletes
        if says.edits:
            message = self.server.messages[says.edits]
            message |= {"text": says.text, "dateEdited": self.server.stamp()}
            await self._call("updated-message", message)
            return says.edits
        more: dict[str, Any] = {"isForward": says.forwarded, "isAudioMessage": says.voice}
        more["attachments"] = [self.server.put_file(*file) for file in says.files]
        text = "\ufffc" * len(says.files) + says.text
        if says.mention:
            text = f"Agent {says.text}"
            run = {"range": [0, 5], "attributes": {"__kIMMentionConfirmedMention": fake.OWN}}
            more["attributedBody"] = [{"string": text, "runs": [run]}]
        message = self.server.message(says.sender, chat, text, **more)
        message["handle"]["displayName"] = self.server.names[says.sender]
        await self._call("new-message", message)
        return str(message["guid"])

    async def _call(self, type: str, data: dict[str, Any]) -> None:
        body = json.dumps({"type": type, "data": data}).encode()
        headers = (
            ("content-type", "application/json"),
            ("user-agent", "axios/1.7"),
            ("content-length", str(len(body))),
        )
        self._last = HookRequest("POST", f"/{fake.WORD}", "", headers, body, peer="127.0.0.1")
        assert self._channel is not None and self._hear is not None
        with suppress(StoreUnavailable):  # the server does not look at the answer
            await self._channel.hook(self._last, self._hear)

    async def rename(self, sender: str, name: str) -> None:
        self.server.names[sender] = name

    async def repeat(self) -> None:
        assert self._channel is not None and self._hear is not None and self._last is not None
        await self._channel.hook(self._last, self._hear)

    async def seen(self) -> list[Seen]:
        return [
            Seen(
                chat=message["chats"][0]["guid"],
                message=message["guid"],
                text=message["text"],
                reply_to=message["threadOriginatorGuid"] or "",
                files=tuple(message["sent_files"]),
            )
            for message in self.server.mine()
        ]

    async def typing_count(self) -> int:
        return self.server.typings

    async def reactions(self, message: str) -> list[str]:
        found = self.server.tapbacks.get(message)
        return [fake.EMOJI[found]] if found else []

    async def leave(self, sender: str) -> None:
        self.server.group.remove(fake.PEOPLE[sender])
        data = self.server.message(sender, fake.GROUP, "", itemType=3, groupActionType=0)
        await asyncio.sleep(0)
        await self._call("participant-left", data)

    async def cut(self) -> None:
        raise NotImplementedError

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.server.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        self.server.password = "another password"


def make_rig(folder: Path) -> IMessageRig:
    return IMessageRig()
