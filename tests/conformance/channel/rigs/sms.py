"""SMS by Twilio, against the local Twilio."""

from __future__ import annotations

from pathlib import Path

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import HookRequest, Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Rig, Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.hook_calls import Calls
from tests.fakes.platforms.serving import DictVault, Fault, Notes, ShiftedClock
from tests.fakes.platforms.sms import Twilio

ACCOUNT = "AC" + "0123456789abcdef" * 2
URL = "https://home.example/hooks/sms"
NONE = "SMS has nothing of the kind."
GAPS = {
    **dict.fromkeys(("edit", "edits_in", "typing", "shows_typing", "react", "threads", "reply", "buttons"), NONE),
    **dict.fromkeys(("members", "group", "groups", "deletes", "quoted", "forwarded", "names"), NONE),
    "files_out": "Twilio would fetch the file from a public address, and there is none.",
    "voice": "An MMS has audio files; it does not say that one was recorded.",
    "cuts": "Twilio calls; there is no connection to cut.",
    "stale": "Twilio's signature holds no time; the gateway knows a message that came before.",
}


def make_rig(folder: Path) -> Rig:
    return SmsRig()


class SmsRig:
    def __init__(self) -> None:
        self.traits = Traits(kind="sms", hook=True, cuts=False, gaps=dict(GAPS))
        self.vault = DictVault({"s/token": "fedcba9876543210" * 2})
        self.logged: list[str] = []
        self.platform = Twilio(
            account=ACCOUNT,
            token=self.vault.values["s/token"],
            number="+15550001111",
            people={"alice": "+15550100001", "bob": "+15550100002"},
        )
        self.notes = Notes()
        self.clock = ShiftedClock()
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
            "sms",
            Opening(
                name="sms",
                values={"account_sid": ACCOUNT, "number": self.platform.number},
                secrets={"auth_token": "s/token"},
                egress=DirectEgress(self.vault, hosts={"api.twilio.com": here, "mms.twiliocdn.com": here}),
                keep=self.notes,
                clock=self.clock,
                log=self.logged.append,
            ),
        )

    def sender_id(self, sender: str) -> str:
        return self.platform.people[sender]

    def place_of(self, sender: str) -> Place:
        return Place("sms", self.sender_id(sender))

    def request(self, form: dict[str, str], url: str = URL) -> HookRequest:
        headers = (
            ("content-type", "application/x-www-form-urlencoded; charset=UTF-8"),
            ("x-twilio-signature", self.platform.sign(url, form)),
            ("i-twilio-idempotency-token", form.get("MessageSid", "")),
        )
        return HookRequest("POST", "", "", headers, self.platform.body(form), url=url)

    async def say(self, says: Says) -> str:
        form = self.platform.form(says.sender, says.text, says.files)
        await self.calls.post(lambda: self.request(form))
        return form["MessageSid"]

    def hooked(self, channel: Channel, hear: Hear) -> None:
        self.calls.hooked(channel, hear)

    async def rename(self, sender: str, name: str) -> None:
        raise NotImplementedError

    async def repeat(self) -> None:
        await self.calls.repeat()

    async def seen(self) -> list[Seen]:
        return [Seen(chat=form["To"], message=form["sid"], text=form["Body"]) for form in self.platform.messages]

    async def typing_count(self) -> int:
        return 0

    async def reactions(self, message: str) -> list[str]:
        return []

    async def leave(self, sender: str) -> None:
        raise NotImplementedError

    async def cut(self) -> None:
        raise NotImplementedError

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        self.platform.faults += [Fault(status, retry_after_s)] * times

    async def refuse_credential(self) -> None:
        self.platform.token = "another"
