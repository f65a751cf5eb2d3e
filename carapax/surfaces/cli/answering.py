"""Asking the person at this terminal for the answer to a card: keys, picked lines, typed values, the one-time code.

Layer: surfaces/cli. Absent: whether an answer is complete and right; the gateway judges that and says what is missing.
Laws: what was typed before the card was shown is not an answer; a bare Enter never says yes; news of the turn that
comes while a question is open ends the question.
"""

from __future__ import annotations

import re
import select

from carapax.core.terms.error import CarapaxError
from carapax.surfaces.cli.card import agreed_words, indent, show_card, wrapped
from carapax.surfaces.cli.client import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TextIO

    from carapax.surfaces.cli.client import Client
    from carapax.surfaces.cli.follow import Pump
    from carapax.surfaces.cli.terminal import Pen
    from carapax.surfaces.cli.texts import Texts

_YES = ("y", "yes", "o", "oui")
_NO = ("n", "no", "non")
_DETAILS = ("d", "details", "détails")
_NONE = ("", "none", "aucune", "aucun")
_RETRY = "approval."  # codes of a yes that was not complete; the card still waits
_TRIES = re.compile(r"\b(\d+) tr(?:y|ies) left")
_ENDED = "approval.too_many_wrong"


class Left(Exception):
    """The person closed the input while a question was open; it stays open."""


class News(Exception):
    """The turn had something to tell while a question was open."""


class _Refused(Exception):
    """The person said no in the middle of answering."""


class Asker:
    """Asks the person at this terminal: yes, no, or show all of it; and for whatever a yes needs."""

    def __init__(self, stdin: TextIO, pen: Pen, t: Texts, client: Client) -> None:
        self._stdin = stdin
        self._pen = pen
        self._t = t
        self._client = client

    def settle(self, approval: dict[str, Any], pump: Pump, given: Mapping[str, Any] | None = None) -> str:
        """Get an answer and send it: "yes", "no", "agreed" (others must too), or "" when the stream had news first.

        `given` is what is known already of a yes. Raises Left at the end of input.
        """
        drop_typed_ahead(self._stdin)
        known = dict(given or {})
        while True:
            try:
                body = self._yes(approval, pump, known) if self._says_yes(approval, pump, known) else {"approve": False}
            except _Refused:
                body = {"approve": False}
            except News:
                self._pen.text("\n")
                return ""
            sent = self._send(approval, body)
            if sent is not None:
                return sent
            known = {}

    def _says_yes(self, approval: dict[str, Any], pump: Pump, known: Mapping[str, Any]) -> bool:
        """The key for a plain card; a card that asks for more is answered by what it asks for."""
        if known:
            return True
        if approval.get("blanks") or approval.get("choices"):
            self._say("", self._t("ask.keys_no"))
            return True
        while True:
            key = self._line(f"{indent(self._pen)}{self._t('ask.keys')} ▸ ", pump).lower()
            if key in _DETAILS:
                show_card(self._pen, self._t, approval, whole=True)
            elif key in _YES or key in _NO:
                return key in _YES

    def _yes(self, approval: dict[str, Any], pump: Pump, known: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that a yes to this card needs. Raises _Refused, News, Left."""
        body: dict[str, Any] = {"approve": True, "digest": str(approval.get("digest", ""))}
        if approval.get("choices"):
            body["picked"] = known.get("picked") or self._picks(approval, pump)
        if blanks := approval.get("blanks"):
            body["typed"] = known.get("typed") or [self._value(approval, pump, blank) for blank in blanks]
        if approval.get("factor"):
            self._tell_factor()
            body["code"] = known.get("code") or self._asked(approval, pump, self._t("ask.code"))
        return body

    def _picks(self, approval: dict[str, Any], pump: Pump) -> list[int]:
        from carapax.core.turn.answer import read_picks

        count = len(approval["choices"])
        while True:
            said = self._asked(approval, pump, self._t("ask.pick"), empty=True)
            if said.lower() in _NONE:
                raise _Refused
            found = read_picks(said)
            if found and max(found) < count and len(set(found)) == len(found):
                return list(found)
            self._say("", self._t("ask.pick_again", count=count))

    def _value(self, approval: dict[str, Any], pump: Pump, blank: Mapping[str, Any]) -> str:
        many = len([b for b in approval["blanks"] if b.get("role") == blank.get("role")]) > 1
        of = f" ({blank.get('argument')} {int(blank.get('call') or 0) + 1})" if many else ""
        return self._asked(approval, pump, f"{blank.get('role')}{of}", keys=str(blank.get("shown", "")).strip())

    def _asked(self, approval: dict[str, Any], pump: Pump, prompt: str, *, empty: bool = False, keys: str = "") -> str:
        """A line that is neither a no nor a wish to see more. `keys`: the value asked for, which may be spelled as a key."""
        while True:
            line = self._line(f"{prompt} ▸ ", pump)
            key = line.lower()
            if key in _NO and line != keys:
                raise _Refused
            if key in _YES and keys and line != keys:
                self._say("", self._t("ask.keys_no"))
            elif key in _DETAILS and line != keys:
                show_card(self._pen, self._t, approval, whole=True)
            elif line or empty:
                return line

    def _tell_factor(self) -> None:
        """Say so before a code is asked for that nobody can give."""
        try:
            if self._client.call("GET", "/api/status").get("factor") == "none":
                self._say("amber", self._t("ask.no_factor"))
        except CarapaxError:
            return  # the gateway says it too, after the answer

    def _say(self, colour: str, text: str) -> None:
        margin = indent(self._pen)
        for line in wrapped(text, max(20, self._pen.width - len(margin))) if text else ():
            self._pen.line(margin, (colour, line) if colour else line)

    def _line(self, prompt: str, pump: Pump) -> str:
        self._pen.text(prompt)
        ready, _, _ = select.select([self._stdin.fileno(), pump.fileno()], [], [])
        if pump.fileno() in ready:
            raise News
        line = self._stdin.readline()
        if not line:
            self._pen.text("\n")
            raise Left
        return line.strip()

    def _send(self, approval: dict[str, Any], body: dict[str, Any]) -> str | None:
        """How it was taken; None when it was not complete and the card still waits."""
        try:
            settled = self._client.call("POST", f"/api/approvals/{quoted(str(approval['id']))}", body)
        except CarapaxError as error:
            self._say("red", lacking_words(self._t, error))
            self._say("", next_words(self._t, error))
            return None if error.code.startswith(_RETRY) and error.code != _ENDED else ""
        if not body["approve"]:
            return "no"
        if settled.get("state") != "waiting":
            return "yes"
        self._say("amber", agreed_words(self._t, settled))
        return "agreed"


def lacking_words(t: Texts, error: CarapaxError) -> str:
    """What is missing, in the person's language as far as the catalogue has it."""
    key = f"lacking.{error.code.removeprefix(_RETRY)}"
    return t(key) if t.language != "en" and t.has(key) else error.what


def next_words(t: Texts, error: CarapaxError) -> str:
    """What to do next; in another language than the gateway's, how many tries are left."""
    if t.language == "en" or not error.code.startswith(_RETRY):
        return t.known(error.next_step)
    left = _TRIES.search(error.next_step)
    return t("lacking.tries", count=left[1]) if left else ""


def ways_to_answer(approval: Mapping[str, Any], placeholder: Callable[[str], str] = str.upper) -> str:
    """The command that gives a complete yes from elsewhere."""
    words = ["carapax approve", str(approval.get("id", ""))]
    words += ["--pick 1,3"] if approval.get("choices") else []
    words += [f"--type {placeholder(str(blank.get('role', '')))}" for blank in approval.get("blanks") or ()]
    words += ["--code 123456"] if approval.get("factor") else []
    return " ".join(words)


def drop_typed_ahead(stdin: TextIO) -> None:
    """Forget what was typed before a question was shown."""
    import termios

    try:
        termios.tcflush(stdin.fileno(), termios.TCIFLUSH)
    except (termios.error, OSError, ValueError):
        return
