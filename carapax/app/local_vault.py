"""What `carapax vault` needs of this machine: implements surfaces.cli.local_vault.LocalVault.

Layer: app. Works on the vault's own files, beside a running gateway too; the running vault reads them at its next use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from carapax.adapters.ledger.reader import read_entries
from carapax.adapters.vault.binding import make_binding, parse_place
from carapax.adapters.vault.door import ask_door
from carapax.adapters.vault.hashicorp import parse_remote
from carapax.adapters.vault.moving import import_env
from carapax.adapters.vault.oauth import parse_oauth
from carapax.adapters.vault.sealed import SealedVault
from carapax.app.home import Home
from carapax.app.sealed import change_body, open_sealed, take_in
from carapax.core.ledger.entry import Entry
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import NotFound

PAGE = 1_000
MAX_LOOKED_AT = 100_000
"""Newest entries of the ledger that are looked through for a secret's name."""


class VaultDesk:
    """The vault of one home."""

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        self._home = home
        self._environ = environ
        self._opened: SealedVault | None = None
        self._taken: tuple[str, ...] = ()

    def _vault(self) -> SealedVault:
        if self._opened is None:
            self._opened = open_sealed(self._home, self._environ)
            self._taken = take_in(self._home, self._opened)
        return self._opened

    def locked(self) -> bool:
        return self._vault().locked

    def open(self, passphrase: str) -> None:
        vault = self._vault()
        vault.unlock(passphrase)
        self._taken += take_in(self._home, vault)

    def moved_in(self) -> Sequence[str]:
        return self._taken

    def list(self) -> Mapping[str, Any]:
        vault = self._vault()
        checked, entries = vault.entries()
        used = self._last_uses()
        secrets = [
            {
                "handle": entry.handle,
                "kind": entry.kind,
                "bindings": [shown(binding) for binding in entry.bindings],
                "created_ms": entry.created_ms,
                "rotated_ms": entry.rotated_ms,
                "waiting": entry.waiting,
                "used_ms": used.get(entry.handle, 0),
            }
            for entry in entries
            if entry.edition
        ]
        return {"source": vault.source, "locked": not checked, "secrets": secrets}

    def set(self, handle: str, value: str, kind: str, bound: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        vault = self._vault()
        bindings = _made(handle, bound)
        new = handle not in vault.handles()
        if kind == "oauth":
            vault.put_kept(handle, kind, parse_oauth(value).render())
        elif kind == "remote":
            vault.put_kept(handle, kind, parse_remote(value).render())
        else:
            vault.put_secret(handle, value)
        if bindings:
            vault.bind(handle, bindings)
        return {"handle": handle, "new": new, "bindings": self._shown(handle)}

    def rotate(self, handle: str, value: str) -> None:
        self._vault().rotate(handle, value)

    def settle(self, handle: str, *, keep_new: bool) -> None:
        vault = self._vault()
        (vault.confirm if keep_new else vault.revert)(handle)

    def bind(self, handle: str, bound: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        self._vault().bind(handle, _made(handle, bound))
        return self._shown(handle)

    def unbind(self, handle: str, host: str) -> int:
        return self._vault().unbind(handle, host)

    def remove(self, handle: str) -> None:
        vault = self._vault()
        if handle not in vault.handles():
            raise NotFound(f"There is no secret {handle!r}.", next_step="`carapax vault list` shows what there is.")
        vault.drop_secret(handle)

    def import_file(self, file: str, keep: Sequence[str], *, delete: bool) -> Mapping[str, Any]:
        done = import_env(self._vault(), Path(file), keep=keep, delete=delete)
        return {"moved": [list(each) for each in done.moved], "stayed": list(done.stayed)}

    def protect(self, source: str, passphrase: str) -> None:
        self._vault().protect(source, passphrase)

    def unlock(self, passphrase: str) -> Mapping[str, Any]:
        try:
            owner = self._home.vault.lstat().st_uid  # in our own private folder: we, or the user that the proxy becomes
        except OSError:
            owner = os.geteuid()
        return ask_door(self._home.vault_door, "unlock", passphrase=passphrase, users=(owner,))

    def audit(self, handle: str, limit: int) -> Sequence[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for change in reversed(self._vault().pending_changes()):
            if handle in ("", change.handle):
                found.append(
                    {
                        "index": None,
                        "time_ms": change.time_ms,
                        "kind": f"vault.{change.action}",
                        "body": change_body(change),
                    }
                )
        for entry in self._newest_first():
            if len(found) >= limit:
                break
            if _names(entry, handle):
                found.append({"index": entry.index, "time_ms": entry.time_ms, "kind": entry.kind, "body": entry.body})
        return found[:limit][::-1]

    def _shown(self, handle: str) -> Sequence[str]:
        return [shown(binding) for binding in self._vault().bindings() if binding.handle == handle]

    def _last_uses(self) -> dict[str, int]:
        used: dict[str, int] = {}
        for entry in self._newest_first():
            if entry.kind == "egress" and entry.body.get("answer") == "allow":
                for handle in entry.body.get("secrets") or ():
                    used.setdefault(str(handle), entry.time_ms)
        return used

    def _newest_first(self) -> Iterator[Entry]:
        try:
            newest = read_entries(self._home.ledger, limit=1, newest=True)
        except NotFound:
            return
        end = newest[-1].index + 1 if newest else 0
        floor = max(0, end - MAX_LOOKED_AT)
        while end > floor:
            first = max(floor, end - PAGE)
            page = read_entries(self._home.ledger, first, end - first)
            yield from reversed(page)
            end = first


def _names(entry: Entry, handle: str) -> bool:
    if entry.kind == "egress":
        secrets = entry.body.get("secrets") or ()
        return bool(secrets) if not handle else handle in secrets
    return entry.kind.startswith("vault.") and handle in ("", entry.body.get("handle"))


def _made(handle: str, bound: Sequence[Mapping[str, Any]]) -> Sequence[Binding]:
    made = []
    for each in bound:
        host, port = parse_place(str(each["place"]))
        made.append(
            make_binding(
                handle,
                host,
                port=port,
                methods=each["methods"],
                path=each["path"],
                header=each["header"],
                prefix=each["prefix"],
                body=each["body"],
            )
        )
    return made


def shown(binding: Binding) -> str:
    """A binding as one line: "POST https://api.example.org/v1 authorization: Bearer …"."""
    host = f"[{binding.host}]" if ":" in binding.host else binding.host
    place = host if binding.port == 443 else f"{host}:{binding.port}"
    methods = "/".join(binding.methods) + " " if binding.methods else ""
    body = ", also in the body" if binding.body else ""
    return f"{methods}https://{place}{binding.path} {binding.header}: {binding.prefix}…{body}"
