"""The workspace port over `Versions`: every look runs in a thread, so the gateway's loop never waits for the disk.

Layer: adapters/workspace. Absent: any rule of its own.
Law: calls are served one after the other; calls of two turns that overlap each list what both did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from carapax.adapters.workspace.ceilings import Ceilings
from carapax.adapters.workspace.versions import Versions
from carapax.core.terms.action import Change
from carapax.core.terms.ids import CallId
from carapax.ports.workspace import Mark, Reverted


class KeptWorkspace:
    """Implements ports.workspace.Workspace. `state` is a folder of the gateway's own, outside the workspace.

    Raises SettingsInvalid (a folder that cannot serve) and StoreUnavailable (versions cannot be kept).
    """

    def __init__(self, root: Path, state: Path, ceilings: Ceilings | None = None) -> None:
        self.versions = Versions(root, state, ceilings)
        self.root = self.versions.root

    async def before(self, call: CallId) -> Mark:
        return await asyncio.to_thread(self.versions.before, call)

    async def after(self, mark: Mark) -> Sequence[Change]:
        return await asyncio.to_thread(self.versions.after, mark)

    async def settle(self, mark: Mark) -> None:
        await asyncio.to_thread(self.versions.settle, mark)

    async def unfinished(self) -> Sequence[tuple[CallId, Sequence[Change]]]:
        return await asyncio.to_thread(self.versions.unfinished)

    async def revert(self, changes: Sequence[Change]) -> Reverted:
        return await asyncio.to_thread(self.versions.revert, changes)

    async def close(self) -> None:
        """Release the files; no mark is closed by it."""
        await asyncio.to_thread(self.versions.close)
