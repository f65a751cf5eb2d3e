"""The one mint: makes an AuthorizedCall. Nothing else in Carapax may construct one (tests/architecture).

Layer: guard. Law: a seal exists only for a call whose ledger entry is durable.
"""

from __future__ import annotations

import hmac

from carapax.core.terms.action import CanonicalCall
from carapax.core.terms.authority import AuthorizedCall, authority_bytes
from carapax.core.terms.ids import Digest, EntryIndex

START_WITHIN_MS = 30_000
"""A sealed call that was not started within 30 s is void."""


def seal(call: CanonicalCall, entry: EntryIndex, policy: Digest, now_ms: int, key: bytes) -> AuthorizedCall:
    """The call with its authority, valid to be started until 30 s from now."""
    deadline_ms = now_ms + START_WITHIN_MS
    mac = hmac.digest(key, authority_bytes(call, entry, policy, deadline_ms), "sha256")
    return AuthorizedCall(call, entry, policy, deadline_ms, mac)
