"""The chat in the terminal.

Layer: surfaces/cli. Starts a gateway when none runs and ends the one it started. Absent: how events look (view),
reading lines (editing), following a turn (follow).
"""

from __future__ import annotations

import signal

from carapax.core.terms.error import CarapaxError
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.answering import Asker, Left
from carapax.surfaces.cli.banner import Banner
from carapax.surfaces.cli.card import show_card
from carapax.surfaces.cli.client import quoted
from carapax.surfaces.cli.editing import Lines
from carapax.surfaces.cli.follow import Pump, follow
from carapax.surfaces.cli.gateway import reach, status, stop_and_wait
from carapax.surfaces.cli.sessions import SHORT, listed, newest_session, resolve_session, show_sessions
from carapax.surfaces.cli.terminal import pad
from carapax.surfaces.cli.turns import check_text, resolve_turn, show_undone, tell_waiting
from carapax.surfaces.cli.view import TurnView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import Any

    from carapax.surfaces.cli.client import Client
    from carapax.surfaces.cli.context import Context

_UNDO_WORDS = ("undo", "annule", "annuler")


class Hangup(BaseException):
    """The terminal went away, or the process was told to end."""


def chat(c: Context, o: Namespace) -> int:
    """Talk until Ctrl-D."""
    client, started = reach(c, start=True)
    _tell_beginning(c, client)
    chatting = Chat(c, client)
    previous = {s: signal.signal(s, _hang_up) for s in (signal.SIGHUP, signal.SIGTERM)}
    try:
        chatting.begin(o)
        return chatting.run()
    except Hangup:
        return codes.INTERRUPTED
    finally:
        for number, action in previous.items():
            signal.signal(number, action)
        if started and not o.keep:
            _end(c, client, chatting.waits)


def _hang_up(number: int, frame: object) -> None:
    raise Hangup


def _tell_beginning(c: Context, client: Client) -> None:
    found = client.call("GET", "/api/status")
    banner = Banner(c.out, c.t)
    banner.begin(str(found.get("version", "")), first=False)
    facts = found.get("model")
    if isinstance(facts, dict):
        banner.fact("model", " ".join(str(facts[k]) for k in ("name", "model") if facts.get(k)))
    c.out.line(c.t("chat.hint"))


def _end(c: Context, client: Client, waits: bool) -> None:
    if waits:
        c.err.line(c.t("chat.kept_waiting"))
        return
    try:
        stop_and_wait(client)
    except CarapaxError as error:
        c.print_error(error)


class Chat:
    """One conversation at this terminal."""

    def __init__(self, c: Context, client: Client) -> None:
        self._c = c
        self._client = client
        self._session = ""
        self._lines = Lines(c.stdin, c.out, c.local.home() / "cli_history", pad(c.t("who.you"), 5))
        self.waits = False  # an approval was left open

    def begin(self, o: Namespace) -> None:
        """Take up the session that was named."""
        if o.session:
            self._session = resolve_session(self._client, o.session)
        elif o.last:
            self._session = newest_session(self._client)

    def run(self) -> int:
        """Until the end of input, /quit, or Ctrl-C twice at the prompt."""
        pressed = False
        while True:
            try:
                text = self._lines.read()
                pressed = False
                if text is None or text.strip() in ("/quit", "/exit", "/q"):
                    return codes.OK
                code = self._answer(text.strip())
                if code is not None:
                    return code
            except KeyboardInterrupt:
                self._c.out.text("\n")
                if pressed:
                    return codes.INTERRUPTED
                pressed = True
                self._c.out.line(("grey", self._c.t("chat.once_more")))
            except CarapaxError as error:
                self._c.print_error(error)
                if error.code == "gateway.absent":
                    return codes.NO_GATEWAY

    def _answer(self, text: str) -> int | None:
        """Do what a line says; an exit code when the chat is over."""
        if not text:
            return None
        if text.lower().rstrip(".!") in _UNDO_WORDS:
            self._undo("")
            return None
        if not text.startswith("/"):
            return self._turn(text)
        word, _, rest = text[1:].partition(" ")
        action = self._slash().get(word)
        if action is None:
            self._c.out.line(self._c.t("chat.unknown", word=word))
            return None
        return action(rest.strip())

    def _slash(self) -> dict[str, Callable[[str], int | None]]:
        return {
            "help": self._help, "undo": self._undo, "changes": self._changes, "sessions": self._sessions,
            "session": self._switch, "new": self._new, "name": self._name, "model": self._model,
            "status": self._status, "approvals": self._approvals,
        }  # fmt: skip

    def _turn(self, text: str) -> int | None:
        check_text(text)
        c, client = self._c, self._client
        body: dict[str, Any] = {"text": text, "channel": "cli"}
        if self._session:
            body["session"] = self._session
        asker = Asker(c.stdin, c.out, c.t, client) if c.stdin.isatty() and c.out.tty else None
        view = TurnView(c.t, c.out, c.out)
        pump = Pump(lambda: client.stream("POST", "/api/turns", body))
        try:
            outcome = follow(pump, view, client, asker, lambda key: c.out.line(("grey", c.t(key))))
        except Left:
            outcome = view.outcome
        finally:
            pump.close()
        self._session = outcome.session or self._session
        if outcome.waiting is not None and not outcome.interrupted:
            self.waits = True
            tell_waiting(c, outcome.waiting)
            return codes.WAITING
        if outcome.interrupted and not outcome.state:
            return codes.INTERRUPTED
        return None

    def _help(self, rest: str) -> None:
        self._c.out.text(self._c.t("chat.help"))

    def _undo(self, rest: str) -> None:
        body: dict[str, Any] = {"session": self._session} if self._session else {}
        if rest:
            body["turn"] = resolve_turn(self._client, rest, self._session)
        show_undone(self._c.out, self._c.t, self._client.call("POST", "/api/undo", body))

    def _changes(self, rest: str) -> int | None:
        # The gateway itself answers this one, from the ledger and not from the model.
        return self._turn(self._c.t("chat.changes"))

    def _sessions(self, rest: str) -> None:
        show_sessions(self._c.out, self._c.t, listed(self._client, rest, limit=20), self._session)

    def _switch(self, rest: str) -> None:
        if not rest:
            self._c.out.line(self._session[-SHORT:] or self._c.t("chat.no_session"))
            return
        self._session = resolve_session(self._client, rest)
        self._c.out.line(self._c.t("chat.switched", id=self._session[-SHORT:]))

    def _new(self, rest: str) -> None:
        self._session = ""
        self._c.out.line(self._c.t("chat.new"))

    def _name(self, rest: str) -> None:
        if not self._session or not rest:
            self._c.out.line(self._c.t("chat.name"))
            return
        self._client.call("PATCH", f"/api/sessions/{quoted(self._session)}", {"name": rest})
        self._c.out.line(self._c.t("chat.named", name=rest))

    def _model(self, rest: str) -> None:
        from argparse import Namespace

        from carapax.surfaces.cli.machine import model

        name, _, which = rest.partition(" ")
        model(
            self._c,
            Namespace(provider=False, choose=False, name=name, model=which, url="", key_stdin=False, json=False),
        )

    def _status(self, rest: str) -> None:
        from argparse import Namespace

        status(self._c, Namespace(json=False))

    def _approvals(self, rest: str) -> None:
        found = self._client.call("GET", "/api/approvals?state=waiting").get("approvals") or []
        if not found:
            self._c.out.line(self._c.t("approvals.none"))
        for approval in found:
            show_card(self._c.out, self._c.t, approval)
        for approval in found if self._c.stdin.isatty() else ():
            self._settle(approval)

    def _settle(self, approval: dict[str, Any]) -> None:
        pump = Pump(lambda: self._client.stream("GET", f"/api/turns/{quoted(str(approval['turn']))}/events"))
        pump.opened.wait(2.0)
        try:
            asker = Asker(self._c.stdin, self._c.out, self._c.t, self._client)
            view = TurnView(self._c.t, self._c.out, self._c.out)
            if asker.settle(approval, pump) == "agreed":
                return  # it waits for somebody else, and the chat need not
            follow(pump, view, self._client, asker, lambda key: self._c.out.line(("grey", self._c.t(key))))
        except Left:
            return
        finally:
            pump.close()
