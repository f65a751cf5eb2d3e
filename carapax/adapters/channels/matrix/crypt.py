"""The keys of one Matrix device: Olm between devices, Megolm in rooms.

Layer: adapters/channels/matrix; no I/O. Owns what is sealed, for whom, and what a sealed event proves of its sender.
Absent: HTTP (`adapter`), cross-signing and backups of keys (nobody verifies this device but its owner, by eye).
Laws: a device's signing key is the one first seen; an event is its sender's only if the key that sealed it belongs to a
device of that sender; a Megolm index opens one event for ever; a room's key goes to all devices of its members and is
made anew when somebody leaves. Source: client-server spec v1.11, "End-to-End Encryption"; libolm through python-olm.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from olm.account import Account, OlmAccountError
from olm.group_session import InboundGroupSession, OlmGroupSessionError, OutboundGroupSession
from olm.session import InboundSession, OlmMessage, OlmPreKeyMessage, OlmSessionError, OutboundSession, Session
from olm.utility import OlmVerifyError, ed25519_verify

from carapax.adapters.channels.fields import parse_object, part, word
from carapax.adapters.channels.matrix.notes import GROUPS, SESSIONS, Notes
from carapax.core.terms.error import Malformed

OLM, MEGOLM = "m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"
KEYS_READY = 50  # one-time keys that lie on the server
ROTATE_COUNT, ROTATE_MS = 100, 7 * 86_400_000
SESSIONS_EACH = 5
SHARE_DEVICES = 50  # in one request
DEVICES_EACH = 200  # of one person: more are not written to
INDEXES = 200
_FAILURES = (OlmSessionError, OlmGroupSessionError, OlmAccountError, ValueError)


@dataclass(frozen=True, slots=True)
class Opened:
    """A decrypted event. `proved`: a known device of the sender sealed it."""

    type: str
    content: dict[str, Any]
    proved: bool


class Sealed(Exception):
    """An event cannot be opened. `missing`: its key may still come."""

    def __init__(self, why: str, *, missing: bool = False) -> None:
        super().__init__(why)
        self.missing = missing


@dataclass(slots=True)
class _Outbound:
    session: Any
    made_ms: int
    shared: set[tuple[str, str]] = field(default_factory=set)


class Crypt:
    """Every key of this device. What changed is in `notes`, which the caller keeps before it goes on.

    Raises Malformed: the account in the notes does not open.
    """

    def __init__(self, user: str, device: str, notes: Notes) -> None:
        self.user, self.device, self.notes = user, device, notes
        self.fresh = not notes.account
        try:
            self._account = Account.from_pickle(notes.account, notes.passphrase) if notes.account else Account()
        except _FAILURES:
            raise Malformed("The kept keys do not open with this token.") from None
        self._outbound: dict[str, _Outbound] = {}
        self._keep_account()

    @property
    def identity(self) -> tuple[str, str]:
        """This device's Curve25519 and Ed25519 keys."""
        keys = self._account.identity_keys
        return keys["curve25519"], keys["ed25519"]

    # what the server is told
    def upload(self, count: int | None, fallback: bool) -> dict[str, Any] | None:
        """The body of /keys/upload when the server lacks something, None otherwise. Keep the notes before it is sent."""
        body: dict[str, Any] = {}
        if not self.notes.published:
            body["device_keys"] = self._signed(self._device_keys())
        if (count is not None and count < KEYS_READY) or not self.notes.published:
            waiting = len(self._account.one_time_keys["curve25519"])
            self._account.generate_one_time_keys(max(0, KEYS_READY - (count or 0) - waiting))
            body["one_time_keys"] = self._named(self._account.one_time_keys["curve25519"], {})
        if not fallback:
            self._account.generate_fallback_key()
            body["fallback_keys"] = self._named(self._account.fallback_key["curve25519"], {"fallback": True})
        self._keep_account()
        return body or None

    def uploaded(self) -> None:
        """The server has them."""
        self._account.mark_keys_as_published()
        self.notes.published = True
        self._keep_account()

    def _device_keys(self) -> dict[str, Any]:
        curve, signing = self.identity
        return {
            "user_id": self.user,
            "device_id": self.device,
            "algorithms": [OLM, MEGOLM],
            "keys": {f"curve25519:{self.device}": curve, f"ed25519:{self.device}": signing},
        }

    def _named(self, keys: Mapping[str, str], more: dict[str, Any]) -> dict[str, Any]:
        return {f"signed_curve25519:{ident}": self._signed({"key": key} | more) for ident, key in keys.items()}

    def _signed(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"signatures": {self.user: {f"ed25519:{self.device}": self._account.sign(canonical(body))}}}

    def _keep_account(self) -> None:
        self.notes.keep_account(self._account.pickle(self.notes.passphrase))

    # whose devices there are
    def stale(self, users: Iterable[str]) -> list[str]:
        """Those whose devices are not known or may have changed."""
        return [user for user in users if user not in self.notes.devices or user in self.notes.stale]

    def changed(self, users: Iterable[str]) -> None:
        """The server says that these users' devices changed."""
        known = {user for user in users if user in self.notes.devices}
        self.notes.mark_stale(known)

    def take_devices(self, asked: Iterable[str], answer: dict[str, Any]) -> list[str]:
        """Learn from /keys/query; a line for people about every device that is new or is not what it was."""
        lines: list[str] = []
        for user in asked:
            given = part(answer, "device_keys").get(user)
            if not isinstance(given, dict):
                continue  # their server did not answer: asked again next time
            before = self.notes.devices.get(user)
            known = {ident: list(keys) for ident, keys in (before or {}).items()}
            for ident in known.keys() - given.keys():
                known[ident][2] = "gone"
                self._forget_shared(user, ident)
            for ident, about in list(given.items())[:DEVICES_EACH]:
                if (user, ident) != (self.user, self.device):
                    lines += self._take_device(user, ident, about, known, told=before is not None)
            self.notes.keep_devices(user, known)
        return lines

    def _take_device(
        self, user: str, ident: str, about: object, known: dict[str, list[str]], *, told: bool
    ) -> list[str]:
        try:
            curve, signing = self._checked_device(user, ident, about)
        except Malformed:
            return [f"A device of {user} was left out: its keys are not signed by itself."]
        was = known.get(ident)
        if was and was[1] != signing:
            return [f"A device of {user} ({ident[:40]!r}) was left out: its signing key is not the one first seen."]
        known[ident] = [curve, signing, ""]
        return [f"{user} has a device that was not seen before: {ident[:40]!r}."] if told and not was else []

    def _checked_device(self, user: str, ident: str, about: object) -> tuple[str, str]:
        if not isinstance(about, dict) or word(about, "user_id") != user or word(about, "device_id") != ident:
            raise Malformed("A device says that it is another.")
        keys = part(about, "keys")
        curve, signing = word(keys, f"curve25519:{ident}"), word(keys, f"ed25519:{ident}")
        self._check(about, user, ident, signing)
        if not curve:
            raise Malformed("A device has no key.")
        return curve, signing

    @staticmethod
    def _check(body: dict[str, Any], user: str, ident: str, signing: str) -> None:
        given = word(part(part(body, "signatures"), user), f"ed25519:{ident}")
        bare = {key: value for key, value in body.items() if key not in ("signatures", "unsigned")}
        try:
            ed25519_verify(signing, canonical(bare), given)
        except (OlmVerifyError, ValueError):
            raise Malformed("A key is not signed by its device.") from None

    def _devices(self, users: Iterable[str]) -> Iterator[tuple[str, str, str, str]]:
        for user in users:
            for ident, (curve, signing, state) in self.notes.devices.get(user, {}).items():
                if not state:
                    yield user, ident, curve, signing

    # sealing
    def unreached(self, users: Iterable[str]) -> dict[str, dict[str, str]]:
        """The body of /keys/claim: devices to which there is no way yet."""
        wanted: dict[str, dict[str, str]] = {}
        for user, ident, curve, _ in self._devices(users):
            if not self.notes.get(SESSIONS, curve):
                wanted.setdefault(user, {})[ident] = "signed_curve25519"
        return wanted

    def take_claimed(self, answer: dict[str, Any]) -> None:
        """Open a way to every device whose one-time key came and is signed by it."""
        claimed = part(answer, "one_time_keys")
        for user, ident, curve, signing in list(self._devices(user for user in claimed)):
            try:
                key = next(iter(part(part(claimed, user), ident).values()), None)
                if not isinstance(key, dict):
                    continue
                self._check(key, user, ident, signing)
                self._keep_session(curve, [OutboundSession(self._account, curve, word(key, "key"))])
            except (Malformed, *_FAILURES):
                continue
        self._keep_account()

    def share(self, room: str, users: Iterable[str], now_ms: int) -> list[tuple[dict[str, Any], set[tuple[str, str]]]]:
        """The bodies of /sendToDevice that give the room's key to who lacks it, with whom each reaches.

        Keep the notes before they are sent; tell `shared` of each afterwards.
        """
        held = self._outbound.get(room)
        if held and (held.session.message_index >= ROTATE_COUNT or now_ms - held.made_ms > ROTATE_MS):
            held = None
        if held is None:
            held = self._outbound[room] = _Outbound(OutboundGroupSession(), now_ms)
            self._keep_group(room, *self.identity, held.session.session_key)
        key = {"algorithm": MEGOLM, "room_id": room, "session_id": held.session.id}
        key["session_key"] = held.session.session_key
        sealed: list[tuple[str, str, dict[str, Any]]] = []
        for user, ident, curve, signing in self._devices(users):
            if (user, ident) not in held.shared and (sessions := self._sessions(curve)):
                sealed.append((user, ident, self._seal(user, curve, signing, sessions, key)))
        bodies = []
        for at in range(0, len(sealed), SHARE_DEVICES):
            messages: dict[str, dict[str, Any]] = {}
            for user, ident, content in sealed[at : at + SHARE_DEVICES]:
                messages.setdefault(user, {})[ident] = content
            bodies.append(
                ({"messages": messages}, {(user, ident) for user, ident, _ in sealed[at : at + SHARE_DEVICES]})
            )
        return bodies

    def shared(self, room: str, reached: set[tuple[str, str]]) -> None:
        """These devices have the room's key."""
        if room in self._outbound:
            self._outbound[room].shared |= reached

    def _seal(self, user: str, curve: str, signing: str, sessions: list[Any], key: dict[str, Any]) -> dict[str, Any]:
        own_curve, own_signing = self.identity
        payload = {
            "type": "m.room_key", "content": key, "sender": self.user, "sender_device": self.device,
            "keys": {"ed25519": own_signing}, "recipient": user, "recipient_keys": {"ed25519": signing},
        }  # fmt: skip
        sealed = sessions[0].encrypt(json.dumps(payload))
        self._keep_session(curve, sessions)
        body = {"type": sealed.message_type, "body": sealed.ciphertext}
        return {"algorithm": OLM, "sender_key": own_curve, "ciphertext": {curve: body}}

    def encrypt(self, room: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """The content of an m.room.encrypted event; after `share`."""
        session = self._outbound[room].session
        inner = {"type": kind, "room_id": room, "content": content}
        sealed = {
            "algorithm": MEGOLM, "sender_key": self.identity[0], "device_id": self.device,
            "session_id": session.id, "ciphertext": session.encrypt(json.dumps(inner, ensure_ascii=False)),
        }  # fmt: skip
        # The relation stays in clear, so that a server can group edits and threads.
        return sealed | ({"m.relates_to": content["m.relates_to"]} if "m.relates_to" in content else {})

    def left(self, room: str) -> None:
        """Somebody left: what is said from here on needs another key."""
        self._outbound.pop(room, None)

    def _forget_shared(self, user: str, ident: str) -> None:
        for room in [room for room, held in self._outbound.items() if (user, ident) in held.shared]:
            self.left(room)

    # opening
    def take_to_device(self, event: dict[str, Any]) -> tuple[str, str] | None:
        """The room and id of a Megolm session that this event brought; None for anything else, or what cannot be read."""
        try:
            content = part(event, "content")
            if word(event, "type") != "m.room.encrypted" or word(content, "algorithm") != OLM:
                return None
            curve, sender = word(content, "sender_key"), word(event, "sender")
            mine = part(part(content, "ciphertext"), self.identity[0])
            payload = parse_object(self._open_olm(curve, mine.get("type"), word(mine, "body", 1 << 20)))
            return self._take_room_key(payload, sender, curve)
        except (Malformed, Sealed, *_FAILURES):
            return None

    def _open_olm(self, curve: str, kind: object, body: str) -> str:
        sessions = self._sessions(curve)
        if kind == 1:
            message = OlmMessage(body)
            for session in sessions:
                try:
                    return self._opened(curve, sessions, session, session.decrypt(message, "strict"))
                except _FAILURES:
                    continue
            raise Sealed("No session opens it.")
        if kind != 0:
            raise Sealed("It is of an unknown form.")
        first = OlmPreKeyMessage(body)
        for session in sessions:
            if session.matches(first, curve):
                return self._opened(curve, sessions, session, session.decrypt(first, "strict"))
        session = InboundSession(self._account, first, curve)
        text = session.decrypt(first, "strict")
        with suppress(OlmAccountError):  # the fallback key is not used up
            self._account.remove_one_time_keys(session)
        self._keep_account()
        return self._opened(curve, sessions, session, text)

    def _opened(self, curve: str, sessions: list[Any], session: Any, text: str) -> str:
        self._keep_session(curve, [session, *(other for other in sessions if other is not session)])
        return text

    def _take_room_key(self, payload: dict[str, Any], sender: str, curve: str) -> tuple[str, str] | None:
        content, signing = part(payload, "content"), word(part(payload, "keys"), "ed25519")
        meant = (word(payload, "recipient"), word(part(payload, "recipient_keys"), "ed25519"))
        if word(payload, "sender") != sender or meant != (self.user, self.identity[1]):
            raise Sealed("It is from or for somebody else.")
        if word(payload, "type") != "m.room_key" or word(content, "algorithm") != MEGOLM or not signing:
            return None
        room, session = word(content, "room_id"), word(content, "session_id")
        made = self._keep_group(room, curve, signing, word(content, "session_key", 4_096))
        return (room, session) if made == session else None

    def _keep_group(self, room: str, curve: str, signing: str, session_key: str) -> str:
        session = InboundGroupSession(session_key)
        # Who brought a session first is whose it is: nobody can take over another's by sending it again.
        if not self.notes.get(GROUPS, f"{room} {session.id}"):
            held = {"p": session.pickle(self.notes.passphrase).decode(), "c": curve, "e": signing, "s": {}, "f": 0}
            self.notes.put(GROUPS, f"{room} {session.id}", held)
        return str(session.id)

    def has_key(self, room: str, session: object) -> bool:
        return self.notes.get(GROUPS, f"{room} {session}") is not None

    def decrypt(self, room: str, event: dict[str, Any]) -> Opened:
        """Open a room's encrypted event. Raises Sealed, Malformed."""
        content = part(event, "content")
        if word(content, "algorithm") != MEGOLM:
            raise Sealed("It is encrypted in an unknown way.")
        key = f"{room} {word(content, 'session_id')}"
        held = self.notes.get(GROUPS, key)
        if not held:
            raise Sealed("Its key has not come.", missing=True)
        try:
            session = InboundGroupSession.from_pickle(held["p"].encode(), self.notes.passphrase)
            text, index = session.decrypt(word(content, "ciphertext", 1 << 17), "strict")
        except _FAILURES:
            raise Sealed("Its key does not open it.") from None
        self._use_index(key, held, index, word(event, "event_id"))
        inner = parse_object(text)
        if word(inner, "room_id") != room:
            raise Sealed("It was sealed for another room.")
        made, outer = part(inner, "content"), content.get("m.relates_to")
        if isinstance(outer, dict) and "m.relates_to" not in made:
            made["m.relates_to"] = outer
        sender = word(event, "sender")
        return Opened(word(inner, "type"), made, self._is_theirs(sender, held["c"], held["e"]))

    def _is_theirs(self, sender: str, curve: str, signing: str) -> bool:
        if sender == self.user and (curve, signing) == self.identity:
            return True
        return any(keys[:2] == [curve, signing] for keys in self.notes.devices.get(sender, {}).values())

    def _use_index(self, key: str, held: dict[str, Any], index: int, event: str) -> None:
        mark = hashlib.sha256(event.encode()).hexdigest()[:16]
        seen = held["s"]
        if seen.get(str(index), mark) != mark or (str(index) not in seen and index < held["f"]):
            raise Sealed("It repeats an event that was opened before.")
        if str(index) not in seen:
            seen[str(index)] = mark
            while len(seen) > INDEXES:
                lowest = min(map(int, seen))
                del seen[str(lowest)]
                held["f"] = max(held["f"], lowest + 1)
            self.notes.put(GROUPS, key, held)

    # sessions between devices
    def _sessions(self, curve: str) -> list[Any]:
        kept = self.notes.get(SESSIONS, curve) or []
        return [Session.from_pickle(pickle.encode(), self.notes.passphrase) for pickle in kept]

    def _keep_session(self, curve: str, sessions: list[Any]) -> None:
        kept = [session.pickle(self.notes.passphrase).decode() for session in sessions[:SESSIONS_EACH]]
        self.notes.put(SESSIONS, curve, kept)


def canonical(body: dict[str, Any]) -> str:
    """The one form of a JSON object that signatures are made over."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
