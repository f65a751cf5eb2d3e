"""Mattermost against the local Mattermost, with buttons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import HookRequest, Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms import mattermost as fake
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock

GAPS = {"reply": "Mattermost answers in threads, it has no replies"}
EMOJI = {"eyes": "👀", "+1": "👍"}


class Hearing:
    """A channel that remembers where it hands on, for the presses that the server posts."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.hear: Hear | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, name)

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        self.hear = hear
        await self.channel.run(hear, up)


class MattermostRig:
    def __init__(self, *, buttons: bool = True) -> None:
        self.traits = Traits(
            "mattermost", fake.GROUP, edits_in=True, deletes=True, voice=True, shows_typing=True, gaps=dict(GAPS)
        )
        self.mattermost = fake.FakeMattermost()
        # A pending id holds for half a minute only, so the suite must not count on it.
        self.mattermost.pending_s = 0
        self.buttons = buttons
        self.notes, self.clock = Notes(), ShiftedClock()
        self.vault = DictVault({"mattermost": fake.TOKEN, "mattermost-hook": "invented-hook-secret"})
        self.opened: list[Hearing] = []
        self.log: list[str] = []
        self.last: tuple[str, dict[str, Any]] | None = None

    async def start(self) -> None:
        await self.mattermost.server.start()

    async def stop(self) -> None:
        await self.mattermost.server.stop()

    def open(self) -> Channel:
        values = {"server": f"http://127.0.0.1:{self.mattermost.server.port}"}
        secrets = {"token": "mattermost"}
        if self.buttons:
            values["public_url"], secrets["hook_secret"] = "http://127.0.0.1:1/hooks/mattermost", "mattermost-hook"
        egress = DirectEgress(self.vault)
        opening = Opening("mattermost", values, secrets, egress, self.notes, self.clock, self.log.append)
        self.opened.append(Hearing(open_channel("mattermost", opening)))
        return self.opened[-1]

    def sender_id(self, sender: str) -> str:
        return fake.PEOPLE[sender]

    def place_of(self, sender: str) -> Place:
        return Place("mattermost", fake.DMS[sender])

    def hooked(self, channel: Channel, hear: Hear) -> None:
        raise NotImplementedError

    async def say(self, says: Says) -> str:
        if says.presses:
            await self._press(says)
            return says.edits
        if says.edits or says.deletes:
            return await self._change(says)
        text = f"@carapax {says.text}" if says.mention else says.text
        metadata: dict[str, Any] = {"files": [self._file(*file) for file in says.files]}
        if says.quoted or says.forwarded:
            shown = {"post": {"message": says.quoted or says.text, "user_id": fake.PEOPLE["bob"]}}
            metadata["embeds"] = [{"type": "permalink", "data": shown}]
            text = text if says.quoted else "https://chat.example.org/acme/pl/abc"
        channel = says.chat or fake.DMS[says.sender]
        post = self.mattermost.add(channel, fake.PEOPLE[says.sender], text, root_id=says.thread, metadata=metadata)
        await self._tell("posted", post)
        return str(post["id"])

    async def _change(self, says: Says) -> str:
        post = self.mattermost.posts[says.edits or says.deletes]
        post["update_at"] = post["edit_at" if says.edits else "delete_at"] = self.mattermost.now_ms()
        if says.edits:
            post["message"] = says.text
        await self._tell("post_edited" if says.edits else "post_deleted", post)
        return str(post["id"])

    def _file(self, name: str, type: str, content: bytes) -> dict[str, Any]:
        id = self.mattermost.new_id()
        self.mattermost.files[id] = {"name": name, "content": content}
        return {"id": id, "name": name, "mime_type": type, "size": len(content), "extension": name.rpartition(".")[2]}

    async def _press(self, says: Says) -> None:
        body = self.mattermost.press(says.edits, says.presses, fake.PEOPLE[says.sender])
        opened = self.opened[-1]
        assert opened.hear is not None
        request = HookRequest("POST", "", "", (("content-type", "application/json"),), body)
        assert (await opened.hook(request, opened.hear)).status == 200

    async def _tell(self, event: str, post: dict[str, Any]) -> None:
        self.last = (event, post)
        await self.mattermost.tell_post(event, post)

    async def rename(self, sender: str, name: str) -> None:
        self.mattermost.names[sender] = name

    async def repeat(self) -> None:
        assert self.last is not None
        await self._tell(*self.last)

    async def seen(self) -> list[Seen]:
        return [self._seen(post) for post in self.mattermost.posts.values() if post["user_id"] == fake.ME]

    def _seen(self, post: dict[str, Any]) -> Seen:
        files = [self.mattermost.files[id] for id in post.get("file_ids", [])]
        return Seen(
            chat=post["channel_id"],
            message=post["id"],
            text=post["message"],
            thread=post["root_id"],
            buttons=tuple(action["name"] for action in self.mattermost.actions.get(post["id"], [])),
            files=tuple((file["name"], file["content"]) for file in files),
            pings=self.mattermost.pings(post),
        )

    async def typing_count(self) -> int:
        return len(self.mattermost.typed)

    async def reactions(self, message: str) -> list[str]:
        return [EMOJI[name] for name in self.mattermost.reactions.get(message, [])]

    async def leave(self, sender: str) -> None:
        self.mattermost.members[fake.GROUP].remove(fake.PEOPLE[sender])
        post = self.mattermost.add(fake.GROUP, fake.PEOPLE[sender], "left the channel.", type="system_leave_channel")
        await self._tell("posted", post)

    async def cut(self) -> None:
        await self.mattermost.server.cut()

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.mattermost.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        self.mattermost.token = "another"
        await self.mattermost.server.cut()


def make_rig(folder: Path) -> MattermostRig:
    return MattermostRig()
