"""A turn as it happens: events in, lines out, and what became of it.

Layer: surfaces/cli. Owns how each event looks (faces: steps, cards, refusals, stops) and the turn's exit code.
Absent: where events come from (follow) and asking a person (asking).
"""

from __future__ import annotations

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.card import show_card
from carapax.surfaces.cli.neutral import one_line
from carapax.surfaces.cli.terminal import Speech, cells, pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from carapax.surfaces.cli.terminal import Pen, Span
    from carapax.surfaces.cli.texts import Texts

_STEP_COLUMN = 50  # where the ledger entry stands when there is room
_OUTCOMES = {"done": ("green", "✓"), "failed": ("red", "✗"), "stopped": ("red", "■"), "unknown": ("amber", "?")}


class Outcome:
    """What is known of a turn so far; `exit_code` reads it when the stream has ended."""

    def __init__(self) -> None:
        self.session = ""
        self.turn = ""
        self.number = 0
        self.state = ""
        self.code = ""
        self.reply = ""
        self.usage: dict[str, Any] = {}
        self.steps: list[dict[str, Any]] = []
        self.refused = 0
        self.waiting: dict[str, Any] | None = None
        self.interrupted = False
        self.denied_here = False

    def exit_code(self) -> int:
        if self.interrupted:
            return codes.INTERRUPTED
        if self.waiting is not None:
            return codes.WAITING
        if self.code.startswith("budget"):
            return codes.BUDGET
        if self.state != "done":
            return codes.FAILED
        return codes.REFUSED if self.refused and not self.denied_here else codes.OK

    def summary(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "session": self.session, "turn": self.turn, "number": self.number,
            "state": "waiting" if self.waiting is not None else self.state,
            "code": self.code, "reply": self.reply, "steps": self.steps,
            "approval": self.waiting, "usage": self.usage, "exit": self.exit_code(),
        }  # fmt: skip


class TurnView:
    """Feed it every event in order. `spoken` gets the reply, `pen` everything else; None for both shows nothing."""

    def __init__(
        self, t: Texts, pen: Pen | None, spoken: Pen | None, *, named: bool = True, full: bool = False
    ) -> None:
        self._t = t
        self._pen = pen
        self._full = full
        self._plain = spoken if not named else None
        self._speech = Speech(spoken, t("who.it")) if spoken is not None and named else None
        self._said = ""
        self._noticed = ""
        self._unended = False
        self._entries: dict[str, int] = {}
        self.outcome = Outcome()

    def take(self, event: Mapping[str, Any]) -> None:
        """Show one event. An event of a kind not known here is left out: a newer gateway may have more."""
        kind = str(event.get("event", ""))
        shown = getattr(self, f"_on_{kind}", None)
        if shown is not None:
            shown(event)

    def _on_TurnStarted(self, event: Mapping[str, Any]) -> None:
        out = self.outcome
        out.session, out.turn, out.number = str(event["session"]), str(event["turn"]), int(event.get("number", 0))

    def _on_TextDelta(self, event: Mapping[str, Any]) -> None:
        self._say(str(event.get("text", "")))

    def _on_Question(self, event: Mapping[str, Any]) -> None:
        self._say(str(event.get("text", "")))
        self.close()

    def _on_StepJudged(self, event: Mapping[str, Any]) -> None:
        self._entries[str(event.get("call"))] = int(event.get("entry", -1))
        answer = str(event.get("answer", ""))
        if answer == "deny":
            self.outcome.refused += 1
            self._step_kept(event, "refused")
        pen = self._settled()
        if pen is None:
            return
        if self._full:
            judged = self._t("step.judged", answer=answer, rule=event.get("rule", ""), entry=event.get("entry", ""))
            pen.line("  ", ("grey", f"· {judged}: {event.get('summary', '')}"))
        if answer == "deny":
            self._refusal(pen, event)
        elif answer == "allow":
            pen.passing(f"  … {event.get('summary', '')}")

    def _on_StepDone(self, event: Mapping[str, Any]) -> None:
        outcome = str(event.get("outcome", ""))
        entry = self._entries.get(str(event.get("call")), int(event.get("entry", -1)))
        self._step_kept(event, outcome, entry)
        pen = self._settled()
        if pen is None:
            return
        verb, _, what = str(event.get("summary", "")).partition(" ")
        if outcome != "done":
            what = f"{what} ({self._t('outcome.' + outcome)})" if outcome in _OUTCOMES else f"{what} ({outcome})"
        detail = str(event.get("detail") or "")
        head = f"{pad(one_line(verb), 7)} {one_line(what)}{' → ' if detail else ''}{one_line(detail)}"
        self._step_line(pen, _OUTCOMES.get(outcome, ("amber", "?")), head, entry, self._pace(event))

    def _on_Waiting(self, event: Mapping[str, Any]) -> None:
        self.outcome.waiting = dict(event.get("approval") or {})
        if (pen := self._settled()) is not None:
            show_card(pen, self._t, self.outcome.waiting)

    def _on_Answered(self, event: Mapping[str, Any]) -> None:
        approval = event.get("approval") or {}
        state = str(approval.get("state", ""))
        self.outcome.waiting = None
        if state != "approved":
            self.outcome.refused += 1
        pen = self._settled()
        if pen is None or state == "approved":
            return
        mark: Span = ("red", "✗")
        said = self._t("answered.expired") if state == "expired" else self._t("answered.denied")
        pen.line("  ", mark, " ", pad(self._t("step.no"), 7), " ", str(approval.get("title", "")), "  ", said)

    def _on_Notice(self, event: Mapping[str, Any]) -> None:
        self._noticed = str(event.get("text", ""))
        if (pen := self._settled()) is not None:
            pen.line(("amber", str(event.get("text", ""))))
            if step := str(event.get("next_step") or ""):
                pen.line(step)

    def _on_Contained(self, event: Mapping[str, Any]) -> None:
        if (pen := self._settled()) is not None:
            from carapax.surfaces.cli.incident import show_incident

            show_incident(pen, self._t, event.get("incident") or {})

    def _on_TurnEnded(self, event: Mapping[str, Any]) -> None:
        out = self.outcome
        out.state, out.code = str(event.get("state", "")), str(event.get("code") or "")
        out.reply, out.usage = str(event.get("reply") or ""), dict(event.get("usage") or {})
        out.session, out.turn = str(event.get("session", out.session)), str(event.get("turn", out.turn))
        out.waiting = None
        # The stream may have carried nothing of the reply (followed late), or all of it.
        # A turn that was stopped may repeat its notice as its reply: it is shown once.
        repeated = bool(self._noticed) and out.state == "stopped" and out.reply.startswith(self._noticed)
        if out.reply and not repeated and not self._said.strip().endswith(out.reply.strip()):
            self._say(out.reply[len(self._said) :] if out.reply.startswith(self._said) else out.reply)
        self.close()
        if (pen := self._settled()) is not None and out.state == "interrupted":
            pen.line(("red", "■ "), self._t("turn.interrupted"))

    def broke_off(self) -> None:
        """The stream ended without TurnEnded: say what is known."""
        self.outcome.state = self.outcome.state or "interrupted"
        if (pen := self._settled()) is not None:
            pen.line(("red", "■ "), self._t("turn.broke_off"))
            pen.line("  ", self._t("turn.broke_off_next"))

    def close(self) -> None:
        """End an open line of the reply."""
        if self._speech is not None:
            self._speech.end()
        if self._plain is not None and self._unended:
            self._plain.text("\n")
        self._unended = False

    def _say(self, text: str) -> None:
        self._said += text
        if self._pen is not None and text.strip():
            self._pen.text("")  # clears a passing line
        if self._speech is not None:
            self._speech.say(text)
        if self._plain is not None and text:
            self._plain.text(text)
            self._unended = not text.endswith("\n")

    def _settled(self) -> Pen | None:
        self.close()
        return self._pen

    def _step_kept(self, event: Mapping[str, Any], outcome: str, entry: int | None = None) -> None:
        kept = {k: event.get(k, "") for k in ("tool", "summary", "rule", "detail") if event.get(k)}
        self.outcome.steps.append({**kept, "outcome": outcome, "entry": entry if entry is not None else event["entry"]})

    def _refusal(self, pen: Pen, event: Mapping[str, Any]) -> None:
        pen.line("  ", ("red", "✗"), f" {self._t('step.refused')}   ", str(event.get("summary", "")))
        pen.line(" " * 14, str(event.get("reason", "")))
        pen.line(" " * 14, ("grey", f"#{event.get('entry', '')} · {self._t('step.rule')} {event.get('rule', '')}"))

    def _step_line(self, pen: Pen, mark: Span, head: str, entry: int, pace: str) -> None:
        if pen.width < 60:  # the pace is the first thing to go
            pace = ""
        room = pen.width - 4 - len(f"  #{entry}") - cells(pace)
        if pen.tty and cells(head) > room:
            head = head[: room - 1] + "…"
        column = min(_STEP_COLUMN - 4, room)
        pen.line("  ", mark, " ", pad(head, column), "  ", ("grey", f"#{entry}{pace}"))

    def _pace(self, event: Mapping[str, Any]) -> str:
        duration = int(event.get("duration_ms") or 0)
        shown = f"{duration} ms" if duration < 10_000 else f"{duration / 1000:.0f} s"
        if event.get("tool") == "shell":
            return "   " + self._t("step.sandbox", pace=shown)
        return f"   {shown}" if duration >= 1000 else ""
