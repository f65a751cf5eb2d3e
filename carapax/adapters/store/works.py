"""Works: pieces that are finished even when the process that took them dies, as rows.

Layer: adapters/store. Absent: when a piece is tried, and how often (`adapters/engine`).
Law: a (kind, key) is stored once; the table's own constraint says so, whoever writes at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence

from carapax.adapters.store import rows, sqlite_text
from carapax.adapters.store.link import Link
from carapax.core.terms.error import NotFound
from carapax.core.terms.work import Work, WorkState


def put_work(link: Link, work: Work) -> bool:
    """Store a piece; False when its kind and key are known."""
    written = link.write(
        sqlite_text.insert_work,
        kind=work.kind,
        key=work.key,
        lane=work.lane,
        body=work.body,
        started_ms=work.started_ms,
        state=work.state.value,
        attempts=work.attempts,
        due_ms=work.due_ms,
        error=work.error,
        ended_ms=work.ended_ms,
    )
    return written == 1


def set_work(link: Link, work: Work) -> None:
    """Move a piece; one that is done keeps no body."""
    written = link.write(
        sqlite_text.move_work,
        kind_=work.kind,
        key_=work.key,
        state=work.state.value,
        attempts=work.attempts,
        due_ms=work.due_ms,
        error=work.error,
        ended_ms=work.ended_ms,
        body="" if work.state is WorkState.DONE else None,
    )
    if not written:
        raise NotFound(f"there is no {work.kind} work {work.short}", next_step="See `carapax messages dead`.")


def find_work(link: Link, kind: str, key: str) -> Work | None:
    """The piece, or None."""
    found = link.row(sqlite_text.work_by_key, kind_=kind, key_=key)
    return None if found is None else rows.work_of(found)


def list_work(link: Link, states: Sequence[WorkState], limit: int) -> list[Work]:
    """In the order they were stored; dead ones alone newest first."""
    wanted, limit = sorted(frozenset(state.value for state in states)), max(0, limit)
    if not wanted:
        return []
    padded = wanted + wanted[-1:] * (4 - len(wanted))
    if wanted == [WorkState.DEAD.value]:
        found = link.rows(sqlite_text.works_newest, state=wanted[0], limit=limit)
    elif WorkState.DONE.value in wanted:
        s0, s1, s2, s3 = padded
        found = link.rows(sqlite_text.works_with_done, s0=s0, s1=s1, s2=s2, s3=s3, limit=limit)
    else:
        s0, s1, s2, _ = padded
        found = link.rows(sqlite_text.works_standing, s0=s0, s1=s1, s2=s2, limit=limit)
    return [rows.work_of(r) for r in found]


def forget_work(link: Link, ended_before_ms: int, limit: int) -> int:
    """Remove done pieces that ended before, the oldest first; how many."""
    return link.write(sqlite_text.forget_works, before_ms=ended_before_ms, limit=max(0, limit))
