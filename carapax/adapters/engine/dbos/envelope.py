"""The forms in which work lies in the database of DBOS: the piece, and what its tries came to.

Layer: adapters/engine/dbos. Pure. Owns the version of these forms: DBOS ties rows to the version of the application that
wrote them, so one constant version is given to it, and a later release reads the forms of the earlier ones here.
Laws: a form of a later release is refused, not guessed; parse∘render is the identity.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from carapax.adapters.engine.rules import Outcome
from carapax.core.terms.error import Malformed
from carapax.core.terms.work import Work, WorkState

FORM = 1


@dataclass(frozen=True, slots=True)
class Try:
    """The last recorded step of a piece: a try that began (`by` set), or what one came to."""

    attempts: int
    by: str = ""
    outcome: Outcome | None = None
    at_ms: int = 0


def work_id(kind: str, key: str) -> str:
    """The id of a piece's row."""
    return "w" + hashlib.sha256(f"{kind}\0{key}".encode()).hexdigest()


def lane_key(work: Work) -> str:
    """What DBOS keeps in order: the lane, or the piece by itself."""
    return f"lane:{work.lane}" if work.lane else f"alone:{work_id(work.kind, work.key)}"


def render_inputs(work: Work) -> str:
    """A piece as the arguments of a workflow."""
    piece = {
        "form": FORM,
        "kind": work.kind,
        "key": work.key,
        "lane": work.lane,
        "body": work.body,
        "started_ms": work.started_ms,
        "due_ms": work.due_ms,
    }
    return json.dumps({"namedArgs": {}, "positionalArgs": [piece]}, separators=(",", ":"), ensure_ascii=False)


def parse_inputs(text: str) -> Work:
    """Raises Malformed."""
    try:
        (piece,) = json.loads(text)["positionalArgs"]
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed("a kept piece of work does not parse") from error
    return parse_piece(piece)


def parse_piece(piece: Any) -> Work:
    """The piece that a workflow was given. Raises Malformed."""
    form = piece.get("form") if isinstance(piece, dict) else None
    if isinstance(form, int) and form > FORM:
        raise Malformed("this piece of work was kept by a later release")
    match piece:
        case {
            "form": 1,
            "kind": str(kind),
            "key": str(key),
            "lane": str(lane),
            "body": str(body),
            "started_ms": int(started_ms),
            "due_ms": int(due_ms),
        }:
            return Work(kind, key, lane, body, started_ms, due_ms=due_ms)
        case _:
            raise Malformed("a kept piece of work does not parse")


def render_begin(attempts: int, by: str) -> dict[str, Any]:
    """A try that begins now, in the execution `by`."""
    return {"attempts": attempts, "by": by}


def render_end(outcome: Outcome, at_ms: int) -> dict[str, Any]:
    """What a try came to, and when."""
    return {
        "state": outcome.state.value,
        "attempts": outcome.attempts,
        "error": outcome.error,
        "due_ms": outcome.due_ms,
        "at_ms": at_ms,
    }


def parse_try(step: Any) -> Try:
    """A recorded step. Raises Malformed."""
    match step:
        case {"attempts": int(attempts), "by": str(by)}:
            return Try(attempts, by)
        case {
            "attempts": int(attempts),
            "state": str(state),
            "error": str(error),
            "due_ms": int(due_ms),
            "at_ms": int(at_ms),
        } if state in set(WorkState):
            return Try(attempts, outcome=Outcome(WorkState(state), attempts, error, due_ms), at_ms=at_ms)
    raise Malformed("a recorded try does not parse")
