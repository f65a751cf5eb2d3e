"""Canaries of one home: planted at the first start, kept in `canaries.json`, recognised in whatever passes.

Layer: app. Owns where they lie and what finds them. Absent: what follows from a find (`lookout`, guard, egress proxy).
A file that the owner removed is not planted again; `carapax canary` says that it is gone.
Laws: values are random and of this home alone; the file is its owner's alone (0600); one that cannot be read is an error
at the start, never a gateway that looks for nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carapax.adapters.scan.outgoing.held import Held, disguise, find_held
from carapax.adapters.workspace.beneath import look, open_parent, remove
from carapax.core.breaker.canary import OCTETS, Kind, find_apart, make_fake
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, StoreUnavailable
from carapax.core.terms.ids import Digest
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source
from carapax.ports.scanner import Finding, Hint, Scanner
from carapax.ports.vault import Vault

FORMAT = "carapax-canaries/1"
FILE_NAME = ".aws-backup.env"
HANDLE = "aws-backup"
NOTE = "Backup account for the nightly copy; the key is still valid."
PLANTED = Label(Integrity.SYSTEM, OWNER_ONLY, frozenset({Source("system", "canary")}))
MAX_CANARIES = 100
MAX_LOOKED_AT_CHARS = 4_000_000
"""Of one text; a longer one is looked at in its beginning and its end."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted secret. `place` is "file", "vault" or "note"; `at` its path or handle."""

    name: str  # "vault/aws-backup"
    kind: str
    place: str
    at: str
    values: tuple[str, ...]
    planted_ms: int
    digest: str = ""  # SHA-256 of the planted file


class Canaries:
    """The canaries of one home. Finding is safe from any thread."""

    def __init__(
        self,
        path: Path,
        workspace: Path,
        vault: Vault | None,
        now_ms: Callable[[], int],
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._path, self._workspace, self._vault = path, workspace, vault
        self._now_ms, self._draw = now_ms, draw
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._known: tuple[Canary, ...] = ()
        self._held: tuple[Held, ...] = ()
        self.on_change: Callable[[], None] = lambda: None  # the file says something else than before

    # planting

    def begin(self) -> tuple[str, ...]:
        """Plant the first ones where there are none yet; what could not be planted. Raises StoreUnavailable."""
        if self._path.exists():
            self._read()
            return ()
        failed: list[str] = []
        self._write(())
        for kind, place, at in (
            (Kind.ENV, "file", FILE_NAME),
            (Kind.AWS, "vault", HANDLE),
            (Kind.TOKEN, "note", "backup"),
        ):
            try:
                self.add(kind, place, at)
            except CarapaxError as error:
                failed.append(f"{place}/{at}: {error.what}")
        return tuple(failed)

    def add(self, kind: Kind, place: str, at: str) -> Canary:
        """Plant one. Raises Malformed, Conflict, StoreUnavailable, VaultLocked; nothing is planted then."""
        name = f"{place}/{at}"
        present = self.all()
        if any(canary.name == name for canary in present):
            raise Conflict(f"There is a canary {name} already.", next_step="`carapax canary` lists them.")
        if len(present) >= MAX_CANARIES:
            raise Conflict(f"{MAX_CANARIES} canaries are the most.", next_step="`carapax canary remove NAME` first.")
        fake = make_fake(kind, self._draw(OCTETS))
        # A vault keeps one line a handle: the secret alone.
        text, values = (fake.text, fake.values) if place == "file" else (fake.values[-1], fake.values[-1:])
        digest = hashlib.sha256(text.encode()).hexdigest() if place == "file" else ""
        canary = Canary(name, kind.value, place, at, values, self._now_ms(), digest)
        self._plant(place, at, text)
        try:
            self._write((*present, canary))
        except StoreUnavailable:
            self._unplant(canary)
            raise
        return canary

    def _plant(self, place: str, at: str, text: str) -> None:
        if place == "file":
            self._plant_file(at, text)
        elif place == "vault":
            if self._vault is None:
                raise StoreUnavailable("The vault is not at hand.")
            if at in self._vault.handles():
                raise Conflict(f"The vault has a secret {at} already.", next_step="Choose another handle.")
            self._vault.put_secret(at, text)
        elif place != "note":
            raise Malformed(f"A canary lies in a file, the vault or a note, not in {place[:40]!r}.")

    def _plant_file(self, at: str, text: str) -> None:
        parts = Path(at).parts
        if not parts or at.startswith("/") or ".." in parts or "\0" in at:
            raise Malformed("A canary's file lies in the workspace.", next_step="Give a path below it, like .env.old.")
        try:
            with open_parent(self._workspace, at, create=True) as (folder, name):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with open(os.open(name, flags, 0o600, dir_fd=folder), "w", encoding="utf-8") as file:
                    file.write(text)
        except FileExistsError as error:
            raise Conflict(f"{at} exists already.", next_step="Choose another name; nothing was changed.") from error
        except OSError as error:
            raise StoreUnavailable(f"{at} cannot be written: {error.strerror}.") from error

    def remove(self, name: str) -> Canary:
        """Take one away, with what was planted. Raises NotFound, StoreUnavailable."""
        present = self.all()
        found = next((canary for canary in present if canary.name == name), None)
        if found is None:
            raise NotFound(f"There is no canary {name[:80]}.", next_step="`carapax canary` lists them.")
        self._unplant(found)
        self._write(tuple(canary for canary in present if canary is not found))
        return found

    def _unplant(self, canary: Canary) -> None:
        if canary.place == "vault" and self._vault is not None:
            self._vault.drop_secret(canary.at)
        elif canary.place == "file" and self.lies_there(canary):
            try:
                remove(self._workspace, canary.at, folder=False)
            except OSError as error:
                raise StoreUnavailable(f"{canary.at} cannot be removed: {error.strerror}.") from error

    def lies_there(self, canary: Canary) -> bool:
        """Whether what was planted is still in its place."""
        if canary.place == "vault":
            return self._vault is not None and canary.at in self._vault.handles()
        if canary.place != "file":
            return True
        try:
            return look(self._workspace, canary.at) is not None
        except OSError:
            return False

    # looking

    def all(self) -> tuple[Canary, ...]:
        """Those that are planted, as the file has them now."""
        with self._lock:
            self._refresh()
            return self._known

    def watched(self) -> Mapping[str, str]:
        """Every value under a name of its own, for the egress proxy: "vault/aws-backup", "vault/aws-backup#2"."""
        return {
            canary.name + (f"#{at}" if at > 1 else ""): value
            for canary in self.all()
            for at, value in enumerate(canary.values, 1)
        }

    def labels(self) -> dict[Digest, Label]:
        """The label of each planted file as it was planted: nobody's words, so reading it makes nothing untrusted."""
        return {Digest(canary.digest): PLANTED for canary in self.all() if canary.digest}

    def handles(self) -> frozenset[str]:
        """Vault handles that are canaries: naming one as a secret to be used is a use."""
        return frozenset(canary.at for canary in self.all() if canary.place == "vault")

    def find(self, text: str) -> tuple[str, ...]:
        """The names of the canaries in a text, as they are or in any usual disguise."""
        if len(text) > MAX_LOOKED_AT_CHARS:
            half = MAX_LOOKED_AT_CHARS // 2
            text = f"{text[:half]}\n{text[-half:]}"
        with self._lock:
            self._refresh()
            known, held = self._known, self._held
        values = {value for canary in known for value in canary.values}
        found = {*find_held(text, held), *find_apart(text, values)}
        return tuple(canary.name for canary in known if found & set(canary.values))

    # the file

    def _refresh(self) -> None:
        try:
            seen = self._path.stat()
        except OSError:
            return  # what was known stays known
        if (seen.st_mtime_ns, seen.st_ino) != self._stamp:
            before = self._known
            self._read()
            if self._known != before:
                self.on_change()

    def _read(self) -> None:
        try:
            seen = self._path.stat()
            told = json.loads(self._path.read_bytes())
            if told["format"] != FORMAT:
                raise ValueError("another format")
            known = tuple(_parse(each) for each in told["canaries"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if self._stamp is not None:
                return
            raise StoreUnavailable(
                f"{self._path} cannot be read ({type(error).__name__}), so planted secrets would not be recognised.",
                next_step="Move the file away; new ones are planted at the next start.",
            ) from error
        self._stamp = (seen.st_mtime_ns, seen.st_ino)
        self._known = known
        self._held = disguise(value for canary in known for value in canary.values)

    def _write(self, canaries: tuple[Canary, ...]) -> None:
        told = {"format": FORMAT, "canaries": [asdict(canary) for canary in canaries]}
        written = self._path.with_name(self._path.name + ".new")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(written, flags, 0o600), "w", encoding="utf-8") as file:
                json.dump(told, file, indent=1)
            written.replace(self._path)
        except OSError as error:
            raise StoreUnavailable(f"{self._path} cannot be written: {error.strerror}.") from error
        with self._lock:
            self._read()


def _parse(told: Mapping[str, Any]) -> Canary:
    said = {name: str(told[name]) for name in ("name", "kind", "place", "at", "digest")}
    return Canary(**said, values=tuple(map(str, told["values"])), planted_ms=int(told["planted_ms"]))


class CanaryScanner:
    """Implements Scanner: planted secrets first, then what the inner one finds."""

    def __init__(self, inner: Scanner, canaries: Canaries) -> None:
        self._inner, self._canaries = inner, canaries

    def scan(self, text: str) -> tuple[Finding, ...]:
        own = tuple(Finding("canary", f"planted secret {name}", "canary", "deny") for name in self._canaries.find(text))
        return (*own, *self._inner.scan(text))

    def hint(self, text: str) -> Hint:
        return self._inner.hint(text)
