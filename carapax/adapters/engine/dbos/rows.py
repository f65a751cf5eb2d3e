"""Pieces as rows of DBOS's own tables: kept, found, given up, run again, forgotten.

Layer: adapters/engine/dbos. The library takes pieces from its queue by lane and creation time; it can neither keep
a piece so that two starts in one millisecond, or on two machines, stay in order, nor say whether a key was known. So a
piece is written here, in one transaction per batch, under one lock per lane on PostgreSQL. Everything blocks: it is called
from threads. Laws: within a lane `created_at` only grows; nothing here reads a value other than as JSON.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from carapax.adapters.engine.dbos.envelope import Try, lane_key, parse_inputs, parse_try, render_inputs, work_id
from carapax.core.terms.error import Conflict, Malformed, NotFound, StoreUnavailable
from carapax.core.terms.work import Work, WorkState

NAME = "carapax.work"
QUEUE = "carapax"
APPLICATION = "carapax"
VERSION = "carapax-work"  # constant: the forms have a version of their own
JSON_FORM = "portable_json"
LONG_CHARS = 2_048  # names and moments alone are shorter, unless a key is very long
DELAYED_MS = 30_000  # a piece without a lane that is due later than this waits in the database alone

_WAITING = ("ENQUEUED", "DELAYED")
_DEAD = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED")
_ENDED = ("SUCCESS",)


class Rows:
    """The table of pieces. `system` is DBOS's own description of its database."""

    def __init__(self, system: Any) -> None:
        import sqlalchemy as sa

        self._sa = sa
        self._system = system
        self._engine = system.engine
        self._postgres = system.engine.dialect.name == "postgresql"
        self._status = system.tables.workflow_status
        self._inputs = system.tables.workflow_input
        self._outputs = system.tables.workflow_output
        self._steps = system.tables.operation_outputs

    @contextmanager
    def _begin(self) -> Iterator[Any]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except self._sa.exc.SQLAlchemyError as error:
            raise StoreUnavailable(f"the work database does not answer ({type(error).__name__})") from error

    # in
    def insert(self, works: Sequence[Work]) -> list[bool]:
        """Keep pieces in this order; for each whether it is new. Raises StoreUnavailable: then none is kept."""
        with self._begin() as connection:
            highest = self._highest(connection, sorted({lane_key(work) for work in works if work.lane}))
            now_ms = time.time_ns() // 1_000_000
            rows: dict[str, dict[str, Any]] = {}
            for work in works:
                lane = lane_key(work)
                highest[lane] = created_ms = max(now_ms, highest.get(lane, 0) + 1)
                rows.setdefault(work_id(work.kind, work.key), self._row(work, lane, created_ms, now_ms))
            insert = self._system.dialect.insert(self._status).values(list(rows.values()))
            insert = insert.on_conflict_do_nothing(index_elements=["workflow_uuid"])
            fresh = {row[0] for row in connection.execute(insert.returning(self._status.c.workflow_uuid))}
            answers = []
            for work in works:
                id = work_id(work.kind, work.key)
                answers.append(id in fresh)
                if id in fresh:
                    fresh.discard(id)
                    values = {"workflow_uuid": id, "inputs": render_inputs(work), "retention_timestamp": now_ms}
                    insert = self._system.dialect.insert(self._inputs).values(values)
                    connection.execute(insert.on_conflict_do_nothing(index_elements=["workflow_uuid"]))
        return answers

    def _highest(self, connection: Any, lanes: list[str]) -> dict[str, int]:
        """The newest creation time of what is unfinished in these lanes, which nobody else adds to until the commit."""
        if not lanes:
            return {}
        sa, status = self._sa, self._status.c
        if self._postgres:
            for lane in sorted({_lock_of(lane) for lane in lanes}):
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lane)))
        arms = [
            sa.select(status.queue_partition_key, sa.func.max(status.created_at))
            .where(status.queue_name == QUEUE, status.queue_partition_key.in_(lanes), status.status == state)
            .group_by(status.queue_partition_key)
            for state in ("ENQUEUED", "PENDING")
        ]
        highest: dict[str, int] = {}
        for lane, created_ms in connection.execute(sa.union_all(*arms)):
            highest[lane] = max(highest.get(lane, 0), created_ms)
        return highest

    def _row(self, work: Work, lane: str, created_ms: int, now_ms: int) -> dict[str, Any]:
        delayed = not work.lane and work.due_ms - now_ms > DELAYED_MS
        return {
            "workflow_uuid": work_id(work.kind, work.key),
            "status": "DELAYED" if delayed else "ENQUEUED",
            "name": NAME,
            "application_id": work.kind,
            "application_version": VERSION,
            "application_name": APPLICATION,
            "queue_name": QUEUE,
            "queue_partition_key": lane,
            "priority": 0,
            "recovery_attempts": 0,
            "serialization": JSON_FORM,
            "created_at": created_ms,
            "updated_at": created_ms,
            "delay_until_epoch_ms": work.due_ms if delayed else None,
        }

    # look
    def find(self, kind: str, key: str) -> Work | None:
        """The piece as it is kept."""
        with self._begin() as connection:
            rows = connection.execute(self._selected().where(self._status.c.workflow_uuid == work_id(kind, key)))
            works = [self._work(row, self._last_try(connection, row.workflow_uuid)) for row in rows]
        return works[0] if works else None

    def dead(self, limit: int) -> list[Work]:
        """What was given up, the newest first."""
        status = self._status.c
        query = self._selected().where(status.name == NAME, status.status.in_(_DEAD))
        query = query.order_by(status.completed_at.desc(), status.workflow_uuid).limit(limit)
        with self._begin() as connection:
            rows = connection.execute(query).fetchall()
            works = [self._work(row, self._last_try(connection, row.workflow_uuid)) for row in rows]
        return sorted(works, key=lambda work: work.ended_ms or 0, reverse=True)  # DBOS keeps whole seconds only

    def counts(self) -> dict[tuple[str, WorkState], int]:
        """Pieces that wait, run or are dead; one that was taken from the queue counts as running."""
        status, func = self._status.c, self._sa.func
        states = {**dict.fromkeys(_WAITING, WorkState.WAITING), **dict.fromkeys(_DEAD, WorkState.DEAD)}
        query = self._sa.select(status.application_id, status.status, func.count())
        query = query.where(status.name == NAME, status.status.in_((*_WAITING, "PENDING", *_DEAD)))
        counts: dict[tuple[str, WorkState], int] = {}
        with self._begin() as connection:
            for kind, state, count in connection.execute(query.group_by(status.application_id, status.status)):
                name = (kind or "", states.get(state, WorkState.RUNNING))
                counts[name] = counts.get(name, 0) + count
        return counts

    def _selected(self) -> Any:
        sa, status, outputs = self._sa, self._status, self._outputs
        query = sa.select(
            status.c.workflow_uuid,
            status.c.status,
            status.c.application_id,
            status.c.created_at,
            status.c.completed_at,
            self._inputs.c.inputs,
            sa.func.coalesce(outputs.c.output, status.c.output).label("output"),
            sa.func.coalesce(outputs.c.error, status.c.error).label("error"),
        )
        joined = status.outerjoin(self._inputs, self._inputs.c.workflow_uuid == status.c.workflow_uuid)
        return query.select_from(joined.outerjoin(outputs, outputs.c.workflow_uuid == status.c.workflow_uuid))

    def _last_try(self, connection: Any, id: str) -> Try | None:
        steps = self._steps.c
        query = self._sa.select(steps.output).where(steps.workflow_uuid == id).order_by(steps.function_id.desc())
        text = connection.execute(query.limit(1)).scalar()
        try:
            return None if text is None else parse_try(json.loads(text))
        except (Malformed, ValueError):
            return None

    def _work(self, row: Any, last: Try | None) -> Work:
        try:
            work = parse_inputs(row.inputs or "")
        except Malformed:
            work = Work(row.application_id or "", row.workflow_uuid, "", "", row.created_at)
        attempts = last.attempts if last is not None else 0
        outcome = last.outcome if last is not None else None
        match row.status:
            case "SUCCESS":
                return replace(work, state=WorkState.DONE, attempts=attempts, body="", ended_ms=row.completed_at)
            case "PENDING" if last is not None and outcome is None:
                return replace(work, state=WorkState.RUNNING, attempts=attempts)
            case "PENDING" | "ENQUEUED" | "DELAYED":
                due_ms = outcome.due_ms if outcome is not None else work.due_ms
                error = outcome.error if outcome is not None else ""
                return replace(work, attempts=attempts, due_ms=due_ms or work.due_ms, error=error)
            case _:
                recorded = last if outcome is not None and outcome.state is WorkState.DEAD else None
                return replace(
                    work,
                    state=WorkState.DEAD,
                    attempts=attempts,
                    error=outcome.error if recorded is not None and outcome is not None else _said(row.error),
                    ended_ms=recorded.at_ms if recorded is not None else row.completed_at or 0,
                )

    # change
    def retry(self, kind: str, key: str) -> None:
        """Put a dead piece back in its old place. Raises NotFound, Conflict."""
        with self._dead_piece(kind, key) as (connection, id):
            inputs = connection.execute(
                self._sa.select(self._inputs.c.inputs).where(self._inputs.c.workflow_uuid == id)
            )
            work = replace(parse_inputs(inputs.scalar() or ""), due_ms=0)
            for table in (self._outputs, self._steps):
                connection.execute(table.delete().where(table.c.workflow_uuid == id))
            connection.execute(
                self._inputs.update().where(self._inputs.c.workflow_uuid == id).values(inputs=render_inputs(work))
            )
            self._set(
                connection,
                id,
                status="ENQUEUED",
                queue_name=QUEUE,
                queue_partition_key=lane_key(work),
                recovery_attempts=0,
                completed_at=None,
                output=None,
                error=None,
            )

    def drop(self, kind: str, key: str) -> None:
        """Forget a dead piece, all but its key. Raises NotFound, Conflict."""
        with self._dead_piece(kind, key) as (connection, id):
            self._set(connection, id, status="SUCCESS", completed_at=time.time_ns() // 1_000_000)
            self._empty(connection, id, Work(kind, key, "", "", 0))

    @contextmanager
    def _dead_piece(self, kind: str, key: str) -> Iterator[tuple[Any, str]]:
        id, status = work_id(kind, key), self._status.c
        with self._begin() as connection:
            if not self._postgres:
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # the look and the change are one
            query = self._sa.select(status.status).where(status.workflow_uuid == id).with_for_update()
            found = connection.execute(query).scalar()
            if found is None:
                raise NotFound(f"there is no work {key!r} of the kind {kind!r}", next_step="List what was given up.")
            if found not in _DEAD:
                raise Conflict("this work is not given up")
            yield connection, id

    def _set(self, connection: Any, id: str, **values: Any) -> None:
        values |= {"owner_xid": None, "started_at_epoch_ms": None, "updated_at": time.time_ns() // 1_000_000}
        connection.execute(self._status.update().where(self._status.c.workflow_uuid == id).values(**values))

    def _empty(self, connection: Any, id: str, unreadable: Work) -> None:
        """Keep a piece without its body."""
        mine = self._inputs.c.workflow_uuid == id
        try:
            work = parse_inputs(connection.execute(self._sa.select(self._inputs.c.inputs).where(mine)).scalar() or "")
        except Malformed:
            work = unreadable
        connection.execute(self._inputs.update().where(mine).values(inputs=render_inputs(replace(work, body=""))))

    # forget
    def shed(self, limit: int) -> int:
        """Let go of the long bodies of pieces that are done; how many."""
        status, long = self._status.c, self._sa.func.length(self._inputs.c.inputs) > LONG_CHARS
        joined = self._status.join(self._inputs, self._inputs.c.workflow_uuid == status.workflow_uuid)
        query = self._sa.select(status.workflow_uuid, status.application_id).select_from(joined)
        query = query.where(status.name == NAME, status.status.in_(_ENDED), long).limit(limit)
        with self._begin() as connection:
            rows = connection.execute(query).fetchall()
            for row in rows:
                self._empty(connection, row.workflow_uuid, Work(row.application_id or "", row.workflow_uuid, "", "", 0))
        return len(rows)

    def forget(self, before_ms: int, limit: int) -> int:
        """Forget pieces that ended before, their keys too; how many."""
        status = self._status.c
        query = self._sa.select(status.workflow_uuid).where(
            status.name == NAME, status.status.in_(_ENDED), status.completed_at < before_ms
        )
        with self._begin() as connection:
            ids = [row[0] for row in connection.execute(query.limit(limit))]
            for table in (self._steps, self._inputs, self._outputs, self._status):
                if ids:
                    connection.execute(table.delete().where(table.c.workflow_uuid.in_(ids)))
        return len(ids)

    # take over
    def take_over(self, executors: Sequence[str]) -> int:
        """Put back what these dead executors had taken; how many pieces."""
        status = self._status.c
        with self._begin() as connection:
            done = connection.execute(
                self._status.update()
                .where(status.status == "PENDING", status.executor_id.in_(executors))
                .values(
                    status="ENQUEUED",
                    owner_xid=None,
                    started_at_epoch_ms=None,
                    queue_name=self._sa.func.coalesce(status.queue_name, QUEUE),
                    updated_at=time.time_ns() // 1_000_000,
                )
            )
        return int(done.rowcount)


def _lock_of(lane: str) -> int:
    return int.from_bytes(hashlib.sha256(f"carapax lane {lane}".encode()).digest()[:8], "big", signed=True)


def _said(error: str | None) -> str:
    """The text of an error that DBOS recorded as JSON."""
    try:
        said = json.loads(error or "")["message"]
    except (ValueError, KeyError, TypeError):
        return "it cannot be read"
    return str(said)[:1_000]
