"""IRC: the channel on one side, a real ngircd on the other."""

from __future__ import annotations

from pathlib import Path

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.forwarder import Forwarder
from tests.fakes.platforms.irc import PASSWORD, Ngircd, Person
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock

GROUP, HOST = "#talk", "irc.test"
_WORDS = "IRC carries lines of words and nothing else"
GAPS = {
    **dict.fromkeys(("edit", "typing", "react", "threads", "reply", "buttons", "files_in", "files_out"), _WORDS),
    **dict.fromkeys(("edits_in", "deletes", "voice", "shows_typing", "quoted", "forwarded"), _WORDS),
    "names": "ngircd has no accounts, so here the nick itself is the id, as the operator said",
    "redelivers": "IRC acknowledges nothing: what is said while the agent is away is lost",
    "duplicates": "IRC delivers a line once or not at all",
    "statuses": "one connection carries everything, there are no statuses of requests",
}


def make_rig(folder: Path) -> IrcRig:
    return IrcRig(folder)


class IrcRig:
    def __init__(self, folder: Path) -> None:
        self.traits = Traits("irc", GROUP, redelivers=False, duplicates=False, statuses=False, gaps=dict(GAPS))
        self.server = Ngircd(folder / "ngircd")
        self.forwarder: Forwarder | None = None
        self.notes, self.clock, self.vault = Notes(), ShiftedClock(), DictVault({"irc-password": PASSWORD})
        self.people: dict[str, Person] = {}
        self._count = 0

    async def start(self) -> None:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        await self.server.start()
        self.forwarder = Forwarder(self.server.port)
        await self.forwarder.start()
        for name in ("alice", "bob"):
            self.people[name] = Person(name, self.server.port)
            await self.people[name].start(GROUP)

    async def stop(self) -> None:
        for person in self.people.values():
            await person.stop()
        if self.forwarder is not None:
            await self.forwarder.stop()
        await self.server.stop()

    def open(self) -> Channel:
        egress = DirectEgress(self.vault, hosts={HOST: ("127.0.0.1", self.forwarder.port if self.forwarder else 1)})
        values = {"server": HOST, "nick": "carapax", "login": "server", "identity": "nick", "channels": GROUP}
        opening = Opening("irc", values, {"password": "irc-password"}, egress, self.notes, self.clock)
        return open_channel("irc", opening)

    def sender_id(self, sender: str) -> str:
        return f"nick:{sender}"

    def place_of(self, sender: str) -> Place:
        return Place("irc", f"nick:{sender}")

    async def say(self, says: Says) -> str:
        text = f"carapax: {says.text}" if says.mention else says.text
        self.people[says.sender].write(f"PRIVMSG {says.chat or 'carapax'} :{text}")
        return ""  # IRC gives messages no ids

    def hooked(self, channel: Channel, hear: Hear) -> None:
        raise NotImplementedError

    async def rename(self, sender: str, name: str) -> None:
        raise NotImplementedError

    async def repeat(self) -> None:
        raise NotImplementedError

    async def seen(self) -> list[Seen]:
        found = []
        for name, person in self.people.items():
            for author, target, text in person.heard():
                if author == "carapax" and (target == name or name == "alice"):
                    found.append(Seen(GROUP if target == GROUP else f"nick:{target}", "", text))
        return found

    async def typing_count(self) -> int:
        return 0

    async def reactions(self, message: str) -> list[str]:
        return []

    async def leave(self, sender: str) -> None:
        self.people[sender].write(f"PART {GROUP}")

    async def cut(self) -> None:
        assert self.forwarder is not None
        await self.forwarder.cut()

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        raise NotImplementedError

    async def refuse_credential(self) -> None:
        self.vault.put_secret("irc-password", "another-word")
