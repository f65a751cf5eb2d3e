"""Following a turn: events from the gateway, Ctrl-C to stop it.

Layer: surfaces/cli. Owns the one reader thread per stream. Absent: asking a person (answering).
Law: leaving the stream never ends the turn, Ctrl-C does.
"""

from __future__ import annotations

import os
import queue
import threading

from carapax.core.terms.error import CarapaxError
from carapax.surfaces.cli.client import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from carapax.surfaces.cli.answering import Asker
    from carapax.surfaces.cli.client import Client, Stream
    from carapax.surfaces.cli.view import Outcome, TurnView


class Pump:
    """One stream read in a thread of its own. `fileno` becomes readable when `take` has something."""

    def __init__(self, open_stream: Callable[[], Stream]) -> None:
        self._items: queue.SimpleQueue[dict[str, Any] | CarapaxError | None] = queue.SimpleQueue()
        self._awake, self._wake = os.pipe()
        self._stream: Stream | None = None
        self._closed = False
        self.opened = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(open_stream,), daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._awake

    def take(self) -> dict[str, Any] | None:
        """The next event, None at the end. Raises what reading raised."""
        os.read(self._awake, 1)
        item = self._items.get()
        if isinstance(item, CarapaxError):
            raise item
        return item

    def close(self) -> None:
        """Leave the stream and wait for the thread; the turn goes on."""
        self._closed = True
        if self._stream is not None:
            self._stream.end()
        self._thread.join(5.0)
        if not self._thread.is_alive():
            os.close(self._awake)
            os.close(self._wake)

    def _read(self, open_stream: Callable[[], Stream]) -> None:
        try:
            self._stream = open_stream()
            self.opened.set()
            if not self._closed:
                for event in self._stream:
                    self._put(event)
            self._put(None)
        except CarapaxError as error:
            self._put(error)
        finally:
            self.opened.set()
            if self._stream is not None:
                self._stream.close()

    def _put(self, item: dict[str, Any] | CarapaxError | None) -> None:
        self._items.put(item)
        os.write(self._wake, b"!")


def follow(pump: Pump, view: TurnView, client: Client, asker: Asker | None, said: Callable[[str], None]) -> Outcome:
    """Show a turn to its end, or until it waits and nobody is here to ask. `said` shows a sentence about stopping.

    Raises what opening the stream raised, and Left. The first Ctrl-C stops the turn, the second leaves it.
    """
    stop = _Stop(client, view.outcome, said)
    while True:
        try:
            event = pump.take()
            if event is None:
                if not view.outcome.state:
                    view.broke_off()
                return view.outcome
            view.take(event)
            stop.if_wanted()
            if event.get("event") == "TurnEnded":
                return view.outcome
            if event.get("event") == "Waiting":
                if asker is None:
                    return view.outcome
                if asker.settle(event["approval"], pump) == "no":
                    view.outcome.denied_here = True
        except KeyboardInterrupt:
            view.close()
            if not stop.press():
                return view.outcome


class _Stop:
    """Ctrl-C pressed once or twice."""

    def __init__(self, client: Client, outcome: Outcome, said: Callable[[str], None]) -> None:
        self._client = client
        self._outcome = outcome
        self._said = said
        self._pending = False

    def press(self) -> bool:
        """Whether to keep following."""
        if self._outcome.interrupted:
            return False
        self._outcome.interrupted = True
        self._pending = True
        self._said("stop.asked")
        self.if_wanted()
        return True

    def if_wanted(self) -> None:
        if not self._pending or not self._outcome.turn:
            return
        self._pending = False
        try:
            self._client.call("POST", f"/api/turns/{quoted(self._outcome.turn)}/cancel")
        except CarapaxError as error:
            if getattr(error, "status", 0) != 409:  # 409: it ended by itself meanwhile
                self._said("stop.failed")
