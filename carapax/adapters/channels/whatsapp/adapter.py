"""A WhatsApp business number on the Cloud API: Meta calls, and is answered over the Graph API.

Layer: adapters/channels. Owns the signature of webhooks, the subscription, uploads, fetches, and what errors mean.
Absent: parsing (wire), templates. Source: developers.facebook.com/docs/whatsapp/cloud-api.
Laws: nothing is heard without the app's signature over the exact bytes; a file is fetched from Meta's media host alone
and must have the digest that Meta named.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from carapax.adapters.channels.calling import call, retry_after_ms, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.whatsapp import wire
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
from carapax.core.terms.error import CarapaxError, Malformed, Refused, StoreUnavailable, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, Hear, SendRefused
from carapax.ports.egress import Mac

GRAPH = "https://graph.facebook.com"
MEDIA = f"https://{wire.MEDIA_HOST}"
VERSION = "v23.0"
TIMEOUT_MS = 60_000
LATEST_COUNT = 1_000
FEATURES = frozenset(
    {Feature.TYPING, Feature.REACT, Feature.REPLY, Feature.BUTTONS, Feature.FILES_IN, Feature.FILES_OUT, Feature.HOOK}
)
FACTS = ChannelFacts(
    kind="whatsapp", features=FEATURES, text_chars=wire.TEXT_CHARS, file_bytes=16 << 20, markup=Markup.ADAPTER
)


def open_channel(opening: Opening) -> Channel:
    """A number; nothing is connected yet."""
    return WhatsAppChannel(opening)


class WhatsAppChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._phone = opening.values["phone_number_id"]
        self._base = f"/{opening.values.get('version') or VERSION}"
        self._clients: dict[str, Any] = {}
        self._latest: OrderedDict[str, str] = OrderedDict()  # chat → its newest message, which typing points at

    def __repr__(self) -> str:
        return f"WhatsAppChannel({self._opening.name!r})"

    def facts(self) -> ChannelFacts:
        return FACTS

    async def run(self, hear: Hear, up: Any) -> None:
        """Check the credential once; there is nothing to hold open. Raises as the port says."""
        number, name, _ = await self._account()
        up(f"{number} ({name}): Meta calls this machine")

    # Meta calls

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        """Answer the subscription, or take a webhook. Without the app's signature it is a 401 and nothing is heard."""
        if request.path.strip("/") or request.method not in ("GET", "POST"):
            return HookAnswer(404)
        if request.method == "GET":
            return await self._subscribe(request.query)
        if not await self._is_signed(request):
            return HookAnswer(401)
        try:
            notice = wire.parse_notice(request.body, self._opening.name, self._phone)
        except Malformed as error:
            # Signed by Meta, so it is Meta's own and would come again for a week.
            self._opening.log(f"A webhook could not be read and was left out: {error.what}")
            return HookAnswer(200)
        for failed in notice.failed:
            self._opening.log(f"A message was accepted and then not delivered: {failed.reason}")
        try:
            for heard in notice.heard:
                await hear(heard)
                self._note(heard.place.chat, heard.message)
        except StoreUnavailable:
            return HookAnswer(503)
        return HookAnswer(200)

    async def _subscribe(self, query: str) -> HookAnswer:
        try:
            token, challenge = wire.parse_challenge(query)
            await self._opening.egress.check_mac(
                secret=self._opening.secrets["verify_token"], mac=Mac.EQUAL, message=b"", given=token.encode()
            )
        except (Malformed, Refused):
            return HookAnswer(401)
        return HookAnswer(200, challenge.encode())

    async def _is_signed(self, request: HookRequest) -> bool:
        scheme, _, signature = request.header("x-hub-signature-256").partition("=")
        try:
            given = bytes.fromhex(signature) if scheme == "sha256" else b""
            await self._opening.egress.check_mac(
                secret=self._opening.secrets["app_secret"], mac=Mac.HMAC_SHA256, message=request.body, given=given
            )
        except (ValueError, Refused):
            return False
        return True

    def _note(self, chat: str, message: str) -> None:
        self._latest.pop(chat, None)
        self._latest[chat] = message
        if len(self._latest) > LATEST_COUNT:
            self._latest.popitem(last=False)

    # what goes out

    async def send(self, outgoing: Outgoing) -> Sent:
        """Send a text, then its files; a short text is the caption of a single file. Raises as the port says."""
        media = [await self._upload(outgoing, index) for index in range(len(outgoing.files))]
        chat, reply_to = outgoing.place.chat, outgoing.reply_to
        as_caption = len(media) == 1 and len(outgoing.text) <= wire.CAPTION_CHARS and not outgoing.buttons
        messages = [] if as_caption or not outgoing.text else [wire.render_message(outgoing)]
        for file, id in zip(outgoing.files, media, strict=True):
            first = reply_to if not messages else ""
            messages.append(wire.render_file(chat, file, id, outgoing.text if as_caption else "", first))
        sent = Sent()
        for index, message in enumerate(messages):
            try:
                sent = await self._deliver(message)
            except ChannelFailed as error:
                if not index:
                    raise
                # The first part has arrived: to send the whole again would repeat it.
                raise ChannelFailed(error.what, retry_after_ms=error.retry_after_ms, unknown=True) from error
        return sent

    async def _deliver(self, message: Mapping[str, Any]) -> Sent:
        raw = await self._ask("POST", f"{self._base}/{self._phone}/messages", sends=True, json=message)
        try:
            return Sent(wire.parse_sent(raw))
        except Malformed:
            return Sent()

    async def _upload(self, outgoing: Outgoing, index: int) -> str:
        file = outgoing.files[index]
        if len(file.content) > FACTS.file_bytes:
            raise SendRefused(f"{file.name} is larger than {FACTS.file_bytes >> 20} MB.")
        raw = await self._ask(
            "POST",
            f"{self._base}/{self._phone}/media",
            data={"messaging_product": "whatsapp", "type": file.type},
            files={"file": (file.name, file.content, file.type)},
        )
        try:
            return wire.parse_upload(raw)
        except Malformed as error:
            raise ChannelFailed(f"Meta did not keep the file: {error.what}") from error

    async def edit(self, place: Place, message: str, text: str) -> None:
        raise SendRefused("WhatsApp does not let a business change a message.")

    async def typing(self, place: Place) -> None:
        """Shown as an answer to the newest message of this place; without one nothing is shown."""
        if latest := self._latest.get(place.chat):
            await self._ask("POST", f"{self._base}/{self._phone}/messages", json=wire.render_typing(latest))

    async def react(self, place: Place, message: str, mark: str) -> None:
        body = wire.render_reaction(place.chat, message, mark)
        await self._ask("POST", f"{self._base}/{self._phone}/messages", json=body)

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        if not attached.ref.isascii() or not attached.ref.isalnum():
            raise Malformed("This is no file of WhatsApp.")
        raw = await self._ask("GET", f"{self._base}/{attached.ref}", params={"phone_number_id": self._phone})
        try:
            media = wire.parse_media(raw)
        except Malformed as error:
            raise ChannelFailed(f"Meta did not say where the file is: {error.what}") from error
        if (media.size_bytes or 0) > most_bytes:
            raise TooLarge(f"The file has {media.size_bytes:,} bytes; at most {most_bytes:,} are taken.")
        content = await self._ask("GET", media.path, base=MEDIA, most_bytes=most_bytes)
        if media.sha256 and hashlib.sha256(content).hexdigest() != media.sha256:
            raise ChannelFailed("The file's bytes are not those that Meta named.")
        return content

    async def members(self, place: Place) -> frozenset[str] | None:
        return None

    async def test(self) -> Sequence[str]:
        number, name, rating = await self._account()
        return (
            f"The number is {number}; people see {name}.",
            f"Meta rates its quality {rating.lower() or 'not at all'}.",
            "Meta must be told where to call: Configuration, Webhook, field messages.",
        )

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    # requests

    async def _account(self) -> tuple[str, str, str]:
        fields = "display_phone_number,verified_name,quality_rating"
        try:
            return wire.parse_account(await self._ask("GET", f"{self._base}/{self._phone}", params={"fields": fields}))
        except (Malformed, SendRefused) as error:
            raise ChannelFailed(f"Meta did not say which number this is: {error.what}") from error

    def _client(self, base: str) -> Any:
        if base not in self._clients:
            self._clients[base] = self._opening.egress.client(
                base_url=base, secret=self._opening.secrets["token"], timeout_ms=TIMEOUT_MS
            )
        return self._clients[base]

    async def _ask(self, method: str, url: str, *, base: str = GRAPH, sends: bool = False, **options: Any) -> bytes:
        client = self._client(base)
        headers = {"authorization": f"Bearer {client.placeholder}"}
        answer = await call(client, method, url, sends=sends, headers=headers, **options)
        if answer.status_code < 400:
            return answer.content
        raise self._failure(answer)

    def _failure(self, answer: Any) -> CarapaxError:
        try:
            trouble = wire.parse_trouble(answer.content)
        except Malformed:
            trouble = wire.Trouble(0, "")
        code, said = trouble.code, f"{trouble.said} ({trouble.code})"
        if answer.status_code == 401 or code in wire.CREDENTIAL_CODES:
            return CredentialRefused(f"Meta does not accept the token for this number: {said}")
        if code in wire.WAIT_CODES or answer.status_code == 429:
            wished_ms = retry_after_ms(answer, self._opening.clock)
            return ChannelFailed(
                "Meta asks to slow down.", retry_after_ms=wished_ms or wire.WAIT_CODES.get(code, 0) * 1000
            )
        if code in wire.OUTAGE_CODES:
            return ChannelFailed(f"WhatsApp failed: {said}", unknown=True)
        if code in wire.WORDS:
            return SendRefused(wire.WORDS[code])
        found = status_error(answer, self._opening.clock, said)
        assert found is not None  # only called for a status of 400 and more
        return found
