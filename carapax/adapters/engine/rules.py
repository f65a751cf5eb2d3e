"""What every engine decides in the same way: what may be kept, what a failed try means, how long to wait.

Layer: adapters/engine, shared by its packages. Pure. Absent: where pieces are kept and what runs them.
Laws: a piece is tried at most `tries` times, tries that died with their process included; a waiting time never
shrinks from one failed try to the next; an error's text comes only from errors that were written for people.
"""

from __future__ import annotations

from dataclasses import dataclass

from carapax.core.terms.error import CarapaxError, Malformed, StoreUnavailable, TooLarge
from carapax.core.terms.work import WorkState
from carapax.ports.engine import GiveUp, RetryLater, Run

BODY_BYTES = 256 << 10
NAME_CHARS = 512  # of a key or a lane
KIND_CHARS = 64
REMEMBERED_MS = 7 * 24 * 3_600_000  # how long an ended piece's key stays known
ERROR_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Kind:
    """How pieces of one kind are run."""

    run: Run
    tries: int
    backoff_ms: int
    most_ms: int

    def pause_ms(self, attempts: int) -> int:
        """The wait after this many failed tries: doubled each time, up to `most_ms`."""
        return min(self.most_ms, self.backoff_ms << min(max(attempts - 1, 0), 40))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a try came to. `attempts` is what the piece is kept with."""

    state: WorkState
    attempts: int
    error: str = ""
    due_ms: int = 0


def make_kind(run: Run, tries: int, backoff_ms: int, most_ms: int) -> Kind:
    """Raises ValueError for bounds that make no sense."""
    if tries < 1 or backoff_ms < 0 or most_ms < 0:
        raise ValueError("a kind of work needs at least one try, and waits that are not negative")
    return Kind(run, tries, backoff_ms, most_ms)


def refuse_unfit(kind: str, key: str, body: str, lane: str, due_ms: int) -> None:
    """Raises Malformed or TooLarge for a piece that may not be kept."""
    if not kind or not key:
        raise Malformed("a piece of work needs a kind and a key")
    if len(kind) > KIND_CHARS or len(key) > NAME_CHARS or len(lane) > NAME_CHARS:
        raise TooLarge(f"a kind has at most {KIND_CHARS} characters, a key or a lane {NAME_CHARS}")
    if not 0 <= due_ms < 1 << 53:
        raise Malformed("the moment a piece of work is due is out of range")
    try:
        size, _ = len(body.encode()), (kind + key + lane).encode()
    except UnicodeEncodeError as error:
        raise Malformed("text with a lone surrogate cannot be stored") from error
    if size > BODY_BYTES:
        raise TooLarge(f"a piece of work has at most {BODY_BYTES >> 10} KiB, this one has {size} bytes")
    if "\0" in kind + key + lane + body:
        raise Malformed("text with a NUL character cannot be stored")


def refuse_closed() -> StoreUnavailable:
    """The error after `close`."""
    return StoreUnavailable("the engine is closed", next_step="Start the gateway again (`carapax serve`).")


def judge_failure(error: BaseException, kind: Kind, attempts: int, now_ms: int) -> Outcome:
    """What becomes of a piece whose try number `attempts` raised this."""
    match error:
        case GiveUp():
            return Outcome(WorkState.DEAD, attempts, _cut(error.why))
        case RetryLater(counts=False):
            wait_ms = error.after_ms or kind.pause_ms(1)
            return Outcome(WorkState.WAITING, attempts - 1, _cut(error.why), now_ms + wait_ms)
        case RetryLater():
            wait_ms = error.after_ms or kind.pause_ms(attempts)
        case _:
            wait_ms = kind.pause_ms(attempts)
    if attempts >= kind.tries:
        return Outcome(WorkState.DEAD, attempts, _cut(words(error)))
    return Outcome(WorkState.WAITING, attempts, _cut(words(error)), now_ms + wait_ms)


def judge_death(kind: Kind, attempts: int) -> Outcome:
    """What becomes of a piece whose process ended during try number `attempts`: it runs again at once, or is dead.

    It waits without an error: that tells a run that nobody knows how far the try before it came (`Work.error`).
    """
    if attempts >= kind.tries:
        error = f"the process ended during try {attempts} of {kind.tries}"
        return Outcome(WorkState.DEAD, attempts, f"{error}; it is not tried again, so that it ends no more processes")
    return Outcome(WorkState.WAITING, attempts)


def judge_unknown(kind: str, attempts: int) -> Outcome:
    """What becomes of a piece that nothing here runs: a person may run it again after an upgrade."""
    return Outcome(WorkState.DEAD, attempts, f"this release does not know work of the kind {kind!r}")


def words(error: BaseException) -> str:
    """A failed try in words for people. The text of foreign errors may hold secrets: only their type is named."""
    match error:
        case RetryLater():
            return error.why
        case CarapaxError():
            return error.what
        case _:
            return f"it failed with {type(error).__name__}"


def _cut(text: str) -> str:
    printable = text.replace("\0", "").encode("utf-8", "replace").decode()
    return printable if len(printable) <= ERROR_CHARS else printable[: ERROR_CHARS - 1] + "…"
