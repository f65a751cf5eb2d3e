"""A vault that forgets everything when the process ends."""

from __future__ import annotations


class MemoryVault:
    """Implements ports.vault.Vault."""

    def __init__(self, **secrets: str) -> None:
        self._secrets = dict(secrets)

    def __repr__(self) -> str:
        return "MemoryVault()"

    def find_secret(self, handle: str) -> str | None:
        return self._secrets.get(handle)

    def put_secret(self, handle: str, value: str) -> None:
        self._secrets[handle] = value

    def drop_secret(self, handle: str) -> None:
        self._secrets.pop(handle, None)

    def handles(self) -> tuple[str, ...]:
        return tuple(sorted(self._secrets))
