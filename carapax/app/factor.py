"""The second factor: one-time codes from an app on the approver's own device (TOTP).

Layer: app. Owns the secret of each person, which code was used last, and the lock after wrong ones, all in one
private file beside the other seeds. Absent: the store and the ledger, which never see a secret or a code.
Source: RFC 6238, six digits, steps of 30 s, one step of tolerance either side.
Laws: a code is accepted once, also across restarts; while locked no code is even looked at.
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from carapax.adapters.vault.private import ensure_private_directory, find_private_bytes, write_private_bytes
from carapax.core.terms.error import Conflict, Malformed, NotFound, StoreUnavailable
from carapax.core.terms.ids import PrincipalId
from carapax.core.turn.answer import Code
from carapax.ports.clock import Clock

STEP_S = 30
TOLERANCE = 1  # steps either side
WRONG_CODES = 5
LOCK_MS = 900_000
"""So many wrong codes within 15 minutes lock the factor for 15 minutes."""
FILE_BYTES = 4096
_PERSON = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_CODE = re.compile(r"[0-9]{6}\Z")
_SECRET = re.compile(r"[A-Z2-7]{16,128}\Z")


class Standing(StrEnum):
    """How a person's second factor stands."""

    NONE = "none"
    SET = "set"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Kept:
    """One person's factor as it rests in its file."""

    secret: str  # base32
    used_step: int = 0  # no code of this step or an earlier one is accepted
    wrong_ms: tuple[int, ...] = ()  # when wrong codes came, the newest WRONG_CODES
    locked_until_ms: int = 0

    def __repr__(self) -> str:
        return "Kept(…)"


@dataclass(frozen=True, slots=True)
class Offer:
    """A new secret, shown once; it counts only when a code of it was given back."""

    secret: str
    uri: str  # otpauth://, for a QR code

    def __repr__(self) -> str:
        return "Offer(…)"


class Factor:
    """The second factors of a home, one file each: `factor.PERSON` in the folder of keys."""

    def __init__(self, keys: Path, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    def offer(self, person: PrincipalId) -> Offer:
        """A new secret for the person's app. Nothing is kept yet. Raises Conflict when one is set up."""
        self._refuse_second(person)
        import pyotp  # 20 ms, and only here and where a code is checked

        secret = pyotp.random_base32(32)
        return Offer(secret, pyotp.TOTP(secret).provisioning_uri(name=person, issuer_name="Carapax"))

    def confirm(self, person: PrincipalId, secret: str, code: str) -> None:
        """Keep the offered secret, shown to work by this code. Raises Malformed for a wrong code, Conflict as `offer`."""
        self._refuse_second(person)
        step = self._step_of(secret, code) if _SECRET.match(secret) else None
        if step is None:
            raise Malformed(
                "That is not the code of this secret now.",
                next_step="Check that the clocks of both devices are right, then run `carapax factor set` again.",
            )
        self._write(person, Kept(secret, used_step=step))

    def remove(self, person: PrincipalId) -> None:
        """Forget the person's secret. Raises NotFound."""
        try:
            self._path(person).unlink()
        except FileNotFoundError:
            raise NotFound("No second factor is set up.", next_step="`carapax factor set` sets one up.") from None
        except OSError as error:
            raise StoreUnavailable(f"{self._path(person)} cannot be removed: {error.strerror}.") from error

    def standing(self, person: PrincipalId) -> Standing:
        if self._find(person) is None:
            return Standing.NONE
        return Standing.LOCKED if self.locked_until_ms(person) else Standing.SET

    def locked_until_ms(self, person: PrincipalId) -> int:
        """When codes are looked at again; 0 when they are now."""
        kept = self._find(person)
        return kept.locked_until_ms if kept is not None and kept.locked_until_ms > self._clock.now_ms() else 0

    def check(self, person: PrincipalId, code: str) -> Code:
        """Use up a code. A wrong one counts towards the lock; an absent one does not."""
        kept = self._find(person)
        if kept is None:
            return Code.NONE_SET
        now_ms = self._clock.now_ms()
        if kept.locked_until_ms > now_ms:
            return Code.LOCKED
        if not code.strip():
            return Code.MISSING
        step = self._step_of(kept.secret, code)
        if step is None or step <= kept.used_step:
            self._write(person, _after_wrong(kept, now_ms))
            return Code.WRONG
        self._write(person, replace(kept, used_step=step, wrong_ms=()))
        return Code.RIGHT

    def _refuse_second(self, person: PrincipalId) -> None:
        if self._find(person) is not None:
            raise Conflict(
                "A second factor is set up already.", next_step="Remove it first with `carapax factor remove`."
            )

    def _step_of(self, secret: str, code: str) -> int | None:
        """The step that this code belongs to, within the tolerance; None when it is not one."""
        given = code.replace(" ", "")
        if not _CODE.match(given):
            return None
        import pyotp

        totp, now_step = pyotp.TOTP(secret), self._clock.now_ms() // 1000 // STEP_S
        found = None
        for step in range(now_step - TOLERANCE, now_step + TOLERANCE + 1):
            if hmac.compare_digest(totp.generate_otp(step), given):
                found = step
        return found

    def _find(self, person: PrincipalId) -> Kept | None:
        path = self._path(person)
        content = find_private_bytes(path, FILE_BYTES)
        if content is None:
            return None
        kept = _parse(content)
        if kept is None:
            raise StoreUnavailable(
                f"The second factor in {path} cannot be read.",
                next_step="Run `carapax factor remove`, then `carapax factor set`.",
            )
        return kept

    def _write(self, person: PrincipalId, kept: Kept) -> None:
        ensure_private_directory(self._keys)
        write_private_bytes(self._path(person), json.dumps(asdict(kept)).encode("utf-8"), replace=True)

    def _path(self, person: PrincipalId) -> Path:
        if not _PERSON.match(person):
            raise Malformed("This person's name cannot have a second factor.", next_step="Use a-z, 0-9, '.', '_', '-'.")
        return self._keys / f"factor.{person}"


def _after_wrong(kept: Kept, now_ms: int) -> Kept:
    recent = (*(ms for ms in kept.wrong_ms if now_ms - LOCK_MS < ms <= now_ms), now_ms)
    if len(recent) < WRONG_CODES:
        return replace(kept, wrong_ms=recent)
    return replace(kept, wrong_ms=(), locked_until_ms=now_ms + LOCK_MS)


def _parse(content: bytes) -> Kept | None:
    try:
        found = json.loads(content)
        kept = Kept(
            str(found["secret"]),
            int(found["used_step"]),
            tuple(int(ms) for ms in found["wrong_ms"]),
            int(found["locked_until_ms"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
    return kept if _SECRET.match(kept.secret) else None
