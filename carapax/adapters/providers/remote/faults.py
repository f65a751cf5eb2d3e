"""What went wrong at a model service, in a sentence a person can act on.

Layer: adapters/providers/remote. Owns the mapping from the model library's errors to ProviderFailed.
Absent: the retry itself (see `adapter`). A service's own words are shown only for a request it would not take, cut and
made printable; the way out has already taken the key out of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from carapax.adapters.providers.catalogue import ModelChoice
from carapax.core.terms.error import CarapaxError, ProviderFailed

QUOTE_CHARS = 200
RETRY_AFTER_LIMIT_MS = 24 * 3_600_000
SET_KEY = "Set a new key with `carapax model`."
CHOOSE = "Choose another model with `carapax model`."


class Passing(ProviderFailed):
    """A failure that may be over within seconds: busy, overloaded, not reached, broken off."""

    def __init__(self, what: str, *, retry_after_ms: int = 0, next_step: str | None = None) -> None:
        super().__init__(what, retriable=True, retry_after_ms=retry_after_ms, next_step=next_step)


def failure_of(error: BaseException, choice: ModelChoice) -> ProviderFailed:
    """The failure to raise for any error of a request."""
    if (own := _own_error(error)) is not None:
        return own
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return _status_failure(status, error, choice)
    if (name := _transport_fault(error)) != "":
        return _transport_failure(name, choice)
    return ProviderFailed(f"{choice.label} sent an answer that cannot be read.", retriable=True)


def timed_out(choice: ModelChoice, waited_for: str, limit_ms: int) -> ProviderFailed:
    """The failure for one of our own deadlines."""
    return ProviderFailed(
        f"{choice.label} did not answer in time ({waited_for}: {limit_ms // 1000} s).", retriable=True
    )


def ended_early(choice: ModelChoice) -> ProviderFailed:
    """The failure for an answer that stops without saying that it is complete."""
    return ProviderFailed(f"The answer of {choice.label} ended in the middle.", retriable=True)


def withheld(choice: ModelChoice) -> ProviderFailed:
    """The failure for an answer that the service's own filter took back."""
    return ProviderFailed(f"A filter of {choice.label} withheld the answer.", next_step="Word it differently.")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _own_error(error: BaseException) -> ProviderFailed | None:
    for cause in _causes(error):
        if isinstance(cause, CarapaxError):  # the way out refused, or the vault could not be read
            return ProviderFailed(cause.what, next_step=cause.next_step)
    return None


def _transport_fault(error: BaseException) -> str:
    # By name: the transport's classes need not be imported to recognise them.
    for cause in _causes(error):
        if type(cause).__module__.startswith(("httpx2", "httpcore2")):
            return type(cause).__name__
    return ""


def _transport_failure(name: str, choice: ModelChoice) -> ProviderFailed:
    if name in ("ConnectError", "ConnectTimeout"):
        return Passing(
            f"Nothing answers at {choice.base_url}.",
            next_step=f"See that {choice.label} is running and reachable, or choose another model (`carapax model`).",
        )
    if name.endswith("Timeout"):
        return ProviderFailed(f"{choice.label} did not answer in time.", retriable=True)
    return Passing(f"{choice.label} broke the connection off.")


def _status_failure(status: int, error: BaseException, choice: ModelChoice) -> ProviderFailed:
    label = choice.label
    if status in (401, 403):
        return ProviderFailed(f"{label}: the key was refused ({status}).", next_step=SET_KEY)
    if status == 402:
        return ProviderFailed(f"{label} wants a payment first (402).", next_step="See your account there.")
    if status == 404:
        return ProviderFailed(
            f"{label} does not know the model {choice.model!r} (404), or its address is wrong.", next_step=CHOOSE
        )
    if status == 429:
        wait = retry_after_ms(error)
        after = f"; it asks to wait {-(-wait // 1000)} s" if wait else ""
        return Passing(f"{label} gets too many requests (429){after}.", retry_after_ms=wait)
    if status >= 500 or status == 408:
        return Passing(f"{label} failed ({status}).", retry_after_ms=retry_after_ms(error))
    return ProviderFailed(f"{label} did not take the request ({status}){_quote(error)}.", next_step=CHOOSE)


def retry_after_ms(error: BaseException) -> int:
    """How long the service asked to wait; 0 when it did not say or what it said is no duration."""
    seconds = getattr(error, "retry_after", None)
    if not isinstance(seconds, int | float) or not 0 < seconds < RETRY_AFTER_LIMIT_MS / 1000:
        return 0
    return int(seconds * 1000)


def _quote(error: BaseException) -> str:
    body: Any = getattr(error, "body", None)
    for _ in range(2):
        if isinstance(body, Mapping):
            body = body.get("error") or body.get("message")
    if not isinstance(body, str):
        return ""
    words = "".join(char if char.isprintable() else " " for char in body[:QUOTE_CHARS]).strip()
    return f': "{words}"' if words else ""
