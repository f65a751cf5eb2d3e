"""Microsoft Teams against the local Bot Framework."""

from __future__ import annotations

import asyncio
import html
import json
from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import HookRequest, Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms import teams as fake
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock

GAPS = {
    "cuts": "the Bot Framework calls: no connection is held",
    "voice": "Teams marks no recordings",
    "react": "Teams takes no reactions of bots",
    "reply": "Teams answers in threads, chats have no replies of bots",
    "files_out": "Teams wants each file of a bot consented to",
    "body_signed": "the Bot Framework's token vouches for the caller, not for the body",
}
HOSTS = ("smba.trafficmanager.net", "login.botframework.com", "acme.sharepoint.com")


class TeamsRig:
    def __init__(self) -> None:
        self.teams = fake.FakeTeams()
        self.notes, self.clock = Notes(), ShiftedClock()
        self.traits = Traits(
            "teams", fake.GROUP, hook=True, cuts=False, edits_in=True, deletes=True, shows_typing=True, gaps=dict(GAPS),
            advance=self.clock.advance,
        )  # fmt: skip
        self.vault = DictVault({"teams": fake.TOKEN})
        self.log: list[str] = []
        self.opened: list[Channel] = []
        self.pending: list[dict[str, Any]] = []
        self.last: dict[str, Any] = {}
        self.door: tuple[Channel, Hear] | None = None
        self.again: asyncio.Task[None] | None = None
        self.edits = 0

    async def start(self) -> None:
        await self.teams.server.start()
        # Teams tells where to answer with the first activity: somebody wrote before the suite begins.
        known = {chat: {"url": fake.SERVICE, "team": ""} for chat in fake.DMS.values()}
        self.notes.kept["places"] = json.dumps(known).encode()

    async def stop(self) -> None:
        if self.again is not None:
            await asyncio.wait([self.again], timeout=5)
        await self.teams.server.stop()

    def open(self) -> Channel:
        egress = DirectEgress(self.vault, hosts=dict.fromkeys(HOSTS, ("127.0.0.1", self.teams.server.port)))
        values = {"app_id": fake.APP_ID, "tenant": fake.TENANT}
        opening = Opening("teams", values, {"token": "teams"}, egress, self.notes, self.clock, self.log.append)
        self.opened.append(open_channel("teams", opening))
        return self.opened[-1]

    def sender_id(self, sender: str) -> str:
        return fake.PEOPLE[sender]

    def place_of(self, sender: str) -> Place:
        return Place("teams", fake.DMS[sender])

    def hooked(self, channel: Channel, hear: Hear) -> None:
        self.door = (channel, hear)
        if self.pending:
            self.again = asyncio.ensure_future(self._redeliver())

    async def _redeliver(self) -> None:
        for activity in list(self.pending):
            await self._post(activity)

    async def say(self, says: Says) -> str:
        conversation = says.chat or fake.DMS[says.sender]
        if says.presses:
            return await self._press(says)
        if says.deletes:
            before = self.teams.activities[says.deletes]
            data = {**before["channelData"], "eventType": "softDeleteMessage"}
            await self._deliver({**before, "type": "messageDelete", "channelData": data, "text": ""})
            return says.deletes
        activity = self.teams.activity("message", says.sender, conversation, textFormat="plain", **self._content(says))
        if conversation == fake.GROUP:
            activity["conversation"]["id"] += f";messageid={says.thread or activity['id']}"
        if says.edits:
            self.edits += 1
            data = {**activity["channelData"], "eventType": "editMessage"}
            stamp = f"2026-01-02T03:04:05.{self.edits:03}Z"
            activity |= {"type": "messageUpdate", "id": says.edits, "channelData": data, "timestamp": stamp}
        self.teams.activities[activity["id"]] = activity
        await self._deliver(activity)
        return str(activity["id"])

    def _content(self, says: Says) -> dict[str, Any]:
        content: dict[str, Any] = {"text": says.text, "attachments": [self._file(*file) for file in says.files]}
        if says.mention:
            entity = {"type": "mention", "mentioned": {"id": fake.BOT, "name": "carapax"}, "text": "<at>carapax</at>"}
            content |= {"text": f"<at>carapax</at> {says.text}", "entities": [entity]}
        if says.quoted:
            quote = {"messageId": "1", "messagePreview": says.quoted, "messageSender": {"user": {"displayName": "x"}}}
            content["attachments"] = [{"contentType": "messageReference", "content": json.dumps(quote)}]
        if says.forwarded:
            passed = {"originalMessageId": "1", "originalMessageContent": f"<p>{says.text}</p>"}
            passed_on = {"contentType": "forwardedMessageReference", "content": json.dumps(passed)}
            content |= {"text": "", "attachments": [passed_on]}
        return content

    def _file(self, name: str, type: str, content: bytes) -> dict[str, Any]:
        id = self.teams.new_id()
        self.teams.files[id] = content
        url = f"https://acme.sharepoint.com/personal/files/{id}?tempauth=once"
        info = {"downloadUrl": url, "uniqueId": id, "fileType": name.rpartition(".")[2]}
        return {"contentType": "application/vnd.microsoft.teams.file.download.info", "content": info, "name": name}

    async def _press(self, says: Says) -> str:
        before = self.teams.activities[says.edits]
        action = {"type": "Action.Execute", "verb": "carapax", "data": {"carapax": says.presses}}
        value = {"action": action, "trigger": "manual"}
        more = {"name": "adaptiveCard/action", "replyToId": says.edits, "value": value}
        await self._deliver(self.teams.activity("invoke", says.sender, before["conversation"], **more))
        return says.edits

    async def _deliver(self, activity: dict[str, Any]) -> None:
        self.pending.append(activity)
        await self._post(activity)

    async def _post(self, activity: dict[str, Any]) -> None:
        assert self.door is not None
        channel, hear = self.door
        self.last = activity
        headers = (
            ("authorization", f"Bearer {self.teams.bearer(self.clock.now_ms())}"),
            ("content-type", "application/json"),
        )
        answer = await channel.hook(HookRequest("POST", "", "", headers, json.dumps(activity).encode()), hear)
        # A door that a test holds shut is not tried again: the test posts the request itself.
        if answer.status < 300 or getattr(channel, "closed", False):
            self.pending.remove(activity)

    async def rename(self, sender: str, name: str) -> None:
        self.teams.names[sender] = name

    async def repeat(self) -> None:
        await self._deliver(self.last)

    async def seen(self) -> list[Seen]:
        return [self._seen(activity) for activity in self.teams.activities.values() if activity.get("mine")]

    def _seen(self, activity: dict[str, Any]) -> Seen:
        chat, _, thread = activity["conversation"].partition(";messageid=")
        actions = [action for card in activity.get("attachments", []) for action in card["content"]["actions"]]
        return Seen(
            chat=chat,
            message=activity["id"],
            text=html.unescape(activity["text"]),
            thread=thread,
            buttons=tuple(action["title"] for action in actions),
            pings=self.teams.pings(activity),
        )

    async def typing_count(self) -> int:
        return len(self.teams.typed)

    async def reactions(self, message: str) -> list[str]:
        return []

    async def leave(self, sender: str) -> None:
        self.teams.members.remove(fake.PEOPLE[sender])
        gone = [{"id": fake.PEOPLE[sender], "aadObjectId": "x"}]
        await self._deliver(self.teams.activity("conversationUpdate", "alice", fake.GROUP, membersRemoved=gone))

    async def cut(self) -> None:
        raise NotImplementedError

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.teams.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        self.teams.token = "another"


def make_rig(folder: Path) -> TeamsRig:
    return TeamsRig()
