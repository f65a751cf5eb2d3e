"""The talk tools behind the tool port. They read the clock and the store, and start nothing.

Layer: adapters/tools/talk. Absent: a check of the seal, because nothing here acts: whoever forged a call would learn
only what the session itself shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from carapax.adapters.tools.manifest import load_manifests
from carapax.adapters.tools.talk import wire
from carapax.core.terms.action import CanonicalCall, Outcome, Receipt, ToolManifest
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.error import NotFound
from carapax.ports.clock import Clock
from carapax.ports.store import Store

SHOWN_TURNS = 3


class TalkTools:
    """Implements ports.tool.Tool for the family "talk". `zone` None is the machine's own."""

    def __init__(self, store: Store, clock: Clock, zone: tzinfo | None = None) -> None:
        self._store = store
        self._clock = clock
        self._zone = zone
        self._manifests = load_manifests(Path(__file__).parent)

    def manifests(self) -> Sequence[ToolManifest]:
        return self._manifests

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        call = authorized.call
        started_ms = self._clock.monotonic_ms()
        text = await self._text(call)
        cut = text.encode("utf-8")[: call.manifest.output_bytes].decode("utf-8", "ignore")
        return Receipt(
            call=call.call,
            outcome=Outcome.DONE,
            text=cut,
            truncated=cut != text,
            duration_ms=self._clock.monotonic_ms() - started_ms,
        )

    async def _text(self, call: CanonicalCall) -> str:
        match call.manifest.name:
            case "show_time":
                moment = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
                return wire.render_time(moment.astimezone(self._zone))
            case "ask_user":
                return str(call.value("question") or "").strip() or "What would you like?"
            case "show_changes":
                return wire.render_changes(await self._store.changes(call.session, limit_turns=SHOWN_TURNS))
            case other:
                raise NotFound(f"There is no tool {other} in the family talk.")
