"""What a message does that arrives while the agent works.

Layer: core/channel; pure. Owns the table. Absent: queues, turns, time (`app`).
Laws: `decide_arrival` is total; at the cap everything is shed; a message that nothing stands before starts at once.
"""

from __future__ import annotations

from enum import StrEnum

DEFAULT_CAP = 20


class QueueMode(StrEnum):
    """How messages of one conversation are taken while a turn runs."""

    STEER = "steer"  # the running turn sees it at its next step
    FOLLOW_UP = "follow-up"  # its own turn afterwards
    COLLECT = "collect"  # with the others that wait, one turn afterwards
    INTERRUPT = "interrupt"  # the running turn ends, this one begins


DEFAULT_MODE = QueueMode.FOLLOW_UP


class Arrival(StrEnum):
    """What becomes of a message."""

    START = "start"
    STEER = "steer"
    QUEUE = "queue"
    COLLECT = "collect"
    INTERRUPT = "interrupt"
    SHED = "shed"  # it is not taken, and the sender is told


_WHILE_RUNNING = {
    QueueMode.STEER: Arrival.STEER,
    QueueMode.FOLLOW_UP: Arrival.QUEUE,
    QueueMode.COLLECT: Arrival.COLLECT,
    QueueMode.INTERRUPT: Arrival.INTERRUPT,
}


def decide_arrival(mode: QueueMode, *, running: bool, waiting: int, cap: int = DEFAULT_CAP) -> Arrival:
    """What a message does. `waiting`: messages of this conversation that were taken and have not begun."""
    if waiting >= max(1, cap):
        return Arrival.SHED
    if running:
        return _WHILE_RUNNING[mode]
    if waiting == 0:
        return Arrival.START
    return Arrival.COLLECT if mode is QueueMode.COLLECT else Arrival.QUEUE
