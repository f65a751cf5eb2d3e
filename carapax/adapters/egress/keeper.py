"""The gateway's side of the egress proxy: ways out for sealed calls, and nothing that dials by itself.

Layer: adapters/egress. Owns the table of ways, the gate's answers on the link, and the certain cut.
Absent: any value of a secret, any socket to the outside, any rule (the gate's).
Laws: a way is opened only for a call that the gate admitted; when the process is gone all its ways are, and the next
way starts it anew; a cut that the process does not confirm at once kills it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carapax.adapters.egress.link import Frame
from carapax.adapters.egress.process import ProxyProcess
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Allowance, Hop, Lease, Traffic, Verdict, Way
from carapax.core.terms.error import CarapaxError, EgressUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import SignalKind
from carapax.ports.egress import Gate, Spot

if TYPE_CHECKING:
    from carapax.adapters.egress.inside import WayClient

START_MS = 15_000
OPEN_MS = 15_000
ATTACH_MS = 5_000
FIND_HELD_MS = 2_000
CUT_MS = 500
REFUSED = Verdict(False, "egress.unavailable", "The decider failed, so nothing leaves. Run `carapax doctor`.")


class Keeper:
    """Implements ports.egress.Exit. `argv` starts the process; the link's descriptor is added as its last argument.

    `record` is a file that names the running process, for a stop from outside.
    """

    def __init__(
        self,
        argv: Sequence[str],
        gate: Gate,
        *,
        environment: Mapping[str, str] | None = None,
        record: Path | None = None,
    ) -> None:
        self._argv = tuple(argv)
        self._gate = gate
        self._environment = dict(environment or {})
        self._record = record
        self._lock = threading.Lock()
        self._process: ProxyProcess | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ways: dict[str, tuple[CallId, ProxyProcess]] = {}
        self._canaries: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return "Keeper()"

    async def open_way(self, authorized: AuthorizedCall, *, leases: Sequence[Lease] = ()) -> Way:
        """A way out for one sealed call, once. See ports.egress.Exit."""
        session, allowance = self._gate.admit(authorized)
        return await self._open(authorized.call.call, session, allowance, leases)

    async def _open(self, call: CallId, session: SessionId, allowance: Allowance, leases: Sequence[Lease]) -> Way:
        self._loop = asyncio.get_running_loop()
        token = secrets.token_hex(24)
        order = {
            "op": "open",
            "token": token,
            "call": call,
            "session": session,
            "allowance": asdict(allowance),
            "leases": [(lease.handle, lease.digest) for lease in leases],
        }
        try:
            process = await asyncio.to_thread(self._running)
            made = await self._answer(process.order(order), OPEN_MS)
        except CarapaxError:
            await self._gate.ended(call, Traffic())
            raise
        with self._lock:
            self._ways[token] = (call, process)
        placeholders = tuple((str(handle), str(word)) for handle, word in made["placeholders"])
        return Way(call, token, made["authority"].encode("ascii"), placeholders)

    def attach(self, way: Way, listener: int) -> None:
        """Hand over the listening socket of a sandbox. Blocking; see ports.egress.Exit."""
        self.blocking(self.process_of(way).order({"op": "attach", "token": way.token}, [listener]), ATTACH_MS)

    def client(self, way: Way, *, timeout_ms: int) -> WayClient:
        """An httpx2.AsyncClient through this way. See ports.egress.Exit."""
        from carapax.adapters.egress.inside import open_way_client  # httpx2 is loaded when something first goes out

        return open_way_client(self, way, timeout_ms)

    async def close_way(self, way: Way) -> Traffic:
        """End a way. Never raises."""
        with self._lock:
            known = self._ways.pop(way.token, None)
        if known is None:
            return Traffic()
        traffic = Traffic()
        try:
            found = await self._answer(known[1].order({"op": "close", "token": way.token}), OPEN_MS)
            if found is not None:
                traffic = Traffic(**(found | {"hosts": tuple(found["hosts"])}))
        except EgressUnavailable:
            known[1].kill()  # a way that is not confirmed closed goes with its process
            traffic = Traffic(lost=True)
        await self._gate.ended(way.call, traffic)
        return traffic

    def cut(self, session: SessionId | None) -> None:
        """Cut every way of a session (None: of all) at once. From any thread; never raises."""
        process = self._process
        if process is None or not process.alive:
            return
        try:
            process.order({"op": "cut", "session": session}).result(CUT_MS / 1000)
        except (CarapaxError, concurrent.futures.TimeoutError):
            process.kill()

    def watch_for(self, canaries: Mapping[str, str]) -> None:
        """Planted secrets, by name: a request that holds one in any form is refused and reported. From any thread."""
        self._canaries = dict(canaries)
        process = self._process
        if process is not None and process.alive:
            self.blocking(process.order({"op": "watch", "values": self._canaries}), ATTACH_MS)

    def find_held(self, text: str) -> tuple[str, ...]:
        """The handles of secrets that stand in a text, in any disguise. Blocking. Raises EgressUnavailable, VaultLocked."""
        process = self._running()
        process.wait_ready(START_MS)
        return tuple(self.blocking(process.order({"op": "find_held", "text": text}), FIND_HELD_MS))

    def begin(self) -> None:
        """Start the process now, and not when it is first needed. Blocking. Raises EgressUnavailable."""
        self._running()

    def close(self) -> None:
        """End the process, and start none any more. Blocking, bounded."""
        self._closed = True
        process = self._process
        if process is not None:
            process.stop()

    async def open_origin(
        self, host: str, port: int, handle: str, placeholder: str, spot: Spot
    ) -> tuple[str, ProxyProcess]:
        """A way of the gateway's own to one origin that its owner has set. Raises EgressUnavailable."""
        self._loop = asyncio.get_running_loop()
        process = await asyncio.to_thread(self._running)
        token = secrets.token_hex(24)
        order = {"op": "origin", "token": token, "host": host, "port": port, "handle": handle, "spot": spot}
        await self._answer(process.order(order | {"placeholder": placeholder}), OPEN_MS)
        return token, process

    async def ask(self, order: Frame, descriptors: Sequence[int] = (), *, most_ms: int = OPEN_MS) -> Any:
        """One order of the gateway's own. Raises EgressUnavailable, and what the process answers."""
        self._loop = asyncio.get_running_loop()
        process = self._process
        if process is None or not process.alive:
            process = await asyncio.to_thread(self._running)
        return await self._answer(process.order(order, descriptors), most_ms)

    async def close_origin(self, token: str, process: ProxyProcess) -> None:
        """End it. Never raises."""
        with contextlib.suppress(EgressUnavailable):
            await self._answer(process.order({"op": "close", "token": token}), OPEN_MS)

    async def open_door(self, token: str, process: ProxyProcess, host: str, port: int, *, tls: bool) -> socket.socket:
        """A connection to the proxy, which carries plain requests for one host. Raises EgressUnavailable, Malformed."""
        mine, theirs = socket.socketpair()
        order = {"op": "door", "token": token, "host": host, "port": port, "tls": tls}
        try:
            # Sent by the time this returns, so our copy of their end can be closed.
            await self._answer(process.order(order, [theirs.fileno()]), OPEN_MS)
        except BaseException:
            mine.close()
            raise
        finally:
            theirs.close()
        mine.setblocking(False)
        return mine

    def process_of(self, way: Way) -> ProxyProcess:
        """The process that keeps a way. Raises EgressUnavailable for a way that is gone."""
        with self._lock:
            known = self._ways.get(way.token)
        if known is None or not known[1].alive:
            raise EgressUnavailable("This way out is closed.", next_step="Begin the call again.")
        return known[1]

    def blocking(self, future: concurrent.futures.Future[Any], most_ms: int) -> Any:
        """An order's answer, waited for in this thread. Raises EgressUnavailable and what the process answers."""
        try:
            return future.result(most_ms / 1000)
        except concurrent.futures.TimeoutError:
            raise _silent() from None

    async def _answer(self, future: concurrent.futures.Future[Any], most_ms: int) -> Any:
        try:
            async with asyncio.timeout(most_ms / 1000):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise _silent() from None

    def _running(self) -> ProxyProcess:
        with self._lock:
            if self._closed:
                raise EgressUnavailable("The gateway is stopping.")
            if self._process is None or not self._process.alive:
                self._process = ProxyProcess(
                    self._argv, self._environment, heard=self._heard, ended=self._gone, record=self._record
                )
                if self._canaries:
                    self._process.order({"op": "watch", "values": self._canaries})
            return self._process

    def _gone(self, process: ProxyProcess) -> None:
        with self._lock:
            if self._process is process:
                self._process = None

    def _heard(self, process: ProxyProcess, frame: Frame) -> None:
        # On the link's thread: the gate lives on the gateway's loop.
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        with contextlib.suppress(RuntimeError):
            if "saw" in frame:
                call, kind, amount, detail = frame["saw"]
                loop.call_soon_threadsafe(self._gate.saw, CallId(call), SignalKind(kind), int(amount), str(detail))
            elif frame.get("ask") == "judge":
                loop.call_soon_threadsafe(self._start_judging, process, frame)

    def _start_judging(self, process: ProxyProcess, frame: Frame) -> None:
        task = asyncio.get_running_loop().create_task(self._judge(process, frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _judge(self, process: ProxyProcess, frame: Frame) -> None:
        try:
            hop = frame["hop"]
            verdict = await self._gate.judge(CallId(frame["call"]), Hop(**(hop | {"secrets": tuple(hop["secrets"])})))
            answer = asdict(verdict)
        except Exception:  # noqa: BLE001 - broad: whatever fails in the decider is a refusal
            answer = asdict(REFUSED)
        process.tell({"id": frame["id"], "answer": answer})


def _silent() -> EgressUnavailable:
    return EgressUnavailable("The egress proxy does not answer.", next_step="Run `carapax doctor`.")
