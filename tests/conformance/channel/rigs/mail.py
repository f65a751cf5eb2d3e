"""E-mail against a real Postfix and a real Dovecot on loopback."""

from __future__ import annotations

import asyncio
import itertools
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.mail_servers import AGENT, DOMAIN, MailServers
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock

SERVER = "mx.example.test"
GAPS = {
    "group": "a mail is answered to its sender alone, whoever else got it",
    "statuses": "SMTP has codes of its own; tests/unit/adapters/channels/mail plays them",
    "edits_in": "a mail that was sent stays as it is",
    "edit": "a mail that was sent stays as it is",
    "deletes": "a mail that was sent stays as it is",
    "typing": "mail shows no typing",
    "shows_typing": "mail shows no typing",
    "react": "mail has no reactions",
    "buttons": "mail has no buttons",
    "members": "nobody but the sender is in the conversation",
    "groups": "a mail is answered to its sender alone",
}


class MailRig:
    def __init__(self) -> None:
        self.traits = Traits("mail", voice=True, statuses=False, gaps=dict(GAPS))
        self.servers = MailServers()
        self.notes, self.clock = Notes(), ShiftedClock()
        self.vault = DictVault({"mail-password": self.servers.password})
        self._names = {"alice": "Alice", "bob": "Bob"}
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        await asyncio.to_thread(self.servers.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.servers.stop)

    def open(self) -> Channel:
        values = {
            "address": AGENT,
            "imap": f"127.0.0.1:{self.servers.imap_port}",
            "smtp": f"127.0.0.1:{self.servers.smtp_port}",
            "authserv": SERVER,
        }
        opening = Opening(
            "mail", values, {"password": "mail-password"}, DirectEgress(self.vault), self.notes, self.clock
        )
        return open_channel("mail", opening)

    def sender_id(self, sender: str) -> str:
        return f"{sender}@{DOMAIN}"

    def place_of(self, sender: str) -> Place:
        return Place("mail", self.sender_id(sender), thread=f"<root-{sender}@{DOMAIN}>")

    def hooked(self, channel: Channel, hear: Hear) -> None:
        raise NotImplementedError

    async def say(self, says: Says) -> str:
        mail = EmailMessage(policy=SMTP)
        number = f"<{next(self._numbers)}.said@{DOMAIN}>"
        # What the server's filter writes on top of everything that comes in.
        mail["Authentication-Results"] = f"{SERVER}; dkim=pass header.d={DOMAIN}"
        mail["From"] = f'"{self._names[says.sender]}" <{self.sender_id(says.sender)}>'
        mail["To"] = AGENT
        mail["Subject"] = "Re: A conversation"
        mail["Message-ID"] = number
        mail["References"] = self.place_of(says.sender).thread
        text = says.text
        if says.quoted:
            text += f"\n\nOn Tue, 2 Jun 2026 at 10:00, Somebody wrote:\n> {says.quoted}\n"
        if says.forwarded:
            text = f"---------- Forwarded message ---------\nFrom: somebody@other.example\n\n{says.text}"
        mail.set_content(text, cte="base64")
        for name, type, content in says.files:
            main, _, sub = type.partition("/")
            mail.add_attachment(content, maintype=main, subtype=sub, filename=name)
        raw = mail.as_bytes()
        await asyncio.to_thread(self.servers.deliver_and_wait, raw, sender=self.sender_id(says.sender))
        return number

    async def rename(self, sender: str, name: str) -> None:
        self._names[sender] = name

    async def repeat(self) -> None:
        self.servers.copy_newest("agent")

    async def seen(self) -> list[Seen]:
        return [_seen(raw, sender) for sender in ("alice", "bob") for raw in self.servers.mails_of(sender)]

    async def typing_count(self) -> int:
        return 0

    async def reactions(self, message: str) -> list[str]:
        return []

    async def leave(self, sender: str) -> None:
        raise NotImplementedError

    async def cut(self) -> None:
        await asyncio.to_thread(self.servers.stop_dovecot)
        await asyncio.to_thread(self.servers.start_dovecot)

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        raise NotImplementedError

    async def refuse_credential(self) -> None:
        self.servers.set_password("another password")
        await self.cut()  # Dovecot looks at its file of passwords once a second; after a start it has to


def _seen(raw: bytes, sender: str) -> Seen:
    mail = message_from_bytes(raw, policy=default)
    body = mail.get_body(("plain",))
    files = [(str(part.get_filename()), part.get_content()) for part in mail.iter_attachments()]
    return Seen(
        chat=f"{sender}@{DOMAIN}",
        message=str(mail["message-id"]),
        text=body.get_content().replace("\r\n", "\n").removesuffix("\n") if body is not None else "",
        thread=str(mail["references"]).split()[0],
        reply_to=str(mail["in-reply-to"]),
        files=tuple(files),
    )


def make_rig(folder: Path) -> MailRig:
    return MailRig()
