"""A phone number at Twilio: Twilio calls, and is answered over its REST API.

Layer: adapters/channels. Owns the check of signatures, sends, the two steps to a picture, and what errors mean.
Absent: parsing (wire). Source: twilio.com/docs/messaging/api/message-resource.
Laws: nothing is heard without Twilio's signature over the address and every field; a picture is fetched from Twilio's
own media hosts alone, and without the token.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from carapax.adapters.channels.calling import call, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.sms import wire
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Feature,
    HookAnswer,
    HookRequest,
    Markup,
    Outgoing,
    Place,
    Sent,
)
from carapax.core.terms.error import CarapaxError, Malformed, Refused, StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, Hear, SendRefused
from carapax.ports.egress import Mac, Redirected, Spot

API = "https://api.twilio.com"
TIMEOUT_MS = 30_000
MARGIN_MS = 600_000
CATCH_UP_MS = 3 * 24 * 3_600_000  # an answer to an older question would only surprise
# An empty answer in Twilio's own form: without it Twilio would send the body as an SMS.
NOTHING = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
FACTS = ChannelFacts(
    kind="sms",
    features=frozenset({Feature.FILES_IN, Feature.HOOK}),
    text_chars=wire.TEXT_CHARS,
    file_bytes=5 << 20,
    markup=Markup.PLAIN,
)


def open_channel(opening: Opening) -> Channel:
    """A number; nothing is connected yet."""
    return SmsChannel(opening)


class SmsChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._account = opening.values["account_sid"]
        self._number = opening.values["number"]
        self._base = f"/2010-04-01/Accounts/{self._account}"
        self._clients: dict[str, Any] = {}
        self._heard: wire.Heard | None = None

    def __repr__(self) -> str:
        return f"SmsChannel({self._opening.name!r})"

    def facts(self) -> ChannelFacts:
        return FACTS

    async def run(self, hear: Hear, up: Any) -> None:
        """Hear what came while nobody listened; there is nothing to hold open. Raises as the port says."""
        await self.test()
        await self._catch_up(hear)
        up(f"{self._number}: Twilio calls this machine")

    async def _catch_up(self, hear: Hear) -> None:
        """Twilio tries a webhook for seconds only, but keeps the messages: hear those since the last one heard.

        Some may come twice, with the same event. A messaging service has numbers of its own, which are not listed here.
        """
        before = await self._heard_before()
        if before is not None and not self._number.startswith("MG"):
            since_ms = max(before.until_ms - MARGIN_MS, self._opening.clock.now_ms() - CATCH_UP_MS)
            query = wire.render_query(self._number, since_ms)
            try:
                listed = wire.parse_list(await self._ask("GET", f"{self._base}/Messages.json", params=query))
            except (Malformed, SendRefused) as error:
                raise ChannelFailed(f"Twilio's list of messages cannot be read: {error.what}") from error
            for message in listed:
                if message.sent_ms >= since_ms and message.form["MessageSid"] not in before.ids:
                    await self._hear_listed(message, hear)
        await self._note("")

    async def _hear_listed(self, message: wire.Listed, hear: Hear) -> None:
        form, id = message.form, message.form["MessageSid"]
        try:
            if message.files:
                raw = await self._ask("GET", f"{wire.render_message_path(self._account, id)}/Media.json")
                form = form | wire.parse_media_list(raw, self._account, id)
            heard = wire.parse_notice(form, self._opening.name, self._account, self._number).heard
        except Malformed as error:
            self._opening.log(f"A kept message could not be read and was left out: {error.what}")
            return
        if heard is not None:
            await hear(heard)
            await self._note(heard.message)

    async def _heard_before(self) -> wire.Heard | None:
        """None for a channel that never heard anything: what lies before its time is not its own."""
        if self._heard is None and (kept := await self._opening.keep.read("heard")):
            try:
                self._heard = wire.parse_heard(kept)
            except Malformed as error:
                self._opening.log(f"The note of what was heard cannot be read: {error.what}")
        return self._heard

    async def _note(self, id: str) -> None:
        noted = (await self._heard_before() or wire.Heard(0)).and_now(id, self._opening.clock.now_ms())
        await self._opening.keep.write("heard", wire.render_heard(noted))
        self._heard = noted

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        """Take one webhook. Without Twilio's signature it is a 401 and nothing is heard."""
        if request.method != "POST" or request.path.strip("/"):
            return HookAnswer(404)
        try:
            form = wire.parse_form(request.body)
            signature = wire.parse_signature(request.header("x-twilio-signature"))
        except Malformed:
            return HookAnswer(401)
        if not await self._is_signed(request.url, form, signature):
            return HookAnswer(401)
        try:
            notice = wire.parse_notice(form, self._opening.name, self._account, self._number)
        except Malformed as error:
            # Signed by Twilio, so it would only come again.
            self._opening.log(f"A webhook could not be read and was left out: {error.what}")
            notice = wire.Notice()
        if notice.failed:
            self._opening.log(f"An SMS was accepted and then not delivered: {notice.failed}")
        try:
            if notice.heard is not None:
                await hear(notice.heard)
                await self._note(notice.heard.message)
        except StoreUnavailable:
            return HookAnswer(503)
        return HookAnswer(200, NOTHING, "text/xml; charset=utf-8")

    async def _is_signed(self, url: str, form: dict[str, str], signature: bytes) -> bool:
        for spelling in wire.url_spellings(url):
            try:
                await self._opening.egress.check_mac(
                    secret=self._opening.secrets["auth_token"],
                    mac=Mac.HMAC_SHA1,
                    message=wire.render_signed(spelling, form),
                    given=signature,
                )
                return True
            except Refused:
                continue
        return False

    async def send(self, outgoing: Outgoing) -> Sent:
        form = wire.render_message(outgoing, self._number)
        raw = await self._ask("POST", f"{self._base}/Messages.json", sends=True, data=form)
        try:
            return Sent(wire.parse_sent(raw))
        except Malformed:
            return Sent()  # taken, whatever it was called

    async def edit(self, place: Place, message: str, text: str) -> None:
        raise SendRefused("An SMS cannot be changed.")

    async def typing(self, place: Place) -> None:
        """An SMS shows nothing."""

    async def react(self, place: Place, message: str, mark: str) -> None:
        raise SendRefused("An SMS takes no reactions.")

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        path = wire.render_media_path(self._account, attached.ref)
        try:
            return await self._ask("GET", path, most_bytes=most_bytes)
        except Redirected as elsewhere:
            try:
                origin, path = wire.parse_location(elsewhere.location)
            except Malformed as error:
                raise ChannelFailed(f"Twilio did not say where the file is: {error.what}") from error
        answer = await call(self._client(origin, ""), "GET", path, most_bytes=most_bytes)
        if (failed := status_error(answer, self._opening.clock)) is not None:
            raise failed
        return answer.content

    async def members(self, place: Place) -> frozenset[str] | None:
        return None

    async def test(self) -> Sequence[str]:
        try:
            name, status, kind = wire.parse_account(await self._ask("GET", f"{self._base}.json"))
        except (Malformed, SendRefused) as error:
            raise ChannelFailed(f"Twilio did not say whose account this is: {error.what}") from error
        return (
            f"The account is {name} ({kind.lower() or 'of no kind'}), {status or 'of unknown standing'}.",
            f"Messages come and go by {self._number}.",
            "The number's webhook must call this machine (console: A message comes in).",
        )

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    def _client(self, origin: str, secret: str) -> Any:
        if origin not in self._clients:
            self._clients[origin] = self._opening.egress.client(
                base_url=origin, secret=secret, timeout_ms=TIMEOUT_MS, spot=Spot.BASIC
            )
        return self._clients[origin]

    async def _ask(self, method: str, path: str, *, sends: bool = False, **options: Any) -> bytes:
        client = self._client(API, self._opening.secrets["auth_token"])
        word = base64.b64encode(f"{self._account}:{client.placeholder}".encode()).decode()
        headers = {"authorization": f"Basic {word}"}
        answer = await call(client, method, path, sends=sends, headers=headers, **options)
        if answer.status_code < 400:
            return answer.content
        raise self._failure(answer)

    def _failure(self, answer: Any) -> CarapaxError:
        try:
            code, said = wire.parse_trouble(answer.content)
        except Malformed:
            code, said = 0, ""
        if code == 20003:
            return CredentialRefused("Twilio does not accept the auth token for this account.")
        found = status_error(answer, self._opening.clock, wire.WORDS.get(code) or f"{said} ({code})")
        assert found is not None  # only called for a status of 400 and more
        return found
