"""Identifiers: one type per thing that is named, so that no two can be mixed up.

Layer: core/terms. Owns nothing but the names. Random ids are made outside (`app`), because
`core` has no randomness.
"""

from __future__ import annotations

from typing import NewType

PrincipalId = NewType("PrincipalId", str)  # "owner", "token:ab12…"
SessionId = NewType("SessionId", str)  # 26 characters, sortable by time
TurnId = NewType("TurnId", str)
CallId = NewType("CallId", str)
ApprovalId = NewType("ApprovalId", str)
TokenId = NewType("TokenId", str)
ToolName = NewType("ToolName", str)
RuleId = NewType("RuleId", str)
Digest = NewType("Digest", str)  # lower-case hex SHA-256
EntryIndex = NewType("EntryIndex", int)  # position in the ledger, from 0
