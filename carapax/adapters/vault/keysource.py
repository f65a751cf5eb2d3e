"""Where the key that opens the vault comes from: systemd's credentials (a TPM may hold them), a passphrase, a file.

Layer: adapters/vault. Owns reaching each source. Absent: what the source's key opens (`keyring`), and falling back
from one source to another: `key.json` names the one that was chosen, and only that one is asked.
Source: systemd-creds(1); RFC 9106 (Argon2id). No key, passphrase or value is ever in an argument list.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carapax.adapters.vault.folder import Folder, erase
from carapax.adapters.vault.keys import load_or_create_seed
from carapax.adapters.vault.private import find_private_bytes
from carapax.adapters.vault.seal import KEY_BYTES, derive
from carapax.core.terms.error import Malformed, StoreUnavailable, VaultLocked

MACHINE = "machine"
SYSTEMD = "systemd"
PASSPHRASE = "passphrase"  # noqa: S105 - the name of a source
SOURCES = (MACHINE, SYSTEMD, PASSPHRASE)
CREDENTIAL = "carapax-vault-key"
SEALED_CREDENTIAL = "key.cred"
CREDENTIAL_BYTES = 65_536
MIN_PASSPHRASE_CHARS = 12
MAX_PASSPHRASE_CHARS = 1024
MAX_MEMORY_KIB = 1_048_576
MAX_PASSES = 64
MAX_LANES = 16
RUN_S = 30

Run = Callable[[Sequence[str], bytes], bytes]
"""Runs a program with these bytes on its standard input and gives its output. Raises StoreUnavailable."""


def run_program(argv: Sequence[str], given: bytes) -> bytes:
    """Run one of the system's programs with an empty environment. Raises StoreUnavailable; its text holds no output."""
    program = shutil.which(argv[0], path="/usr/bin:/bin:/usr/local/bin")
    if program is None:
        raise StoreUnavailable(
            f"The program {argv[0]} is missing.", next_step="Install systemd 250 or later, or choose another source."
        )
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program with fixed words
            [program, *argv[1:]], input=given, capture_output=True, timeout=RUN_S, check=False, env={"LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreUnavailable(f"{argv[0]} did not run: {type(error).__name__}.") from None
    if done.returncode:
        raise StoreUnavailable(
            f"{argv[0]} ended with code {done.returncode}.",
            next_step="Run it as root, on the machine and with the TPM that sealed the key.",
        )
    return done.stdout


@dataclass(frozen=True, slots=True)
class Cost:
    """What one try of a passphrase costs (Argon2id)."""

    memory_kib: int = 131_072
    passes: int = 4
    lanes: int = 4

    @classmethod
    def parse(cls, found: object) -> Cost | None:
        """From JSON; None for a cost that would take the machine down or is none."""
        if not isinstance(found, dict) or set(found) != {"memory_kib", "passes", "lanes"}:
            return None
        if not all(type(value) is int for value in found.values()):
            return None
        cost = cls(**found)
        fits = 1 <= cost.lanes <= MAX_LANES and 1 <= cost.passes <= MAX_PASSES
        return cost if fits and 8 * cost.lanes <= cost.memory_kib <= MAX_MEMORY_KIB else None

    def plain(self) -> dict[str, Any]:
        return {"memory_kib": self.memory_kib, "passes": self.passes, "lanes": self.lanes}


def stretch(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    """The key that a passphrase stands for: Argon2id, slow on purpose."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    kdf = Argon2id(
        salt=salt, length=KEY_BYTES, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib
    )  # fmt: skip
    return derive(kdf.derive(passphrase.encode("utf-8", "surrogateescape")), "source-passphrase")


def check_new_passphrase(passphrase: str) -> None:
    """Raises Malformed for one that is too short to protect anything."""
    if not MIN_PASSPHRASE_CHARS <= len(passphrase) <= MAX_PASSPHRASE_CHARS:
        raise Malformed(
            f"A passphrase has at least {MIN_PASSPHRASE_CHARS} characters.",
            next_step="Choose four or five words that nobody would expect together.",
        )


@dataclass(frozen=True, slots=True)
class KeySources:
    """What this machine offers. `credentials` is $CREDENTIALS_DIRECTORY, "" when systemd gave none."""

    machine_key: Path  # ~/.carapax/keys/vault.key
    credentials: str = ""
    changes_key: bytes = field(default=b"", repr=False)  # authenticates `changes.log`; b"" keeps no log
    cost: Cost = Cost()
    run: Run = run_program
    # The machine's key read ahead, by a process that gives up its user.
    machine_seed: bytes = field(default=b"", repr=False)

    @classmethod
    def here(cls, machine_key: Path, environ: Mapping[str, str], *, changes_key: bytes = b"") -> KeySources:
        """The sources of this process."""
        return cls(machine_key, environ.get("CREDENTIALS_DIRECTORY", ""), changes_key)

    def first(self, folder: Folder) -> str:
        """The source of a new vault: systemd when it gave a credential or a sealed one lies here, else a file."""
        if self._credential() is not None or folder.find(SEALED_CREDENTIAL, CREDENTIAL_BYTES) is not None:
            return SYSTEMD
        return MACHINE

    def present_key(self, source: str, folder: Folder) -> bytes:
        """The key of a source that needs no person, made at its first use. Raises VaultLocked, StoreUnavailable."""
        if source == MACHINE:
            return derive(self.machine_seed or load_or_create_seed(self.machine_key), "source-machine")
        if source == SYSTEMD:
            return self._systemd_key(folder)
        raise VaultLocked("The vault is locked.")

    def find_key(self, source: str, folder: Folder) -> bytes:
        """The key of a source that sealed something before; never a new one. Raises VaultLocked, StoreUnavailable."""
        if source == MACHINE and not self.machine_seed and find_private_bytes(self.machine_key, KEY_BYTES) is None:
            raise VaultLocked(
                f"The vault's key {self.machine_key} is not there.", next_step="Restore it from a backup."
            )
        return self.present_key(source, folder)

    def _systemd_key(self, folder: Folder) -> bytes:
        content = self._credential()
        if content is None:
            sealed = folder.find(SEALED_CREDENTIAL, CREDENTIAL_BYTES)
            if sealed is None:
                raise VaultLocked(
                    "systemd gave no vault key.",
                    next_step=f"Start Carapax from a unit with LoadCredentialEncrypted={CREDENTIAL}, as docs/formats/vault.md says.",
                )
            content = self.run(["systemd-creds", "decrypt", f"--name={CREDENTIAL}", "-", "-"], sealed)
        if len(content) < KEY_BYTES:
            raise StoreUnavailable("The vault key that systemd gave is shorter than 32 bytes.")
        return derive(content, "source-systemd")

    def _credential(self) -> bytes | None:
        if not self.credentials:
            return None
        path = Path(self.credentials) / CREDENTIAL
        try:
            # systemd makes this folder for one unit alone and mounts it read-only; its files are 0400 and root's or ours.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"The credential {CREDENTIAL} cannot be read: {error.strerror}.") from error
        try:
            return os.read(descriptor, CREDENTIAL_BYTES)
        finally:
            os.close(descriptor)

    def make_sealed_credential(self, folder: Folder) -> None:
        """Have systemd seal a new key to this machine (and its TPM, if it has one), unless there is a key already."""
        if self._credential() is not None or folder.find(SEALED_CREDENTIAL, CREDENTIAL_BYTES) is not None:
            return
        argv = ["systemd-creds", "encrypt", f"--name={CREDENTIAL}", "--with-key=auto", "-", "-"]
        folder.write(SEALED_CREDENTIAL, self.run(argv, secrets.token_bytes(KEY_BYTES)))

    def forget_others(self, source: str) -> None:
        """Erase the key file once another source opens the vault. Raises StoreUnavailable."""
        if source != MACHINE:
            erase(self.machine_key)
