"""Port: a tool family. The manifest says what it may do; `perform` runs one sealed call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from carapax.core.terms.action import Receipt, ToolManifest
from carapax.core.terms.authority import AuthorizedCall


class Tool(Protocol):
    def manifests(self) -> Sequence[ToolManifest]:
        """The tools of this family, read from its manifest.toml."""
        ...

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        """Run one sealed call. `changes` is left empty: the guard fills it from the workspace's versions.

        A failure of the work itself (missing file, non-zero exit) is a Receipt with outcome FAILED and a text that
        says what is true now. Raises CarapaxError only when nothing was started.
        """
        ...
