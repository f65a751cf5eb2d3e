"""Commands about sessions: list, show, name, search, export, delete.

Layer: surfaces/cli. A session is named by its id, the end of its id, or its name.
"""

from __future__ import annotations

import time

from carapax.core.terms.error import Conflict, NotFound
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.client import quoted
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from carapax.surfaces.cli.client import Client
    from carapax.surfaces.cli.context import Context
    from carapax.surfaces.cli.terminal import Pen
    from carapax.surfaces.cli.texts import Texts

ID_LENGTH = 26
SHORT = 6  # characters of an id's end; its start is the time


def sessions(c: Context, o: Namespace) -> int:
    """Dispatch on the action."""
    return _ACTIONS[o.action or "list"](c, c.client(), o)


def listed(client: Client, query: str = "", limit: int = 50) -> list[dict[str, Any]]:
    """Sessions, newest first."""
    found = client.call("GET", f"/api/sessions?query={quoted(query)}&limit={limit}").get("sessions")
    return found if isinstance(found, list) else []


def newest_session(client: Client) -> str:
    """The id of the session used last, "" when there is none."""
    found = listed(client, limit=1)
    return str(found[0]["id"]) if found else ""


def resolve_session(client: Client, given: str) -> str:
    """The id that was meant. Raises NotFound, Conflict when several fit."""
    if len(given) == ID_LENGTH and given.isalnum():
        return given
    every = [s for s in listed(client, limit=200) if isinstance(s.get("id"), str)]
    found = [s for s in every if s["id"].lower().endswith(given.lower())] or [s for s in every if s["name"] == given]
    if not found:
        raise NotFound(f"There is no session `{given}`.", next_step="List them with `carapax sessions`.")
    if len(found) > 1:
        raise Conflict(f"{len(found)} sessions fit `{given}`.", next_step="Give more of the id (`carapax sessions`).")
    return str(found[0]["id"])


def show_sessions(pen: Pen, t: Texts, found: list[dict[str, Any]], current: str = "") -> None:
    """A line each: the end of the id, when, turns, name."""
    if not found:
        pen.line(t("sessions.none"))
    for session in found:
        here = "▸" if session.get("id") == current else " "
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(int(session.get("updated_ms", 0)) / 1000))
        turns = pad(t("sessions.turns", count=session.get("turns", 0)), 10)
        pen.line(
            here,
            f" {str(session.get('id', ''))[-SHORT:]}  ",
            ("grey", f"{when}  {turns}"),
            str(session.get("name", "")),
        )


def _list(c: Context, client: Client, o: Namespace) -> int:
    query = " ".join(o.words) if o.action == "search" else ""
    found = listed(client, query, o.limit)
    if o.json:
        c.print_json({"sessions": found})
    else:
        show_sessions(c.out, c.t, found)
    return codes.OK


def _show(c: Context, client: Client, o: Namespace) -> int:
    answer = client.call("GET", f"/api/sessions/{quoted(resolve_session(client, o.session))}")
    if o.json:
        c.print_json(answer)
        return codes.OK
    session = answer.get("session") or {}
    c.out.line(str(session.get("name", "")), ("grey", f"   {session.get('id', '')}"))
    for turn in sorted(answer.get("turns") or [], key=lambda t: int(t.get("number", 0))):
        c.out.line(("grey", f"{turn.get('number', ''):>3}  "), pad(c.t("who.you"), 5), str(turn.get("text", "")))
        if turn.get("state") != "done":
            c.out.line("     ", ("amber", str(turn.get("state", ""))))
        for line in str(turn.get("reply") or "").splitlines():
            c.out.line("     ", pad(c.t("who.it"), 5), line)
    return codes.OK


def _name(c: Context, client: Client, o: Namespace) -> int:
    answer = client.call(
        "PATCH", f"/api/sessions/{quoted(resolve_session(client, o.session))}", {"name": " ".join(o.words)}
    )
    if o.json:
        c.print_json(answer)
    return codes.OK


def _export(c: Context, client: Client, o: Namespace) -> int:
    stream = client.stream("GET", f"/api/sessions/{quoted(resolve_session(client, o.session))}/export")
    try:
        for part in stream:
            c.print_json(part)
    finally:
        stream.close()
    return codes.OK


def _delete(c: Context, client: Client, o: Namespace) -> int:
    session = resolve_session(client, o.session)
    if not o.yes and not c.confirm(c.t("sessions.delete", id=session[-SHORT:])):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    client.call("DELETE", f"/api/sessions/{quoted(session)}")
    return codes.OK


_ACTIONS = {"list": _list, "search": _list, "show": _show, "name": _name, "export": _export, "delete": _delete}
