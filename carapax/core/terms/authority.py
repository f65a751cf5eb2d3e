"""Authority: a call that the guard has allowed, with the MAC that proves it.

Layer: core/terms. Owns the bytes under the MAC and the check; `guard/seal.py` is the one mint.
Absent: the key. Whoever runs a call holds a verifier made from the key and nothing else.
Law: `verify_call` returns a new type or raises; a call is used once and not after its deadline.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass

from carapax.core.terms.action import CanonicalCall
from carapax.core.terms.error import AuthorityInvalid
from carapax.core.terms.ids import Digest, EntryIndex


@dataclass(frozen=True, slots=True)
class AuthorizedCall:
    """A canonical call plus everything the authority rests on. Made only by `guard/seal.py`."""

    call: CanonicalCall
    entry: EntryIndex  # the ledger entry written before this call may run
    policy: Digest
    deadline_ms: int  # Unix time after which nobody may start it
    mac: bytes


@dataclass(frozen=True, slots=True)
class VerifiedCall:
    """An authorized call whose MAC and deadline were checked by whoever runs it."""

    call: CanonicalCall
    entry: EntryIndex


def authority_bytes(call: CanonicalCall, entry: EntryIndex, policy: Digest, deadline_ms: int) -> bytes:
    """The exact bytes under the MAC."""
    fields = [
        call.call,
        call.session,
        call.turn,
        call.manifest.name,
        call.arguments_json,
        call.digest,
        entry,
        policy,
        deadline_ms,
    ]
    return b"carapax-authority-v1\0" + json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def verify_call(authorized: AuthorizedCall, key: bytes, now_ms: int) -> VerifiedCall:
    """Check MAC and deadline. Raises AuthorityInvalid; nothing was run."""
    expected = hmac.digest(
        key, authority_bytes(authorized.call, authorized.entry, authorized.policy, authorized.deadline_ms), "sha256"
    )
    if not hmac.compare_digest(expected, authorized.mac):
        raise AuthorityInvalid("the call does not carry the guard's seal")
    if now_ms > authorized.deadline_ms:
        raise AuthorityInvalid("the call's deadline has passed")
    return VerifiedCall(authorized.call, authorized.entry)
