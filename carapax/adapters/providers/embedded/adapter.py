"""The embedded model as a provider: one child process, started when needed, ended when idle.

Layer: adapters/providers/embedded. Owns the child's life and the bounds on waiting.
Absent: the native library (only the child imports it) and the small-model profile (`agent/small`).
Laws: nothing leaves this machine; a dead child is a retriable failure and is started anew by the next request;
a request that is closed early stops the child's work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carapax.adapters.providers.embedded import wire
from carapax.adapters.providers.embedded.weights import MODEL, verify_weights
from carapax.core.terms.error import Malformed, ProviderFailed
from carapax.ports.provider import Completion, Prompt, ProviderFacts, TextChunk

CONTEXT_TOKENS = 8192
# Without a bound the library's threads spin while they wait for one that lost its core: on a busy machine a token
# takes 0.3 s instead of 0.05. With this one nothing is lost on a quiet machine (measured: 4 threads, 18 to 20 tokens/s).
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "GOMP_SPINCOUNT": "1000"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long is waited, in seconds."""

    load_s: float = 120.0
    first_s: float = 300.0  # reading 8,192 tokens on two old cores
    token_s: float = 60.0
    drain_s: float = 10.0  # for a stopped request to end; a long prompt cannot be left in the middle
    leave_s: float = 2.0


class EmbeddedProvider:
    """`ports.provider.Provider` over the child process; `command` (the child's) and `verify` are replaced in tests."""

    def __init__(
        self,
        model: Path,
        *,
        threads: int | None = None,
        idle_s: float = 600.0,
        bounds: Bounds | None = None,
        command: tuple[str, ...] = (),
        verify: Callable[[Path], Path] = verify_weights,
    ) -> None:
        self._model, self._verify = model, verify
        self._idle_s, self._bounds = idle_s, bounds or Bounds()
        module = "carapax.adapters.providers.embedded.worker"
        cache = model.parent / "prefixes"
        arguments = (str(model), str(cache), str(threads or count_cores()), str(CONTEXT_TOKENS))
        self._command = command or (sys.executable, "-I", "-m", module, *arguments)
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()  # one slot: requests wait for each other
        self._number = 0
        self._prefixes: set[str] = set()
        self._idle: asyncio.TimerHandle | None = None

    def facts(self) -> ProviderFacts:
        """What is known without asking."""
        return ProviderFacts("embedded", MODEL, True, CONTEXT_TOKENS, "", True)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[TextChunk | Completion, None]:
        """Ask once; temperature 0. Raises ModelMissing and ProviderFailed; `tools` are not rendered (see `agent/small`)."""
        text = wire.render_prompt(prompt)
        known = max((len(prefix) for prefix in self._prefixes if text.startswith(prefix)), default=0)
        frame: dict[str, Any] = {"op": "ask", "prompt": text, "prefix": known, "max": prompt.max_output_tokens}
        if prompt.schema is not None:
            frame["schema"] = wire.strict_schema(prompt.schema)
        pieces: list[str] = []
        async with contextlib.aclosing(self._exchange(frame)) as answers:
            async for answer in answers:
                if "text" in answer:
                    pieces.append(answer["text"])
                    yield TextChunk(answer["text"])
                else:
                    end = answer["end"]
                    yield Completion("".join(pieces), (), end["prompt"], end["output"], 0, cut=end["cut"])

    async def warm(self, prompt: Prompt) -> None:
        """Load the model and read the prompt's text ahead (or restore its saved state); what begins with it is answered sooner.

        Remembered: a child that is started anew restores it again.
        """
        text = wire.render_prefix(prompt)
        self._prefixes.add(text)
        frame = {"op": "ask", "prompt": text, "prefix": len(text), "max": 0}
        async with contextlib.aclosing(self._exchange(frame)) as answers:
            async for _ in answers:
                pass

    async def close(self) -> None:
        """End the child."""
        if self._idle is not None:
            self._idle.cancel()
        child, self._child = self._child, None
        if child is not None:
            await _end(child, self._bounds.leave_s)

    async def _exchange(self, frame: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            child = await self._ready_child()
            self._number += 1
            number, finished = self._number, False
            try:
                await self._write(child, {**frame, "id": number})
                wait = self._bounds.first_s
                while not finished:
                    answer = await self._next(child, number, wait)
                    finished, wait = "end" in answer or "error" in answer, self._bounds.token_s
                    if "error" in answer:
                        raise ProviderFailed(
                            f"The embedded model refused the request: {answer['error']}",
                            next_step="Start a new session (`/new`) or send a shorter message.",
                        )
                    yield answer
            finally:
                if not finished:
                    await self._stop(child, number)
                self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._expire)

    async def _ready_child(self) -> asyncio.subprocess.Process:
        if self._child is not None and self._child.returncode is None:
            return self._child
        await asyncio.to_thread(self._verify, self._model)
        child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
            limit=wire.MAX_FRAME_BYTES,
            start_new_session=True,
        )
        self._child = child
        try:
            await self._next(child, None, self._bounds.load_s)
        except BaseException:
            # Also when cancelled: a child whose first frame was not read is of no use to the next request.
            await self._discard(child)
            raise
        return child

    async def _next(self, child: asyncio.subprocess.Process, number: int | None, wait_s: float) -> dict[str, Any]:
        assert child.stdout is not None
        try:
            # Not wait_for: in Python 3.11 it can swallow a cancellation that comes together with a line.
            async with asyncio.timeout(wait_s):
                while True:
                    line = await child.stdout.readline()
                    if not line:
                        raise EOFError
                    frame = wire.parse_frame(line)
                    if frame.get("id") == number:
                        return frame
        except (EOFError, OSError, ValueError, Malformed, TimeoutError) as error:
            late = isinstance(error, TimeoutError)
            await self._discard(child)
            what = f"did not answer within {wait_s:.0f} s" if late else "ended unexpectedly"
            raise ProviderFailed(f"The embedded model {what}.", retriable=True) from error

    async def _write(self, child: asyncio.subprocess.Process, frame: dict[str, Any]) -> None:
        assert child.stdin is not None
        try:
            child.stdin.write(wire.render_frame(frame))
            await child.stdin.drain()
        except OSError as error:
            await self._discard(child)
            raise ProviderFailed("The embedded model ended unexpectedly.", retriable=True) from error

    async def _stop(self, child: asyncio.subprocess.Process, number: int) -> None:
        if self._child is not child:
            return
        try:
            await self._write(child, {"op": "stop", "id": number})
            async with asyncio.timeout(self._bounds.drain_s):
                while True:
                    answer = await self._next(child, number, self._bounds.first_s)
                    if "end" in answer or "error" in answer:
                        return
        except (ProviderFailed, TimeoutError):
            await self._discard(child)

    async def _discard(self, child: asyncio.subprocess.Process) -> None:
        if self._child is child:
            self._child = None
        await _end(child, self._bounds.leave_s)

    def _expire(self) -> None:
        child, self._child = self._child, None
        if child is not None and child.stdin is not None:
            child.stdin.close()  # the child leaves when its stdin ends


async def _end(child: asyncio.subprocess.Process, leave_s: float) -> None:
    if child.stdin is not None:
        child.stdin.close()  # it leaves by itself, unless it is deep in a computation
    try:
        async with asyncio.timeout(leave_s):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def count_cores(cpus: Path = Path("/sys/devices/system/cpu")) -> int:
    """Physical cores this process may use, at least one: twins of a core only slow each other down."""
    allowed = os.sched_getaffinity(0)
    cores = set()
    for cpu in allowed:
        try:
            cores.add((cpus / f"cpu{cpu}" / "topology" / "core_cpus_list").read_text())
        except OSError:
            cores.add(str(cpu))
    return max(1, len(cores))
