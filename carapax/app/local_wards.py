"""What `carapax incident`, `canary` and `stop --all` need of this machine: implements surfaces.cli.local_wards.LocalWards.

Layer: app. Works on the home's own files, with a gateway or without one. Deciding about an incident is the gateway's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from carapax.app.home import Home
from carapax.core.terms.error import CarapaxError, Malformed, StoreUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from carapax.app.canaries import Canaries
    from carapax.ports.vault import Vault

PARTS_PAGE = 500


class WardsDesk:
    """The incidents, canaries and the stop of one home."""

    def __init__(self, home: Home, workspace: Callable[[], Path], vault: Callable[[], Vault]) -> None:
        self._home, self._workspace, self._vault = home, workspace, vault

    # incidents

    def incidents(self) -> Sequence[Mapping[str, Any]]:
        from carapax.app.incident_files import IncidentFiles
        from carapax.core.terms.plain import plain

        return [plain(incident) for incident in IncidentFiles(self._home.incidents).all()]

    def incident(self, number: int) -> Mapping[str, Any]:
        from carapax.app.incident_files import IncidentFiles
        from carapax.core.terms.plain import plain

        found: Mapping[str, Any] = plain(IncidentFiles(self._home.incidents).read(number))
        return found

    def export(self, number: int, transcript: Iterable[Mapping[str, Any]] | None) -> bytes:
        from carapax.app.incident_export import Evidence, export_incident
        from carapax.app.incident_files import IncidentFiles
        from carapax.app.keys import ledger_public_key

        incident = IncidentFiles(self._home.incidents).read(number)
        if transcript is None and incident.session is not None:
            transcript = self._transcript(incident.session)
        key = ledger_public_key(self._home)
        return export_incident(Evidence(incident, self._home.ledger, key, transcript))

    def _transcript(self, session: str) -> list[Mapping[str, Any]] | None:
        """The session's parts, read here because no gateway runs; None when they cannot be."""
        import asyncio

        if not self._home.store.exists():
            return None
        try:
            return asyncio.run(self._parts(session))
        except CarapaxError:
            return None

    async def _parts(self, session: str) -> list[Mapping[str, Any]]:
        from carapax.adapters.store.sql_store import SqlStore
        from carapax.app.clock import SystemClock
        from carapax.core.terms.ids import SessionId
        from carapax.core.terms.plain import plain

        store = SqlStore.open(str(self._home.store), SystemClock())
        try:
            pages: list[list[Mapping[str, Any]]] = []
            before: int | None = None
            while page := await store.parts(SessionId(session), limit=PARTS_PAGE, before_seq=before):
                before = page[0].seq
                pages.append([plain(part) for part in page])
            return [part for page in reversed(pages) for part in page]
        finally:
            await store.close()

    # canaries

    def canaries(self) -> Sequence[Mapping[str, Any]]:
        canaries = self._canaries()
        return [
            {"name": c.name, "kind": c.kind, "place": c.place, "at": c.at, "there": canaries.lies_there(c)}
            for c in canaries.all()
        ]

    def canary_add(self, kind: str, place: str, at: str) -> Mapping[str, Any]:
        from carapax.core.breaker.canary import Kind

        try:
            wanted = Kind(kind)
        except ValueError as error:
            raise Malformed(
                f"There is no canary of the kind {kind[:40]}.",
                next_step=f"Choose one of {', '.join(each.value for each in Kind)}.",
            ) from error
        made = self._canaries().add(wanted, place, at)
        return {"name": made.name, "kind": made.kind, "place": made.place, "at": made.at}

    def canary_remove(self, name: str) -> None:
        self._canaries().remove(name)

    def _canaries(self) -> Canaries:
        from carapax.app.canaries import Canaries
        from carapax.app.clock import SystemClock

        canaries = Canaries(self._home.canaries, self._workspace(), self._vault(), SystemClock().now_ms)
        if self._home.root.is_dir():
            canaries.begin()
        return canaries

    # stopping everything

    def stop_all(self) -> Mapping[str, Any]:
        from dataclasses import asdict

        from carapax.adapters.sandbox.running import kill_recorded
        from carapax.app.stopping import stop_everything

        try:
            return asdict(stop_everything(self._home.run, kill_recorded, time.time_ns() // 1_000_000))
        except OSError as error:
            raise StoreUnavailable(
                f"{self._home.stopped} cannot be written: {error.strerror}.",
                kept="Nothing was stopped.",
                next_step="End the gateway's process yourself; `carapax status` shows where it runs.",
            ) from error

    def is_stopped(self) -> bool:
        from carapax.app.hold import Hold

        return Hold(self._home.stopped).stopped

    def resume_alone(self) -> None:
        from carapax.app.hold import Hold

        Hold(self._home.stopped).lift_stop()
