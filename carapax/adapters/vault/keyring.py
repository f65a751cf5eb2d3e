"""The vault's keys: which source opens them, the one in use, and the one before while data keys move over.

Layer: adapters/vault. Owns `key.json` and `tries.json`. Absent: the secrets themselves (`sealed`).
Laws: one atomic write of `key.json` changes the source, so at every moment exactly one source opens every file;
a wrong passphrase is counted before it is looked at, so ending the process does not give a try back.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass

from carapax.adapters.vault.folder import Folder
from carapax.adapters.vault.keysource import (
    MACHINE,
    PASSPHRASE,
    SOURCES,
    SYSTEMD,
    Cost,
    KeySources,
    check_new_passphrase,
    stretch,
)
from carapax.adapters.vault.seal import KEY_BYTES, decode, derive, dump, encode, is_id, load, new_id, seal, unseal
from carapax.core.terms.error import Refused, StoreUnavailable, VaultLocked
from carapax.ports.clock import Clock

FILE = "key.json"
TRIES = "tries.json"
FORMAT = "carapax-key/1"
FILE_BYTES = 4096
SALT_BYTES = 16
WRONG_PASSPHRASES = 5
LOCK_MS = 900_000
"""So many wrong passphrases within 15 minutes, and none is looked at for 15 minutes."""
_RESTORE = "Restore the vault's folder from a backup."


@dataclass(frozen=True, slots=True)
class KeyFile:
    """`key.json` as it rests: the vault's keys under the source's key, the one in use first."""

    source: str
    check: bytes  # tells a wrong passphrase from an altered file
    keys: tuple[tuple[str, bytes], ...]
    salt: bytes = b""
    cost: Cost | None = None

    def render(self) -> bytes:
        """The file's bytes."""
        return dump(
            {
                "format": FORMAT,
                "source": self.source,
                "check": encode(self.check),
                "keys": [{"id": key_id, "wrapped": encode(wrapped)} for key_id, wrapped in self.keys],
                "salt": encode(self.salt),
                "cost": self.cost.plain() if self.cost else None,
            }
        )


def parse_key_file(content: bytes) -> KeyFile:
    """Raises StoreUnavailable."""
    found = load(content, {"format", "source", "check", "keys", "salt", "cost"})
    broken = StoreUnavailable(f"The vault's {FILE} is not whole.", next_step=_RESTORE)
    if found is None or found["format"] != FORMAT or found["source"] not in SOURCES:
        raise broken
    check, salt, cost = decode(found["check"]), decode(found["salt"]), Cost.parse(found["cost"])
    rows = found["keys"] if isinstance(found["keys"], list) else []
    keys = []
    for row in rows:
        wrapped = decode(row.get("wrapped")) if isinstance(row, dict) and set(row) == {"id", "wrapped"} else None
        if wrapped is None or not is_id(row["id"]):
            raise broken
        keys.append((row["id"], wrapped))
    by_person = found["source"] == PASSPHRASE
    if check is None or salt is None or not 1 <= len(keys) <= 2 or by_person != (cost is not None):
        raise broken
    if len(salt) != (SALT_BYTES if by_person else 0):
        raise broken
    return KeyFile(found["source"], check, tuple(keys), salt, cost)


class Keyring:
    """The keys of one vault, in memory while it is unlocked."""

    def __init__(self, folder: Folder, sources: KeySources, clock: Clock) -> None:
        self._folder = folder
        self._sources = sources
        self._clock = clock
        self._source_key = b""
        self._keys: dict[str, bytes] = {}
        self._source = ""

    def __repr__(self) -> str:
        return "Keyring(…)"

    @property
    def exists(self) -> bool:
        """Whether the vault has keys yet."""
        return self._folder.find(FILE, FILE_BYTES) is not None

    @property
    def source(self) -> str:
        """The source that opens the vault; "" before its first secret."""
        content = self._folder.find(FILE, FILE_BYTES)
        return parse_key_file(content).source if content is not None else ""

    def forget(self) -> None:
        """Lock it: the keys leave this process's reach."""
        self._keys, self._source_key = {}, b""

    def create(self) -> None:
        """Make the first key under the first source that fits. Within the folder's lock."""
        source = self._sources.first(self._folder)
        key_id, key = new_id(), secrets.token_bytes(KEY_BYTES)
        source_key = self._sources.present_key(source, self._folder)
        self._write(source, source_key, {key_id: key}, b"", None)

    def load(self) -> None:
        """Open it with its source, when that needs no person. Raises VaultLocked, StoreUnavailable."""
        file = self._read()
        if file.source == PASSPHRASE:
            if not self._keys or not self._opens(file, self._source_key):
                self.forget()
                raise VaultLocked("The vault is locked.")
            source_key = self._source_key
        else:
            source_key = self._source_key if self._keys and self._opens(file, self._source_key) else b""
            source_key = source_key or self._sources.find_key(file.source, self._folder)
        self._open(file, source_key)

    def unlock(self, passphrase: str) -> None:
        """Open it with a passphrase. Raises Refused for a wrong one and while none is looked at, StoreUnavailable."""
        with self._folder.locked():
            file = self._read()
            if file.source != PASSPHRASE or file.cost is None:
                self._open(file, self._sources.find_key(file.source, self._folder))
                return
            self._count_try()
            source_key = stretch(passphrase, file.salt, file.cost)
            if not self._opens(file, source_key):
                raise Refused(
                    "That is not the vault's passphrase.",
                    next_step=f"After {WRONG_PASSPHRASES} wrong ones none is looked at for 15 minutes.",
                )
            self._open(file, source_key)
            self._folder.remove(TRIES)

    def current(self) -> tuple[str, bytes]:
        """Id and key that new things are sealed with. Raises VaultLocked."""
        for key_id, key in self._keys.items():
            return key_id, key
        raise VaultLocked("The vault is locked.")

    def find_key(self, key_id: str) -> bytes | None:
        """The key of this id, read anew when it is not known; None when there is none. Raises VaultLocked, StoreUnavailable."""
        if key_id not in self._keys:
            self.load()
        return self._keys.get(key_id)

    @property
    def moving(self) -> bool:
        """Whether data keys may still be wrapped by the key before."""
        return len(self._keys) > 1

    def change_source(self, source: str, passphrase: str) -> None:
        """A new vault key under another source (or the same): one write, after which the old source opens nothing.

        Within the folder's lock, with the present keys open. Raises Malformed for a poor passphrase, StoreUnavailable.
        """
        salt, cost = b"", None
        if source == PASSPHRASE:
            check_new_passphrase(passphrase)
            salt, cost = secrets.token_bytes(SALT_BYTES), self._sources.cost
            source_key = stretch(passphrase, salt, cost)
        else:
            if source == SYSTEMD:
                self._sources.make_sealed_credential(self._folder)
            source_key = self._sources.present_key(source, self._folder)
        old_id, old = self.current()
        self._write(source, source_key, {new_id(): secrets.token_bytes(KEY_BYTES), old_id: old}, salt, cost)

    def finish(self) -> None:
        """Every data key is under the key in use: let the one before go, then the source before."""
        file = self._read()
        if self.moving:
            key_id, key = self.current()
            self._write(file.source, self._source_key, {key_id: key}, file.salt, file.cost)
        if file.source != MACHINE:
            self._sources.forget_others(file.source)

    def _read(self) -> KeyFile:
        content = self._folder.find(FILE, FILE_BYTES)
        if content is None:
            raise StoreUnavailable(f"The vault's {FILE} is missing.", next_step=_RESTORE)
        return parse_key_file(content)

    def _opens(self, file: KeyFile, source_key: bytes) -> bool:
        return bool(source_key) and hmac.compare_digest(file.check, _check(source_key, file.source))

    def _open(self, file: KeyFile, source_key: bytes) -> None:
        keys: dict[str, bytes] = {}
        ids = [key_id for key_id, _ in file.keys]
        for key_id, wrapped in file.keys:
            key = unseal(source_key, wrapped, "vault-key", file.source, key_id, *ids)
            if key is None or len(key) != KEY_BYTES or not self._opens(file, source_key):
                raise StoreUnavailable(
                    f"The vault's {FILE} was altered, or the key of its source {file.source!r} was replaced.",
                    next_step=_RESTORE,
                )
            keys[key_id] = key
        self._keys, self._source_key = keys, source_key

    def _write(self, source: str, source_key: bytes, keys: dict[str, bytes], salt: bytes, cost: Cost | None) -> None:
        ids = list(keys)
        rows = tuple((key_id, seal(source_key, key, "vault-key", source, key_id, *ids)) for key_id, key in keys.items())
        self._folder.write(FILE, KeyFile(source, _check(source_key, source), rows, salt, cost).render())
        self._keys, self._source_key = dict(keys), source_key

    def _count_try(self) -> None:
        now_ms = self._clock.now_ms()
        wrong, until_ms = self._tries()
        if until_ms > now_ms:
            raise Refused(
                "Too many wrong passphrases; none is looked at now.",
                next_step=f"Try again in {(until_ms - now_ms) // 60_000 + 1} minutes.",
            )
        recent = [*(at for at in wrong if now_ms - at < LOCK_MS), now_ms][-WRONG_PASSPHRASES:]
        locked = now_ms + LOCK_MS if len(recent) >= WRONG_PASSPHRASES else 0
        self._folder.write(TRIES, dump({"wrong_ms": recent, "locked_until_ms": locked}))

    def _tries(self) -> tuple[list[int], int]:
        content = self._folder.find(TRIES, FILE_BYTES)
        if content is None:
            return [], 0
        found = load(content, {"wrong_ms", "locked_until_ms"})
        wrong = found["wrong_ms"] if found else None
        if not found or not isinstance(wrong, list) or not all(type(at) is int for at in wrong):
            raise StoreUnavailable(f"The vault's {TRIES} is not whole.", next_step=f"Remove {TRIES} as its owner.")
        if type(found["locked_until_ms"]) is not int:
            raise StoreUnavailable(f"The vault's {TRIES} is not whole.", next_step=f"Remove {TRIES} as its owner.")
        return wrong, found["locked_until_ms"]


def _check(source_key: bytes, source: str) -> bytes:
    return hmac.digest(derive(source_key, "check"), json.dumps([FORMAT, source]).encode("ascii"), "sha256")
