"""Slack over Socket Mode, against the local Slack."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms import slack as fake
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock

GAPS = {
    "typing": "Slack shows no typing of bots",
    "shows_typing": "Slack shows no typing of bots",
    "reply": "Slack answers in threads, it has no replies",
}
EMOJI = {"eyes": "👀", "+1": "👍"}


class SlackRig:
    def __init__(self, **secrets: str) -> None:
        self.secrets = {"bot_token": "slack-bot", **secrets}
        self.traits = Traits("slack", fake.GROUP, edits_in=True, deletes=True, voice=True, gaps=dict(GAPS))
        self.slack = fake.FakeSlack()
        self.log: list[str] = []
        self.notes, self.clock = Notes(), ShiftedClock()
        self.vault = DictVault({"slack-bot": fake.BOT_TOKEN, "slack-app": fake.APP_TOKEN, "slack-sign": fake.SIGNING})

    async def start(self) -> None:
        await self.slack.server.start()

    async def stop(self) -> None:
        await self.slack.server.stop()

    def open(self) -> Channel:
        place = ("127.0.0.1", self.slack.server.port)
        hosts = dict.fromkeys(("slack.com", "files.slack.com", "wss-primary.slack.com"), place)
        egress = DirectEgress(self.vault, hosts=hosts)
        return open_channel(
            "slack", Opening("slack", {}, self.secrets, egress, self.notes, self.clock, self.log.append)
        )

    def sender_id(self, sender: str) -> str:
        return fake.PEOPLE[sender]

    def place_of(self, sender: str) -> Place:
        return Place("slack", f"D0{sender.upper()}")

    def hooked(self, channel: Channel, hear: Hear) -> None:
        raise NotImplementedError

    async def say(self, says: Says) -> str:
        channel = says.chat or self.place_of(says.sender).chat
        kind = "channel" if says.chat else "im"
        base: dict[str, Any] = {
            "type": "message",
            "channel": channel,
            "channel_type": kind,
            "event_ts": self.slack.stamp(),
        }
        if says.presses:
            await self._deliver(self._press(says), "interactive")
            return says.edits
        if says.deletes:
            gone = {"subtype": "message_deleted", "ts": base["event_ts"], "deleted_ts": says.deletes}
            await self._deliver(fake.event({**base, **gone, "previous_message": self.slack.messages[says.deletes]}))
            return says.deletes
        message = self._message(says)
        self.slack.messages[message["ts"]] = {**message, "channel": channel}
        if says.edits:
            message["edited"] = {"user": message["user"], "ts": base["event_ts"]}
            await self._deliver(
                fake.event({**base, "subtype": "message_changed", "ts": base["event_ts"], "message": message})
            )
            return says.edits
        await self._deliver(fake.event({**base, **message}))
        if says.mention:
            told = {key: message[key] for key in ("user", "text", "ts", "thread_ts", "files") if key in message}
            await self._deliver(
                fake.event({"type": "app_mention", "channel": channel, "event_ts": base["event_ts"], **told})
            )
        return str(message["ts"])

    def _message(self, says: Says) -> dict[str, Any]:
        text = html.escape(says.text, quote=False)
        user = fake.PEOPLE[says.sender]
        message: dict[str, Any] = {
            "type": "message", "user": user, "ts": says.edits or self.slack.stamp(),
            "text": f"<@{fake.BOT_USER}> {text}" if says.mention else text,
            "user_profile": {"real_name": self.slack.names[says.sender]},
        }  # fmt: skip
        if says.thread:
            message |= {"thread_ts": says.thread, "parent_user_id": fake.PEOPLE["alice"]}
        if says.quoted or says.forwarded:
            shared = says.quoted or says.text
            message["attachments"] = [
                {"is_share": True, "text": html.escape(shared, quote=False), "author_id": "U0OTHER"}
            ]
            message["text"] = text if says.quoted else ""
        if says.files:
            message |= {"subtype": "file_share", "files": [self._file(*file, says.voice) for file in says.files]}
        return message

    def _file(self, name: str, type: str, content: bytes, voice: bool) -> dict[str, Any]:
        id = f"F0IN{len(self.slack.files)}"
        self.slack.files[id] = {"name": name, "type": type, "content": content}
        given = {"id": id, "name": name, "mimetype": type, "size": len(content), "mode": "hosted"}
        return {**given, "subtype": "slack_audio"} if voice else given

    def _press(self, says: Says) -> dict[str, Any]:
        message = self.slack.messages[says.edits]
        action = {"type": "button", "action_id": "carapax-0", "block_id": "b1", "value": says.presses}
        return {
            "type": "block_actions", "user": {"id": fake.PEOPLE[says.sender], "name": says.sender, "team_id": fake.TEAM},
            "container": {"type": "message", "message_ts": says.edits, "channel_id": message["channel"]},
            "channel": {"id": message["channel"]}, "actions": [{**action, "action_ts": self.slack.stamp()}],
        }  # fmt: skip

    async def _deliver(self, payload: dict[str, Any], type: str = "events_api") -> None:
        await self.slack.deliver(payload, type)

    async def rename(self, sender: str, name: str) -> None:
        self.slack.names[sender] = name

    async def repeat(self) -> None:
        await self._deliver(self.slack.last["payload"], self.slack.last["type"])

    async def seen(self) -> list[Seen]:
        return [self._seen(message) for message in self.slack.messages.values() if message.get("mine")]

    def _seen(self, message: dict[str, Any]) -> Seen:
        elements = [element for block in message.get("blocks", []) for element in block.get("elements", [])]
        return Seen(
            chat=message["channel"],
            message=message["ts"],
            text=html.unescape(message.get("text", "")),
            thread=message.get("thread_ts", ""),
            buttons=tuple(element["text"]["text"] for element in elements),
            files=tuple(message.get("attached", [])),
            pings=self.slack.pings(message),
        )

    async def typing_count(self) -> int:
        return 0

    async def reactions(self, message: str) -> list[str]:
        return [EMOJI[name] for name, users in self.slack.reactions.get(message, {}).items() if fake.BOT_USER in users]

    async def leave(self, sender: str) -> None:
        self.slack.members.remove(fake.PEOPLE[sender])
        left = {"type": "member_left_channel", "user": fake.PEOPLE[sender], "channel": fake.GROUP, "channel_type": "C"}
        await self._deliver(fake.event({**left, "team": fake.TEAM, "event_ts": self.slack.stamp()}))

    async def cut(self) -> None:
        await self.slack.server.cut()

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.slack.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        self.slack.revoked = True
        await self.slack.server.cut()


def make_rig(folder: Path) -> SlackRig:
    return SlackRig(app_token="slack-app")
