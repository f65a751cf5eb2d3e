"""The outbox: what goes out to messengers, kept until the platform has it.

Layer: app. Owns the queue of letters (ports.engine), cutting into messages, idempotency keys, and what a failure means.
Absent: whether a reply may go there at all (the guard released it before) and who is where (`posts`).
Laws: letters to one place go out in order; a letter that may have arrived is never sent again by itself; what is given
up is listed for a person; of a held session nothing leaves but the gateway's own words.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from carapax.app.channels.board import Board, Line
from carapax.app.channels.pack import Blob, Letter, lane_of, pack_letter, unpack_letter
from carapax.app.hold import Hold
from carapax.core.channel.chunk import split_text
from carapax.core.channel.loops import digest_words
from carapax.core.terms.channel import Feature, OutFile, Outgoing, Place, Sent
from carapax.core.terms.error import CarapaxError, NotFound, StoreUnavailable
from carapax.core.terms.ids import SessionId
from carapax.core.terms.signal import Signal, SignalKind
from carapax.core.terms.work import Work
from carapax.guard.record import text_digest
from carapax.ports.channel import ChannelFailed, CredentialRefused, SendRefused
from carapax.ports.clock import Clock
from carapax.ports.engine import Engine, GiveUp, RetryLater
from carapax.ports.ledger import Ledger

LOG = logging.getLogger("carapax.outbox")
KIND = "delivery"
TRIES = 8
BACKOFF_MS = 2_000
MOST_BACKOFF_MS = 600_000
AWAY_MS = 5_000
HELD_MS = 5_000
CONNECTING_MS = 500
REFUSED_MS = 60_000
LAST_S = 3.0
"""How long what is on its way is waited for when Carapax is stopped; the engine waits longer."""

MOST_PLACES = 10_000
OWN_WORDS = 8
"""Messages of the agent that are remembered of each place, so that an echo is known."""

_BODY_CHARS = 60_000  # of one letter: with a card's buttons and files it stays far below what work may hold


class Outbox:
    """Keeps and sends letters."""

    def __init__(
        self,
        engine: Engine,
        board: Board,
        ledger: Ledger,
        clock: Clock,
        hold: Hold,
        folder: Path,
        saw: Callable[[Signal], None],
    ) -> None:
        self._engine, self._board, self._ledger, self._clock = engine, board, ledger, clock
        self._hold, self._folder, self._saw = hold, folder, saw
        self._own: OrderedDict[str, deque[str]] = OrderedDict()
        self._newest: OrderedDict[str, str] = OrderedDict()
        self._queued: dict[str, int] = {}
        self.gave_up: Callable[[Letter, str], Awaitable[None]] = _untold
        self.went: Callable[[Letter, Sent], None] = lambda letter, sent: None
        engine.register(KIND, self._deliver, tries=TRIES, backoff_ms=BACKOFF_MS, most_ms=MOST_BACKOFF_MS)

    # keeping

    async def post(self, letter: Letter, key: str) -> None:
        """Keep a letter, cut into as many messages as its platform needs. The same key is the same letter."""
        for number, piece in enumerate(self._pieces(letter)):
            if await self._engine.start(KIND, f"{key}/{number}", pack_letter(piece), lane=lane_of(letter.place)):
                self._queued[letter.place.channel] = self._queued.get(letter.place.channel, 0) + 1

    def _pieces(self, letter: Letter) -> list[Letter]:
        line = self._board.find(letter.place.channel)
        if line is None:
            return [letter]
        facts = line.channel.facts()
        chars = min(facts.text_chars, _BODY_CHARS)
        texts = split_text(letter.text, chars=chars, bytes_=facts.text_bytes, utf16=facts.kind == "telegram")
        first, *rest = texts or ("",)
        pieces = [replace(letter, text=first, files=(), buttons=() if rest else letter.buttons)]
        pieces += [replace(letter, text=text, files=(), buttons=(), edits="", reply_to="") for text in rest]
        if rest:
            pieces[-1] = replace(pieces[-1], buttons=letter.buttons)
        return [*pieces[:-1], replace(pieces[-1], files=letter.files)]

    def queued(self, channel: str) -> int:
        """Letters of a channel that wait, of those that this process kept."""
        return self._queued.get(channel, 0)

    def keep_file(self, content: bytes, name: str, type: str) -> Blob:
        """Keep a file's bytes for a letter. Raises StoreUnavailable."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._folder / digest
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            fresh = path.with_suffix(f".{os.getpid()}")
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(fd)
            fresh.replace(path)
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be written: {error.strerror}.") from error
        return Blob(name, type, digest)

    # what a place has seen

    def own_words(self, place: Place) -> Sequence[str]:
        """Digests of what was said there last."""
        return tuple(self._own.get(place.key, ()))

    def newest_card(self, place: Place) -> str:
        """The card that is the newest message of ours in a place; "" when it is something else."""
        return self._newest.get(place.key, "")

    def heard(self, place: Place) -> None:
        """Somebody said something there: whatever card was shown before is no longer the newest message."""
        self._newest.pop(place.key, None)

    # sending

    async def _deliver(self, work: Work) -> None:
        letter = unpack_letter(work.body)
        try:
            sent = await self._try(letter, work)
        except GiveUp as error:
            await self._give_up(letter, error.why)
            raise
        except RetryLater as error:
            if error.counts and work.attempts >= TRIES:
                await self._give_up(letter, error.why)
            raise
        self._done(letter)
        self._remember(letter)
        self.went(letter, sent)

    async def _give_up(self, letter: Letter, why: str) -> None:
        self._done(letter)
        try:
            await self.gave_up(letter, why)
        except CarapaxError as error:  # it is listed all the same; failing here would send it again
            LOG.warning("given up on %s and nobody was told: %s", letter.place.channel, error.what)

    async def _try(self, letter: Letter, work: Work) -> Sent:
        line = self._line(letter)
        facts = line.channel.facts()
        if work.attempts > 1 and not work.error and Feature.IDEMPOTENT not in facts.features and not letter.edits:
            raise GiveUp("Carapax ended while this was sent, so it may have arrived; it was not sent again.")
        # Only now: a try that waited has a reason, and would hide that the one before it was cut.
        self._check_open(letter, line)
        try:
            sent = await self._see_through(line, letter, work.key)
        except ChannelFailed as error:
            if error.unknown and Feature.IDEMPOTENT not in facts.features and not letter.edits:
                raise GiveUp(f"It may have arrived, so it was not sent again. {error.what}") from error
            limited = error.retry_after_ms > 0 and not error.unknown
            raise RetryLater(error.what, after_ms=error.retry_after_ms, counts=not limited) from error
        except CredentialRefused as error:
            await self._board.refuse(letter.place.channel, error.what)
            raise RetryLater(error.what, after_ms=REFUSED_MS, counts=False) from error
        except SendRefused as error:
            raise GiveUp(error.what) from error
        except CarapaxError as error:
            raise RetryLater(error.what, after_ms=AWAY_MS, counts=False) from error
        line.sent += 1
        await self._record(letter, work.key, sent)
        return sent

    def _line(self, letter: Letter) -> Line:
        try:
            return self._board.get(letter.place.channel)
        except NotFound as error:
            raise GiveUp(f"{error.what} It was removed.") from error

    def _check_open(self, letter: Letter, line: Line) -> None:
        """Whether it may leave now. Raises RetryLater.

        Nothing is sent while its channel is only connecting: were the process to end then, what never went out would
        be in doubt.
        """
        if self._hold.stopped:
            raise RetryLater("Everything is stopped.", after_ms=HELD_MS, counts=False)
        if letter.session and self._hold.find(SessionId(letter.session)) is not None:
            raise RetryLater("Its session is held by an incident.", after_ms=HELD_MS, counts=False)
        if line.state == "refused":
            raise RetryLater(line.detail, after_ms=REFUSED_MS, counts=False)
        if line.state == "connecting":
            raise RetryLater("The channel is connecting.", after_ms=CONNECTING_MS, counts=False)

    async def _see_through(self, line: Line, letter: Letter, key: str) -> Sent:
        """Send it; when Carapax is stopped meanwhile, wait a moment for what is on its way already."""
        sending = asyncio.create_task(self._send(line, letter, key))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait({sending}, timeout=LAST_S)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            if sending.cancelled():
                raise ChannelFailed("Carapax was stopped while this was sent.", unknown=True) from None
            return sending.result()

    async def _send(self, line: Line, letter: Letter, key: str) -> Sent:
        if letter.edits and not letter.files and not letter.buttons:
            try:
                await line.channel.edit(letter.place, letter.edits, letter.text)
                return Sent(letter.edits)
            except SendRefused:
                pass  # the message is gone: the words still have to arrive
        files = tuple(OutFile(blob.name, blob.type, self._content(blob)) for blob in letter.files)
        short = hashlib.sha256(key.encode()).hexdigest()[:32]
        return await line.channel.send(
            Outgoing(letter.place, letter.text, short, letter.reply_to, letter.buttons, files)
        )

    def _content(self, blob: Blob) -> bytes:
        if not re.fullmatch(r"[0-9a-f]{64}", blob.digest):
            raise GiveUp("The file to be sent is not named by a digest.")
        try:
            content = (self._folder / blob.digest).read_bytes()
        except OSError as error:
            raise GiveUp(f"The file to be sent is gone: {blob.name}.") from error
        if hashlib.sha256(content).hexdigest() != blob.digest:
            raise GiveUp(f"The file to be sent was changed: {blob.name}.")
        return content

    async def _record(self, letter: Letter, key: str, sent: Sent) -> None:
        body = {
            "channel": letter.place.channel,
            "place": letter.place.key,
            "key": key,
            "message": sent.message,
            "text": text_digest(letter.text),
            "files": [blob.digest for blob in letter.files],
        }
        try:
            await self._ledger.append("delivered", body | ({"session": letter.session} if letter.session else {}))
        except CarapaxError as error:  # it went, as its entry from before says; failing now would send it again
            LOG.warning("delivered to %s and not recorded: %s", letter.place.channel, error.what)
        if letter.session and key.endswith("/0"):
            self._saw(Signal(SignalKind.MESSAGE, SessionId(letter.session), None, 1, letter.place.channel))

    def _done(self, letter: Letter) -> None:
        name = letter.place.channel
        self._queued[name] = max(0, self._queued.get(name, 0) - 1)

    def _remember(self, letter: Letter) -> None:
        key = letter.place.key
        self._own.setdefault(key, deque(maxlen=OWN_WORDS)).append(digest_words(letter.text))
        self._newest[key] = letter.about
        for kept in (self._own, self._newest):
            kept.move_to_end(key)
            while len(kept) > MOST_PLACES:
                kept.popitem(last=False)


async def _untold(letter: Letter, why: str) -> None:
    return
