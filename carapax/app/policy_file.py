"""The policy on disk: written from the template at first start, signed, and checked at each change against the one in force.

Layer: app. Owns the files beside the document: signatures, the copy in force, the highest serial.
Law: a document counts only with valid signatures over its exact bytes (as many as the policy in force wants for what it
widens), with a serial above every earlier one, before its expiry; otherwise PolicyInvalid, and the guard denies everything.
The bytes judged are the bytes loaded. Format: docs/formats/policy.md.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carapax.app.egress_lines import insert_lines
from carapax.app.policy_earlier import Earlier
from carapax.app.policy_signature import Signatures, public_text, read_signatures
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.policy.egress import EgressRule
from carapax.core.policy.home import budget_lines, home_policy
from carapax.core.policy.sections import MACHINE
from carapax.core.policy.widening import widenings
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.tables import Tier
from carapax.ports.clock import Clock


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A document against the policy in force: what it widens, who signed it, how many signatures it needs."""

    policy: Policy
    wider: tuple[str, ...]
    signed_by: tuple[str, ...]
    needs: int

    @property
    def enough(self) -> bool:
        return len(self.signed_by) >= self.needs


class PolicyFile:
    """One signed policy file. `current` is cheap: it re-reads only when the files changed."""

    def __init__(self, path: Path, seed: bytes, clock: Clock) -> None:
        self.path = path
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._clock = clock
        self._seen: tuple[object, ...] = ()
        self._policy: Policy | PolicyInvalid | None = None
        self._parsed: tuple[bytes, Policy] | None = None

    @property
    def signature_path(self) -> Path:
        return self.path.with_name(self.path.name + ".sig")

    @property
    def serial_path(self) -> Path:
        return self.path.with_name("highest-serial")

    @property
    def in_force_path(self) -> Path:
        """A copy of the document that was last found good, signed by this machine: what a change is measured against."""
        return self.path.with_name("in-force.yaml")

    @property
    def machine_key(self) -> str:
        """This machine's public key, as a policy's `signers` would list it."""
        return public_text(self._key)

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

    def review_due(self, policy: Policy) -> bool:
        """Whether somebody should read it again."""
        return policy.review is not None and self._today() > policy.review

    def begin(self) -> None:
        """Write the first policy where there is none yet, or carry over one of the earlier format."""
        earlier = self._earlier()
        if not self.path.exists() and (earlier.exists or not self.serial_path.exists()):
            with suppress(PolicyInvalid):  # `current` says why
                self.write_home()

    def restart(self) -> None:
        """Write a fresh home policy over whatever lies there, keeping the old files beside it as `.old`.

        Raises PolicyInvalid when the policy in force wants more signatures for what this widens; then nothing changed.
        """
        try:
            if (copy := self._read_if(self.in_force_path)) is not None:
                self._in_force(copy)
        except PolicyInvalid:
            self._put_away(self.in_force_path)
        document = self._read_if(self.path)
        self.write(home_policy(self._highest() + 1, self._today()), anew=True)
        if document is not None:
            self._replace(self.path.with_name(self.path.name + ".old"), document)

    def write_home(self) -> None:
        """Write and sign a fresh home policy, with a serial above every earlier one. Raises PolicyInvalid.

        Where a policy of the earlier format (home.toml) lies instead, its budgets are carried over.
        """
        earlier = self._earlier()
        budgets = None if self.path.exists() else earlier.budgets()
        serial = max(self._highest(), earlier.serial() if budgets else 0) + 1
        document = home_policy(serial, self._today(), budgets) if budgets else home_policy(serial, self._today())
        self.write(document, anew=budgets is not None)
        if budgets:
            earlier.put_away()

    def write(self, document: bytes, *, anew: bool = False) -> Policy:
        """Check, sign with this machine's key and put in force a document. Raises PolicyInvalid; then the old one stays.

        `anew`: a person begins again where no copy of a policy in force is left.
        """
        signatures = Signatures(document).signed(MACHINE, self._key)
        reviewed = self._review(document, signatures, anew=anew)
        if not reviewed.enough:
            raise _unsigned(reviewed)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._accept(document, reviewed.policy)
        self._replace(self.signature_path, signatures.text())
        self._replace(self.path, document)
        return reviewed.policy

    def sign(self, key: Ed25519PrivateKey | None = None) -> Reviewed:
        """Add a signature (this machine's, or a listed signer's) to the file as it stands now, after a person edited it.

        It is in force once the signatures are enough. Raises PolicyInvalid when it could not come into force at all.
        """
        document = self._read(self.path)
        signatures = self._signatures(document)
        unsigned = self._review(document, signatures)
        name = MACHINE if key is None else self._signer_name(key)
        signatures = signatures.signed(name, key or self._key)
        reviewed = replace(unsigned, signed_by=self._signed_by(signatures))
        self._replace(self.signature_path, signatures.text())
        if reviewed.enough:
            self._accept(document, reviewed.policy)
        return reviewed

    def compare(self, document: bytes) -> tuple[Policy, Reviewed]:
        """The policy in force, and this document as it would stand beside it. Raises PolicyInvalid."""
        copy = self._read_if(self.in_force_path)
        base = self._in_force(copy) if copy is not None else self.current()
        proposed = parse_policy(document)
        wider = widenings(base, proposed)
        return base, Reviewed(proposed, wider, (), base.widening_needs if wider else 1)

    def set_budget(self, span: str, kind: str, value: int | None) -> Policy:
        """Change one budget in the document (None takes the bound away) and sign it with the next serial."""
        present = self.current().budgets
        if span not in ("turn", "session", "day") or not hasattr(getattr(present, span), kind):
            raise PolicyInvalid(f"The policy has no budget {span}.{kind}.")
        changed = replace(present, **{span: replace(getattr(present, span), **{kind: value})})
        section = re.compile(r"(?m)^budgets:.*\n(?:(?:[ \t].*)?\n)*")
        document = self._edited(section, f"budgets:\n{budget_lines(changed)}")
        return self._write_if(document, lambda policy: policy.budgets == changed)

    def set_trust(self, tier: Tier) -> Policy:
        """Change the trust tier and sign it with the next serial. Raises PolicyInvalid when others must sign too."""
        return self._write_if(self.with_trust(tier), lambda policy: policy.tables.tier is tier)

    def with_trust(self, tier: Tier) -> bytes:
        """The document as it would be under another tier."""
        self.current()
        return self._edited(re.compile(r"(?m)^trust:[ \t]*\S+"), f"trust: {tier.value}")

    def with_egress(self, rules: Sequence[EgressRule]) -> bytes:
        """The document as it would be with these lines more under `egress`."""
        self.current()
        return self._numbered(insert_lines(self._read(self.path).decode("utf-8"), rules))

    def add_egress(self, rules: Sequence[EgressRule]) -> Policy:
        """Add lines to `egress` and sign with the next serial. Raises PolicyInvalid when others must sign too."""
        wanted = (*self.current().egress, *rules)
        return self._write_if(self.with_egress(rules), lambda policy: policy.egress == wanted)

    # inside

    def _earlier(self) -> Earlier:
        return Earlier(self.path.with_name("home.toml"), self._key)

    def _put_away(self, path: Path) -> None:
        try:
            path.replace(path.with_name(path.name + ".old"))
        except OSError as error:
            raise PolicyInvalid(f"{path.name} cannot be moved: {error.strerror}.") from error

    def _edited(self, pattern: re.Pattern[str], text: str) -> bytes:
        document = self._read(self.path).decode("utf-8").rstrip() + "\n"
        return self._numbered(pattern.sub(lambda _: text, document, count=1))

    def _numbered(self, document: str) -> bytes:
        return re.sub(r"(?m)^serial:[ \t]*\S+", f"serial: {self._highest() + 1}", document, count=1).encode()

    def _write_if(self, document: bytes, as_meant: Callable[[Policy], bool]) -> Policy:
        if not as_meant(parse_policy(document)):
            raise PolicyInvalid(
                f"{self.path.name} is written in a way that cannot be changed from here.",
                next_step="Change the line in the file, raise `serial`, then `carapax policy sign`.",
            )
        return self.write(document)

    def _load(self) -> Policy:
        if not self.path.exists() and self._earlier().budgets():
            raise PolicyInvalid(
                "There is a policy of the earlier format, home.toml.",
                next_step="`carapax policy init` writes home.yaml and carries its budgets over.",
            )
        document = self._read(self.path)
        self._read(self.signature_path)
        signatures = self._signatures(document)
        if not self._signed_by(signatures):
            raise PolicyInvalid(
                "The policy's signature does not fit: it was changed after it was signed.",
                next_step="If the change is yours: `carapax policy diff`, then `carapax policy sign`. "
                "If not, restore the file, or begin anew with `carapax policy init --force`.",
            )
        reviewed = self._review(document, signatures)
        if not reviewed.enough:
            raise _unsigned(reviewed)
        if self._read_if(self.in_force_path) != document:
            self._accept(document, reviewed.policy)
        return reviewed.policy

    def _review(self, document: bytes, signatures: Signatures, *, anew: bool = False) -> Reviewed:
        base_document = self._read_if(self.in_force_path)
        policy = self._parse(document)
        highest = self._highest()
        if policy.serial < highest:
            raise PolicyInvalid(
                f"The policy is an older one (serial {policy.serial}, {highest} was in force).",
                next_step=f"Write `serial: {highest + 1}`, then `carapax policy sign`.",
            )
        if base_document is None and highest and not anew:
            raise PolicyInvalid(
                f"{self.in_force_path.name}, the copy of the policy in force, is missing.",
                next_step="Restore it from a backup, or begin anew with `carapax policy init --force`.",
            )
        if base_document == document or base_document is None:
            return Reviewed(policy, (), self._signed_by(signatures), 1)
        base = self._in_force(base_document)
        if policy.serial <= base.serial:
            raise PolicyInvalid(
                f"The policy changed and its serial did not ({policy.serial}).",
                next_step=f"Write `serial: {base.serial + 1}`, then `carapax policy sign`.",
            )
        wider = widenings(base, policy)
        return Reviewed(policy, wider, self._signed_by(signatures), base.widening_needs if wider else 1)

    def _in_force(self, document: bytes) -> Policy:
        copy = read_signatures(self._read(self._copy_signature_path), document)
        if not copy.valid({MACHINE: self.machine_key}):
            raise PolicyInvalid(
                f"{self.in_force_path.name}, the copy of the policy in force, does not carry this machine's signature.",
                next_step="Restore it from a backup, or begin anew with `carapax policy init --force`.",
            )
        return self._parse(document)

    def _parse(self, document: bytes) -> Policy:
        """`parse_policy`, remembered for the last document: the file and the copy in force mostly say the same."""
        known = self._parsed
        if known is None or known[0] != document:
            known = self._parsed = (document, parse_policy(document))
        return known[1]

    @property
    def _copy_signature_path(self) -> Path:
        return self.in_force_path.with_name(self.in_force_path.name + ".sig")

    def _accept(self, document: bytes, policy: Policy) -> None:
        self._replace(self.serial_path, f"{policy.serial}\n".encode())
        self._replace(self._copy_signature_path, Signatures(document).signed(MACHINE, self._key).text())
        self._replace(self.in_force_path, document)

    def _signatures(self, document: bytes) -> Signatures:
        return read_signatures(self._read_if(self.signature_path) or b"", document)

    def _signed_by(self, signatures: Signatures) -> tuple[str, ...]:
        return signatures.valid(self._signers())

    def _signers(self) -> dict[str, str]:
        """Whoever the policy in force lets sign; a document cannot name its own signers."""
        document = self._read_if(self.in_force_path)
        listed = dict(self._in_force(document).signers) if document is not None else {}
        return {name: key for name, key in listed.items() if key != self.machine_key} | {MACHINE: self.machine_key}

    def _signer_name(self, key: Ed25519PrivateKey) -> str:
        public = public_text(key)
        name = next((name for name, known in self._signers().items() if known == public), None)
        if name is None:
            raise PolicyInvalid(
                f"This key ({public}) is not among the signers of the policy in force.",
                next_step="Sign with a listed key, or list this one under `signers` and have that signed first.",
            )
        return name

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

    @classmethod
    def _read_if(cls, path: Path) -> bytes | None:
        return cls._read(path) if path.exists() else None

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


def _unsigned(reviewed: Reviewed) -> PolicyInvalid:
    have = f"it has {len(reviewed.signed_by)} ({', '.join(reviewed.signed_by) or 'none'})"
    allows = f"It allows more than the policy in force ({'; '.join(reviewed.wider[:3])})" if reviewed.wider else "It"
    return PolicyInvalid(
        f"{allows} and needs {reviewed.needs} signatures; {have}.",
        next_step="Another signer runs `carapax policy sign --key-file KEY`.",
    )
