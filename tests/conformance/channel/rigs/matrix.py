"""Matrix: the channel on one side, a real Synapse on the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.forwarder import Forwarder
from tests.fakes.platforms.matrix import API, SERVER, Account, Synapse
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock

GAPS = {
    "buttons": "Matrix has no buttons; an answer is typed",
    "forwarded": "Matrix has no forwarded messages, a client sends a copy",
    "duplicates": "a sync is asked for, so Synapse delivers nothing twice by itself; see redelivers",
}


def make_rig(folder: Path) -> MatrixRig:
    return MatrixRig(folder)


class MatrixRig:
    def __init__(self, folder: Path) -> None:
        self.traits = Traits(
            "matrix", "a room made at the start", edits_in=True, deletes=True, voice=True, shows_typing=True,
            duplicates=False, gaps=dict(GAPS),
        )  # fmt: skip
        self.synapse = Synapse(folder / "synapse")
        self.forwarder: Forwarder | None = None
        self.notes, self.clock, self.vault = Notes(), ShiftedClock(), DictVault()
        self.people: dict[str, Account] = {}
        self.direct: dict[str, str] = {}
        self.faults: list[tuple[int, int]] = []
        self._typed = 0

    async def start(self) -> None:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        await self.synapse.start()
        self.forwarder = Forwarder(self.synapse.port)
        await self.forwarder.start()
        for name in ("carapax", "alice", "bob"):
            self.people[name] = await self.synapse.register(name)
        agent, alice, bob = self.people.values()
        self.vault.put_secret("matrix-token", agent.token)
        for name in ("alice", "bob"):
            person = self.people[name]
            self.direct[name] = await person.make_room(invite=[agent.user], direct=True)
        group = await alice.make_room(invite=[agent.user, bob.user], direct=False)
        for person, room in [(bob, group), (agent, group), *((agent, room) for room in self.direct.values())]:
            await person.join(room)
        self.traits.group = group
        # A first connection hears nothing of what was before it.
        channel = self.open()
        up = asyncio.Event()

        async def hear(heard: object) -> None:
            raise AssertionError(f"heard of the time before the first connection: {heard}")

        run = asyncio.create_task(channel.run(hear, lambda line: up.set()))
        await asyncio.wait_for(up.wait(), 20)
        run.cancel()
        (ended,) = await asyncio.gather(run, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended
        await channel.close()

    async def stop(self) -> None:
        for person in self.people.values():
            await person.close()
        if self.forwarder is not None:
            await self.forwarder.stop()
        await self.synapse.stop()

    def open(self) -> Channel:
        port = self.forwarder.port if self.forwarder else 1
        egress = FaultyEgress(self.vault, self.faults, port)
        values = {"server": f"https://{SERVER}"}
        opening = Opening("matrix", values, {"token": "matrix-token"}, egress, self.notes, self.clock)
        return open_channel("matrix", opening)

    def sender_id(self, sender: str) -> str:
        return self.people[sender].user

    def place_of(self, sender: str) -> Place:
        return Place("matrix", self.direct[sender])

    async def say(self, says: Says) -> str:
        person, room = self.people[says.sender], says.chat or self.direct[says.sender]
        if says.deletes:
            path = f"{API}/rooms/{quote(room)}/redact/{quote(says.deletes)}/gone-{says.deletes[1:9]}"
            await person.ask("PUT", path, json={})
            return says.deletes
        content: dict[str, Any] = {"msgtype": "m.text", "body": says.text, "m.mentions": {}}
        if says.files:
            name, kind, raw = says.files[0]
            content |= {"msgtype": "m.audio" if says.voice else "m.file", "body": says.text or name, "filename": name}
            content |= {"url": await person.upload(raw, kind), "info": {"mimetype": kind, "size": len(raw)}}
            content |= {"org.matrix.msc3245.voice": {}} if says.voice else {}
        if says.mention:
            content["m.mentions"] = {"user_ids": [self.people["carapax"].user]}
        if says.quoted:
            other = await person.send(room, {"msgtype": "m.text", "body": says.quoted})
            content["m.relates_to"] = {"m.in_reply_to": {"event_id": other}}
        if says.thread:
            fallback = {"is_falling_back": True, "m.in_reply_to": {"event_id": says.thread}}
            content["m.relates_to"] = {"rel_type": "m.thread", "event_id": says.thread} | fallback
        if says.edits:
            content = {"m.new_content": content, "m.relates_to": {"rel_type": "m.replace", "event_id": says.edits}}
            content |= {"msgtype": "m.text", "body": f"* {says.text}"}
            await person.send(room, content)
            return says.edits
        return await person.send(room, content)

    def hooked(self, channel: Channel, hear: Hear) -> None:
        raise NotImplementedError

    async def rename(self, sender: str, name: str) -> None:
        person = self.people[sender]
        await person.ask("PUT", f"{API}/profile/{quote(person.user)}/displayname", json={"displayname": name})

    async def repeat(self) -> None:
        raise NotImplementedError

    async def seen(self) -> list[Seen]:
        agent, found = self.people["carapax"], []
        for room in [*self.direct.values(), self.traits.group]:
            events = await self.people["alice" if room != self.direct["bob"] else "bob"].events(room)
            found += [await self._seen(room, event, events) for event in events if _shown(event, agent.user)]
        return found

    async def _seen(self, room: str, event: dict[str, Any], events: list[dict[str, Any]]) -> Seen:
        content, ident = event["content"], event["event_id"]
        for other in events:
            relation = other["content"].get("m.relates_to", {})
            if (relation.get("rel_type"), relation.get("event_id")) == ("m.replace", ident):
                content = content | other["content"]["m.new_content"]
        relation = event["content"].get("m.relates_to", {})
        reply = "" if relation.get("is_falling_back") else relation.get("m.in_reply_to", {}).get("event_id", "")
        files = (
            ((content["filename"], await self.people["alice"].download(content["url"])),) if "url" in content else ()
        )
        thread = relation.get("event_id", "") if relation.get("rel_type") == "m.thread" else ""
        mentions = content["m.mentions"]
        pings = (*mentions.get("user_ids", ()), *(["@room"] if mentions.get("room") else []))
        return Seen(room, ident, "" if files else content["body"], thread, reply, files=files, pings=pings)

    async def typing_count(self) -> int:
        answer = await self.people["alice"].sync()
        for joined in answer["rooms"].get("join", {}).values() if "rooms" in answer else ():
            for event in joined.get("ephemeral", {}).get("events", []):
                if event["type"] == "m.typing" and self.people["carapax"].user in event["content"]["user_ids"]:
                    self._typed += 1
        return self._typed

    async def reactions(self, message: str) -> list[str]:
        path = f"/_matrix/client/v1/rooms/{quote(self.direct['alice'])}/relations/{quote(message)}/m.annotation"
        page = await self.people["alice"].ask("GET", path)
        return [event["content"]["m.relates_to"]["key"] for event in page["chunk"]]

    async def leave(self, sender: str) -> None:
        await self.people[sender].ask("POST", f"{API}/rooms/{quote(self.traits.group)}/leave", json={})

    async def cut(self) -> None:
        assert self.forwarder is not None
        await self.forwarder.cut()

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.faults += [(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        await self.people["carapax"].ask("POST", f"{API}/logout", json={})


def _shown(event: dict[str, Any], agent: str) -> bool:
    replaces = event["content"].get("m.relates_to", {}).get("rel_type") == "m.replace"
    return (
        event["type"] == "m.room.message" and event["sender"] == agent and "body" in event["content"] and not replaces
    )


class FaultyEgress(DirectEgress):
    """Goes to the forwarder; a request that sends may be answered with a failure instead."""

    def __init__(self, vault: DictVault, faults: list[tuple[int, int]], port: int) -> None:
        super().__init__(vault, hosts={SERVER: ("127.0.0.1", port)})
        self._faults = faults

    def client(self, **given: Any) -> Any:
        client = super().client(**given)
        client._transport = FaultyTransport(client._transport, self._faults)
        return client


class FaultyTransport(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, faults: list[tuple[int, int]]) -> None:
        self._inner, self._faults = inner, faults

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._faults and request.method == "PUT" and "/send/" in request.url.path:
            status, retry_s = self._faults.pop(0)
            headers = {"retry-after": str(retry_s)} if retry_s else {}
            return httpx2.Response(status, headers=headers, json={"errcode": "M_UNKNOWN", "error": "played"})
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
