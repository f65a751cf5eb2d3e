"""`carapax incident`: what was halted, why and how, its evidence, and a person's decision.

Layer: surfaces/cli. Looking and exporting work without a gateway; deciding is the running gateway's.
"""

from __future__ import annotations

import time

from carapax.core.terms.error import CarapaxError
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.client import GatewayAbsent, quoted
from carapax.surfaces.cli.machine import write_file
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from carapax.surfaces.cli.context import Context
    from carapax.surfaces.cli.terminal import Pen, Span
    from carapax.surfaces.cli.texts import Texts

_COLUMN = 11
_HALTED = ("open", "frozen", "kept")
MAX_SHOWN = 40


def incident(c: Context, o: Namespace) -> int:
    """List, show, export, or decide."""
    action = o.action or "list"
    if action == "list":
        return _list(c, o)
    if action == "show":
        return _show(c, o)
    if action == "export":
        return _export(c, o)
    return _decide(c, o)


def _list(c: Context, o: Namespace) -> int:
    found = _all(c)
    if o.json:
        c.print_json({"incidents": found})
        return codes.OK
    if not found:
        c.out.line(c.t("incident.none"))
    for one in found:
        c.out.line(
            _mark(one), " ", pad(str(one["number"]), 4), " ", pad(_state(c.t, one), 9), " ", _clock(one), "  ",
            str(one["sentence"]),
        )  # fmt: skip
    return codes.OK


def _all(c: Context) -> Sequence[Mapping[str, Any]]:
    try:
        found: Sequence[Mapping[str, Any]] = c.client().call("GET", "/api/incidents")["incidents"]
    except GatewayAbsent:
        return c.local.wards().incidents()
    return found


def _one(c: Context, number: int) -> Mapping[str, Any]:
    try:
        return c.client().call("GET", f"/api/incidents/{number}")
    except GatewayAbsent:
        return c.local.wards().incident(number)


def _show(c: Context, o: Namespace) -> int:
    found = _one(c, o.number)
    if o.json:
        c.print_json(found)
        return codes.OK
    show_incident(c.out, c.t, found)
    for label, value in _details(c.t, found):
        c.out.line("  ", pad(label, _COLUMN), value)
    processes = found.get("processes") or ()
    if processes:
        c.out.line("  ", c.t("incident.processes"))
    for process in processes[:MAX_SHOWN]:
        words = " ".join(str(word) for word in process["command"])
        c.out.line("    ", f"{process['pid']:>7} {process['parent']:>7}  ", words)
    return codes.OK


def _details(t: Texts, found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield t("incident.rule"), f"{found['rule']}  {found['count']:,} > {found['limit']:,}"
    if found["entry"] >= 0:
        yield t("incident.entry"), f"#{found['entry']}"
    for problem in found["problems"]:
        yield t("incident.problem"), str(problem)
    for note in found["notes"]:
        yield t("incident.note"), str(note)
    if found["decided_by"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(found["decided_ms"]) / 1000))
        yield t("incident.decided"), f"{_state(t, found)}, {found['decided_by']}, {when}"


def show_incident(pen: Pen, t: Texts, found: Mapping[str, Any]) -> None:
    """The lines that tell of an incident wherever it is met: what, how, what stands, what a person may do."""
    session = str(found.get("session") or "")
    whose = t("incident.session", session=session) if session else t("incident.everything")
    said = str(found["sentence"])
    pen.line(_mark(found), " ", _clock(found), "  ", whose, " ", _state(t, found), ": ", said)
    if found.get("how"):
        pen.line("  ", pad(t("incident.how"), _COLUMN), str(found["how"]))
    pen.line("  ", pad(t("incident.stopped"), _COLUMN), _speed(t, found))
    if found["state"] in _HALTED:
        pen.line("  ", pad(t("incident.now"), _COLUMN), t("incident.look", number=found["number"]))


def _speed(t: Texts, found: Mapping[str, Any]) -> str:
    shown = f"{int(found.get('to_frozen_us') or 0) / 1000:.1f}"
    if found["state"] == "open":
        return t("incident.not_all", ms=shown)
    return t("incident.after", ms=shown, jobs=len(found.get("halted") or ()))


def _mark(found: Mapping[str, Any]) -> Span:
    return ("red", "■") if found["state"] in _HALTED else ("grey", "·")


def _state(t: Texts, found: Mapping[str, Any]) -> str:
    key = f"incident.state.{found['state']}"
    return t(key) if t.has(key) else str(found["state"])


def _clock(found: Mapping[str, Any]) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(found.get("opened_ms") or 0) / 1000))


def _export(c: Context, o: Namespace) -> int:
    content = c.local.wards().export(o.number, _transcript(c, o.number))
    name = o.output or f"incident-{o.number}.tar"
    write_file(name, content)
    c.err.line(c.t("incident.exported", name=name, size=f"{len(content):,}"))
    return codes.OK


def _transcript(c: Context, number: int) -> list[Mapping[str, Any]] | None:
    """The session's parts from the running gateway; None when none runs, or when it cannot give them."""
    session = c.local.wards().incident(number).get("session")
    if not session:
        return None
    try:
        stream = c.client().stream("GET", f"/api/sessions/{quoted(str(session))}/export")
    except GatewayAbsent:
        return None
    except CarapaxError:
        return []
    try:
        return list(stream)
    finally:
        stream.close()


def _decide(c: Context, o: Namespace) -> int:
    found = c.client().call("GET", f"/api/incidents/{o.number}")
    if not o.json:
        show_incident(c.err, c.t, found)
    if not o.yes and not c.confirm(c.t(f"incident.confirm_{o.action}", number=o.number)):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    done = c.client().call("POST", f"/api/incidents/{o.number}", {"act": o.action})
    if o.json:
        c.print_json(done)
    else:
        c.out.line(c.t(f"incident.done_{o.action}", number=o.number), "  ", ("green", "✓"))
    return codes.OK
