"""What was changed in the vault and is not in the ledger yet: a log that only the ledger's writer shortens.

Layer: adapters/vault. Owns `changes.log`: one JSON line a change, each authenticated together with the line before.
Absent: the ledger. The gateway takes the lines over when it runs, so nothing waits for it and nothing is lost.
Laws: a line is durable before the change that it tells of; it names a handle, never a value. Taking over twice is
possible (a crash between), missing one is not: an id tells the double.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from carapax.adapters.vault.folder import Folder
from carapax.adapters.vault.seal import derive, dump, load, new_id
from carapax.core.terms.error import StoreUnavailable

FILE = "changes.log"
FILE_BYTES = 4_194_304
MAX_DETAIL_CHARS = 200
ALTERED = "log_altered"
_KEYS = {"id", "time_ms", "action", "handle", "detail", "after", "mac"}


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `action` is "set", "rotate", "bind", … ; the ledger's kind is "vault." before it."""

    id: str
    time_ms: int
    action: str
    handle: str
    detail: str = ""


def note_change(folder: Folder, key: bytes, change: Change) -> None:
    """Add one. Within the folder's lock, before the change is made. Raises StoreUnavailable when the log is full."""
    if not key:
        return
    content = folder.find(FILE, FILE_BYTES) or b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:  # a line that a crash cut short was never acknowledged
        folder.write(FILE, whole)
    if len(whole) > FILE_BYTES - 2048:
        raise StoreUnavailable(
            "The vault's log of changes is full.", next_step="Start the gateway; it takes them into the ledger."
        )
    folder.append(FILE, _line(key, change, _last_mac(whole)))


def new_change(now_ms: int, action: str, handle: str, detail: str = "") -> Change:
    """A change with an id of its own."""
    return Change(new_id(), now_ms, action, handle, detail[:MAX_DETAIL_CHARS])


def _line(key: bytes, change: Change, after: str) -> bytes:
    body = {name: getattr(change, name) for name in ("id", "time_ms", "action", "handle", "detail")}
    body["after"] = after
    return dump({**body, "mac": _mac(key, body)}) + b"\n"


def _mac(key: bytes, body: dict[str, object]) -> str:
    return hmac.new(derive(key, "changes"), dump(body), "sha256").hexdigest()


def _last_mac(content: bytes) -> str:
    lines = content.splitlines()
    found = load(lines[-1], _KEYS) if lines else None
    return str(found["mac"]) if found else ""


def pending_changes(folder: Folder, key: bytes) -> tuple[Change, ...]:
    """The changes in order. Where the log was altered, a change "log_altered" stands instead of what it said."""
    content = folder.find(FILE, FILE_BYTES) or b""
    found: list[Change] = []
    before: str | None = None
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        row = load(line, _KEYS)
        mac = row.pop("mac") if row else ""
        holds = row is not None and isinstance(mac, str) and mac.isascii() and hmac.compare_digest(mac, _mac(key, row))
        if row is None or not holds or (before is not None and row["after"] != before):
            found.append(Change(new_id(), 0, ALTERED, "", f"line {len(found) + 1}"))
            before = None
            continue
        before = mac
        found.append(Change(row["id"], row["time_ms"], row["action"], row["handle"], row["detail"]))
    return tuple(found)


def clear_changes(folder: Folder, count: int) -> None:
    """Take away the first `count` lines, which are in the ledger now; lines that came meanwhile stay."""
    with folder.locked():
        content = folder.find(FILE, FILE_BYTES) or b""
        lines = content.splitlines(keepends=True)
        folder.write(FILE, b"".join(lines[count:]))


class ChangeLog:
    """The log of one vault for whoever writes the ledger: it needs no key of the vault and holds no value."""

    def __init__(self, folder: Folder, key: bytes) -> None:
        self._folder = folder
        self._key = key

    def pending_changes(self) -> tuple[Change, ...]:
        """Changes that are not in the ledger yet. Raises StoreUnavailable."""
        return pending_changes(self._folder, self._key)

    def clear_changes(self, count: int) -> None:
        """The first `count` are in the ledger now. Raises StoreUnavailable."""
        clear_changes(self._folder, count)
