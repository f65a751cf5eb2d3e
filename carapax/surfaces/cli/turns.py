"""Commands about turns: ask, approvals, undo.

Layer: surfaces/cli. The reply goes to stdout, everything else to stderr, so that a pipe carries the answer alone.
"""

from __future__ import annotations

from carapax.core.terms.error import CarapaxError, Malformed, NotFound, TooLarge
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.answering import Asker, Left, ways_to_answer
from carapax.surfaces.cli.card import agreed_words, indent, show_card
from carapax.surfaces.cli.client import quoted
from carapax.surfaces.cli.follow import Pump, follow
from carapax.surfaces.cli.sessions import newest_session, resolve_session
from carapax.surfaces.cli.view import TurnView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from carapax.surfaces.cli.client import Client
    from carapax.surfaces.cli.context import Context
    from carapax.surfaces.cli.terminal import Pen
    from carapax.surfaces.cli.texts import Texts

MESSAGE_BYTES = 16 << 20  # read from stdin; the gateway's own ceiling is lower and it says so


def ask(c: Context, o: Namespace) -> int:
    """One message, its turn, its reply."""
    text = read_message(c) if o.text == ["-"] else " ".join(o.text)
    if not text.strip():
        c.err.line(c.t("ask.empty"))
        return codes.USAGE
    check_text(text)
    client = c.client()
    body: dict[str, Any] = {"text": text, "channel": "cli"}
    if o.session:
        body["session"] = resolve_session(client, o.session)
    elif o.last and (newest := newest_session(client)):
        body["session"] = newest
    if o.key:
        body["key"] = o.key
    pump = Pump(lambda: client.stream("POST", "/api/turns", body))
    return watch(c, client, pump, o)


def watch(c: Context, client: Client, pump: Pump, o: Namespace) -> int:
    """Follow one turn as `ask` does and give its exit code."""
    machine = o.json or o.events
    view = _Recorded(c) if o.events else TurnView(c.t, None if machine else c.err, None if machine else c.out,
                                                  named=False, full=o.verbose)  # fmt: skip
    asker = Asker(c.stdin, c.err, c.t, client) if c.interactive and not machine else None
    try:
        outcome = follow(pump, view, client, asker, lambda key: c.err.line(c.t(key)))
    except Left:
        outcome = view.outcome
    finally:
        pump.close()
    if outcome.waiting is not None and not outcome.interrupted:
        tell_waiting(c, outcome.waiting)
    if o.json:
        c.print_json(outcome.summary())
    return outcome.exit_code()


class _Recorded(TurnView):
    """Prints each event as JSON instead of showing it."""

    def __init__(self, c: Context) -> None:
        super().__init__(c.t, None, None)
        self._context = c

    def take(self, event: Any) -> None:
        self._context.print_json(event)
        super().take(event)


def read_message(c: Context) -> str:
    """The message on stdin. Raises TooLarge over 16 MiB, Malformed when it is not UTF-8."""
    raw = c.stdin.buffer.read(MESSAGE_BYTES + 1)
    if len(raw) > MESSAGE_BYTES:
        raise TooLarge("The message is over 16 MiB.", kept="Nothing was sent.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"The message is not UTF-8 text (byte {error.start}).", kept="Nothing was sent.") from error


def check_text(text: str) -> None:
    """Raises Malformed for text that came from bytes that are not text."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise Malformed("The message is not valid text in this terminal's character set.", kept="Nothing was sent.")


def tell_waiting(c: Context, approval: dict[str, Any]) -> None:
    """How to answer from elsewhere."""
    c.err.line(("amber", c.t("waiting.how")))
    c.err.line(f"  {ways_to_answer(approval)}")
    c.err.line(f"  carapax deny {approval.get('id', '')}")


def approvals(c: Context, o: Namespace) -> int:
    """List what waits."""
    client = c.client()
    found = client.call("GET", f"/api/approvals?state={'all' if o.all else 'waiting'}").get("approvals") or []
    if o.json:
        c.print_json({"approvals": found})
    elif not found:
        c.out.line(c.t("approvals.none"))
    else:
        for approval in found:
            show_card(c.out, c.t, approval, whole=o.whole)
            waits = approval.get("state") == "waiting"
            c.out.line(indent(c.out), ways_to_answer(approval) if waits else str(approval.get("state")))
    return codes.OK


def approve(c: Context, o: Namespace) -> int:
    """Say yes to one card; what it needs beyond a yes is asked for here when it was not given."""
    from carapax.core.turn.answer import read_picks

    picked = read_picks(o.pick) if o.pick else ()
    if picked is None:
        c.err.line(c.t("approvals.pick"))
        return codes.USAGE
    given = {"typed": list(o.typed), "picked": list(picked), "code": o.code}
    return _answer(c, o, {"approve": True} | {name: value for name, value in given.items() if value})


def deny(c: Context, o: Namespace) -> int:
    """Say no to one card."""
    return _answer(c, o, {"approve": False})


def _answer(c: Context, o: Namespace, body: dict[str, Any]) -> int:
    client = c.client()
    approval = _waiting(client, o.id)
    # Followed before it is answered, so that nothing of the turn's rest is missed.
    pump = Pump(lambda: client.stream("GET", f"/api/turns/{quoted(str(approval['turn']))}/events"))
    pump.opened.wait(2.0)
    try:
        settled = _give(c, client, pump, approval, body, o)
    except (CarapaxError, KeyboardInterrupt):
        pump.close()
        raise
    except Left:
        pump.close()
        tell_waiting(c, approval)
        return codes.WAITING
    if settled == "agreed":
        pump.close()
        return codes.WAITING
    code = watch(c, client, pump, o)
    return codes.OK if code == codes.REFUSED and settled == "no" else code


def _waiting(client: Client, id: str) -> dict[str, Any]:
    """The card with this code. Raises NotFound."""
    listed = client.call("GET", "/api/approvals?state=waiting").get("approvals") or []
    found: dict[str, Any] | None = next((a for a in listed if str(a.get("id", "")).upper() == id.upper()), None)
    if found is None:
        raise NotFound(f"No approval `{id}` is waiting.")
    return found


def _give(c: Context, client: Client, pump: Pump, approval: dict[str, Any], body: dict[str, Any], o: Namespace) -> str:
    """Send the answer: "yes", "no", "agreed". With a person here, what a yes lacks is asked for first."""
    if body["approve"] and c.interactive and not (o.json or o.events) and _lacks(approval, body):
        show_card(c.err, c.t, approval)
        return Asker(c.stdin, c.err, c.t, client).settle(approval, pump, body)
    sent = {**body, "digest": str(approval.get("digest", ""))}
    settled = client.call("POST", f"/api/approvals/{quoted(str(approval['id']))}", sent)
    if not body["approve"]:
        return "no"
    if settled.get("state") != "waiting":
        return "yes"
    c.err.line(indent(c.err), ("amber", agreed_words(c.t, settled)))
    return "agreed"


def _lacks(approval: dict[str, Any], body: dict[str, Any]) -> bool:
    """Whether the card asks for something that was not given."""
    needs = {"typed": approval.get("blanks"), "picked": approval.get("choices"), "code": approval.get("factor")}
    return any(need and not body.get(name) for name, need in needs.items())


def undo(c: Context, o: Namespace) -> int:
    """Take back a turn's changes in the workspace."""
    client = c.client()
    body: dict[str, Any] = {}
    if o.session:
        body["session"] = resolve_session(client, o.session)
    if o.turn:
        body["turn"] = resolve_turn(client, o.turn, body.get("session"))
    undone = client.call("POST", "/api/undo", body)
    if o.json:
        c.print_json(undone)
    else:
        show_undone(c.out, c.t, undone)
    return codes.FAILED if undone.get("conflicts") or undone.get("lost") else codes.OK


def resolve_turn(client: Client, turn: str, session: str | None) -> str:
    """A turn's id from its number in a session (the newest when none is named), or from an id. Raises NotFound."""
    if not turn.isdecimal():
        return turn
    session = session or newest_session(client)
    turns = client.call("GET", f"/api/sessions/{quoted(session)}").get("turns") or [] if session else []
    found = next((str(t["id"]) for t in turns if t.get("number") == int(turn)), None)
    if found is None:
        raise NotFound(f"There is no turn {turn} in this session.", next_step="See `carapax sessions show SESSION`.")
    return found


def show_undone(pen: Pen, t: Texts, undone: dict[str, Any]) -> None:
    """What was put back, what was left alone, and why."""
    number, entry = undone.get("number", ""), undone.get("entry", "")
    pen.line("  ", ("green", "✓"), f" {t('undo.done', number=number)}", ("grey", f"   #{entry}"))
    for change in undone.get("restored") or ():
        pen.line(" " * 12, t(f"undo.{change.get('kind', 'modified')}", path=change.get("path", "")))
    for path in undone.get("conflicts") or ():
        pen.line(" " * 12, ("amber", t("undo.conflict", path=path)))
    for path in undone.get("lost") or ():
        pen.line(" " * 12, ("red", t("undo.lost", path=path)))
