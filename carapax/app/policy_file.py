"""The policy on disk: written from the template at first start, signed with this machine's key, checked at each change.

Layer: app. Law: a document counts only with a valid signature over its exact bytes, a serial that did not fall,
and before its expiry; otherwise PolicyInvalid, and the guard denies everything.
Format: docs/formats/policy.md.
"""

from __future__ import annotations

import base64
import datetime
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carapax.core.policy.document import Policy, parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.terms.error import PolicyInvalid
from carapax.ports.clock import Clock

_DOMAIN = b"carapax-policy-v1\0"


class PolicyFile:
    """One signed policy file. `current` is cheap: it re-reads only when the files changed."""

    def __init__(self, path: Path, seed: bytes, clock: Clock) -> None:
        self.path = path
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._clock = clock
        self._seen: tuple[object, ...] = ()
        self._policy: Policy | PolicyInvalid | None = None

    @property
    def signature_path(self) -> Path:
        return self.path.with_name(self.path.name + ".sig")

    @property
    def serial_path(self) -> Path:
        return self.path.with_name("highest-serial")

    def current(self) -> Policy:
        """The policy in force. Raises PolicyInvalid, saying what is wrong."""
        stamp = (self._stamp(self.path), self._stamp(self.signature_path))
        if self._policy is None or stamp != self._seen:
            self._seen = stamp
            try:
                self._policy = self._load()
            except PolicyInvalid as error:
                self._policy = error
        if isinstance(self._policy, PolicyInvalid):
            raise self._policy
        if self._today() > self._policy.expires:
            raise PolicyInvalid(f"The policy expired on {self._policy.expires}.")
        return self._policy

    def write_home(self) -> None:
        """Write and sign a fresh home policy, with a serial above every earlier one."""
        self.write(home_policy(self._highest() + 1, self._today()))

    def write(self, document: bytes) -> Policy:
        """Check, sign and put in force a document. Raises PolicyInvalid; then the old one stays."""
        policy = parse_policy(document)
        if policy.serial < self._highest():
            raise PolicyInvalid(f"Serial {policy.serial} is below {self._highest()}, which was already in force.")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        signature = base64.b64encode(self._key.sign(_DOMAIN + document)) + b"\n"
        self._replace(self.serial_path, f"{policy.serial}\n".encode())
        self._replace(self.signature_path, signature)
        self._replace(self.path, document)
        return policy

    def set_budget(self, span: str, kind: str, value: int | None) -> Policy:
        """Change one budget in the document (None takes the bound away) and sign it with the next serial."""
        text = self._read(self.path).decode("utf-8")
        head, found, tail = text.partition(f"[budgets.{span}]")
        if not found:
            raise PolicyInvalid(f"The policy has no [budgets.{span}].")
        section, *rest = re.split(r"(?m)^(?=\[)", tail, maxsplit=1)
        kept = re.sub(rf"(?m)^{kind}\s*=.*\n?", "", section).rstrip()
        line = "" if value is None else f"\n{kind} = {value}"
        whole = f"{head}{found}{kept}{line}\n\n{''.join(rest)}".rstrip() + "\n"
        return self.write(re.sub(r"(?m)^serial\s*=.*$", f"serial = {self._highest() + 1}", whole, count=1).encode())

    def sign(self) -> Policy:
        """Sign the file as it stands now, after a person edited it."""
        return self.write(self._read(self.path))

    def _load(self) -> Policy:
        document = self._read(self.path)
        try:
            signature = base64.b64decode(self._read(self.signature_path), validate=False)
            self._key.public_key().verify(signature, _DOMAIN + document)
        except (InvalidSignature, ValueError) as error:
            raise PolicyInvalid("The policy's signature does not fit: it was changed after it was signed.") from error
        policy = parse_policy(document)
        if policy.serial < self._highest():
            raise PolicyInvalid(f"The policy is an older one (serial {policy.serial}, {self._highest()} was in force).")
        return policy

    def _highest(self) -> int:
        try:
            return int(self.serial_path.read_text("ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise PolicyInvalid(f"{self.serial_path.name} cannot be read.") from error

    def _today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self._clock.now_ms() / 1000, datetime.UTC).date()

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise PolicyInvalid(f"{path.name} cannot be read: {error.strerror}.") from error

    @staticmethod
    def _stamp(path: Path) -> object:
        try:
            found = path.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    @staticmethod
    def _replace(path: Path, content: bytes) -> None:
        temporary = path.with_name(path.name + ".new")
        try:
            temporary.write_bytes(content)
            temporary.chmod(0o600)
            temporary.replace(path)
        except OSError as error:
            raise PolicyInvalid(f"{path.name} cannot be written: {error.strerror}.") from error
