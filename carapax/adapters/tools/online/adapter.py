"""The online tool behind the tool port: a command in the sandbox, and a way out that lives exactly as long.

Layer: adapters/tools/online. Absent: any look at what the command says or where it goes; the proxy and the walls hold.
Law: the way is closed whatever happens, also when the turn is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from carapax.adapters.tools.manifest import load_manifests
from carapax.adapters.tools.online import wire
from carapax.adapters.tools.shell.adapter import command_job, command_receipt
from carapax.core.terms.action import Receipt, ToolManifest
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.ids import CallId
from carapax.ports.egress import Exit
from carapax.ports.sandbox import Sandbox


class OnlineTools:
    """Implements ports.tool.Tool for the family "online". `refusals` says why the gate refused requests of a call."""

    def __init__(self, sandbox: Sandbox, way_out: Exit, refusals: Callable[[CallId], Sequence[str]]) -> None:
        self._sandbox = sandbox
        self._exit = way_out
        self._refusals = refusals
        self._manifests = load_manifests(Path(__file__).parent)

    def manifests(self) -> Sequence[ToolManifest]:
        return self._manifests

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        call = authorized.call
        way = await self._exit.open_way(authorized)
        try:
            job = replace(
                command_job(call),
                provenance=call.manifest.provenance,
                way=way,
                variables=wire.render_variables(way),
            )
            ran = await self._sandbox.run(authorized, job)
        finally:
            traffic = await self._exit.close_way(way)
        told = wire.parse_online(
            ran, call.manifest.output_bytes, call.manifest.timeout_ms, self._refusals(call.call), traffic
        )
        return command_receipt(call, ran, told)
