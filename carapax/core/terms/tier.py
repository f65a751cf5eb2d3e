"""Tiers of isolation, and who wrote the code that runs in them.

Layer: core/terms. Absent: which tier a provenance gets (`core/policy/walls`).
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class WallTier(IntEnum):
    """How strongly a job is walled in; a higher tier is never replaced by a lower one."""

    PURE = 0  # computation without files, processes or sockets
    DEFAULT = 1  # namespaces, bubblewrap, seccomp, Landlock, control groups
    STRONG = 2  # gVisor: a kernel of its own in user space
    DISPOSABLE = 3  # a virtual machine, restored for one job


class Provenance(StrEnum):
    """Who wrote the code of a job."""

    OURS = "ours"  # a program of Carapax itself
    EXPRESSION = "expression"  # a small computation that the model wrote
    AGENT = "agent"  # a command or script that the model wrote
    APPROVED = "approved"  # a skill that a person approved at exactly this version
    THIRD_PARTY = "third_party"  # somebody else's: skills not approved, MCP servers, unknown packages
    BINARY = "binary"  # an untrusted binary, or a browser when asked
