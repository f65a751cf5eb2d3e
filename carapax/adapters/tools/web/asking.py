"""One question to the web through the egress port: redirects hop by hop, ceilings, and a sentence for every failure.

Layer: adapters/tools/web. Each hop is a request of its own, which the proxy judges before anything is looked up: whether
an address may be reached is decided there and nowhere here. No cookie is kept, nothing packed is accepted.
Laws: at most MAX_REDIRECTS redirects, ANSWER_BYTES bytes and FETCH_MS in all; every failure is a sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from carapax.adapters.tools.web.engines.terms import Asking
from carapax.adapters.tools.web.wire import Target, next_hop
from carapax.core.terms.error import CarapaxError, Malformed

MAX_REDIRECTS = 5
ANSWER_BYTES = 5_000_000
"""Of one answer that are read; what comes after is left out and said."""

FETCH_MS = 20_000
"""For one page with its redirects: what is left of the seal's 30 s is for starting the sandbox."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "user-agent": "Mozilla/5.0 (compatible; Carapax)",
    "accept": "text/html,application/xhtml+xml,text/plain;q=0.9,application/json;q=0.9,application/xml;q=0.8,*/*;q=0.1",
    "accept-encoding": "identity",
}


class Failed(Exception):
    """What is true now, in a sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: from where, of what kind, and its bytes up to the ceiling."""

    target: Target
    content_type: str
    body: bytes
    cut: bool


async def fetch(client: Any, target: Target) -> Answer:
    """The answer of an address, over at most five redirects. Raises Failed."""
    return await _bounded(_follow(client, target), target)


async def ask(client: Any, asking: Asking) -> Answer:
    """The answer to one exact request; a redirect is a failure. Raises Failed."""
    target = Target(asking.url(), asking.host, asking.port)
    return await _bounded(_ask_once(client, asking, target), target)


async def _bounded(work: Any, target: Target) -> Answer:
    import httpx2  # loaded when something first goes out

    try:
        async with asyncio.timeout(FETCH_MS / 1000):
            answer: Answer = await work
            return answer
    except (TimeoutError, httpx2.TimeoutException) as error:
        raise Failed(f"{target.place} did not answer in time. Nothing else was done.") from error
    except CarapaxError as error:  # the proxy's reason, and what a person can do about it
        raise Failed(f"refused: {error.what} {error.next_step}") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise Failed(f"{target.place} could not be read: the connection failed. Try again later.") from error


async def _follow(client: Any, target: Target) -> Answer:
    for _ in range(MAX_REDIRECTS + 1):
        client.cookies.clear()  # no address learns what another one set
        async with client.stream("GET", target.url, headers=_HEADERS) as response:
            location = response.headers.get("location", "")
            if response.status_code not in _REDIRECTS or not location:
                return await _take(response, target)
        try:
            target = next_hop(target, location)
        except Malformed as error:
            raise Failed(f"{target.place} sends on to an address that is not asked. {error.what}") from error
    raise Failed(f"{target.place} was the last of {MAX_REDIRECTS + 1} addresses that each sent on to another one.")


async def _ask_once(client: Any, asking: Asking, target: Target) -> Answer:
    headers: Mapping[str, str] = {**_HEADERS, **asking.headers}
    content = asking.body or None
    async with client.stream(asking.method, target.url, headers=headers, content=content) as response:
        return await _take(response, target)


async def _take(response: Any, target: Target) -> Answer:
    status = response.status_code
    if not 200 <= status < 300:
        raise Failed(f"{target.place} answered {status}{_phrase(status)}.")
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Failed(f"{target.place} sent a packed answer although none was asked for; it was not opened.")
    taken = bytearray()
    async for piece in response.aiter_raw():
        taken += piece
        if len(taken) > ANSWER_BYTES:
            break
    cut = len(taken) > ANSWER_BYTES
    return Answer(target, response.headers.get("content-type", ""), bytes(taken[:ANSWER_BYTES]), cut)


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
