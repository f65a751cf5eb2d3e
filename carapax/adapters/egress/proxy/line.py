"""One line: two wires, the secret put in on the way up, and taken out of what comes down.

Layer: adapters/egress/proxy. Owns how long bytes that could begin a placeholder or a secret may wait.
Absent: the dialling (`service`), and any rule: a line goes where the owner set it.
Laws: the end of one side is the end of the other, after what was written; a line that carries what it may not is cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from carapax.adapters.egress.proxy.disguise import MIN_BYTES, base64_forms
from carapax.adapters.egress.proxy.frameswap import FrameSwap
from carapax.adapters.egress.proxy.streamswap import StreamSwap
from carapax.adapters.egress.proxy.wire import Tunnel, Wire
from carapax.adapters.egress.scrub import Scrubber
from carapax.adapters.egress.swap import Misplaced, as_json
from carapax.core.terms.error import Malformed
from carapax.ports.egress import Wrap

WAIT_MS = 100
"""So long wait bytes that could be the beginning of more; a protocol that is silent then is not held up."""


STALL_MS = 120_000
"""So long a service may take to read what waits for it, also when the gateway's side has ended; then the line is cut.

While it waits nothing more is read from the gateway's side, not even its end.
"""


class Swap(Protocol):
    """Puts a secret into what is written."""

    @property
    def holds(self) -> bool: ...

    def feed(self, content: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


def make_swap(wrap: Wrap, word: bytes, value: bytes, host: str, port: int, *, tls: bool) -> Swap:
    """What puts this secret into a line of this kind; without a word nothing is put in."""
    if wrap is Wrap.WEBSOCKET:
        return FrameSwap(word, value, host, port, 443 if tls else 80)
    return StreamSwap(word, value) if word else Scrubber()  # one that knows nothing passes everything


def make_scrubber(value: bytes) -> Scrubber:
    """What takes this secret out: as it is, inside base64, and as JSON writes it. Too short a one is found by chance."""
    if len(value) < MIN_BYTES:
        return Scrubber()
    return Scrubber(value, as_json(value), *base64_forms(value))


class LineTunnel(Tunnel):
    """Both sides of a line. `told` is called once with the reason when it is cut for what it carries."""

    def __init__(
        self, inner: Wire, outer: Wire, swap: Swap, scrubber: Scrubber, told: Callable[[str], object] = lambda _: None
    ) -> None:
        super().__init__(inner, outer)
        self._swap = swap
        self._scrubber = scrubber
        self._told = told
        self._waiting: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Pass on from now, until one side ends; nothing has to be awaited."""
        self._inner.join(self)
        self._outer.join(self)

    def look(self, up: bool, content: bytes) -> bytes | None:
        passed = self._swapped(lambda: self._swap.feed(content)) if up else self._scrubber.feed(content)
        if self._waiting is None and (self._swap.holds or self._scrubber.holds):
            self._waiting = asyncio.get_running_loop().call_later(WAIT_MS / 1000, self._let_go)
        return passed

    def ended(self, wire: Wire) -> None:
        self._let_go()
        super().ended(wire)
        if self._inner.gone and self._outer.gone:
            self._wait_no_more()
        else:
            self._be_patient()

    def slowed(self, wire: Wire, slowed: bool) -> None:
        super().slowed(wire, slowed)
        if wire is self._outer and slowed:
            self._be_patient()
        elif wire is self._outer:
            self._wait_no_more()

    def _be_patient(self) -> None:
        if self._stalled is None:
            self._stalled = asyncio.get_running_loop().call_later(STALL_MS / 1000, self._cut)

    def _wait_no_more(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _cut(self) -> None:
        self._inner.cut()
        self._outer.cut()

    def _let_go(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._outer.write(self._swapped(self._swap.flush) or b"")
        self._inner.write(self._scrubber.flush())

    def _swapped(self, step: Callable[[], bytes]) -> bytes | None:
        try:
            return step()
        except Misplaced as error:
            self._told(str(error))
        except Malformed as error:
            self._told(error.what)
        return None
