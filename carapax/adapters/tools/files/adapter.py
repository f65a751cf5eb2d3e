"""The file tools behind the tool port: one sandboxed run of `program.py` for each call.

Layer: adapters/tools/files. Absent: opening any file of the workspace here; that happens inside the sandbox.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from carapax.adapters.tools.files import wire
from carapax.adapters.tools.manifest import load_manifests
from carapax.core.terms.action import Receipt, ToolManifest
from carapax.core.terms.authority import AuthorizedCall
from carapax.ports.sandbox import Job, Mount, Sandbox

PYTHON = ("python3", "-I", "-S", "-c")  # no site, no environment, nothing imported from the workspace
MEMORY_BYTES = 512 << 20


class FileTools:
    """Implements ports.tool.Tool for the family "files"."""

    def __init__(self, sandbox: Sandbox) -> None:
        package = Path(__file__).parent
        self._sandbox = sandbox
        self._manifests = load_manifests(package)
        self._program = (package / "program.py").read_text(encoding="utf-8")

    def manifests(self) -> Sequence[ToolManifest]:
        return self._manifests

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        call = authorized.call
        job = Job(
            argv=(*PYTHON, self._program, call.manifest.name, str(time.localtime().tm_gmtoff)),
            stdin=wire.render_input(call),
            mount=Mount.READ if call.manifest.name in wire.READING else Mount.WRITE,
            timeout_ms=call.manifest.timeout_ms,
            output_bytes=call.manifest.output_bytes + wire.INVENTORY_BYTES,  # words, then the files
            memory_bytes=MEMORY_BYTES,
        )
        ran = await self._sandbox.run(authorized, job)
        outcome, said = wire.parse_run(ran)
        text, content = wire.split_content(said, whole=not ran.truncated)
        return Receipt(
            call=call.call,
            outcome=outcome,
            text=text,
            truncated=ran.truncated,
            exit_code=ran.exit_code,
            duration_ms=ran.duration_ms,
            content=content,
        )
