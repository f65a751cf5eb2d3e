"""Launch: one job in a gVisor sandbox of its own, fresh or made ahead, until its last process is gone. Blocking.

Layer: adapters/sandbox/gvisor. Owns the order of one job's life and the one box that is kept ready.
Absent: authority (the adapter checked it) and any path that starts a job with a wall left out.
Why ahead: a start takes a quarter of a second, and a box that never ran anything has nothing to carry over.
Laws: a box serves one job; when `launch` returns, no process of the job is alive.
"""

from __future__ import annotations

import contextlib
import threading
import time

from carapax.adapters.sandbox.gvisor.box import Box, Plan, Shape, can_be_told, shape_of
from carapax.adapters.sandbox.tier import Errand
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Ran


def launch(plan: Plan, errand: Errand, ahead: Ahead | None) -> Ran:
    """Run one job to its end. Raises SandboxUnavailable when a wall could not be built; nothing was started then."""
    began = time.monotonic()
    told = can_be_told(errand.job)
    shape = shape_of(errand.job, errand.workspace)
    box = ahead.take(shape) if ahead is not None and told else None
    box = box or Box(plan, shape, None if told else errand.job)
    with contextlib.closing(box):
        try:
            box.begin(errand)
            ended_by = box.follow(errand)
            box.end()
            return box.report(errand.job, ended_by, began)
        finally:
            plan.running.remove(errand.call)


class Ahead:
    """Keeps one box of the shape used last. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._box: Box | None = None
        self._making = False
        self._closed = False

    def take(self, shape: Shape) -> Box | None:
        """The ready box, when it has this shape, still lives, and shows what is there now."""
        with self._lock:
            box, self._box = self._box, None
        if box is None:
            return None
        if box.shape == shape and box.is_fresh():
            return box
        box.close()
        return None

    def prepare(self, plan: Plan, shape: Shape) -> None:
        """Make a box for the next job. One that cannot be made is told by the next job itself."""
        with self._lock:
            if self._closed or self._making or self._box is not None:
                return
            self._making = True
        box = None
        with contextlib.suppress(SandboxUnavailable):
            box = Box(plan, shape, None)
        with self._lock:
            self._making = False
            if not self._closed:
                self._box, box = box, None
        if box is not None:
            box.close()

    def close(self) -> None:
        """End the ready box; none is made any more."""
        with self._lock:
            box, self._box, self._closed = self._box, None, True
        if box is not None:
            box.close()
