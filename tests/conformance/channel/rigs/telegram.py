"""Telegram by long polling, against the local Bot API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import HookRequest, Place
from carapax.core.terms.error import StoreUnavailable
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Rig, Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock, until
from tests.fakes.platforms.telegram import Telegram

GROUP = -1001234567890
BOT = {"id": 424242, "is_bot": True, "first_name": "Carapax", "username": "carapax_test_bot"}
PUBLIC = "https://home.example/hooks/telegram"
GAPS = {
    "deletes": "The Bot API does not tell of messages that people delete.",
    "members": "The Bot API does not tell who is in a group.",
}


def make_rig(folder: Path) -> Rig:
    return TelegramRig(hook=False)


class TelegramRig:
    """`hook`: Telegram calls, instead of being polled."""

    def __init__(self, *, hook: bool) -> None:
        self.traits = Traits(
            kind="telegram", group=str(GROUP), hook=hook, cuts=not hook, edits_in=True, voice=True, shows_typing=True,
            gaps=GAPS | ({
                "cuts": "With its webhook Telegram calls; there is no connection to cut.",
                "body_signed": "Telegram proves itself with a value in a header, not with a signature of the body.",
                "stale": "Telegram's proof holds no time; the gateway knows an update that came before.",
            } if hook else {}),
        )  # fmt: skip
        self._vault = DictVault({"channel/telegram/token": f"{BOT['id']}:" + "t" * 35})
        self._notes = Notes()
        self._clock = ShiftedClock()
        people = {
            "alice": {"id": 1001, "is_bot": False, "first_name": "Alice", "last_name": "Example"},
            "bob": {"id": 1002, "is_bot": False, "first_name": "Bob", "username": "bob_example"},
        }
        self.platform = Telegram(
            token=self._vault.values["channel/telegram/token"],
            people=people,
            group={"id": GROUP, "type": "supergroup", "title": "The lab", "is_forum": True},
            bot=BOT | {"can_read_all_group_messages": True, "can_join_groups": True},
        )
        self._hooked: tuple[Channel, Hear] | None = None

    async def start(self) -> None:
        self.platform.caller = self._call
        await self.platform.start()

    async def stop(self) -> None:
        await self.platform.stop()

    def open(self) -> Channel:
        values = {"api": self.platform.url} | ({"public_url": PUBLIC} if self.traits.hook else {})
        return open_channel(
            "telegram",
            Opening(
                name="telegram",
                values=values,
                secrets={"token": "channel/telegram/token"},
                egress=DirectEgress(self._vault),
                keep=self._notes,
                clock=self._clock,
            ),
        )

    def sender_id(self, sender: str) -> str:
        return str(self.platform.people[sender]["id"])

    def place_of(self, sender: str) -> Place:
        return Place("telegram", self.sender_id(sender))

    async def say(self, says: Says) -> str:
        platform = self.platform
        if says.presses:
            message = platform.messages[int(says.edits)]
            query = {"id": f"q{len(platform.answered)}", "from": platform.people[says.sender], "data": says.presses}
            shown = {k: message[k] for k in ("message_id", "date", "from", "chat", "text")}
            await platform.happen(callback_query=query | {"message": shown, "chat_instance": "1"})
            return says.edits
        if says.edits:
            message = platform.messages[int(says.edits)]
            message.update(text=says.text, edit_date=message["date"])
            await platform.happen(edited_message=dict(message))
            return says.edits
        chat = platform.group if says.chat else None
        message = platform.message(says.sender, chat, **self._content(says))
        await platform.happen(message=dict(message))
        return str(message["message_id"])

    def _content(self, says: Says) -> dict[str, Any]:
        text = says.text
        more: dict[str, Any] = {}
        if says.mention:
            text = f"@{BOT['username']} {text}"
            more["entities"] = [{"type": "mention", "offset": 0, "length": len(str(BOT["username"])) + 1}]
        if says.thread:
            more |= {"message_thread_id": int(says.thread), "is_topic_message": True}
        if says.quoted:
            more["reply_to_message"] = self.platform.message("bob", None, text=says.quoted)
        if says.forwarded:
            more["forward_origin"] = {"type": "hidden_user", "sender_user_name": "Somebody", "date": 1}
        if not says.files:
            return more | {"text": text}
        ((name, type, content),) = says.files
        file = {"file_id": self.platform.keep_file(name, content), "file_size": len(content), "mime_type": type}
        if says.voice:
            return more | {"voice": file | {"duration": 3}}
        return more | {"document": file | {"file_name": name}, "caption": text}

    def hooked(self, channel: Channel, hear: Hear) -> None:
        self._hooked = (channel, hear)

    async def _call(self, update: dict[str, Any], proof: str) -> bool:
        assert self._hooked is not None
        channel, hear = self._hooked
        headers = (("content-type", "application/json"), ("x-telegram-bot-api-secret-token", proof))
        request = HookRequest("POST", "", "", headers, json.dumps(update).encode(), url=PUBLIC)
        try:
            return (await channel.hook(request, hear)).status == 200
        except StoreUnavailable:
            return False

    async def rename(self, sender: str, name: str) -> None:
        person = self.platform.people[sender]
        self.platform.people[sender] = person | {"first_name": name, "username": f"{name.lower()}_example"}

    async def repeat(self) -> None:
        if self.traits.hook:
            await self._call(self.platform.newest, self.platform.webhook["secret_token"])
        else:
            self.platform.again.append(self.platform.newest)

    async def seen(self) -> list[Seen]:
        mine = [message for message in self.platform.messages.values() if message["from"]["id"] == BOT["id"]]
        return [
            Seen(
                chat=str(message["chat"]["id"]),
                message=str(message["message_id"]),
                text=message.get("text") or message.get("caption", ""),
                thread=str(message["thread"] or ""),
                reply_to=str(message["reply"] or ""),
                buttons=tuple(
                    button["text"]
                    for row in (message["reply_markup"] or {}).get("inline_keyboard", [])
                    for button in row
                ),
                files=(message["sent"],) if "sent" in message else (),
                pings=message["pings"],
            )
            for message in mine
        ]

    async def typing_count(self) -> int:
        return len(self.platform.typing)

    async def reactions(self, message: str) -> list[str]:
        return self.platform.reactions.get(int(message), [])

    async def leave(self, sender: str) -> None:
        person = self.platform.people[sender]
        await self.platform.happen(message=self.platform.message(sender, self.platform.group, left_chat_member=person))

    async def cut(self) -> None:
        await until(lambda: self.platform.polls)  # a channel is up before its first poll is open
        await self.platform.cut()

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.platform.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        self.platform.token = f"{BOT['id']}:" + "another"
