"""XMPP: the channel on one side, a real Prosody with slixmpp's people on the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

import httpx2

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.forwarder import Forwarder
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until
from tests.fakes.platforms.xmpp import DOMAIN, ROOMS, UPLOAD, Client, Prosody

GAPS = {
    "buttons": "XMPP clients show no buttons; an answer is typed",
    "threads": "a thread is a word inside a message that clients do not show",
    "forwarded": "clients send a copy of the words",
    "voice": "XMPP does not say of a file that it is recorded speech",
    "statuses": "one stream carries everything, there are no statuses of requests",
    "duplicates": "the server repeats what was not acknowledged and nothing else; see redelivers",
}
GROUP = f"talk@{ROOMS}"
AGENT = f"agent@{DOMAIN}"
BODY, REPLACE = "{jabber:client}body", "{urn:xmpp:message-correct:0}replace"
REACTIONS, URL = "{urn:xmpp:reactions:0}reactions", "{jabber:x:oob}x/{jabber:x:oob}url"


def make_rig(folder: Path) -> XmppRig:
    return XmppRig(folder)


class XmppRig:
    def __init__(self, folder: Path) -> None:
        self.traits = Traits(
            "xmpp",
            GROUP,
            edits_in=True,
            deletes=True,
            shows_typing=True,
            statuses=False,
            duplicates=False,
            gaps=dict(GAPS),
        )
        self.prosody = Prosody(folder / "prosody")
        self.forwarder: Forwarder | None = None
        self.notes, self.clock, self.vault = Notes(), ShiftedClock(), DictVault({"xmpp-password": "agents-word"})
        self.people: dict[str, Client] = {}
        self.nicks = {"alice": "alice", "bob": "bob"}

    async def start(self) -> None:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        for name in ("agent", "alice", "bob"):
            self.prosody.set_password(name, f"{name}s-word")
        await self.prosody.start()
        self.forwarder = Forwarder(self.prosody.port)
        await self.forwarder.start()
        for name in ("alice", "bob"):
            self.people[name] = Client(name, f"{name}s-word", self.prosody.port)
            await self.people[name].start()
            await self.people[name].join(GROUP, name)
            if name == "alice":
                await self.people[name].unlock(GROUP)

    async def stop(self) -> None:
        for person in self.people.values():
            await person.stop()
        if self.forwarder is not None:
            await self.forwarder.stop()
        await self.prosody.stop()

    def open(self) -> Channel:
        port = self.forwarder.port if self.forwarder else 1
        hosts = {DOMAIN: ("127.0.0.1", port), UPLOAD: ("127.0.0.1", self.prosody.http_port)}
        values = {"address": AGENT, "server": DOMAIN, "upload": UPLOAD, "rooms": GROUP}
        egress = DirectEgress(self.vault, hosts=hosts)
        opening = Opening("xmpp", values, {"password": "xmpp-password"}, egress, self.notes, self.clock)
        return open_channel("xmpp", opening)

    def sender_id(self, sender: str) -> str:
        return f"{sender}@{DOMAIN}"

    def place_of(self, sender: str) -> Place:
        return Place("xmpp", f"{sender}@{DOMAIN}")

    async def say(self, says: Says) -> str:
        person, to, room = self.people[says.sender], says.chat or AGENT, bool(says.chat)
        if says.deletes:
            person.say(to, f"<retract xmlns='urn:xmpp:message-retract:1' id={quoteattr(says.deletes)}/>", room=room)
            return says.deletes
        text = f"carapax: {says.text}" if says.mention else says.text
        inner = ""
        if says.quoted:
            start = f"> {says.quoted}\n"
            text = start + text
            inner += "<reply xmlns='urn:xmpp:reply:0' to='bob@xmpp.test' id='other'/>"
            inner += f"<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='{len(start)}'/></fallback>"
        if says.edits:
            inner += f"<replace xmlns='urn:xmpp:message-correct:0' id={quoteattr(says.edits)}/>"
        if says.files:
            text = await self._put(person, *says.files[0])
            inner += f"<x xmlns='jabber:x:oob'><url>{escape(text)}</url></x>"
        text = "".join(letter for letter in text if letter >= " " or letter in "\n\t")  # XML carries no others
        before = len(person.messages)
        ident = person.say(to, f"<body>{escape(text)}</body>{inner}", room=room)
        if room:  # the room gives a message its own id
            await until(lambda: any(m["id"] == ident for m in person.messages[before:]))
            mine = next(m for m in person.messages[before:] if m["id"] == ident)
            return str(mine.xml.find("{urn:xmpp:sid:0}stanza-id").get("id"))
        return says.edits or ident

    async def _put(self, person: Client, name: str, kind: str, content: bytes) -> str:
        about = f"filename={quoteattr(name)} size='{len(content)}' content-type={quoteattr(kind)}"
        answer = await person.ask(UPLOAD, "get", f"<request xmlns='urn:xmpp:http:upload:0' {about}/>")
        space = "{urn:xmpp:http:upload:0}"
        put, got = (answer.xml.find(f"{space}slot/{space}{word}") for word in ("put", "get"))
        headers = {header.get("name"): header.text for header in put} | {"content-type": kind}
        await self._http("PUT", put.get("url"), content=content, headers=headers)
        return str(got.get("url"))

    async def _http(self, method: str, url: str, **options: object) -> bytes:
        base = f"http://127.0.0.1:{self.prosody.http_port}"
        headers = {"host": UPLOAD} | options.pop("headers", {})  # type: ignore[operator]
        async with httpx2.AsyncClient(trust_env=False) as client:
            path = url.removeprefix(f"https://{UPLOAD}")
            answer = await client.request(method, base + path, headers=headers, **options)  # type: ignore[arg-type]
        assert answer.status_code < 400, answer.text
        return answer.content

    def hooked(self, channel: Channel, hear: Hear) -> None:
        raise NotImplementedError

    async def rename(self, sender: str, name: str) -> None:
        self.nicks[sender] = name
        self.people[sender].client.send_raw(f"<presence to='{GROUP}/{name}'/>")

    async def repeat(self) -> None:
        raise NotImplementedError

    def _from_agent(self) -> list[tuple[str, Element]]:
        found = []
        for name, person in self.people.items():
            for message in person.messages:
                sender = message["from"]
                if sender.bare == AGENT:
                    found.append((f"{name}@{DOMAIN}", message.xml))
                elif name == "alice" and sender.full == f"{GROUP}/carapax":
                    found.append((GROUP, message.xml))
        return found

    async def seen(self) -> list[Seen]:
        found: dict[str, Seen] = {}
        for number, (chat, stanza) in enumerate(self._from_agent()):
            body, replaced, url = stanza.findtext(BODY), stanza.find(REPLACE), stanza.findtext(URL)
            reply = stanza.find("{urn:xmpp:reply:0}reply")
            if body is None:
                continue
            ident = stanza.get("id", "")
            key = next(
                (k for k, s in found.items() if replaced is not None and s.message == replaced.get("id")), str(number)
            )
            files = ((url.rpartition("/")[2], await self._http("GET", url)),) if url else ()
            message = found[key].message if key in found else ident
            found[key] = Seen(
                chat,
                message,
                "" if files else body,
                reply_to=reply.get("id", "") if reply is not None else "",
                files=files,
            )
        return list(found.values())

    async def typing_count(self) -> int:
        state = "{http://jabber.org/protocol/chatstates}composing"
        return sum(stanza.find(state) is not None for _, stanza in self._from_agent())

    async def reactions(self, message: str) -> list[str]:
        marks: list[str] = []
        for _, stanza in self._from_agent():
            reactions = stanza.find(REACTIONS)
            if reactions is not None and reactions.get("id") == message:
                marks = [mark.text or "" for mark in reactions]
        return marks

    async def leave(self, sender: str) -> None:
        self.people[sender].client.send_raw(f"<presence to='{GROUP}/{self.nicks[sender]}' type='unavailable'/>")

    async def cut(self) -> None:
        assert self.forwarder is not None
        await self.forwarder.cut()

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        raise NotImplementedError

    async def refuse_credential(self) -> None:
        await asyncio.to_thread(self.prosody.set_password, "agent", "another-word")
