"""What a device remembers across restarts, in small durable notes.

Layer: adapters/channels/matrix. Owns the split into notes of at most 1 MiB and what is forgotten over that.
Laws: keys stand in them only as pickles under a passphrase that is not in them; a note that cannot be read is no reason
to make another device silently.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from carapax.core.terms.error import Malformed
from carapax.ports.channel import Keep

SHARDS = 8
NOTE_BYTES = 1_000_000
SESSIONS, GROUPS, DEVICES = "sessions", "groups", "devices"


@dataclass(slots=True)
class Notes:
    """Everything kept of one device. Change it through its methods; `save` writes what changed."""

    user: str
    device: str
    passphrase: str = field(repr=False)
    account: bytes = field(default=b"", repr=False)
    published: bool = False
    stale: set[str] = field(default_factory=set)
    _shards: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    _dirty: set[str] = field(default_factory=set)

    @classmethod
    async def load(cls, keep: Keep, user: str, device: str, passphrase: str) -> Notes:
        """The notes of this user's device; empty ones when another's are there. Raises Malformed, StoreUnavailable."""
        notes = cls(user, device, passphrase)
        given = _object(await keep.read("account"))
        if (given.get("user"), given.get("device")) != (user, device):
            return notes
        notes.account = str(given.get("pickle", "")).encode()
        notes.published = given.get("published") is True
        notes.stale = {str(user) for user in given.get("stale", [])}
        for kind in (SESSIONS, GROUPS, DEVICES):
            for at in range(SHARDS):
                notes._shards[f"{kind}-{at}"] = _object(await keep.read(f"{kind}-{at}"))
        return notes

    async def save(self, keep: Keep) -> None:
        """Write what changed; durable when it returns. Raises StoreUnavailable."""
        for name in sorted(self._dirty):
            await keep.write(name, self._account_note() if name == "account" else _bounded(self._shards[name]))
            self._dirty.discard(name)

    def get(self, kind: str, key: str) -> Any:
        return self._shards.get(_shard(kind, key), {}).get(key)

    def put(self, kind: str, key: str, value: Any) -> None:
        name = _shard(kind, key)
        shard = self._shards.setdefault(name, {})
        shard.pop(key, None)  # the newest stand last: the first are forgotten first
        shard[key] = value
        self._dirty.add(name)

    def keep_account(self, pickle: bytes) -> None:
        self.account = pickle
        self._dirty.add("account")

    def mark_stale(self, users: set[str]) -> None:
        if not users <= self.stale:
            self.stale |= users
            self._dirty.add("account")

    @property
    def devices(self) -> _Devices:
        """By user and device id: Curve25519 key, Ed25519 key, "gone" for one that is no longer there."""
        return _Devices(self)

    def keep_devices(self, user: str, known: dict[str, list[str]]) -> None:
        self.put(DEVICES, user, known)
        if user in self.stale:
            self.stale.discard(user)
            self._dirty.add("account")

    def _account_note(self) -> bytes:
        made = {"user": self.user, "device": self.device, "pickle": self.account.decode()}
        return json.dumps(made | {"published": self.published, "stale": sorted(self.stale)[:10_000]}).encode()


@dataclass(frozen=True, slots=True)
class _Devices:
    notes: Notes

    def get(self, user: str, default: Any = None) -> Any:
        found = self.notes.get(DEVICES, user)
        return default if found is None else found

    def __contains__(self, user: object) -> bool:
        return self.notes.get(DEVICES, str(user)) is not None


def _shard(kind: str, key: str) -> str:
    return f"{kind}-{zlib.crc32(key.encode('utf-8', 'replace')) % SHARDS}"


def _bounded(shard: dict[str, Any]) -> bytes:
    made = json.dumps(shard, separators=(",", ":")).encode()
    while len(made) > NOTE_BYTES:
        for key in list(shard)[: max(1, len(shard) // 10)]:
            del shard[key]
        made = json.dumps(shard, separators=(",", ":")).encode()
    return made


def _object(raw: bytes | None) -> dict[str, Any]:
    try:
        given = json.loads(raw or b"{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Malformed("A note of the channel's keys cannot be read.")
    return given
