"""The shell tool behind the tool port.

Layer: adapters/tools/shell. Absent: any look at what the command says; the walls hold whatever it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from carapax.adapters.tools.manifest import load_manifests
from carapax.adapters.tools.shell import wire
from carapax.core.terms.action import CanonicalCall, Outcome, Receipt, ToolManifest
from carapax.core.terms.authority import AuthorizedCall
from carapax.ports.sandbox import Job, Mount, Ran, Sandbox

RAW_OUTPUT_BYTES = 1 << 20  # read from the command, so that head and tail can both be shown


def command_job(call: CanonicalCall) -> Job:
    """A command of the model's in the workspace, through the shell. Without a way out, unless somebody adds one."""
    # The sandbox sees the host's read-only system, so what is here is there.
    shell = "bash" if shutil.which("bash") else "sh"
    return Job(
        argv=(shell, "-c", str(call.value("command") or "")),
        mount=Mount.WRITE,
        timeout_ms=call.manifest.timeout_ms,
        output_bytes=RAW_OUTPUT_BYTES,
    )


def command_receipt(call: CanonicalCall, ran: Ran, told: tuple[Outcome, str, bool]) -> Receipt:
    """What it left, with (outcome, text, cut) as the tool tells it."""
    outcome, text, cut = told
    return Receipt(call.call, outcome, text, truncated=cut, exit_code=ran.exit_code, duration_ms=ran.duration_ms)


class ShellTools:
    """Implements ports.tool.Tool for the family "shell"."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._manifests = load_manifests(Path(__file__).parent)

    def manifests(self) -> Sequence[ToolManifest]:
        return self._manifests

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        call = authorized.call
        ran = await self._sandbox.run(authorized, command_job(call))
        return command_receipt(call, ran, wire.parse_run(ran, call.manifest.output_bytes, call.manifest.timeout_ms))
