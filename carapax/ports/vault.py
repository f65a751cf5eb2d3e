"""Port: secrets by handle. The clear value is handed to the egress port's last hop and nowhere else."""

from __future__ import annotations

from typing import Protocol


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
