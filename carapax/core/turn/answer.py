"""Answering an approval: what a person must give before a yes counts, and what one answer makes of the card.

Layer: core/turn. Owns the whole judgement. Absent: waiting, storing, and checking the one-time code (`app`), whose
finding comes in as a fact. Source: rule 10, a value that the owner never named is typed or picked, never clicked.
Laws: `judge` is total; a no always ends the card; nothing but a complete answer can end it as approved.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from carapax.core.flow.canon import canonical, disguise
from carapax.core.flow.origin import hidden_characters
from carapax.core.terms.action import ArgRole
from carapax.core.terms.approval import Answer, Approval, ApprovalState, Blank
from carapax.core.terms.error import Conflict, Malformed, Refused
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.turn.machine import answer_state

MAX_WRONG = 3
"""Incomplete or wrong answers to one card; the last of them ends it as denied."""

MAY_ANSWER = frozenset({Role.OWNER, Role.APPROVER})
MAX_LINES = 1000
_PICKS = re.compile(r"[0-9]{1,4}(?:-[0-9]{1,4})?(?:,[0-9]{1,4}(?:-[0-9]{1,4})?)*\Z")
REVEALED = "⟨U+"
"""How a card spells a character that does not show; a value that holds one cannot be typed."""


class Code(StrEnum):
    """What the one-time code turned out to be."""

    UNASKED = "unasked"  # the card needs none
    RIGHT = "right"
    MISSING = "missing"
    WRONG = "wrong"  # also one that was used before
    LOCKED = "locked"  # too many wrong ones; none is looked at for a while
    NONE_SET = "none_set"  # this person has no second factor


class Lacking(Malformed):
    """A yes that is not complete: the card goes on waiting. `what` names what is missing or wrong."""

    code = "approval.lacking"
    kept = "Nothing was done; it still waits for you."


class ValueMissing(Lacking):
    code = "approval.value_missing"


class ValueWrong(Lacking):
    code = "approval.value_wrong"


class PickMissing(Lacking):
    code = "approval.pick_missing"


class PickWrong(Lacking):
    code = "approval.pick_wrong"


class CodeWrong(Lacking):
    code = "approval.code_wrong"


class NoFactor(Refused):
    """A second factor is asked and cannot be checked now; this is not a wrong answer."""

    code = "approval.no_factor"
    kept = "Nothing was done; it still waits for you."


class AnsweredWrongly(Conflict):
    """The last wrong answer that a card bears: it is denied."""

    code = "approval.too_many_wrong"
    kept = "Nothing was done."
    next_step = "Ask for it again in a new message."


@dataclass(frozen=True, slots=True)
class Ends:
    """The answer is final."""

    state: ApprovalState


@dataclass(frozen=True, slots=True)
class Agrees:
    """One more person said yes; others are still to."""

    people: int  # who agreed, this one included


@dataclass(frozen=True, slots=True)
class Falls:
    """Not a complete yes. The card goes on waiting, unless this was its last try."""

    error: Lacking


Ruling = Ends | Agrees | Falls


def refuse_stranger(principal: Principal, approvers: frozenset[Role] = MAY_ANSWER) -> None:
    """Raises Refused unless this principal may answer approvals at all: by scope, by role, and by the policy."""
    if Scope.APPROVE not in principal.scopes or principal.role not in MAY_ANSWER & approvers:
        raise Refused("This token may not answer approvals.")


def refuse_other_digest(card: Approval, digest: str) -> None:
    """Raises Conflict when the answerer saw another call than the card's. "" is not to say what was seen."""
    if digest and not hmac.compare_digest(digest.encode("utf-8", "replace"), card.digest.encode()):
        raise Conflict(f"{card.id} is about another call than the one you saw.", next_step="Look at the card again.")


def judge(card: Approval, answer: Answer, principal: Principal, code: Code, now_ms: int) -> Ruling:
    """What this answer makes of the card.

    Raises Refused (who may not answer, no second factor), Conflict (no longer waiting, the same person again).
    """
    refuse_stranger(principal)
    state = answer_state(card, approve=answer.approve, now_ms=now_ms)
    if state is not ApprovalState.APPROVED:
        return Ends(state)
    if principal.id in card.agreed:
        raise Conflict(
            f"You already said yes to {card.id}: {people_words(card)}.", next_step="Somebody else has to answer."
        )
    refuse_without_factor(card, code)
    lacks = find_lack(card, answer, code)
    if lacks is not None:
        return Falls(lacks)
    agreed = len(card.agreed) + 1
    return Ends(ApprovalState.APPROVED) if agreed >= card.people else Agrees(agreed)


def is_same_question(kept: Approval, card: Approval) -> bool:
    """Whether a card that still waits asks all that another one asks, of as many people, about the same bytes."""
    alike = replace(card, id=kept.id, asked_ms=kept.asked_ms, deadline_ms=kept.deadline_ms, agreed=kept.agreed)
    return kept.state is ApprovalState.WAITING and alike == kept


def answered_body(card: Approval, answered: Approval) -> dict[str, Any]:
    """What the ledger keeps of an answer: who and how, never what was typed."""
    return {
        "approval": card.id,
        "call": card.call,
        "digest": card.digest,
        "state": answered.state.value,
        "by": answered.answered_by,
        "typed": len(answered.typed),
        "picked": list(answered.picked),
    }


def awaits_code(card: Approval, answer: Answer, principal: Principal, now_ms: int) -> bool:
    """Whether a right one-time code is all that this answer still needs; only then is a code looked at, and used up."""
    open_ = card.state is ApprovalState.WAITING and now_ms <= card.deadline_ms and principal.id not in card.agreed
    return open_ and card.factor and answer.approve and find_lack(card, answer, Code.RIGHT) is None


def refuse_without_factor(card: Approval, code: Code) -> None:
    """Raises NoFactor when the card asks for a code and none can be checked."""
    if card.factor and code is Code.NONE_SET:
        raise NoFactor(
            "A second factor is asked and none is set up: nobody can say yes to this.",
            next_step="Set one up with `carapax factor set`, then answer again.",
        )
    if card.factor and code is Code.LOCKED:
        raise NoFactor(
            "Too many wrong one-time codes: none is looked at for 15 minutes.",
            next_step="Wait, then answer again; `carapax factor status` says until when.",
        )


def find_lack(card: Approval, answer: Answer, code: Code) -> Lacking | None:
    """What keeps a yes from being complete, the first thing first; None when nothing does."""
    return _pick_lack(card, answer) or _blank_lack(card, answer) or _code_lack(card, code)


def _pick_lack(card: Approval, answer: Answer) -> Lacking | None:
    picked, count = answer.picked, len(card.choices)
    if not count and picked:
        return PickWrong("There is nothing to pick on this card.", next_step="Look at the card again.")
    if count and not picked:
        return PickMissing("A yes is not enough here: pick the lines that you mean.", next_step=f"Lines 1 to {count}.")
    if len(set(picked)) != len(picked) or any(not 0 <= line < count for line in picked):
        return PickWrong("A picked line is not on the card, or is picked twice.", next_step=f"Lines 1 to {count}.")
    return None


def _blank_lack(card: Approval, answer: Answer) -> Lacking | None:
    blanks, typed = card.blanks, answer.typed
    if len(typed) > len(blanks):
        return ValueWrong(f"{len(blanks)} values are asked, and {len(typed)} were typed.", next_step="Type them again.")
    for blank, value in zip(blanks, typed, strict=False):
        if value.strip() and not fills(blank, value):
            return ValueWrong(f"What was typed is not the {blank_name(blank)} of this call.", next_step=_how(blank))
    empty = [b for n, b in enumerate(blanks) if n >= len(typed) or not typed[n].strip()]
    if empty:
        names = ", ".join(blank_name(blank) for blank in empty)
        return ValueMissing(f"A yes is not enough here: type the {names}.", next_step=_how(empty[0]))
    return None


def _how(blank: Blank) -> str:
    if not typable(blank):
        return "The call's value holds characters that do not show, so it cannot be approved: say no."
    return f"Type the {blank_name(blank)} as you know it, from a place that you trust; a mistyped one is not done."


def _code_lack(card: Approval, code: Code) -> Lacking | None:
    if not card.factor or code is Code.RIGHT:
        return None
    if code is Code.WRONG:
        return CodeWrong("The one-time code is wrong, or was used before.", next_step="Wait for the next code.")
    return CodeWrong("A one-time code is asked as well.", next_step="Send the 6 digits that your app shows.")


def typable(blank: Blank) -> bool:
    """Whether the blank's value can be filled at all: it is there, all of it shows, and it is what it looks like."""
    shows = REVEALED not in blank.shown and not hidden_characters(blank.shown)
    return bool(blank.shown.strip()) and shows and not disguise(blank.shown)


def fills(blank: Blank, typed: str) -> bool:
    """Whether what was typed is the blank's value in canonical form; nothing hidden on either side ever is."""
    if not typable(blank) or hidden_characters(typed):
        return False
    return bool(typed.strip()) and _form(blank.role, typed) == _form(blank.role, blank.shown)


def _form(role: str, value: str) -> tuple[str, str]:
    try:
        kind, form = canonical(ArgRole(role), value)
    except ValueError:  # a role that is not known here: only the same text fills it
        return "", value
    return kind.value, form


def read_picks(text: str) -> tuple[int, ...] | None:
    """ "1, 3-4" as indices from 0; None when it is not lines of a card, at most 1,000 in all."""
    joined = re.sub(r"\s*([,-])\s*", r"\1", text.strip())
    if not _PICKS.match(joined):
        return None
    found: list[int] = []
    for part in joined.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not 0 < low <= high <= MAX_LINES:
            return None
        found += range(low - 1, high)
    return tuple(found) if len(found) <= MAX_LINES else None


def blank_name(blank: Blank) -> str:
    """How a blank is called: its role, and its argument when that says more."""
    argument = blank.argument.replace("_", " ")
    return blank.role if blank.role in argument.split() or not argument else f"{blank.role} ({argument})"


def people_words(card: Approval) -> str:
    """ "1 of 2 people agreed" """
    return f"{len(card.agreed)} of {card.people} people agreed"


def after_wrong(card: Approval, lacking: Lacking, wrong: int) -> Lacking | AnsweredWrongly:
    """What to tell whoever gave the `wrong`-th incomplete answer; AnsweredWrongly when the card ends with it."""
    left = MAX_WRONG - wrong
    if left <= 0:
        return AnsweredWrongly(f"Too many wrong answers: {card.id} was refused. {lacking.what}")
    lacking.next_step += f" {left} tries left." if left > 1 else " 1 try left."
    return lacking
