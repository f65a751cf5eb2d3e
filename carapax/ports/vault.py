"""Port: secrets by handle. The clear value is handed to the egress port's last hop and nowhere else."""

from __future__ import annotations

from typing import Protocol

from carapax.core.terms.egress import Binding


class Vault(Protocol):
    def find_secret(self, handle: str) -> str | None:
        """The secret's clear value, or None. Never logged, never in an exception."""
        ...

    def put_secret(self, handle: str, value: str) -> None:
        """Keep a secret. Raises StoreUnavailable when it cannot be written."""
        ...

    def drop_secret(self, handle: str) -> None: ...

    def handles(self) -> tuple[str, ...]:
        """The names that exist, sorted; never values."""
        ...


class Secrets(Protocol):
    """What the egress proxy's process needs of a vault: the only reader of clear values."""

    async def value(self, handle: str) -> str | None:
        """The present clear value, renewed first when it is a token that ran out; None when there is none.

        Raises VaultLocked, StoreUnavailable; their texts never hold a value.
        """
        ...

    def bindings(self) -> tuple[Binding, ...]:
        """Where each secret may be used. A secret without a binding is used nowhere. Raises StoreUnavailable."""
        ...

    def handles(self) -> tuple[str, ...]: ...
