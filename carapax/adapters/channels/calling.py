"""One HTTP request to a platform, and what its failures mean: the same for every channel.

Layer: adapters/channels. Owns the bound on answers and the map from status codes to the port's errors.
Absent: any platform's own error bodies (each wire's business) and retries (the gateway's queue).
Law: a request that may have arrived is never reported as one that did not.
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from carapax.core.terms.error import CarapaxError, TooLarge
from carapax.ports.channel import ChannelFailed, CredentialRefused, SendRefused
from carapax.ports.clock import Clock

ANSWER_BYTES = 4 << 20
MAX_RETRY_MS = 3_600_000


async def call(
    client: Any, method: str, url: str, *, sends: bool = False, most_bytes: int = ANSWER_BYTES, **options: Any
) -> httpx2.Response:
    """Ask once; the answer whatever its status. `sends`: it delivers something, so a broken connection is `unknown`.

    Raises ChannelFailed, TooLarge (over `most_bytes`), and what the egress port raises.
    """
    try:
        async with client.stream(method, url, **options) as answer:
            await read_bounded(answer, most_bytes)
            return answer  # type: ignore[no-any-return]
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:  # nothing went out
        raise ChannelFailed(f"The platform cannot be reached: {_said(error)}") from None
    except (httpx2.TransportError, httpx2.StreamError) as error:
        raise ChannelFailed(f"The connection to the platform broke: {_said(error)}", unknown=sends) from None


async def read_bounded(answer: Any, most_bytes: int) -> bytes:
    """A streamed answer's whole body. Raises TooLarge; then the rest is not read."""
    found = bytearray()
    async for part in answer.aiter_bytes():
        found += part
        if len(found) > most_bytes:
            raise TooLarge(f"The platform's answer is larger than {most_bytes:,} bytes; the rest was not read.")
    answer._content = bytes(found)  # a streamed answer gets its content only so
    return bytes(found)


def read_json(answer: httpx2.Response) -> Any:
    """The answer as JSON. Raises ChannelFailed."""
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        raise ChannelFailed(f"The platform answered {answer.status_code} with something that is not JSON.") from None


def status_error(answer: httpx2.Response, clock: Clock, said: str = "") -> CarapaxError | None:
    """What a status code means, None for success. `said` is the platform's own word, already cut and plain."""
    status = answer.status_code
    if status < 400:
        return None
    words = f"The platform answered {status}" + (f": {said}" if said else ".")
    if status == 401:
        return CredentialRefused(words)
    if status == 429 or status >= 500 or status in (408, 425):
        return ChannelFailed(words, retry_after_ms=retry_after_ms(answer, clock), unknown=status >= 500)
    return SendRefused(words)


def retry_after_ms(answer: httpx2.Response, clock: Clock) -> int:
    """The Retry-After header in milliseconds, 0 without one, at most an hour."""
    given = str(answer.headers.get("retry-after", "")).strip()
    try:
        wait_ms = float(given) * 1000
    except ValueError:
        try:
            wait_ms = parsedate_to_datetime(given).timestamp() * 1000 - clock.now_ms()
        except ValueError:
            return 0
    return int(min(max(wait_ms, 0), MAX_RETRY_MS)) if wait_ms == wait_ms else 0


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
