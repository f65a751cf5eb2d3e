"""A Matrix account as a channel: one long poll for what comes in, one request for each thing that goes out.

Layer: adapters/channels/matrix. Owns the order of a sync: keys, then messages, then the cursor. Absent: federation,
cross-signing, backups of keys. Laws: the cursor is kept only after everything before it was heard; nothing is heard of the
time before the first connection; a room that was ever encrypted is never written to in clear; the token is a handle.
Source: client-server spec v1.11.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2

from carapax.adapters.channels import calling
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.fields import part, word
from carapax.adapters.channels.matrix import attachment, wire
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Evidence,
    Feature,
    Heard,
    HookAnswer,
    HookRequest,
    Markup,
    OutFile,
    Outgoing,
    Place,
    Received,
    Removed,
    Sent,
)
from carapax.core.terms.error import Malformed, TooLarge
from carapax.ports.channel import ChannelFailed, CredentialRefused, Hear, SendRefused
from carapax.ports.egress import Mac

if TYPE_CHECKING:
    from carapax.adapters.channels.matrix.crypt import Crypt

API = "/_matrix/client/v3"
POLL_MS = 30_000
ANSWER_BYTES = 32 << 20
TIMELINE = 50
BACKFILL_PAGES, BACKFILL_EVENTS = 20, 100
ROOMS_REMEMBERED = 500
PENDING_COUNT, PENDING_BYTES = 100, 900_000
NEW_DEVICE = "Log in again for a new token, which is a new device, then `carapax channels add` it again."
FACTS = ChannelFacts(
    kind="matrix",
    features=frozenset(Feature) - {Feature.BUTTONS, Feature.HOOK},
    text_chars=16_000,
    text_bytes=16_000,
    markup=Markup.ADAPTER,
    edits_per_minute=20,
)


@dataclass(slots=True)
class _Room:
    joined: dict[str, str]
    invited: set[str]
    encrypted: bool


def open_channel(opening: Opening) -> MatrixChannel:
    """A channel of one account; nothing is connected yet."""
    return MatrixChannel(opening)


class MatrixChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._name, self._keep, self._clock, self._log = opening.name, opening.keep, opening.clock, opening.log
        self._egress, self._handle = opening.egress, opening.secrets["token"]
        self._wants_keys = opening.values.get("encryption", "yes") != "no"
        self._groups = frozenset(opening.values.get("rooms", "").split())
        base = opening.values["server"].rstrip("/")
        self._client = self._egress.client(base_url=base, secret=self._handle, timeout_ms=POLL_MS * 2)
        self._headers = {"authorization": f"Bearer {self._client.placeholder}"}
        self._me = ""
        self._device = ""
        self._crypt: Crypt | None = None
        self._encrypted: set[str] = set()
        self._rooms: dict[str, _Room] = {}
        self._typed: set[str] = set()
        self._retried = False
        self._timeline = TIMELINE
        self._opening = asyncio.Lock()
        self._sealing = asyncio.Lock()
        self._edits = 0

    def facts(self) -> ChannelFacts:
        return FACTS

    # in
    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        """Sync until cancelled."""
        await self._begin()
        since, told, self._retried = await self._cursor(), False, False
        while True:
            batch = await self._sync(since, wait=told)
            if not told:
                told = True
                up(f"{self._me}, device {self._device}{'' if self._crypt else ', without encryption'}")
            heard = await self._take(batch, hear, first=not since)
            if batch.next != since:
                cursor = {"user": self._me, "device": self._device, "since": batch.next}
                await self._keep.write("cursor", json.dumps(cursor).encode())
            since = batch.next
            for room, event in heard.items():
                await self._read(room, event)

    async def _begin(self) -> None:
        """Learn who this is, and load or make the device's keys; once."""
        async with self._opening:
            if self._me:
                return
            about = await self._ask("GET", f"{API}/account/whoami")
            me, self._device = word(about, "user_id"), word(about, "device_id")
            if not wire.USER.fullmatch(me):
                raise ChannelFailed("The homeserver does not say whose token this is.")
            if self._wants_keys and self._device:
                await self._load_keys(me)
            kept = await self._keep.read("encrypted")
            self._encrypted = set(json.loads(kept)) if kept else set()
            self._me = me

    async def _load_keys(self, me: str) -> None:
        from carapax.adapters.channels.matrix.crypt import Crypt
        from carapax.adapters.channels.matrix.notes import Notes

        # The notes are of no use without the vault, and a new token, which is a new device, begins anew.
        words = f"carapax matrix keys {me} {self._device}".encode()
        passphrase = (await self._egress.make_mac(secret=self._handle, mac=Mac.HMAC_SHA256, message=words)).hex()
        try:
            crypt = Crypt(me, self._device, await Notes.load(self._keep, me, self._device, passphrase))
        except Malformed as error:
            raise CredentialRefused(error.what, next_step=NEW_DEVICE) from None
        if crypt.fresh:
            answer = await self._ask("POST", f"{API}/keys/query", json={"device_keys": {me: [self._device]}})
            known = part(part(part(part(answer, "device_keys"), me), self._device), "keys")
            if known and known.get(f"ed25519:{self._device}") != crypt.identity[1]:
                raise CredentialRefused(
                    "This device has other encryption keys on the server, and they are not here.", next_step=NEW_DEVICE
                )
        self._crypt = crypt
        if not crypt.notes.published:
            await self._upload(0, fallback=False)

    async def _cursor(self) -> str:
        kept = json.loads(await self._keep.read("cursor") or b"{}")
        return str(kept["since"]) if (kept.get("user"), kept.get("device")) == (self._me, self._device) else ""

    async def _sync(self, since: str, *, wait: bool) -> wire.Batch:
        params = {"filter": wire.sync_filter(self._timeline if since else 1)}
        params |= {"since": since, "timeout": str(POLL_MS if wait else 0)} if since else {}
        try:
            return wire.parse_sync((await self._get(f"{API}/sync", params=params)).content, self._me)
        except TooLarge as error:
            self._timeline = 1  # what is left out is read page by page
            raise ChannelFailed(error.what) from None
        except Malformed as error:
            raise ChannelFailed(f"The homeserver's sync is not as documented: {error}") from None

    async def _take(self, batch: wire.Batch, hear: Hear, *, first: bool) -> dict[str, str]:
        """Everything of one sync; the newest event that was heard of each room."""
        newest: dict[str, str] = {}
        for invite in batch.invites:
            await self._answer_invite(invite)
        await self._take_keys(batch, hear)
        for room in batch.left:
            self._forget(room)
        for line in () if first else batch.rooms:
            for event in await self._stay(line):
                if ident := await self._hear_event(line.room, event, hear):
                    newest[line.room] = ident
        return newest

    async def _take_keys(self, batch: wire.Batch, hear: Hear) -> None:
        if self._crypt is None:
            return
        async with self._sealing:
            came = {key for event in batch.to_device if (key := self._crypt.take_to_device(event))}
            self._crypt.changed(batch.changed)
            await self._crypt.notes.save(self._keep)
            await self._upload(batch.key_count, fallback=batch.fallback)
        if came or not self._retried:
            await self._retry_pending(hear)
            self._retried = True

    async def _upload(self, count: int | None, *, fallback: bool) -> None:
        crypt = self._crypt
        if crypt and (body := crypt.upload(count, fallback)):
            await crypt.notes.save(self._keep)  # a key that others have must never be lost
            await self._ask("POST", f"{API}/keys/upload", json=body)
            crypt.uploaded()
            await crypt.notes.save(self._keep)

    async def _stay(self, line: wire.Timeline) -> Sequence[dict[str, Any]]:
        """A room's events in their order, from where the agent's own stay begins: what was said before is not for it."""
        try:
            begins, events = wire.find_join(line.events, self._me), list(line.events)
            if line.limited and line.prev and begins is None:
                events = await self._missed(line) + events
                begins = wire.find_join(events, self._me)
            if begins is not None and await self._is_private(line.room):
                # Whoever invites to a conversation of two has often asked already when the agent comes.
                begins = wire.find_join(events, self._me, "invite") or begins
        except (Malformed, SendRefused) as error:
            self._log(f"What was said in {line.room} cannot be read. {error}")
            return ()
        return events[begins or 0 :]

    async def _missed(self, line: wire.Timeline) -> list[dict[str, Any]]:
        """What a sync left out between the one before and its own first event."""
        kept = json.loads(await self._keep.read("cursor") or b"{}")
        found: list[dict[str, Any]] = []
        start, path = line.prev, f"{API}/rooms/{_q(line.room)}/messages"
        for _ in range(BACKFILL_PAGES):
            params = {"dir": "b", "from": start, "to": str(kept.get("since", "")), "limit": str(BACKFILL_EVENTS)}
            page, start = wire.parse_page((await self._get(path, params=params)).content)
            found += page
            if not page or not start or wire.find_join(page, self._me) is not None:
                return found[::-1]
        self._log(f"In {line.room} more was said than can be read back; the oldest of it was left out.")
        return found[::-1]

    async def _hear_event(self, room: str, event: dict[str, Any], hear: Hear) -> str:
        """Hand one event on; its id when it was for the agent."""
        try:
            kind = word(event, "type")
            if kind in ("m.room.member", "m.room.encryption"):
                self._forget(room, left=part(event, "content").get("membership") in ("leave", "ban"))
            heard = await self._read_event(room, event)
        except (Malformed, SendRefused) as error:
            self._log(f"An event in {room} was left out. {error}")
            return ""
        if heard is None:
            return ""
        await hear(heard)
        return heard.event if isinstance(heard, Received) else ""

    async def _read_event(self, room: str, event: dict[str, Any]) -> Heard | None:
        evidence = Evidence.PLATFORM
        if word(event, "type") == "m.room.encrypted":
            if word(event, "sender") == self._me:
                return None
            opened = await self._open_event(room, event)
            if opened is None:
                return None
            event, evidence = opened
        elif word(event, "type") == "m.room.message" and (await self._room(room)).encrypted:
            # Clear text in an encrypted room may be anybody's who runs the server.
            evidence = Evidence.NONE
        names = (await self._room(room)).joined
        scene = wire.Scene(self._name, room, self._me, await self._is_private(room), names)
        heard = wire.parse_event(event, scene, evidence)
        if isinstance(heard, Removed) and heard.person == self._me:
            return None
        return await self._completed(room, heard) if isinstance(heard, Received) else heard

    async def _open_event(self, room: str, event: dict[str, Any]) -> tuple[dict[str, Any], Evidence] | None:
        from carapax.adapters.channels.matrix.crypt import Sealed

        if self._crypt is None:
            self._log(f"A message in {room} is encrypted; encryption is off for this channel.")
            return None
        async with self._sealing:
            await self._learn_devices([word(event, "sender")])
            try:
                opened = self._crypt.decrypt(room, event)
            except Sealed as error:
                if error.missing:
                    await self._put_pending(room, event)
                self._log(f"A message in {room} cannot be decrypted. {error}")
                return None
            await self._crypt.notes.save(self._keep)
        shown = event | {"type": opened.type, "content": opened.content}
        return shown, Evidence.PLATFORM if opened.proved else Evidence.NONE

    async def _completed(self, room: str, heard: Received) -> Received | None:
        """With what it points at: the words it answers, or proof that it replaces its sender's own message."""
        if heard.edited:
            sender, thread, _ = await self._pointed(room, heard.message)
            # Anybody can point at anything: only the author of a message replaces it.
            return replace(heard, place=replace(heard.place, thread=thread)) if sender == heard.sender.id else None
        if heard.reply_to:
            sender, _, words = await self._pointed(room, heard.reply_to)
            return replace(heard, quoted=words, addressed=heard.addressed or sender == self._me)
        return heard

    async def _pointed(self, room: str, ident: str) -> tuple[str, str, str]:
        answer = await self._get(f"{API}/rooms/{_q(room)}/event/{_q(ident)}", refusals=True)
        if answer.status_code >= 400:
            return "", "", ""
        event = calling.read_json(answer)
        if not isinstance(event, dict):
            return "", "", ""
        if word(event, "type") == "m.room.encrypted" and self._crypt:
            from carapax.adapters.channels.matrix.crypt import Sealed

            try:
                opened = self._crypt.decrypt(room, event)
            except Sealed:
                return word(event, "sender"), "", ""
            event |= {"type": opened.type, "content": opened.content}
        return wire.parse_quoted(event)

    # what cannot be opened yet
    async def _put_pending(self, room: str, event: dict[str, Any]) -> None:
        kept = json.loads(await self._keep.read("pending") or b"[]")
        kept = [entry for entry in kept if entry["event"].get("event_id") != event.get("event_id")]
        kept = [*kept, {"room": room, "event": event}][-PENDING_COUNT:]
        while len(made := json.dumps(kept).encode()) > PENDING_BYTES:
            kept = kept[1:]
        await self._keep.write("pending", made)

    async def _retry_pending(self, hear: Hear) -> None:
        kept = json.loads(await self._keep.read("pending") or b"[]")
        for entry in list(kept):
            room, event = entry["room"], entry["event"]
            if self._crypt and self._crypt.has_key(room, part(event, "content").get("session_id")):
                await self._hear_event(room, event, hear)
                kept.remove(entry)
                await self._keep.write("pending", json.dumps(kept).encode())

    # rooms
    async def _room(self, room: str) -> _Room:
        if room not in self._rooms:
            params = {"not_membership": "leave"}
            listed = await self._get(f"{API}/rooms/{_q(room)}/members", params=params)
            joined, invited = wire.parse_members(listed.content)
            state = await self._get(f"{API}/rooms/{_q(room)}/state/m.room.encryption", refusals=True)
            if state.status_code < 400 and room not in self._encrypted:
                self._encrypted.add(room)  # for ever: no server can talk us out of it
                await self._keep.write("encrypted", json.dumps(sorted(self._encrypted)[:5_000]).encode())
            while len(self._rooms) >= ROOMS_REMEMBERED:
                del self._rooms[next(iter(self._rooms))]
            self._rooms[room] = _Room(joined, invited, room in self._encrypted)
        return self._rooms[room]

    async def _is_private(self, room: str) -> bool:
        about = await self._room(room)
        return len(about.joined.keys() | about.invited | {self._me}) == 2

    def _forget(self, room: str, *, left: bool = True) -> None:
        self._rooms.pop(room, None)
        if left and self._crypt:
            self._crypt.left(room)

    async def _answer_invite(self, invite: wire.Invite) -> None:
        if not invite.direct and invite.room not in self._groups:
            self._log(f"{invite.inviter} invites to {invite.room}; name it under `rooms` to accept.")
            return
        try:
            await self._ask("POST", f"{API}/rooms/{_q(invite.room)}/join", json={})
            about = await self._room(invite.room)
            if invite.room not in self._groups and len(about.joined.keys() | about.invited) > 2:
                self._log(f"{invite.inviter} called {invite.room} direct, but others are in it; it was left again.")
                await self._ask("POST", f"{API}/rooms/{_q(invite.room)}/leave", json={})
                self._forget(invite.room)
        except SendRefused as error:
            self._log(f"The invitation to {invite.room} could not be accepted. {error}")

    async def _read(self, room: str, event: str) -> None:
        with suppress(SendRefused, ChannelFailed):  # a receipt is a courtesy
            await self._ask("POST", f"{API}/rooms/{_q(room)}/receipt/m.read/{_q(event)}", json={})

    # out
    async def send(self, outgoing: Outgoing) -> Sent:
        """Send the text, then the files: each is one event with a transaction id made of the key."""
        await self._begin()
        place, made = outgoing.place, ""
        if outgoing.text:
            content = wire.render_text(outgoing.text, thread=place.thread, reply_to=outgoing.reply_to)
            made = await self._put(place.chat, content, _transaction(outgoing.key, 0))
        for at, file in enumerate(outgoing.files, 1):
            content = await self._uploaded(place.chat, file) | wire.render_relation(place.thread, "")
            ident = await self._put(place.chat, content, _transaction(outgoing.key, at))
            made = made or ident
        if place.chat in self._typed:
            self._typed.discard(place.chat)
            with suppress(ChannelFailed, SendRefused):  # the message is there; the rest is a courtesy
                await self._type(place.chat, typing=False)
        return Sent(made)

    async def edit(self, place: Place, message: str, text: str) -> None:
        await self._begin()
        self._edits += 1
        key = f"edit {self._clock.now_ms()} {self._edits} {message}"
        await self._put(place.chat, wire.render_edit(message, text), _transaction(key, 0))

    async def typing(self, place: Place) -> None:
        await self._begin()
        self._typed.add(place.chat)
        await self._type(place.chat, typing=True)

    async def _type(self, room: str, *, typing: bool) -> None:
        body = {"typing": typing} | ({"timeout": 20_000} if typing else {})
        await self._ask("PUT", f"{API}/rooms/{_q(room)}/typing/{_q(self._me)}", json=body)

    async def react(self, place: Place, message: str, mark: str) -> None:
        await self._begin()
        path = f"/_matrix/client/v1/rooms/{_q(place.chat)}/relations/{_q(message)}/m.annotation/m.reaction"
        page, _ = wire.parse_page((await self._get(path)).content)
        mine = [event for event in page if event.get("sender") == self._me]
        for event in mine:
            if part(part(event, "content"), "m.relates_to").get("key") == mark:
                return
            ident = word(event, "event_id")
            url = f"{API}/rooms/{_q(place.chat)}/redact/{_q(ident)}/{_transaction('redact ' + ident, 0)}"
            await self._ask("PUT", url, json={})
        if mark:
            self._edits += 1
            content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": message, "key": mark}}
            txn = _transaction(f"react {self._clock.now_ms()} {self._edits} {message}", 0)
            await self._ask("PUT", f"{API}/rooms/{_q(place.chat)}/send/m.reaction/{txn}", json=content, sends=True)

    async def _put(self, room: str, content: dict[str, Any], txn: str) -> str:
        kind = "m.room.message"
        if (await self._room(room)).encrypted:
            kind, content = "m.room.encrypted", await self._sealed(room, kind, content)
        if len(json.dumps(content, ensure_ascii=False).encode()) > wire.EVENT_BYTES + 2_000:
            raise SendRefused("The message is too long for Matrix.")
        answer = await self._ask("PUT", f"{API}/rooms/{_q(room)}/send/{kind}/{txn}", json=content, sends=True)
        return word(answer, "event_id")

    async def _sealed(self, room: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        crypt = self._crypt
        if crypt is None:
            raise SendRefused("This room is encrypted, and encryption is off for this channel.")
        about = await self._room(room)
        readers = sorted(about.joined.keys() | about.invited)
        async with self._sealing:
            await self._learn_devices(readers)
            if wanted := crypt.unreached(readers):
                crypt.take_claimed(await self._ask("POST", f"{API}/keys/claim", json={"one_time_keys": wanted}))
            for body, reached in crypt.share(room, readers, self._clock.now_ms()):
                await crypt.notes.save(self._keep)
                txn = _transaction(json.dumps(body, sort_keys=True), 0)
                await self._ask("PUT", f"{API}/sendToDevice/m.room.encrypted/{txn}", json=body)
                crypt.shared(room, reached)
            sealed = crypt.encrypt(room, kind, content)
            await crypt.notes.save(self._keep)
        return sealed

    async def _learn_devices(self, users: list[str]) -> None:
        if self._crypt and (stale := self._crypt.stale(users)):
            answer = await self._ask("POST", f"{API}/keys/query", json={"device_keys": {user: [] for user in stale}})
            for line in self._crypt.take_devices(stale, answer):
                self._log(line)
            await self._crypt.notes.save(self._keep)

    # files
    async def _uploaded(self, room: str, file: OutFile) -> dict[str, Any]:
        sealed: dict[str, Any] | None = None
        content, kind = file.content, file.type
        if (await self._room(room)).encrypted:
            content, sealed = attachment.seal(content)
            kind = "application/octet-stream"
        options: dict[str, Any] = {"content": content, "headers": self._headers | {"content-type": kind}}
        if not sealed:
            options["params"] = {"filename": file.name}
        answer = await self._ask("POST", "/_matrix/media/v3/upload", **options)
        url = word(answer, "content_uri")
        if sealed:
            return wire.render_file(file, sealed=sealed | {"url": url})
        return wire.render_file(file, url=url)

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        server, ident, keys = wire.parse_ref(attached.ref)
        path = f"/_matrix/client/v1/media/download/{_q(server)}/{_q(ident)}"
        content = (await self._get(path, most_bytes=most_bytes)).content
        return attachment.unseal(content, keys) if keys else content

    # the rest
    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        return HookAnswer(404)

    async def members(self, place: Place) -> frozenset[str] | None:
        await self._begin()
        self._rooms.pop(place.chat, None)
        return frozenset((await self._room(place.chat)).joined.keys() - {self._me})

    async def test(self) -> Sequence[str]:
        about = await self._ask("GET", f"{API}/account/whoami")
        rooms = await self._ask("GET", f"{API}/joined_rooms")
        count = len(rooms["joined_rooms"]) if isinstance(rooms.get("joined_rooms"), list) else 0
        keys = "encryption on" if self._wants_keys else "encryption off"
        return (f"{word(about, 'user_id')}, device {word(about, 'device_id')}", f"in {count} rooms, {keys}")

    async def close(self) -> None:
        await self._client.aclose()

    async def _get(self, path: str, *, refusals: bool = False, **options: Any) -> httpx2.Response:
        return await self._call("GET", path, refusals=refusals, **({"most_bytes": ANSWER_BYTES} | options))

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = calling.read_json(await self._call(method, path, **options))
        if not isinstance(answer, dict):
            raise ChannelFailed("The homeserver's answer is not as documented.")
        return answer

    async def _call(self, method: str, path: str, *, refusals: bool = False, **options: Any) -> httpx2.Response:
        """One request. With `refusals` an answer of 403 or 404 is the caller's to read."""
        answer = await calling.call(self._client, method, path, **({"headers": self._headers} | options))
        if refusals and answer.status_code in (403, 404):
            return answer
        words, wait_ms = wire.error_words(answer.content) if answer.status_code >= 400 else ("", 0)
        error = calling.status_error(answer, self._clock, words)
        if isinstance(error, ChannelFailed):
            raise ChannelFailed(
                error.what,
                retry_after_ms=error.retry_after_ms or wait_ms,
                unknown=error.unknown and bool(options.get("sends")),
            )
        if error is not None:
            raise error
        if answer.status_code >= 300:
            raise SendRefused(f"The homeserver sends elsewhere ({answer.status_code}), where this channel does not go.")
        return answer


def _transaction(key: str, at: int) -> str:
    return hashlib.sha256(f"{at}\0{key}".encode()).hexdigest()[:40]


def _q(word: str) -> str:
    return quote(word, safe="")
