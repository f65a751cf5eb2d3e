"""Keys that the operator put into the environment, before the sealed ones.

Layer: adapters/vault. Implements ports.vault.Vault and ports.vault.Secrets over another that implements both.
Absent: keeping anything; what is in the environment cannot be changed here, and is as safe as the environment is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from carapax.adapters.vault.sealed import SealedVault
from carapax.core.terms.egress import Binding


class EnvironVault:
    """`names` maps a handle to its variable; `defaults` says where such a key may be used."""

    def __init__(
        self,
        inner: SealedVault,
        environ: Mapping[str, str],
        names: Mapping[str, str],
        defaults: Mapping[str, Sequence[Binding]],
    ) -> None:
        self.sealed = inner
        values = {handle: environ.get(name, "").strip() for handle, name in names.items()}
        self._values = {handle: value for handle, value in values.items() if value}
        self._defaults = {handle: tuple(bindings) for handle, bindings in defaults.items()}

    def __repr__(self) -> str:
        return f"EnvironVault({self.sealed!r})"

    def find_secret(self, handle: str) -> str | None:
        """The environment's value, else the sealed one. Raises as the sealed vault."""
        return self._values.get(handle) or self.sealed.find_secret(handle)

    def put_secret(self, handle: str, value: str) -> None:
        """Keep it sealed; a variable of the environment still comes first. Raises as the sealed vault."""
        self.sealed.put_secret(handle, value)

    def drop_secret(self, handle: str) -> None:
        self.sealed.drop_secret(handle)

    def handles(self) -> tuple[str, ...]:
        """The handles that have a value in either place, sorted. Raises VaultLocked, StoreUnavailable."""
        return tuple(sorted({*self._values, *self.sealed.handles()}))

    async def value(self, handle: str) -> str | None:
        """The environment's value, else the sealed one. Raises as the sealed vault."""
        return self._values.get(handle) or await self.sealed.value(handle)

    def bindings(self) -> tuple[Binding, ...]:
        """The sealed vault's, and for a key that is only in the environment the known service's. Raises as the sealed vault."""
        sealed = set(self.sealed.handles())
        known = [
            binding for handle in self._values if handle not in sealed for binding in self._defaults.get(handle, ())
        ]
        return (*self.sealed.bindings(), *known)

    def held_values(self) -> Iterator[str]:
        """Every value that must never leave. Raises as the sealed vault."""
        yield from self._values.values()
        yield from self.sealed.held_values()

    def unlock(self, passphrase: str) -> None:
        """Open the sealed vault. Raises Refused, StoreUnavailable."""
        self.sealed.unlock(passphrase)
