"""The shell tool behind the tool port.

Layer: adapters/tools/shell. Absent: any look at what the command says; the walls hold whatever it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from carapax.adapters.tools.manifest import load_manifests
from carapax.adapters.tools.shell import wire
from carapax.core.terms.action import Receipt, ToolManifest
from carapax.core.terms.authority import AuthorizedCall
from carapax.ports.sandbox import Job, Mount, Sandbox

RAW_OUTPUT_BYTES = 1 << 20  # read from the command, so that head and tail can both be shown


class ShellTools:
    """Implements ports.tool.Tool for the family "shell"."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._manifests = load_manifests(Path(__file__).parent)
        # The sandbox sees the host's read-only system, so what is here is there.
        self._shell = "bash" if shutil.which("bash") else "sh"

    def manifests(self) -> Sequence[ToolManifest]:
        return self._manifests

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        call = authorized.call
        job = Job(
            argv=(self._shell, "-c", str(call.value("command") or "")),
            mount=Mount.WRITE,
            timeout_ms=call.manifest.timeout_ms,
            output_bytes=RAW_OUTPUT_BYTES,
        )
        ran = await self._sandbox.run(authorized, job)
        outcome, text, cut = wire.parse_run(ran, call.manifest.output_bytes, call.manifest.timeout_ms)
        return Receipt(
            call=call.call,
            outcome=outcome,
            text=text,
            truncated=cut,
            exit_code=ran.exit_code,
            duration_ms=ran.duration_ms,
        )
