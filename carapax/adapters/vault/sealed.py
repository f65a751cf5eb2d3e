"""The sealed vault: every secret in an envelope of its own, used where it is bound and nowhere else.

Layer: adapters/vault. Implements ports.vault.Vault and ports.vault.Secrets over one folder (docs/formats/vault.md).
Owns the order of writes. Absent: key sources (`keysource`), how a token is renewed (`oauth`) or asked for elsewhere
(`hashicorp`), and any cache of values: each use opens the file anew.
Laws: ended at any moment, a vault has the secret before or the one after, never neither, and nothing in clear; a file
that was altered, swapped, renamed or taken from before is refused by name; no error or repr holds a value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from carapax.adapters.vault import changes, index
from carapax.adapters.vault.changes import Change
from carapax.adapters.vault.folder import Folder
from carapax.adapters.vault.index import HANDLE, Entry, Index
from carapax.adapters.vault.keyring import Keyring
from carapax.adapters.vault.keysource import SOURCES, KeySources
from carapax.adapters.vault.seal import (
    SealedFile,
    dump,
    load,
    new_id,
    parse_sealed,
    rewrap,
    seal_value,
    unseal_value,
)  # fmt: skip
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import Conflict, Malformed, StoreUnavailable, VaultLocked
from carapax.ports.clock import Clock

SUFFIX = ".sealed"
SECRET_BYTES = 8192
KEPT_BYTES = 32_768
"""Of a secret with all that belongs to it, as a token that is renewed."""
FILE_BYTES = 131_072
READ_TRIES = 6


class Resolver(Protocol):
    """Finds the present value of a secret that is not one itself."""

    async def value(self, handle: str, kept: str) -> tuple[str | None, str | None]:
        """The clear value, and what is to be kept from now on (None: no change), which is stored before it is used."""
        ...

    def held(self, kept: str) -> tuple[str, ...]:
        """The values in it that must never leave."""
        ...

    def present(self, kept: str) -> str | None:
        """The value that is at hand without asking anybody."""
        ...

    def forget(self) -> None:
        """Let go of every value."""
        ...


@dataclass(frozen=True, slots=True)
class Payload:
    """What one file holds. `previous` is kept until a rotation is confirmed."""

    kind: str
    value: str
    previous: str | None = None

    def __repr__(self) -> str:
        return "Payload(…)"

    def render(self) -> bytes:
        """The plain bytes that are sealed."""
        return dump({"kind": self.kind, "value": self.value, "previous": self.previous})


class SealedVault:
    """Implements ports.vault.Vault and ports.vault.Secrets."""

    def __init__(
        self,
        folder: Folder,
        keys: KeySources,
        clock: Clock,
        defaults: Mapping[str, Sequence[Binding]],
        resolvers: Mapping[str, Resolver],
    ) -> None:
        self._folder = folder
        self._ring = Keyring(folder, keys, clock)
        self._changes_key = keys.changes_key
        self._clock = clock
        self._defaults = {handle: tuple(bindings) for handle, bindings in defaults.items()}
        self._resolvers = dict(resolvers)
        self._turns: dict[str, asyncio.Lock] = {}

    @classmethod
    def open(
        cls,
        folder: Path | int,
        keys: KeySources,
        clock: Clock,
        *,
        defaults: Mapping[str, Sequence[Binding]] | None = None,
        resolvers: Mapping[str, Resolver] | None = None,
    ) -> SealedVault:
        """The vault in a folder (a path, or a descriptor that stays the caller's). Makes no key before the first secret.

        `defaults`: bindings that a handle gets when it is first kept. Its key is read at once when that needs no
        person, so that a process may give up its user afterwards. Raises StoreUnavailable.
        """
        vault = cls(Folder.open(folder), keys, clock, defaults or {}, resolvers or {})
        if vault._ring.exists:
            with suppress(VaultLocked):
                vault._ring.load()
        return vault

    def __repr__(self) -> str:
        return f"SealedVault({self._folder!r})"

    def close(self) -> None:
        """Forget the key and the folder."""
        self.lock()
        self._folder.close()

    # the key

    @property
    def locked(self) -> bool:
        """Whether a person's passphrase is needed. Raises StoreUnavailable."""
        if not self._ring.exists:
            return False
        try:
            self._ring.load()
        except VaultLocked:
            return True
        return False

    @property
    def source(self) -> str:
        """Where its key comes from: "machine", "systemd", "passphrase", "" before the first secret."""
        return self._ring.source

    def unlock(self, passphrase: str) -> None:
        """Open it with a passphrase. Blocking, slow on purpose. Raises Refused, StoreUnavailable."""
        if self._ring.exists:
            self._ring.unlock(passphrase)

    def lock(self) -> None:
        """Forget the key, and every value that is leased."""
        self._ring.forget()
        for resolver in self._resolvers.values():
            resolver.forget()

    def protect(self, source: str, passphrase: str = "") -> None:
        """A new vault key, under this source; every data key is wrapped anew. Cut short, the next write completes it.

        Raises Malformed for a poor passphrase or an unknown source, VaultLocked, StoreUnavailable.
        """
        if source not in SOURCES:
            raise Malformed(f"{source[:32]!r} is no source of the vault's key.", next_step="Choose one of the options.")
        with self._writing() as found:
            for entry in found.entries:
                self._open_file(entry)
            self._note("protect", "", source)
            self._ring.change_source(source, passphrase)
            self._rewrap(found)
            self._ring.finish()

    # ports.vault.Vault

    def find_secret(self, handle: str) -> str | None:
        """The value that is at hand, or None. Raises Malformed, VaultLocked, StoreUnavailable."""
        found = self._read(_checked(handle))
        if found is None:
            return None
        _, payload = found
        if payload.kind == "plain":
            return payload.value
        resolver = self._resolvers.get(payload.kind)
        return resolver.present(payload.value) if resolver else None

    def put_secret(self, handle: str, value: str) -> None:
        """Keep a secret of at most 8,192 bytes in one line. Its bindings stay. Raises Malformed, VaultLocked, StoreUnavailable."""
        self._keep(_checked(handle), lambda before: Payload("plain", _checked_value(handle, value)), "set")

    def put_kept(self, handle: str, kind: str, kept: str) -> None:
        """Keep what a resolver works with ("oauth", "remote"). Raises as `put_secret`."""
        if kind not in index.KINDS or len(kept.encode("utf-8", "surrogateescape")) > KEPT_BYTES:
            raise Malformed(f"What belongs to {handle!r} is longer than {KEPT_BYTES} bytes.")
        self._keep(_checked(handle), lambda before: Payload(kind, kept), "set", kind)

    def drop_secret(self, handle: str) -> None:
        """Remove it with its bindings. Raises Malformed, VaultLocked, StoreUnavailable."""
        _checked(handle)
        if not self._ring.exists:
            return
        with self._writing() as found:
            if found.find(handle) is None:
                return
            self._note("remove", handle)
            self._write_index(found.drop([handle]))
            self._folder.remove(handle + SUFFIX)

    def handles(self) -> tuple[str, ...]:
        """The names of secrets that have a value, sorted. Raises VaultLocked, StoreUnavailable."""
        return tuple(entry.handle for entry in self._index().entries if entry.edition)

    # ports.vault.Secrets

    async def value(self, handle: str) -> str | None:
        """The present value, renewed or asked for first when it must be. Raises VaultLocked, StoreUnavailable and the resolver's."""
        found = self._read(_checked(handle))
        if found is None or found[1].kind == "plain":
            return found[1].value if found else None
        async with self._turns.setdefault(handle, asyncio.Lock()):
            found = self._read(handle)  # whoever had the turn before may have renewed it
            if found is None or found[1].kind == "plain":
                return found[1].value if found else None
            entry, payload = found
            resolver = self._resolvers.get(payload.kind)
            if resolver is None:
                raise StoreUnavailable(f"Nothing here can use the secret {handle!r} of kind {payload.kind!r}.")
            value, kept = await resolver.value(handle, payload.value)
            if kept is not None:
                renewed = replace(payload, value=kept)
                await asyncio.to_thread(self._keep, handle, lambda before: renewed, "renew", "", entry.edition)
            return value

    def bindings(self) -> tuple[Binding, ...]:
        """Where each secret may be used. Raises VaultLocked, StoreUnavailable."""
        return tuple(binding for entry in self._index().entries if entry.edition for binding in entry.bindings)

    # what people do

    def entries(self) -> tuple[bool, tuple[Entry, ...]]:
        """What there is, without values; False when it is locked and so not authenticated. Raises StoreUnavailable."""
        try:
            return True, self._index().entries
        except VaultLocked:
            content = self._folder.find(index.FILE, index.FILE_BYTES)
            return False, index.parse_index(content, None).entries if content is not None else ()

    def rotate(self, handle: str, value: str) -> None:
        """A new value; the one before is kept sealed until `confirm` or `revert`. Raises NotFound, Conflict, Malformed."""
        new = _checked_value(handle, value)

        def next_payload(before: Payload | None) -> Payload:
            if before is None or before.kind != "plain":
                raise Conflict(f"{handle!r} is not a plain secret.", next_step="Set it again (`carapax vault set`).")
            if before.previous is not None:
                raise Conflict(
                    f"{handle!r} is being rotated already.",
                    next_step=f"`carapax vault rotate {handle} --confirm` or `--back` first.",
                )
            return Payload("plain", new, before.value)

        self._present(handle)
        self._keep(handle, next_payload, "rotate")

    def confirm(self, handle: str) -> None:
        """The new value works: forget the one before. Raises NotFound, Conflict."""
        self._present(handle)
        self._keep(handle, lambda before: replace(_rotating(handle, before), previous=None), "confirm")

    def revert(self, handle: str) -> None:
        """The new value does not work: back to the one before. Raises NotFound, Conflict."""

        def back(before: Payload | None) -> Payload:
            return Payload("plain", _rotating(handle, before).previous or "")

        self._present(handle)
        self._keep(handle, back, "revert")

    def bind(self, handle: str, added: Sequence[Binding]) -> None:
        """Let it be used here too; a binding for the same host, port and path is replaced. Raises NotFound, Malformed."""
        with self._writing() as found:
            entry = found.get(_checked(handle))
            places = {(each.host, each.port, each.path) for each in added}
            kept = [each for each in entry.bindings if (each.host, each.port, each.path) not in places]
            changed = found.put(replace(entry, bindings=tuple([*kept, *added])))
            self._note("bind", handle, " ".join(f"{each.host}:{each.port}" for each in added))
            self._write_index(changed)

    def unbind(self, handle: str, host: str = "") -> int:
        """Take away its bindings, or those for one host; how many went. Raises NotFound."""
        with self._writing() as found:
            entry = found.get(_checked(handle))
            kept = tuple(each for each in entry.bindings if host and each.host != host.lower())
            if gone := len(entry.bindings) - len(kept):
                self._note("unbind", handle, host)
                self._write_index(found.put(replace(entry, bindings=kept)))
            return gone

    def held_values(self) -> Iterator[str]:
        """Every value that must never leave, for comparing alone: also those being replaced and those that renew others."""
        for handle in self.handles():
            found = self._read(handle)
            if found is None:
                continue
            payload = found[1]
            if payload.kind == "plain":
                yield payload.value
            elif payload.kind in self._resolvers:
                yield from self._resolvers[payload.kind].held(payload.value)
            if payload.previous:
                yield payload.previous

    # the log of changes

    def pending_changes(self) -> tuple[Change, ...]:
        """Changes that are not in the ledger yet. Needs no unlocked vault."""
        return changes.pending_changes(self._folder, self._changes_key) if self._changes_key else ()

    def clear_changes(self, count: int) -> None:
        """The first `count` are in the ledger now."""
        changes.clear_changes(self._folder, count)

    def _note(self, action: str, handle: str, detail: str = "") -> None:
        change = changes.new_change(self._clock.now_ms(), action, handle, detail)
        changes.note_change(self._folder, self._changes_key, change)

    # reading

    def _index(self) -> Index:
        content = self._folder.find(index.FILE, index.FILE_BYTES)
        if content is not None:
            key = self._ring.find_key(index.key_of(content))
            if key is None:
                raise index.broken()
            return index.parse_index(content, key)
        if any(name.endswith(SUFFIX) for name in self._folder.names()):
            raise index.broken()
        return Index()

    def _present(self, handle: str) -> None:
        self._index().get(_checked(handle))

    def _read(self, handle: str) -> tuple[Entry, Payload] | None:
        # Nobody waits for a writer: between reading the index and the file, both may have been replaced.
        seen = -1
        for _ in range(READ_TRIES):
            found = self._index()
            entry = found.find(handle)
            try:
                payload = self._open_file(entry) if entry else None
            except StoreUnavailable:
                if found.serial == seen:
                    raise
                seen = found.serial
                continue
            return (entry, payload) if entry and payload else None
        raise _tampered(handle)

    def _open_file(self, entry: Entry) -> Payload | None:
        content = self._folder.find(entry.handle + SUFFIX, FILE_BYTES)
        if content is None and not entry.edition:
            return None
        file = parse_sealed(content, entry.handle) if content is not None else None
        if file is None or not _counts(entry, file):
            raise _tampered(entry.handle)
        key = self._ring.find_key(file.key)
        plain = unseal_value(key, file) if key is not None else None
        found = load(plain, {"kind", "value", "previous"}) if plain is not None else None
        if found is None:
            raise _tampered(entry.handle)
        return Payload(found["kind"], found["value"], found["previous"])

    # writing

    @contextmanager
    def _writing(self) -> Iterator[Index]:
        with self._folder.locked():
            if not self._ring.exists:
                if self._folder.find(index.FILE, index.FILE_BYTES) is not None:
                    raise StoreUnavailable(
                        "The vault's key file is missing.", next_step="Restore the vault's folder from a backup."
                    )
                self._index()
                self._ring.create()
            self._ring.load()
            yield self._settle(self._index())

    def _settle(self, found: Index) -> Index:
        """Complete what an ended process left: editions in between, files that nobody names, data keys to wrap anew."""
        settled = found
        for entry in found.entries:
            if entry.following:
                content = self._folder.find(entry.handle + SUFFIX, FILE_BYTES)
                file = parse_sealed(content, entry.handle) if content is not None else None
                there = file is not None and file.edition == entry.following
                edition = entry.following if there else entry.edition
                settled = (
                    settled.put(replace(entry, edition=edition, following=""))
                    if edition
                    else settled.drop([entry.handle])
                )
        if settled != found:
            settled = self._write_index(settled)
        known = {entry.handle + SUFFIX for entry in settled.entries}
        for name in self._folder.names():
            if name.startswith(".") or (name.endswith(SUFFIX) and name not in known):
                self._folder.remove(name)
        with suppress(StoreUnavailable):  # a broken file holds up the key before, not the work on others
            if self._ring.moving:
                settled = self._rewrap(settled)
            self._ring.finish()
        return settled

    def _rewrap(self, found: Index) -> Index:
        key_id, key = self._ring.current()
        for entry in found.entries:
            content = self._folder.find(entry.handle + SUFFIX, FILE_BYTES)
            file = parse_sealed(content, entry.handle) if content is not None else None
            if file is None or not _counts(entry, file):
                raise _tampered(entry.handle)
            if file.key != key_id:
                before = self._ring.find_key(file.key)
                moved = rewrap(before, key_id, key, file) if before is not None else None
                if moved is None:
                    raise _tampered(entry.handle)
                self._folder.write(entry.handle + SUFFIX, moved.render())
        return self._write_index(found)

    def _keep(
        self,
        handle: str,
        make: Callable[[Payload | None], Payload],
        action: str,
        detail: str = "",
        only_edition: str = "",
    ) -> None:
        with self._writing() as found:
            entry = found.find(handle)
            if only_edition and (entry is None or entry.edition != only_edition):
                return  # a person changed it meanwhile; theirs counts
            # Setting anew must mend a file that does not open.
            before = None if action == "set" or entry is None else self._open_file(entry)
            payload = make(before)
            key_id, key = self._ring.current()
            file = seal_value(key_id, key, handle, new_id(), payload.render())
            now_ms = self._clock.now_ms()
            entry = entry or Entry(handle, created_ms=now_ms, bindings=self._defaults.get(handle, ()))
            self._note(action, handle, detail)
            begun = self._write_index(found.put(replace(entry, following=file.edition)))
            self._folder.write(handle + SUFFIX, file.render())
            after = replace(
                entry,
                kind=payload.kind,
                edition=file.edition,
                following="",
                rotated_ms=now_ms,
                waiting=payload.previous is not None,
            )
            self._write_index(begun.put(after))

    def _write_index(self, found: Index) -> Index:
        self._folder.write(index.FILE, found.render(*self._ring.current()))
        return replace(found, serial=found.serial + 1)


def _counts(entry: Entry, file: SealedFile) -> bool:
    return file.edition in (entry.edition, entry.following)


def _rotating(handle: str, before: Payload | None) -> Payload:
    if before is None or before.previous is None:
        raise Conflict(f"{handle!r} is not being rotated.", next_step=f"`carapax vault rotate {handle}` begins it.")
    return before


def _checked(handle: str) -> str:
    if not HANDLE.match(handle):
        raise Malformed(
            "A secret's name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit."
        )
    return handle


def _checked_value(handle: str, value: str) -> str:
    text = value.strip()
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        size = 0
    if not text.isprintable() or not 0 < size <= SECRET_BYTES:
        raise Malformed(f"The value for {handle!r} is empty, longer than {SECRET_BYTES} bytes, or not one line.")
    return text


def _tampered(handle: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"The vault's file of {handle!r} is missing, was altered, or is not the present one; it is not used.",
        next_step=f"Set the secret again (`carapax vault set {handle}`), and renew it where it is used.",
    )
