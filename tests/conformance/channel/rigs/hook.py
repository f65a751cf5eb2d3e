"""A signed webhook, with a program on the other side."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import HookRequest, Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Rig, Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.hook import Peer
from tests.fakes.platforms.hook_calls import Calls
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock

GROUP = "team"
GAPS = {
    "files_in": "A request is at most 1 MiB and is kept whole; files do not belong in it.",
    "voice": "There are no files in.",
    "members": "The program on the other side is not asked who is in a chat.",
    "cuts": "The other side calls; there is no connection to cut.",
    "refuses": "A shared secret is not refused at the start; an answer of 401 is.",
}


def make_rig(folder: Path) -> Rig:
    return HookRig()


class HookRig:
    def __init__(self) -> None:
        self.clock = ShiftedClock()
        self.traits = Traits(
            kind="hook", group=GROUP, hook=True, cuts=False, refuses=False, edits_in=True, deletes=True, shows_typing=True,
            gaps=dict(GAPS), advance=self.clock.advance,
        )  # fmt: skip
        secret = "whsec_" + base64.b64encode(b"a shared secret of 32 bytes, yes").decode()
        self.vault = DictVault({"h/secret": secret})
        self.notes = Notes()
        self.names = {"alice": "Alice", "bob": "Bob"}
        self.platform = Peer(secret=secret, now_ms=self.clock.now_ms)
        self.calls: Calls

    async def start(self) -> None:
        self.calls = Calls()
        await self.platform.server.start()

    async def stop(self) -> None:
        await self.calls.stop()
        await self.platform.server.stop()

    def open(self, **values: str) -> Channel:
        given = {"out_url": self.platform.url} | values
        return open_channel(
            "hook",
            Opening(
                name="hook",
                values={key: value for key, value in given.items() if value},
                secrets={"secret": "h/secret"},
                egress=DirectEgress(self.vault),
                keep=self.notes,
                clock=self.clock,
            ),
        )

    def sender_id(self, sender: str) -> str:
        return f"person-{sender}"

    def place_of(self, sender: str) -> Place:
        return Place("hook", self.sender_id(sender))

    def request(self, id: str, said: Any, seconds: int | None = None) -> HookRequest:
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        at = self.clock.now_ms() // 1000 if seconds is None else seconds
        headers = (
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", str(at)),
            ("webhook-signature", self.platform.sign(id, at, body)),
        )
        return HookRequest("POST", "", "", headers, body, url="https://home.example/hooks/hook")

    async def say(self, says: Says) -> str:
        self.platform.count += 1
        message = says.edits or f"message-{self.platform.count}"
        said: dict[str, Any] = {"id": message, "sender": self.sender_id(says.sender)}
        if says.deletes:
            said = {"type": "removed", "id": says.deletes, "sender": self.sender_id(says.sender)}
        else:
            said |= {"sender_name": self.names[says.sender], "text": says.text, "quoted": says.quoted}
            said |= {
                "forwarded": says.forwarded,
                "edited": bool(says.edits) and not says.presses,
                "thread": says.thread,
            }
            said |= {"pressed": says.presses, "addressed": says.mention} | ({"chat": says.chat} if says.chat else {})
        await self._post(said)
        return message

    async def _post(self, said: dict[str, Any]) -> None:
        id = f"request-{self.platform.count}"
        await self.calls.post(lambda: self.request(id, said))

    def hooked(self, channel: Channel, hear: Hear) -> None:
        self.calls.hooked(channel, hear)

    async def rename(self, sender: str, name: str) -> None:
        self.names[sender] = name

    async def repeat(self) -> None:
        self.clock.advance(1_000)
        await self.calls.repeat()

    async def seen(self) -> list[Seen]:
        return [
            Seen(
                chat=said["chat"],
                message=id,
                text=said["text"],
                thread=said["thread"],
                reply_to=said["reply_to"],
                buttons=tuple(button["label"] for button in said["buttons"]),
                files=tuple((file["name"], base64.b64decode(file["content"])) for file in said["files"]),
            )
            for id, said in self.platform.messages.items()
        ]

    async def typing_count(self) -> int:
        return len(self.platform.typing)

    async def reactions(self, message: str) -> list[str]:
        return self.platform.reactions.get(message, [])

    async def leave(self, sender: str) -> None:
        self.platform.count += 1
        await self._post({"type": "removed", "chat": GROUP, "person": self.sender_id(sender)})

    async def cut(self) -> None:
        raise NotImplementedError

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.platform.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        raise NotImplementedError
