"""Bell: what the thread that takes pieces from the queue waits on. It rings when there may be something to take.

Layer: adapters/engine/dbos. Stands for the event that DBOS's queue thread polls with: that thread sleeps on `wait`, so
that a ring lets it look at once and the polls in between can be rare. Absent: the queue itself.
"""

from __future__ import annotations

import threading


class Bell:
    """An event that stops a thread, with a way to wake it early and a way to make it pause."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rung = False
        self._paused = False
        self._stopped = False

    def ring(self) -> None:
        """Let the thread look now."""
        with self._changed:
            self._rung = True
            self._changed.notify_all()

    def pause(self, paused: bool) -> None:
        """While it is paused the thread takes nothing, whatever rings."""
        with self._changed:
            self._paused = paused
            self._rung = self._rung or not paused
            self._changed.notify_all()

    def set(self) -> None:
        """Stop the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def is_set(self) -> bool:
        """Whether the thread shall stop."""
        return self._stopped

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until it rings or the time is over, and longer while it is paused; whether the thread shall stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or (self._rung and not self._paused), timeout)
            self._changed.wait_for(lambda: self._stopped or not self._paused)
            self._rung = False
            return self._stopped
