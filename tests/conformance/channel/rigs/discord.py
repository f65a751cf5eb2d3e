"""Discord against the local Discord."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms import discord as fake
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock

HOSTS = ("discord.com", "gateway.discord.gg", "gateway-us-east1-b.discord.gg", "cdn.discordapp.com")


class DiscordRig:
    def __init__(self) -> None:
        self.traits = Traits("discord", fake.GROUP, edits_in=True, deletes=True, voice=True, shows_typing=True)
        self.discord = fake.FakeDiscord()
        # A nonce holds for some minutes only, so the suite must not count on it.
        self.discord.nonce_s = 0
        self.notes, self.clock = Notes(), ShiftedClock()
        self.vault = DictVault({"discord": fake.TOKEN})
        self.log: list[str] = []
        self.opened: list[Channel] = []
        self.last: tuple[str, dict[str, Any]] | None = None
        self.edits = 0

    async def start(self) -> None:
        await self.discord.server.start()

    async def stop(self) -> None:
        await self.discord.server.stop()

    def open(self) -> Channel:
        egress = DirectEgress(self.vault, hosts=dict.fromkeys(HOSTS, ("127.0.0.1", self.discord.server.port)))
        opening = Opening("discord", {}, {"token": "discord"}, egress, self.notes, self.clock, self.log.append)
        self.opened.append(open_channel("discord", opening))
        return self.opened[-1]

    def sender_id(self, sender: str) -> str:
        return fake.PEOPLE[sender]

    def place_of(self, sender: str) -> Place:
        return Place("discord", fake.DMS[sender])

    def hooked(self, channel: Channel, hear: Hear) -> None:
        raise NotImplementedError

    async def say(self, says: Says) -> str:
        if says.presses:
            await self._press(says)
            return says.edits
        if says.deletes:
            at = self.discord.messages[says.deletes]["channel_id"]
            await self._dispatch("MESSAGE_DELETE", {"id": says.deletes, "channel_id": at})
            return says.deletes
        channel = says.chat or fake.DMS[says.sender]
        if says.thread:
            channel = "7" + says.thread[1:]
            self.discord.channels[channel] = {"id": channel, "type": 11, "guild_id": fake.GUILD, "parent_id": says.chat}
        message = self._message(says, channel)
        self.discord.messages[message["id"]] = message
        await self._dispatch("MESSAGE_UPDATE" if says.edits else "MESSAGE_CREATE", message)
        return str(message["id"])

    def _message(self, says: Says, channel: str) -> dict[str, Any]:
        self.edits += 1
        message: dict[str, Any] = {
            "id": says.edits or self.discord.new_id(), "channel_id": channel, "type": 0, "timestamp": fake.EPOCH,
            "edited_timestamp": f"2026-01-02T03:05:05.{self.edits:06}+00:00" if says.edits else None,
            "author": self.discord.user(says.sender), "content": says.text, "mentions": [], "attachments": [], "flags": 0,
            "tts": False, "mention_everyone": False, "mention_roles": [], "embeds": [], "pinned": False,
        }  # fmt: skip
        if says.chat:
            message["guild_id"] = fake.GUILD
        if says.mention:
            message |= {"content": f"<@{fake.ME}> {says.text}", "mentions": [self.discord.user("me")]}
        if says.quoted:
            quoted = {"id": self.discord.new_id(), "content": says.quoted, "author": self.discord.user("bob")}
            reference = {"type": 0, "message_id": quoted["id"], "channel_id": channel}
            message |= {"type": 19, "message_reference": reference, "referenced_message": quoted}
        if says.forwarded:
            shot = {"message": {"content": says.text, "attachments": [], "type": 0}}
            message |= {"content": "", "message_reference": {"type": 1}, "message_snapshots": [shot]}
        if says.files:
            message["attachments"] = [self._file(*file) for file in says.files]
            message["flags"] = 1 << 13 if says.voice else 0
        return message

    def _file(self, name: str, type: str, content: bytes) -> dict[str, Any]:
        id = self.discord.new_id()
        self.discord.files[id] = content
        url = f"{self.discord.cdn}/attachments/{id}/{name}?ex=1&hm=signed"
        return {"id": id, "filename": name, "content_type": type, "size": len(content), "url": url, "proxy_url": url}

    async def _press(self, says: Says) -> None:
        message = self.discord.messages[says.edits]
        await self._dispatch("INTERACTION_CREATE", {
            "id": self.discord.new_id(), "application_id": "8", "type": 3, "token": "aW50ZXJhY3Rpb24", "version": 1,
            "channel_id": message["channel_id"], "user": self.discord.user(says.sender), "message": {"id": says.edits},
            "data": {"custom_id": says.presses, "component_type": 2},
        })  # fmt: skip

    async def _dispatch(self, type: str, body: dict[str, Any]) -> None:
        self.last = (type, body)
        await self.discord.dispatch(type, body)

    async def rename(self, sender: str, name: str) -> None:
        self.discord.names[sender] = name

    async def repeat(self) -> None:
        assert self.last is not None
        await self._dispatch(*self.last)

    async def seen(self) -> list[Seen]:
        return [self._seen(message) for message in self.discord.messages.values() if message.get("mine")]

    def _seen(self, message: dict[str, Any]) -> Seen:
        at = self.discord.channels[message["channel_id"]]
        buttons = [button["label"] for row in message.get("components", []) for button in row["components"]]
        return Seen(
            chat=at.get("parent_id") or at["id"],
            message=message["id"],
            text=message["content"],
            thread=at["id"] if at.get("parent_id") else "",
            reply_to=message.get("message_reference", {}).get("message_id", ""),
            buttons=tuple(buttons),
            files=tuple(message["sent"]),
            pings=self.discord.pings(message),
        )

    async def typing_count(self) -> int:
        return len(self.discord.typed)

    async def reactions(self, message: str) -> list[str]:
        return list(self.discord.reactions.get(message, []))

    async def leave(self, sender: str) -> None:
        self.discord.members.remove(fake.PEOPLE[sender])
        await self._dispatch("GUILD_MEMBER_REMOVE", {"guild_id": fake.GUILD, "user": self.discord.user(sender)})

    async def cut(self) -> None:
        await self.discord.server.cut()

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.discord.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        self.discord.token = "another"
        await self.discord.server.cut()


def make_rig(folder: Path) -> DiscordRig:
    return DiscordRig()
