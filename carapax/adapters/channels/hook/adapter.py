"""A signed webhook, both ways: requests are taken, answers are posted.

Layer: adapters/channels. Owns the checks of a request (signature, age, replay) and the signing of what is posted.
Absent: the JSON (wire). Source: the Standard Webhooks specification, 1.0.0.
Laws: a request is believed once, with a signature over its exact bytes and a time within five minutes; what is posted
for one key has one webhook-id for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from carapax.adapters.channels.calling import call, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.hook import wire
from carapax.adapters.channels.replays import Replays
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
from carapax.core.terms.error import Malformed, Refused, StoreUnavailable
from carapax.ports.channel import Channel, Hear, SendRefused
from carapax.ports.egress import Mac

STALE_MS = 300_000
TIMEOUT_MS = 30_000
BODY_BYTES = 1 << 20  # what can be signed
FEATURES = frozenset(
    {
        Feature.EDIT, Feature.TYPING, Feature.REACT, Feature.THREADS, Feature.REPLY, Feature.BUTTONS, Feature.FILES_OUT,
        Feature.GROUPS, Feature.IDEMPOTENT, Feature.HOOK,
    }
)  # fmt: skip
FACTS = ChannelFacts(
    kind="hook", features=FEATURES, text_chars=16_000, file_bytes=640 << 10, markup=Markup.MARKDOWN, edits_per_minute=30
)


def open_channel(opening: Opening) -> Channel:
    """A webhook; nothing is connected yet."""
    return HookChannel(opening)


class HookChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._out_url = opening.values.get("out_url", "")
        self._replays = Replays(opening.keep, opening.clock)
        self._client: Any = None

    def __repr__(self) -> str:
        return f"HookChannel({self._opening.name!r})"

    def facts(self) -> ChannelFacts:
        return FACTS

    async def run(self, hear: Hear, up: Any) -> None:
        """There is nothing to hold open."""
        up("signed requests are taken" + ("" if self._out_url else "; there is no address for answers"))

    # in

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        """Take one request. Without a fresh signature it is a 401 and nothing is heard; signed nonsense is a 400."""
        if request.method != "POST" or request.path.strip("/"):
            return HookAnswer(404)
        try:
            id = wire.parse_id(request.header("webhook-id"))
            seconds = wire.parse_time(request.header("webhook-timestamp"))
            signatures = wire.parse_signatures(request.header("webhook-signature"))
        except Malformed:
            return HookAnswer(401)
        if abs(self._opening.clock.now_ms() - seconds * 1000) > STALE_MS:
            return HookAnswer(401)
        if not await self._is_signed(wire.render_signed(id, seconds, request.body), signatures):
            return HookAnswer(401)
        try:
            heard = wire.parse_message(request.body, self._opening.name, id)
        except Malformed as error:
            return HookAnswer(400, error.what.encode())
        try:
            # A try of the sender's again has another time, and so another name here; the gateway knows its event.
            fresh = await self._replays.take(f"{seconds}.{id}", seconds * 1000, lambda: hear(heard))
        except StoreUnavailable:
            return HookAnswer(503)
        return HookAnswer(200 if fresh else 401)

    async def _is_signed(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        for given in signatures:
            try:
                await self._opening.egress.check_mac(
                    secret=self._opening.secrets["secret"], mac=Mac.HMAC_SHA256, message=message, given=given
                )
                return True
            except Refused:
                continue
        return False

    # out

    async def send(self, outgoing: Outgoing) -> Sent:
        """Post a message; its webhook-id comes from its key alone. Raises as the port says."""
        # With the channel's name, so that two webhooks with one receiver do not hide each other's messages.
        id = wire.OWN + hashlib.sha256(f"{self._opening.name}\0{outgoing.key}".encode()).hexdigest()[:32]
        raw = await self._post(wire.render_message(outgoing, id), id, sends=True)
        try:
            return Sent(wire.parse_sent(raw) or id)
        except Malformed:
            return Sent(id)

    async def edit(self, place: Place, message: str, text: str) -> None:
        await self._tell({"type": "edit", "id": message, **wire.render_place(place), "text": text})

    async def typing(self, place: Place) -> None:
        await self._tell({"type": "typing", **wire.render_place(place)})

    async def react(self, place: Place, message: str, mark: str) -> None:
        await self._tell({"type": "reaction", "id": message, **wire.render_place(place), "mark": mark})

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        raise SendRefused("A webhook brings no files.")

    async def members(self, place: Place) -> frozenset[str] | None:
        return None

    async def test(self) -> Sequence[str]:
        """Post `{"type":"test"}`, where there is an address."""
        if not self._out_url:
            return ("Signed requests are taken; there is no address for answers.",)
        await self._tell({"type": "test"})
        return (f"{urlsplit(self._out_url).hostname} took a signed test.",)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _tell(self, said: Mapping[str, Any]) -> None:
        """Something whose repetition does no harm: its id names its content and its time."""
        body = json.dumps(said, sort_keys=True)
        now_ms = self._opening.clock.now_ms()
        await self._post(said, wire.OWN + hashlib.sha256(f"{now_ms}\0{body}".encode()).hexdigest()[:32])

    async def _post(self, said: Mapping[str, Any], id: str, *, sends: bool = False) -> bytes:
        if not self._out_url:
            raise SendRefused("This webhook has no address for answers (`out_url`).")
        body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        seconds = self._opening.clock.now_ms() // 1000
        signed = wire.render_signed(id, seconds, body)
        if len(signed) > BODY_BYTES:
            raise SendRefused("With its files this message is larger than 1 MiB.")
        mac = await self._opening.egress.make_mac(
            secret=self._opening.secrets["secret"], mac=Mac.HMAC_SHA256, message=signed
        )
        headers = {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": wire.render_signature(mac),
        }
        if self._client is None:
            self._client = self._opening.egress.client(base_url=self._out_url, secret="", timeout_ms=TIMEOUT_MS)
        answer = await call(self._client, "POST", self._out_url, sends=sends, content=body, headers=headers)
        if (failed := status_error(answer, self._opening.clock)) is not None:
            raise failed
        return answer.content
