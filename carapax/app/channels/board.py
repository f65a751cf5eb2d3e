"""The board: every channel that was added, how it stands, and the task that keeps it connected.

Layer: app. Owns the channels' files in the home, opening and supervising them, their logs, and reconnecting.
Absent: what comes in (`inbox`) and goes out (`outbox`), and any secret: a file names handles.
Laws: one channel's failure is its own; a refused credential is not tried again until somebody changes it, and is told
once; between tries a channel waits longer and longer, up to five minutes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tomllib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carapax.adapters.channels.catalogue import Opening, check_answers, get_manifest, open_channel
from carapax.app.settings import toml_value
from carapax.core.terms.channel import Heard
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused
from carapax.ports.clock import Clock
from carapax.ports.egress import Egress
from carapax.ports.gateway import ChannelState, LogLine
from carapax.ports.store import Store

LOG = logging.getLogger("carapax.channels")
MOST_CHANNELS = 100
LOG_LINES = 200
FIRST_WAIT_S = 1.0
MOST_WAIT_S = 300.0
STEADY_S = 60.0
"""A connection that stood this long was a good one: the next try after it waits the least again."""

TEST_S = 30.0
NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class Added:
    """A channel as its file says."""

    name: str
    kind: str
    values: Mapping[str, str]
    secrets: Mapping[str, str]  # handles


@dataclass(slots=True)
class Line:
    """One channel that is open."""

    added: Added
    channel: Channel
    state: str = "connecting"
    detail: str = ""
    since_ms: int = 0
    heard: int = 0
    sent: int = 0
    log: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    task: asyncio.Task[None] | None = None
    hurry: asyncio.Event = field(default_factory=asyncio.Event)


class StoreKeep:
    """Implements ports.channel.Keep over the store's notes."""

    def __init__(self, store: Store, channel: str) -> None:
        self._store, self._channel = store, channel

    async def read(self, name: str) -> bytes | None:
        return await self._store.read_note(self._channel, name)

    async def write(self, name: str, value: bytes) -> None:
        await self._store.write_note(self._channel, name, value)


Listen = Callable[[Line, Heard], Awaitable[None]]


class Board:
    """Every channel. `listen` takes what comes in; `refused` is told of a credential that is not accepted any more."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        egress: Egress,
        clock: Clock,
        run_folder: Path,
        make: Callable[[str, Opening], Channel] = open_channel,
    ) -> None:
        self._folder, self._store, self._egress, self._clock = folder, store, egress, clock
        self._make_channel = make
        self._run_folder = run_folder
        self._lines: dict[str, Line] = {}
        self._closing = False
        self.listen: Listen = _deaf
        self.refused: Callable[[Line, str], Awaitable[None]] = _untold

    # reading and writing what was added

    def load(self) -> None:
        """Open what was added; a file that cannot be read is a channel that is off, with the reason."""
        for path in sorted(self._folder.glob("*.toml"))[:MOST_CHANNELS]:
            try:
                self._open(read_added(path))
            except CarapaxError as error:
                LOG.warning("%s: %s", path.name, error.what)

    def start(self) -> None:
        """Connect all of them."""
        for line in self._lines.values():
            self._start(line)

    async def add(self, added: Added) -> tuple[Line, Sequence[str]]:
        """Test it live, then keep and connect it. Raises as Gateway.add_channel; nothing is kept then."""
        if not NAME.match(added.name):
            raise Malformed("A channel's name has small letters, digits and dashes, a letter first.")
        if added.name not in self._lines and len(self._lines) >= MOST_CHANNELS:
            raise Conflict(f"{MOST_CHANNELS} channels are the most.")
        check_answers(get_manifest(added.kind), added.values, added.secrets)
        trial = self._make(added)
        try:
            said = await self._tested(trial)
        finally:
            await trial.close()
        await self._stop(added.name)
        self._write(added)
        line = self._open(added)
        self._start(line)
        return line, said

    async def test(self, name: str) -> Sequence[str]:
        return await self._tested(self.get(name).channel)

    async def _tested(self, channel: Channel) -> Sequence[str]:
        try:
            async with asyncio.timeout(TEST_S):
                return await channel.test()
        except TimeoutError:
            raise ChannelFailed(f"The platform did not answer within {TEST_S:.0f} s.") from None

    async def remove(self, name: str) -> None:
        """Disconnect it and forget everything about it. Raises NotFound."""
        self.get(name)
        await self._stop(name)
        (self._folder / f"{name}.toml").unlink(missing_ok=True)
        await self._store.drop_notes(name)

    def _write(self, added: Added) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{added.name}.toml"
        fresh = path.with_suffix(".new")
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(render_added(added))
            fresh.replace(path)
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be written: {error.strerror}.") from error

    # looking

    def get(self, name: str) -> Line:
        """Raises NotFound."""
        found = self._lines.get(name)
        if found is None:
            raise NotFound(f"There is no channel {name[:40]!r}.", next_step="See `carapax channels`.")
        return found

    def find(self, name: str) -> Line | None:
        return self._lines.get(name)

    def states(self, queued: Callable[[str], int]) -> list[ChannelState]:
        return [self.state(line, queued(line.added.name)) for line in self._lines.values()]

    def state(self, line: Line, queued: int = 0) -> ChannelState:
        kind = line.added.kind
        title = get_manifest(kind).title
        return ChannelState(
            line.added.name, kind, title, line.state, line.detail, line.since_ms, line.heard, line.sent, queued
        )

    # keeping them connected

    def _make(self, added: Added) -> Channel:
        values = dict(added.values)
        if added.kind == "terminal":
            values.setdefault("path", str(self._run_folder / f"{added.name}.sock"))
        return self._make_channel(
            added.kind,
            Opening(
                name=added.name,
                values=values,
                secrets=added.secrets,
                egress=self._egress,
                keep=StoreKeep(self._store, added.name),
                clock=self._clock,
                log=lambda text: self.note(added.name, text),
            ),
        )

    def _open(self, added: Added) -> Line:
        line = Line(added, self._make(added), since_ms=self._clock.now_ms())
        self._lines[added.name] = line
        return line

    def _start(self, line: Line) -> None:
        line.task = asyncio.create_task(self._keep_up(line), name=f"channel {line.added.name}")

    async def _stop(self, name: str) -> None:
        line = self._lines.pop(name, None)
        if line is None:
            return
        if line.task is not None:
            line.task.cancel()
            await asyncio.gather(line.task, return_exceptions=True)
        await line.channel.close()

    async def _keep_up(self, line: Line) -> None:
        wait_s = FIRST_WAIT_S
        while not self._closing:
            began_ms = self._clock.monotonic_ms()
            self._set(line, "connecting", "")
            try:
                await line.channel.run(lambda heard: self.hear(line, heard), lambda text: self._set(line, "up", text))
            except CredentialRefused as error:
                self._set(line, "refused", error.what)
                await self.refused(line, error.what)
                return
            except CarapaxError as error:
                asked_s = getattr(error, "retry_after_ms", 0) / 1000
                if self._clock.monotonic_ms() - began_ms > STEADY_S * 1000:
                    wait_s = FIRST_WAIT_S
                pause_s = min(MOST_WAIT_S, max(wait_s, asked_s))
                self._set(line, "waiting", f"{error.what} Next try in {pause_s:.0f} s.")
                wait_s = FIRST_WAIT_S if await _hurried(line.hurry, pause_s) else min(MOST_WAIT_S, wait_s * 2)
            except Exception:  # broad: a channel's defect must not end the others; it is logged and shown
                LOG.exception("channel %s", line.added.name)
                self._set(line, "off", "Something in this channel failed; see the log.")
                return
            else:
                if line.state == "connecting":
                    self._set(line, "up", "")
                return

    def hurry(self) -> None:
        """Try at once what waits for its next try: what was in the way is gone."""
        for line in self._lines.values():
            if line.state == "waiting":
                line.hurry.set()

    async def hear(self, line: Line, heard: Heard) -> None:
        """Count what a channel heard and hand it on. Raises StoreUnavailable."""
        line.heard += 1
        await self.listen(line, heard)

    async def refuse(self, name: str, why: str) -> None:
        """A send found the credential refused: nothing more is tried with it, and the owner is told once."""
        line = self._lines.get(name)
        if line is None or line.state == "refused":
            return
        if line.task is not None:
            line.task.cancel()
        self._set(line, "refused", why)
        await self.refused(line, why)

    def _set(self, line: Line, state: str, detail: str) -> None:
        line.state, line.detail, line.since_ms = state, detail, self._clock.now_ms()
        self.note(line.added.name, f"{state}: {detail}" if detail else state)

    def note(self, name: str, text: str) -> None:
        """A line for the channel's log."""
        line = self._lines.get(name)
        if line is not None:
            shown = "".join(c if c.isprintable() else "·" for c in text)
            line.log.append(LogLine(self._clock.now_ms(), shown[:500]))

    async def hang_up(self) -> None:
        """End every connection; letters that are being sent may still go out."""
        self._closing = True
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Disconnect all."""
        self._closing = True
        for name in list(self._lines):
            await self._stop(name)


async def _hurried(event: asyncio.Event, pause_s: float) -> bool:
    """Whether it was called before the pause was over."""
    try:
        async with asyncio.timeout(pause_s):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True


async def _deaf(line: Line, heard: Heard) -> None:
    raise StoreUnavailable("Nobody listens yet.")


async def _untold(line: Line, why: str) -> None:
    return


def read_added(path: Path) -> Added:
    """A channel's file. Raises Malformed."""
    try:
        given = tomllib.loads(path.read_text("utf-8"))
        values, secrets = given.get("values", {}), given.get("secrets", {})
        made = Added(path.stem, str(given["kind"]), values, secrets)
        texts = [*values.values(), *secrets.values()]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, AttributeError) as error:
        raise Malformed(f"{path.name} is not a channel's file: {error}.") from error
    if not NAME.match(made.name) or not all(isinstance(text, str) for text in texts):
        raise Malformed(f"{path.name} is not a channel's file.")
    return made


def render_added(added: Added) -> str:
    """The text of a channel's file."""
    lines = ["# Written by `carapax channels add`. Secrets lie in the vault; here are their handles.\n"]
    lines.append(f"kind = {toml_value(added.kind)}\n")
    for title, table in (("values", added.values), ("secrets", added.secrets)):
        lines.append(f"\n[{title}]\n")
        lines += [f"{key} = {toml_value(value)}\n" for key, value in sorted(table.items())]
    return "".join(lines)
