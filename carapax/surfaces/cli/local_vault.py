"""What `carapax vault` needs from the machine. `app` implements it.

Layer: surfaces/cli; imported for typing only. Every method may raise leaves of core/terms/error.py; no method gives a
value back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class LocalVault(Protocol):
    """The vault's own files: it works with a gateway and without one."""

    def locked(self) -> bool:
        """Whether this command needs the passphrase first."""
        ...

    def open(self, passphrase: str) -> None:
        """Unlock it for this command alone. Raises Refused."""
        ...

    def moved_in(self) -> Sequence[str]:
        """Secrets that lay in clear and were taken in just now."""
        ...

    def list(self) -> Mapping[str, Any]:
        """`source`, `locked`, and `secrets` with `handle`, `kind`, `bindings`, `created_ms`, `rotated_ms`, `waiting`, `used_ms`."""
        ...

    def set(self, handle: str, value: str, kind: str, bound: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Keep a value ("plain"), an OAuth token as JSON ("oauth") or a place elsewhere ("remote"): `handle`, `new`, `bindings`."""
        ...

    def rotate(self, handle: str, value: str) -> None:
        """A new value; the one before is kept sealed until `settle`. Raises NotFound, Conflict."""
        ...

    def settle(self, handle: str, *, keep_new: bool) -> None:
        """End a rotation. Raises Conflict."""
        ...

    def bind(self, handle: str, bound: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        """Let it be used there too (`place`, `header`, `prefix`, `path`, `methods`, `body`); all its bindings, as text."""
        ...

    def unbind(self, handle: str, host: str) -> int: ...

    def remove(self, handle: str) -> None:
        """Raises NotFound."""
        ...

    def import_file(self, file: str, keep: Sequence[str], *, delete: bool) -> Mapping[str, Any]:
        """Move the values of a .env file: `moved` (name, handle), `stayed` (names)."""
        ...

    def protect(self, source: str, passphrase: str) -> None:
        """A new vault key under "machine", "systemd" or "passphrase"."""
        ...

    def unlock(self, passphrase: str) -> Mapping[str, Any]:
        """Unlock the vault that runs beside the gateway: `locked`, `source`. Raises NotFound, Refused."""
        ...

    def audit(self, handle: str, limit: int) -> Sequence[Mapping[str, Any]]:
        """Entries of the ledger, then changes that are not in it yet (`index` None), that name it ("" is any)."""
        ...
