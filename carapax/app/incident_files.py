"""Incidents on disk: one private file each, so that they outlive the gateway, the store and the ledger.

Layer: app. Owns `incidents/N.json` (docs/formats/incident.md): written whole beside it, then renamed.
Law: a file that cannot be read is an incident that holds everything: damage lets nobody go.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from carapax.core.terms.error import NotFound, StoreUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.incident import HaltedProcess, Incident, IncidentState
from carapax.core.terms.plain import plain
from carapax.core.terms.signal import SignalKind

FORMAT = "carapax-incident/1"
MAX_INCIDENTS = 10_000
MAX_BYTES = 4 << 20


class IncidentFiles:
    """The incidents of one home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def numbers(self) -> tuple[int, ...]:
        """Every number that is taken, in order."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreUnavailable(f"The incidents cannot be listed: {error.strerror}.") from error
        found = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        return tuple(sorted(int(name) for name in found if name.isascii() and name.isdigit()))[-MAX_INCIDENTS:]

    def write(self, incident: Incident) -> None:
        """Keep one, over what was kept of it before. Raises StoreUnavailable."""
        target = self.folder / f"{incident.number}.json"
        text = json.dumps({"format": FORMAT, **plain(incident)}, ensure_ascii=False, indent=1)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            written = target.with_suffix(".new")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(written, flags, 0o600), "wb") as file:
                file.write(text.encode("utf-8", "surrogatepass"))
                file.flush()
                os.fsync(file.fileno())
            written.replace(target)
        except OSError as error:
            raise StoreUnavailable(f"The incident cannot be written: {error.strerror}.") from error

    def read(self, number: int) -> Incident:
        """One incident; one that holds everything when its file is damaged. Raises NotFound."""
        path = self.folder / f"{number}.json"
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise NotFound(f"There is no incident {number}.", next_step="`carapax incident` lists them.") from error
        except OSError as error:
            return _damaged(number, str(error.strerror))
        try:
            return _parse(number, json.loads(content.decode("utf-8", "surrogatepass")))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return _damaged(number, type(error).__name__)

    def all(self) -> tuple[Incident, ...]:
        """Every incident, the newest first."""
        return tuple(self.read(number) for number in reversed(self.numbers()))


def _damaged(number: int, why: str) -> Incident:
    return Incident(
        number=number,
        rule="breaker.damaged",
        session=None,
        call=None,
        signal=SignalKind.DENIED,
        detail="",
        count=0,
        limit=0,
        sentence=f"the file of incident {number} cannot be read ({why}), so nobody knows what it halted.",
        how="",
        opened_ms=0,
        state=IncidentState.OPEN,
        problems=("The file is damaged; all sessions are halted until a person decides.",),
    )


def _parse(number: int, told: dict[str, Any]) -> Incident:
    if told.pop("format") != FORMAT or int(told["number"]) != number:
        raise ValueError("another format or number")
    texts = {name: tuple(map(str, told[name])) for name in ("problems", "notes")}
    session, call = told["session"], told["call"]
    whole = {
        name: int(told[name])
        for name in ("count", "limit", "opened_ms", "to_frozen_us", "to_told_ms", "entry", "decided_ms")
    }
    said = {name: str(told[name]) for name in ("rule", "detail", "sentence", "how", "decided_by")}
    return Incident(
        number=number,
        session=SessionId(str(session)) if session is not None else None,
        call=CallId(str(call)) if call is not None else None,
        signal=SignalKind(told["signal"]),
        state=IncidentState(told["state"]),
        halted=tuple(CallId(str(call)) for call in told["halted"]),
        processes=tuple(
            HaltedProcess(int(p["pid"]), int(p["parent"]), tuple(p["command"]), tuple(p["files"]))
            for p in told["processes"]
        ),
        problems=texts["problems"],
        notes=texts["notes"],
        **whole,  # type: ignore[arg-type]
        **said,  # type: ignore[arg-type]
    )
