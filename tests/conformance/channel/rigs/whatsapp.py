"""WhatsApp's Cloud API, against the local Graph API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import HookRequest, Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Rig, Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.hook_calls import Calls
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock
from tests.fakes.platforms.whatsapp import WhatsApp

PHONE = "106540352242922"
GAPS = {
    "group": "Groups of the Cloud API are open to few businesses; the channel leaves their messages out.",
    "groups": "Groups of the Cloud API are open to few businesses; the channel leaves their messages out.",
    "members": "There are no groups.",
    "threads": "WhatsApp has no threads.",
    "edit": "The Cloud API cannot change a message.",
    "edits_in": "The Cloud API does not tell of edits.",
    "deletes": "The Cloud API does not tell what people take back.",
    "quoted": "A webhook names a quoted message by its id alone.",
    "cuts": "Meta calls; there is no connection to cut.",
    "stale": "Meta repeats a webhook for up to seven days, and its signature holds no time.",
}


def make_rig(folder: Path) -> Rig:
    return WhatsAppRig()


class WhatsAppRig:
    def __init__(self) -> None:
        self.traits = Traits(kind="whatsapp", hook=True, cuts=False, voice=True, shows_typing=True, gaps=dict(GAPS))
        self.vault = DictVault({"w/token": "EAAG" + "x" * 40, "w/app": "a1b2" * 8, "w/verify": "a long word " * 3})
        self.notes = Notes()
        self.clock = ShiftedClock()
        self.logged: list[str] = []
        self.platform = WhatsApp(
            token=self.vault.values["w/token"],
            app_secret=self.vault.values["w/app"],
            phone=PHONE,
            people={
                "alice": {"wa_id": "15550100001", "name": "Alice"},
                "bob": {"wa_id": "15550100002", "name": "Bob"},
            },
        )
        self.calls: Calls

    async def start(self) -> None:
        self.calls = Calls()
        await self.platform.start()

    async def stop(self) -> None:
        await self.calls.stop()
        await self.platform.stop()

    def open(self) -> Channel:
        here = ("127.0.0.1", self.platform.server.port)
        return open_channel(
            "whatsapp",
            Opening(
                name="whatsapp",
                values={"phone_number_id": PHONE},
                secrets={"token": "w/token", "app_secret": "w/app", "verify_token": "w/verify"},
                egress=DirectEgress(self.vault, hosts={"graph.facebook.com": here, "lookaside.fbsbx.com": here}),
                keep=self.notes,
                clock=self.clock,
                log=self.logged.append,
            ),
        )

    def sender_id(self, sender: str) -> str:
        return self.platform.people[sender]["wa_id"]

    def place_of(self, sender: str) -> Place:
        return Place("whatsapp", self.sender_id(sender))

    def request(self, body: bytes) -> HookRequest:
        headers = (("content-type", "application/json"), ("x-hub-signature-256", self.platform.sign(body)))
        return HookRequest("POST", "", "", headers, body, url="https://home.example/hooks/whatsapp")

    async def say(self, says: Says) -> str:
        id, body = self.platform.message(says.sender, **self._content(says))
        await self.calls.post(lambda: self.request(body))
        return id

    def _content(self, says: Says) -> dict[str, Any]:
        if says.presses:
            reply = {"id": says.presses, "title": "Allow once"}
            context = {"from": "15550001111", "id": says.edits}
            inside = {"type": "button_reply", "button_reply": reply}
            return {"type": "interactive", "interactive": inside, "context": context}
        more: dict[str, Any] = {"context": {"forwarded": True}} if says.forwarded else {}
        if not says.files:
            return more | {"type": "text", "text": {"body": says.text}}
        ((name, type, content),) = says.files
        file: dict[str, Any] = {"id": self.platform.keep(content, type), "mime_type": type, "sha256": "x"}
        if says.voice:
            return more | {"type": "audio", "audio": file | {"mime_type": "audio/ogg; codecs=opus", "voice": True}}
        return more | {"type": "document", "document": file | {"filename": name, "caption": says.text}}

    def hooked(self, channel: Channel, hear: Hear) -> None:
        self.calls.hooked(channel, hear)

    async def rename(self, sender: str, name: str) -> None:
        self.platform.people[sender]["name"] = name

    async def repeat(self) -> None:
        await self.calls.repeat()

    async def seen(self) -> list[Seen]:
        return [self._seen(message) for message in self.platform.messages]

    def _seen(self, message: dict[str, Any]) -> Seen:
        inside = message.get("interactive", {})
        action = inside.get("action", {})
        rows = [button["reply"]["title"] for button in action.get("buttons", [])]
        rows += [row["title"] for section in action.get("sections", []) for row in section["rows"]]
        document = message.get("document", {})
        kept = self.platform.media.get(document.get("id", ""), {})
        text = message.get("text", {}).get("body") or inside.get("body", {}).get("text") or document.get("caption", "")
        return Seen(
            chat=message["to"],
            message=message["id"],
            text=text,
            reply_to=message.get("context", {}).get("message_id", ""),
            buttons=tuple(rows),
            files=((document["filename"], kept["content"]),) if kept else (),
        )

    async def typing_count(self) -> int:
        return len(self.platform.typing)

    async def reactions(self, message: str) -> list[str]:
        return self.platform.reactions.get(message, [])

    async def leave(self, sender: str) -> None:
        raise NotImplementedError

    async def cut(self) -> None:
        raise NotImplementedError

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.platform.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        self.platform.token = "EAAG-another"
