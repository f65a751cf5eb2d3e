"""What `carapax egress` needs from the machine. `app` implements it.

Layer: surfaces/cli; imported for typing only. Every method may raise leaves of core/terms/error.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class LocalEgress(Protocol):
    """The way out of this home, read from its ledger and policy: it works without a gateway."""

    def log(self, session: str, refused: bool, limit: int) -> Sequence[Mapping[str, Any]]:
        """The newest entries about the way out in order, with `index`, `time_ms`, `kind`, `body`."""
        ...

    def why(self, url: str, tool: str, method: str) -> Mapping[str, Any]:
        """`answer`, `rule`, `reason`, `request`, `tool`, `tool_answer`, `tool_rule`, and the `line` that would allow it."""
        ...

    def proposals(self, hosts: Sequence[str], days: int) -> Sequence[Mapping[str, Any]]:
        """Lines for what was refused: `name`, `host`, `port`, `tools`, `count`, `last_ms`, `line`, and what is `wider`."""
        ...

    def allow(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Write the lines of these proposals and sign: `serial`, `path`, `lines`. Only after `proposals` of this object."""
        ...
