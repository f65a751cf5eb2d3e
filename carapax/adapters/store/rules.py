"""What every store decides the same way, whatever it keeps its rows in.

Layer: adapters/store; pure. Owns the search's idea of "same letter", the growth of usage and which
states end a turn. Absent: the turn machine (`core/turn`); a store only refuses to leave an ended state.
Law: usage only grows, so a lower figure than the stored one never lowers a sum.
"""

from __future__ import annotations

import unicodedata

from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.error import Conflict, TooLarge
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.limit import Usage

ENDED = frozenset({TurnState.DONE, TurnState.STOPPED, TurnState.INTERRUPTED})
UNFINISHED = (TurnState.ACCEPTED, TurnState.RUNNING, TurnState.WAITING)
QUERY_CHARACTERS = 1_000  # ceiling of a search's text
SEARCHED_PARTS = 100_000  # a search looks at the newest so many parts of the whole store
DIGESTS = 2_000  # ceiling of one question for content labels
TALLY_MS = 40 * 24 * 3_600_000  # a tally counts for so long: a month and a margin
PRUNED_TALLIES = 50_000  # old tallies removed at one start; the rest at the next

ACCOUNTS = 10_000  # ceiling of one list of accounts, and of one of pairings
NOTE_BYTES = 1 << 20
WORK_BYTES = 256 << 10  # ceiling of one piece's body


def fold(text: str) -> str:
    """The form in which texts are compared: composed, case-folded, NUL as a space."""
    if text.isascii():
        return text.lower().replace("\0", " ")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).replace("\0", " ")


def refuse_long_query(query: str) -> None:
    """Raises TooLarge over 1,000 characters."""
    if len(query) > QUERY_CHARACTERS:
        raise TooLarge(
            f"a search takes at most {QUERY_CHARACTERS:,} characters", next_step="Search for a shorter piece of text."
        )


def growth(old: Usage, new: Usage) -> Usage:
    """By how much each figure rose; never below nought."""
    return Usage(
        max(0, new.tokens - old.tokens),
        max(0, new.usd_micro - old.usd_micro),
        max(0, new.tool_calls - old.tool_calls),
        max(0, new.wall_ms - old.wall_ms),
    )


def refuse_ended(number: int, old: TurnState, new: TurnState) -> None:
    """Raises Conflict when the turn has ended: an ended turn is history."""
    if old in ENDED:
        raise Conflict(
            f"turn {number} is {old.value}; it cannot become {new.value}",
            next_step="Send a new message; an ended turn stays as it ended.",
        )


def refuse_many_digests(count: int) -> None:
    """Raises TooLarge over 2,000."""
    if count > DIGESTS:
        raise TooLarge(
            f"labels are looked up for at most {DIGESTS:,} files at once", next_step="Ask in smaller groups."
        )


def refuse_large_note(size_bytes: int) -> None:
    """Raises TooLarge over 1 MiB."""
    if size_bytes > NOTE_BYTES:
        raise TooLarge(
            f"a channel's note holds at most {NOTE_BYTES:,} bytes; this one has {size_bytes:,}",
            next_step="Keep less in one note.",
        )


def refuse_large_work(body: str) -> None:
    """Raises TooLarge over 256 KiB of UTF-8."""
    if len(body) * 4 > WORK_BYTES and len(body.encode("utf-8")) > WORK_BYTES:
        raise TooLarge(
            f"a piece of work holds at most {WORK_BYTES:,} bytes",
            next_step="Keep what is large elsewhere, and name it.",
        )


def refuse_agreement(approval: Approval, by: PrincipalId) -> None:
    """Raises Conflict unless the approval waits for several people and this one has not yet said yes."""
    if approval.state is not ApprovalState.WAITING:
        raise Conflict(f"approval {approval.id} is already {approval.state.value}")
    if approval.people <= 1:
        raise Conflict(f"approval {approval.id} needs one person only", next_step="Answer it.")
    if by in approval.agreed:
        raise Conflict(
            f"{by} has said yes to approval {approval.id} already", next_step="Another person must say yes too."
        )
    if len(approval.agreed) >= approval.people:
        raise Conflict(f"approval {approval.id} has all the agreement it needs", next_step="Answer it.")


def voices(approval: Approval, state: ApprovalState, by: PrincipalId) -> tuple[PrincipalId, ...]:
    """Who said yes, with this answer. Raises Conflict for a yes that too few different people stand behind."""
    if state is not ApprovalState.APPROVED or approval.people <= 1:
        return approval.agreed
    agreed = approval.agreed if by in approval.agreed else (*approval.agreed, by)
    if len(set(agreed)) < approval.people:
        raise Conflict(
            f"approval {approval.id} needs {approval.people} people; {len(set(agreed))} said yes",
            next_step="Another person must say yes too.",
        )
    return agreed


def refuse_answer(approval: Approval, state: ApprovalState, now_ms: int) -> None:
    """Raises Conflict unless the approval waits, the answer is one, and a yes comes before the deadline."""
    if state is ApprovalState.WAITING:
        raise Conflict("an answer cannot be 'waiting'", next_step="Answer with approve or deny.")
    if approval.state is not ApprovalState.WAITING:
        raise Conflict(f"approval {approval.id} is already {approval.state.value}")
    if state is ApprovalState.APPROVED and now_ms >= approval.deadline_ms:
        raise Conflict(
            f"the deadline of approval {approval.id} has passed",
            next_step="Ask the agent again; it will put the question anew.",
        )
