"""Principals: who speaks, and the roles that policy gives them.

Layer: core/terms. Absent: how a principal proves who it is (surfaces) and what it may do (policy).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carapax.core.terms.ids import PrincipalId


class Role(StrEnum):
    """Roles of the policy document; a principal with none may do nothing."""

    OWNER = "owner"
    APPROVER = "approver"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    MEMBER = "member"
    GUEST = "guest"


class Scope(StrEnum):
    """What one access token may be used for; a surface checks it before anything else."""

    CHAT = "chat"  # start turns, read own sessions
    APPROVE = "approve"  # answer approvals
    READ = "read"  # sessions, ledger, status, metrics
    ADMIN = "admin"  # tokens, model, stop, undo, delete


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated speaker. `via` names the surface and the token that authenticated it."""

    id: PrincipalId
    role: Role
    scopes: frozenset[Scope]
    via: str
