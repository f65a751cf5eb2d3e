"""The vault's index: which secrets exist, in which edition, and where each may be used. No value is in it.

Layer: adapters/vault. Owns `bindings.json` and its authentication (HMAC-SHA256 under a key of the vault).
Laws: an index that was altered is refused whole; the edition named here is the only one that counts, so an older
file of the same secret is refused too. `following` names an edition that is being written: until it is settled, both count.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from carapax.adapters.vault.binding import parse_binding, plain_binding
from carapax.adapters.vault.seal import derive, dump, is_id, load
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import Malformed, NotFound, StoreUnavailable

FILE = "bindings.json"
FORMAT = "carapax-bindings/1"
FILE_BYTES = 4_194_304
MAX_SECRETS = 1000
MAX_BINDINGS = 32
"""Of one secret."""
KINDS = ("plain", "oauth", "remote")
HANDLE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_ENTRY = {"handle", "kind", "edition", "following", "created_ms", "rotated_ms", "waiting", "bindings"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One secret as the index knows it."""

    handle: str
    kind: str = "plain"
    edition: str = ""  # "" until its first file is there
    following: str = ""
    created_ms: int = 0
    rotated_ms: int = 0
    waiting: bool = False  # the value before is kept until the rotation is confirmed
    bindings: tuple[Binding, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        found = {name: getattr(self, name) for name in _ENTRY}
        found["bindings"] = [plain_binding(binding) for binding in self.bindings]
        return found


@dataclass(frozen=True, slots=True)
class Index:
    """All of them, sorted by handle."""

    serial: int = 0
    entries: tuple[Entry, ...] = field(default=())

    def find(self, handle: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.handle == handle), None)

    def get(self, handle: str) -> Entry:
        """Raises NotFound."""
        entry = self.find(handle)
        if entry is None:
            raise NotFound(f"There is no secret {handle!r}.", next_step="`carapax vault list` shows what there is.")
        return entry

    def put(self, entry: Entry) -> Index:
        """With this entry instead of the one before. Raises Malformed over the ceilings."""
        if len(entry.bindings) > MAX_BINDINGS:
            raise Malformed(f"A secret has at most {MAX_BINDINGS} bindings.", next_step="Unbind one first.")
        kept = [each for each in self.entries if each.handle != entry.handle]
        if len(kept) >= MAX_SECRETS:
            raise Malformed(f"The vault holds at most {MAX_SECRETS} secrets.", next_step="Remove one first.")
        return replace(self, entries=tuple(sorted([*kept, entry], key=lambda each: each.handle)))

    def drop(self, handles: Iterable[str]) -> Index:
        gone = set(handles)
        return replace(self, entries=tuple(each for each in self.entries if each.handle not in gone))

    def render(self, key_id: str, key: bytes) -> bytes:
        """The file's bytes under the next serial, authenticated."""
        body: dict[str, Any] = {
            "format": FORMAT,
            "serial": self.serial + 1,
            "key": key_id,
            "handles": [entry.plain() for entry in self.entries],
        }
        return dump({**body, "mac": _mac(key, body)})


def _mac(key: bytes, body: dict[str, Any]) -> str:
    return hmac.new(derive(key, "index"), dump(body), "sha256").hexdigest()


def key_of(content: bytes) -> str:
    """The id of the key that authenticates an index. Raises StoreUnavailable when it is no index."""
    found = load(content, {"format", "serial", "key", "handles", "mac"})
    if found is None or found["format"] != FORMAT or not is_id(found["key"]):
        raise broken()
    return str(found["key"])


def parse_index(content: bytes, key: bytes | None) -> Index:
    """The index, authenticated by this key (None reads it without, for showing alone). Raises StoreUnavailable."""
    found = load(content, {"format", "serial", "key", "handles", "mac"})
    if found is None or found["format"] != FORMAT:
        raise broken()
    mac = found.pop("mac")
    if key is not None and not (isinstance(mac, str) and mac.isascii() and hmac.compare_digest(mac, _mac(key, found))):
        raise broken()
    rows = found["handles"]
    if type(found["serial"]) is not int or not isinstance(rows, list) or len(rows) > MAX_SECRETS:
        raise broken()
    entries = tuple(_parse_entry(row) for row in rows)
    handles = [entry.handle for entry in entries]
    if handles != sorted(set(handles)):
        raise broken()
    return Index(found["serial"], entries)


def _parse_entry(row: Any) -> Entry:
    if not isinstance(row, dict) or set(row) != _ENTRY:
        raise broken()
    handle, given = row["handle"], row["bindings"]
    numbers = (row["created_ms"], row["rotated_ms"])
    editions = (row["edition"], row["following"])
    if (
        not (isinstance(handle, str) and HANDLE.match(handle))
        or row["kind"] not in KINDS
        or not all(type(number) is int for number in numbers)
        or not all(edition == "" or is_id(edition) for edition in editions)
        or type(row["waiting"]) is not bool
        or not isinstance(given, list)
        or len(given) > MAX_BINDINGS
    ):
        raise broken()
    bindings = [parse_binding(handle, each) if isinstance(each, dict) else None for each in given]
    found = tuple(binding for binding in bindings if binding is not None)
    if len(found) != len(bindings):
        raise broken()
    return Entry(handle, row["kind"], *editions, *numbers, row["waiting"], found)


def broken() -> StoreUnavailable:
    """What is said of an index that does not hold."""
    return StoreUnavailable(
        f"The vault's {FILE} was altered or is not whole; no secret is used.",
        next_step="Restore the vault's folder from a backup.",
    )
