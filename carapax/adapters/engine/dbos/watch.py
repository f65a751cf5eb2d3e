"""Watch: a thread that says this process is alive, takes over from those that are not, and keeps the counts.

Layer: adapters/engine/dbos. On PostgreSQL a process is alive while its session holds the advisory lock of its executor
id; the lock goes with the session, whether the process died or was only cut off. Every QUARTER_S each process compares
who has taken pieces with who holds a lock. On SQLite there is one process, which holds the file.
Laws: a process that lost its lock takes nothing more, cancels what runs and comes back under another id.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from carapax.adapters.engine.dbos.rows import Rows
from carapax.adapters.engine.rules import REMEMBERED_MS
from carapax.core.terms.error import StoreUnavailable

QUARTER_S = 0.25
FRESH_S, STALE_S = 0.2, 10.0  # how old counts may be: after a change here, and otherwise
TIDY_S, TIDY_BIT = 3_600.0, 200

# The server ends the session, and frees its lock, when the other machine is silent for about three seconds.
_HEARD = (
    "tcp_keepalives_idle = 1",
    "tcp_keepalives_interval = 1",
    "tcp_keepalives_count = 2",
    "tcp_user_timeout = 3000",
)
# Who is alive (the numbers of held locks), and who has taken pieces and not ended them.
_LOOK = """
    SELECT NULL AS executor, classid::bigint << 32 | objid::bigint AS number
        FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    UNION ALL SELECT DISTINCT executor_id, NULL::bigint FROM dbos.workflow_status WHERE status = 'PENDING'
"""


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told: another executor id to go by (None: the lock is lost), pieces that came back."""

    identity: Callable[[str | None], None]
    came_back: Callable[[], None]
    counted: Callable[[dict[Any, int]], None]


def make_executor() -> str:
    """An id for this process; its number is the lock that says it is alive."""
    return f"carapax-{secrets.randbits(62):016x}"


def lock_number(executor: str) -> int | None:
    """The lock of an executor id; None for an id that is not of this making."""
    name, _, number = executor.rpartition("-")
    try:
        return int(number, 16) if name == "carapax" else None
    except ValueError:
        return None


class Watch:
    """Call `hold` before anything is taken, then `begin`."""

    def __init__(self, rows: Rows, engine: Any, postgres: bool, told: Told) -> None:
        self._rows = rows
        self._engine = engine
        self._postgres = postgres
        self._told = told
        self._executor = ""
        self._session: Any = None
        self._changed = threading.Event()
        self._stop = False
        self._counted_at = self._tidied_at = float("-inf")
        self._dirty = True
        self._thread = threading.Thread(target=self._watch, name="work-watch", daemon=True)

    def hold(self) -> str:
        """Become an executor; its id. Raises StoreUnavailable."""
        executor = make_executor() if self._postgres else "local"
        if self._postgres:
            import sqlalchemy as sa

            try:
                self._session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                for setting in _HEARD:
                    self._session.execute(sa.text(f"SET {setting}"))
                self._session.execute(
                    sa.text("SELECT pg_advisory_lock(:number)"), {"number": lock_number(executor)}
                ).scalar()
            except sa.exc.SQLAlchemyError as error:
                self._let_go()
                raise StoreUnavailable(f"the work database does not answer ({type(error).__name__})") from error
        self._executor = executor
        return executor

    def begin(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def touch(self) -> None:
        """Something changed here: the counts are old."""
        self._dirty = True
        self._changed.set()

    def end(self) -> None:
        """Stop watching and stop being alive. Blocks; may be called twice."""
        self._stop = True
        self._changed.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._let_go()

    def _watch(self) -> None:
        while not self._stop:
            try:
                if self._postgres:
                    self._look()
                self._tend()
            except StoreUnavailable:
                pass  # the next turn
            self._changed.wait(QUARTER_S if self._postgres or self._dirty else STALE_S)
            self._changed.clear()
            if self._dirty and not self._stop:
                time.sleep(0.01)  # let what changed together be counted together

    def _look(self) -> None:
        import sqlalchemy as sa

        try:
            found = self._session.execute(sa.text(_LOOK)).fetchall() if self._session is not None else []
        except sa.exc.SQLAlchemyError:
            found = []
        alive = {number for _, number in found if number is not None}
        if lock_number(self._executor) not in alive:
            self._told.identity(None)
            self._let_go()
            self._told.identity(self.hold())
            return
        gone = [executor for executor, _ in found if executor is not None and lock_number(executor) not in alive]
        if gone and self._rows.take_over(gone):
            self._told.came_back()
            self._dirty = True

    def _tend(self) -> None:
        now = time.monotonic()
        if now - self._counted_at >= (FRESH_S if self._dirty else STALE_S):
            self._dirty = False
            self._told.counted(dict(self._rows.counts()))
            self._counted_at = time.monotonic()
        if now - self._tidied_at >= TIDY_S:
            before_ms = time.time_ns() // 1_000_000 - REMEMBERED_MS
            while self._rows.forget(before_ms, TIDY_BIT) >= TIDY_BIT and not self._stop:
                pass
            self._rows.shed(TIDY_BIT * 10)
            self._tidied_at = time.monotonic()

    def _let_go(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.invalidate()  # the lock goes with the session: it must not return to the pool
            session.close()
