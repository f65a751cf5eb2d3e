"""The extract tool behind the tool port: the file is read in the sandbox, a model in quarantine answers, a scalar comes back.

Layer: adapters/tools/extract. Absent: the asking itself (`ask`, given by the app: it is `agent/quarantine` with the
present provider), and every word of the file: neither its text nor what the file program says of it is repeated.
Law: the receipt's text is one of ours, or ours with a value that was bounded before the file was read.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from carapax.adapters.tools.extract import wire
from carapax.adapters.tools.files import adapter as files
from carapax.adapters.tools.files.wire import parse_run
from carapax.adapters.tools.manifest import load_manifests
from carapax.core.flow.scalar import Scalar, Wanted
from carapax.core.terms.action import CanonicalCall, Outcome, Receipt, ToolManifest
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.error import ModelMissing, ProviderFailed
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Job, Mount, Sandbox

Ask = Callable[[CanonicalCall, str, str, Wanted], Awaitable[Scalar]]
"""For a call: a text, a question and what is wanted give a scalar. The call says whose turn pays."""


class ExtractTools:
    """Implements ports.tool.Tool for the family "extract"."""

    def __init__(self, sandbox: Sandbox, ask: Ask, clock: Clock) -> None:
        self._sandbox, self._ask, self._clock = sandbox, ask, clock
        self._manifests = load_manifests(Path(__file__).parent)
        self._program = (Path(files.__file__).parent / "program.py").read_text(encoding="utf-8")

    def manifests(self) -> Sequence[ToolManifest]:
        return self._manifests

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        """Raises Refused, before anything is read, when what is wanted is not a bounded value."""
        call, started_ms = authorized.call, self._clock.monotonic_ms()
        wanted = wire.wanted_by(call)
        outcome, text, value = await self._find(authorized, wanted)
        took_ms = self._clock.monotonic_ms() - started_ms
        return Receipt(call.call, outcome, text, duration_ms=took_ms, content=value)

    async def _find(self, authorized: AuthorizedCall, wanted: Wanted) -> tuple[Outcome, str, str | None]:
        call = authorized.call
        read, text, part = await self._read(authorized)
        if read is not Outcome.DONE:
            return Outcome.FAILED, wire.UNREADABLE, None
        try:
            found = await self._ask(call, text, str(call.value("question")), wanted)
        except (ProviderFailed, ModelMissing):  # what a service says of its failure may quote the text
            return Outcome.FAILED, wire.FAILED, None
        # Made anew from what was wanted here: whoever `ask` is, only a value that fits can come back.
        scalar = Scalar(wanted, found.value, found.cut or part)
        return Outcome.DONE, wire.render_answer(scalar), scalar.render() or None

    async def _read(self, authorized: AuthorizedCall) -> tuple[Outcome, str, bool]:
        manifest = authorized.call.manifest
        job = Job(
            argv=(*files.PYTHON, self._program, "read_file", str(time.localtime().tm_gmtoff)),
            stdin=wire.render_input(authorized.call),
            mount=Mount.READ,
            timeout_ms=manifest.timeout_ms,
            output_bytes=manifest.output_bytes,
            memory_bytes=files.MEMORY_BYTES,
        )
        ran = await self._sandbox.run(authorized, job)
        outcome, text = parse_run(ran)
        return outcome, text, ran.truncated or text.rsplit("\n", 1)[-1].startswith("[… ")
