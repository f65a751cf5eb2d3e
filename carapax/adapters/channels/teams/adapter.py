"""Microsoft Teams: the Bot Framework's requests in, its connector out.

Layer: adapters/channels. Owns the keys' cache, the ladder that a request climbs before it is heard, and the connector.
Absent: sending files (Teams wants each one consented to), reactions (bots have none), dialogs, sign-in cards.
Laws: nothing is heard, and no address is answered, unless a token of the Bot Framework names this bot and this address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from carapax.adapters.channels.calling import call, read_bounded, read_json, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.fields import parts, word
from carapax.adapters.channels.teams import token, wire
from carapax.adapters.channels.teams.places import Places
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Feature,
    Heard,
    HookAnswer,
    HookRequest,
    Markup,
    Outgoing,
    Place,
    Removed,
    Sent,
)
from carapax.core.terms.error import Malformed, Refused, StoreUnavailable, Unavailable
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, Hear, SendRefused

KEYS = "https://login.botframework.com"
KEYS_PATH = "/v1/.well-known/keys"
DEFAULT_SERVICE = "https://smba.trafficmanager.net/teams/"
TIMEOUT_MS = 30_000
KEYS_MS, KEYS_AGAIN_MS = 24 * 3_600_000, 60_000
MAX_MEMBERS, PAGE = 10_000, 500
FEATURES = frozenset({
    Feature.EDIT, Feature.TYPING, Feature.THREADS, Feature.BUTTONS, Feature.FILES_IN, Feature.MEMBERS, Feature.GROUPS,
    Feature.HOOK,
})  # fmt: skip
ACTED = b'{"statusCode":200,"type":"application/vnd.microsoft.activity.message","value":"Received."}'


def open_channel(opening: Opening) -> Channel:
    """One bot registration."""
    return TeamsChannel(opening)


class TeamsChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._name = opening.name
        self._egress = opening.egress
        self._clock = opening.clock
        self._log = opening.log
        self._token = opening.secrets["token"]
        self._app_id = opening.values["app_id"]
        self._tenant = opening.values["tenant"]
        self._places = Places(opening.keep)
        self._keys: dict[str, token.SigningKey] = {}
        self._keys_ms: int | None = None  # when they were fetched last, by the monotonic clock
        self._clients: dict[tuple[str, str], Any] = {}
        self._turn = asyncio.Lock()

    def facts(self) -> ChannelFacts:
        return ChannelFacts(
            kind="teams",
            features=FEATURES,
            text_chars=wire.TEXT_CHARS,
            text_bytes=wire.TEXT_BYTES,
            markup=Markup.MARKDOWN,
            edits_per_minute=20,
        )

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        await self._probe()
        up(f"{self._app_id}, called by Teams")

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        if request.method != "POST" or request.path.strip("/"):
            return HookAnswer(404)
        scheme, _, given = request.header("authorization").partition(" ")
        if scheme != "Bearer":
            return HookAnswer(401)
        try:
            vouched = token.verify_token(
                given, await self._key(token.key_id(given)), self._app_id, self._clock.now_ms()
            )
            activity = wire.parse_activity(request.body)
            self._check(activity, vouched)
        except Refused as error:
            self._log(f"A request was refused: {error}")
            return HookAnswer(401)
        except Malformed:
            return HookAnswer(400)
        except Unavailable:
            return HookAnswer(503)
        return await self._believed(activity, hear)

    def _check(self, activity: wire.Activity, vouched: token.Vouched) -> None:
        """Whether the token speaks for this activity. Raises Refused."""
        if activity.platform != wire.CHANNEL or activity.platform not in vouched.endorsements:
            raise Refused("The token's key does not speak for Teams.")
        if activity.service_url != vouched.service_url:
            raise Refused("The token is for another service address.")
        if activity.tenant != self._tenant:
            raise Refused("The activity is of another organisation.")
        try:
            wire.check_service(activity.service_url)
        except Malformed as error:
            raise Refused(str(error)) from None

    async def _believed(self, activity: wire.Activity, hear: Hear) -> HookAnswer:
        try:
            async with self._turn:
                found = wire.parse_heard(activity, self._name, self._app_id)
                await self._places.remember(activity.chat, activity.service_url, activity.team)
                for heard in found:
                    for told in await self._everywhere(heard, activity):
                        await hear(told)
        except Malformed as error:
            self._log(f"An activity was not understood: {error}")
            return HookAnswer(400)
        except StoreUnavailable:
            return HookAnswer(503)
        if activity.type != "invoke":
            return HookAnswer(200)
        return HookAnswer(200, ACTED, "application/json") if found else HookAnswer(501)

    async def _everywhere(self, heard: Heard, activity: wire.Activity) -> list[Heard]:
        """Who leaves a team leaves each of its channels."""
        if not isinstance(heard, Removed) or not heard.person or not activity.team:
            return [heard]
        chats = {heard.place.chat, *await self._places.chats_of(activity.team)}
        return [
            Removed(Place(self._name, chat, private=False), f"{heard.event}:{chat}", person=heard.person)
            for chat in sorted(chats)
        ]

    async def _key(self, id: str) -> token.SigningKey:
        """A key of the Bot Framework's. Raises Refused for one that it does not have, ChannelFailed."""
        age_ms = None if self._keys_ms is None else self._clock.monotonic_ms() - self._keys_ms
        if age_ms is None or age_ms > KEYS_MS or (id not in self._keys and age_ms > KEYS_AGAIN_MS):
            answer = await call(self._client(KEYS, ""), "GET", KEYS_PATH)
            if (error := status_error(answer, self._clock)) is not None:
                raise ChannelFailed(f"The Bot Framework's keys cannot be had: {error.what}")
            try:
                self._keys = token.parse_keys(answer.content)
            except Malformed:
                raise ChannelFailed("The Bot Framework's keys do not read.") from None
            self._keys_ms = self._clock.monotonic_ms()
        if id not in self._keys:
            raise Refused("The token is signed with a key that is not the Bot Framework's.")
        return self._keys[id]

    async def send(self, outgoing: Outgoing) -> Sent:
        if outgoing.files:
            raise SendRefused("Teams takes no files from this channel.")
        answer = await self._post(outgoing.place, wire.render_message(outgoing, self._app_id))
        return Sent(word(answer, "id"))

    async def edit(self, place: Place, message: str, text: str) -> None:
        await self._ask("PUT", place, f"/activities/{quote(message, safe='')}", sends=True, json=wire.render_edit(text))

    async def typing(self, place: Place) -> None:
        await self._post(place, {"type": "typing", "from": {"id": f"28:{self._app_id}"}})

    async def react(self, place: Place, message: str, mark: str) -> None:
        raise SendRefused("Teams takes no reactions of bots.")

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        """Pictures come with the bot's token, documents from their own address and without it."""
        try:
            at = urlsplit(attached.ref)
            plain = at.scheme == "https" and at.netloc == at.hostname
        except ValueError:
            plain = False
        path = at.path + (f"?{at.query}" if at.query else "") if plain else ""
        if plain and at.hostname in wire.SERVICE_HOSTS:
            client = self._client(f"https://{at.hostname}", self._token)
            return await self._download(client, path, {"authorization": f"Bearer {client.placeholder}"}, most_bytes)
        if plain and (at.hostname or "").endswith(wire.FILE_HOSTS):
            client = self._egress.client(base_url=f"https://{at.hostname}", secret="", timeout_ms=TIMEOUT_MS)
            async with client:
                return await self._download(client, path, {}, most_bytes)
        raise SendRefused("The file is not on one of Microsoft's hosts.")

    async def _download(self, client: Any, path: str, headers: dict[str, str], most_bytes: int) -> bytes:
        import httpx2

        try:
            async with client.stream("GET", path, headers=headers) as answer:
                if (error := status_error(answer, self._clock)) is not None:
                    raise error
                return await read_bounded(answer, most_bytes)
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise ChannelFailed(f"The file could not be read from Teams: {type(error).__name__}.") from None

    async def members(self, place: Place) -> frozenset[str] | None:
        found: set[str] = set()
        rest = ""
        for _ in range(MAX_MEMBERS // PAGE):
            more = f"&continuationToken={quote(rest, safe='')}" if rest else ""
            path = f"/pagedmembers?pageSize={PAGE}{more}"
            answer = await self._ask("GET", Place(place.channel, place.chat), path)
            found |= {word(member, "id") for member in parts(answer, "members")}
            before, rest = rest, word(answer, "continuationToken", 4_096)
            if not rest or rest == before:
                return frozenset(found - {f"28:{self._app_id}", ""})
        return None

    async def test(self) -> Sequence[str]:
        await self._probe()
        return [f"Application: {self._app_id}", f"Organisation: {self._tenant}", f"Signing keys: {len(self._keys)}"]

    async def _probe(self) -> None:
        """Ask for what needs the credential, whatever the answer, and for the keys. Raises ChannelFailed, CredentialRefused."""
        origin, path = wire.check_service(await self._service("") or DEFAULT_SERVICE)
        client = self._client(origin, self._token)
        headers = {"authorization": f"Bearer {client.placeholder}"}
        answer = await call(client, "GET", f"{path}v3/conversations", headers=headers)
        error = status_error(answer, self._clock, wire.said_error(answer.content))
        if isinstance(error, ChannelFailed | CredentialRefused) or answer.status_code == 403:
            raise error or CredentialRefused("Teams does not let this bot in.")
        try:
            await self._key("")
        except Refused:
            return  # no key has this id; the keys are there

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        await asyncio.gather(*(client.aclose() for client in clients.values()))

    async def _service(self, chat: str) -> str:
        try:
            return await self._places.service_of(chat)
        except StoreUnavailable as error:
            raise ChannelFailed(f"Where Teams is answered could not be read: {error.what}") from error

    async def _post(self, place: Place, body: dict[str, Any]) -> dict[str, Any]:
        return await self._ask("POST", place, "/activities", sends=True, json=body)

    async def _ask(
        self, method: str, place: Place, rest: str, *, sends: bool = False, **options: Any
    ) -> dict[str, Any]:
        service = await self._service(place.chat)
        if not service:
            raise SendRefused("Teams tells where to answer only after somebody wrote to the bot.")
        try:
            origin, path = wire.check_service(service)
        except Malformed as error:
            raise SendRefused(str(error)) from None
        client = self._client(origin, self._token)
        url = f"{path}v3/conversations/{quote(wire.conversation_of(place), safe='')}{rest}"
        headers = {"authorization": f"Bearer {client.placeholder}"}
        answer = await call(client, method, url, sends=sends, headers=headers, **options)
        if answer.status_code == 412:
            raise ChannelFailed("Teams was busy with this conversation.")
        if (refusal := status_error(answer, self._clock, wire.said_error(answer.content))) is not None:
            raise refusal
        if not answer.content:
            return {}
        try:
            given = read_json(answer)
        except ChannelFailed as failed:
            raise ChannelFailed(failed.what, unknown=sends) from None
        return given if isinstance(given, dict) else {}

    def _client(self, base_url: str, secret: str) -> Any:
        key = (base_url, secret)
        if key not in self._clients:
            self._clients[key] = self._egress.client(base_url=base_url, secret=secret, timeout_ms=TIMEOUT_MS)
        return self._clients[key]
