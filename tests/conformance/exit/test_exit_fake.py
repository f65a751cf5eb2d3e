"""CannedExit keeps the word of ports.egress.Exit on what a tool can see."""

from __future__ import annotations

import asyncio
import dataclasses

import httpx2
import pytest

from carapax.adapters.tools.web.adapter import WebTools
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Lease, lease_digest
from carapax.core.terms.error import AuthorityInvalid, EgressUnavailable, Refused
from carapax.ports.egress import Exit
from tests.fakes.exit import CannedExit, Says
from tests.unit.adapters.tools.conftest import sealed

URL = "https://example.org/x"


def call(*, online: bool = True) -> AuthorizedCall:
    tool = WebTools(None, None)  # type: ignore[arg-type]  # for its manifest
    made = sealed(tool, "web_fetch", {"url": URL})
    return dataclasses.replace(
        made, call=dataclasses.replace(made.call, manifest=dataclasses.replace(made.call.manifest, online=online))
    )


async def get(exit_: Exit, authorized: AuthorizedCall, *, leases: tuple[Lease, ...] = (), **headers: str) -> int:
    way = await exit_.open_way(authorized, leases=leases)
    words = dict(way.placeholders)
    try:
        async with exit_.client(way, timeout_ms=1_000) as client:
            answer = await client.get(URL, headers={k: v.format(**words) for k, v in headers.items()})
            return int(answer.status_code)
    finally:
        await exit_.close_way(way)


def test_a_way_is_opened_once_for_a_call_that_declares_the_network() -> None:
    exit_ = CannedExit({URL: Says(b"hi")})
    once = call()
    assert asyncio.run(get(exit_, once)) == 200
    with pytest.raises(AuthorityInvalid):
        asyncio.run(get(exit_, once))
    with pytest.raises(Refused):
        asyncio.run(get(exit_, call(online=False)))
    assert (exit_.closed, exit_.open) == (1, {})


def test_a_seal_is_checked_where_there_is_a_key() -> None:
    with pytest.raises(AuthorityInvalid):
        asyncio.run(get(CannedExit({URL: Says()}, key=b"k" * 32), call()))


def test_no_redirect_is_followed_by_itself() -> None:
    exit_ = CannedExit({URL: Says(status=302, headers={"location": "https://other.example/"})})
    assert asyncio.run(get(exit_, call())) == 302
    assert len(exit_.requests) == 1


def test_a_refusal_and_a_way_that_is_gone_raise() -> None:
    def no(request: httpx2.Request) -> Says:
        raise Refused("No rule lets web_fetch reach example.org.")

    with pytest.raises(Refused):
        asyncio.run(get(CannedExit(no), call()))

    async def late() -> None:
        exit_ = CannedExit({URL: Says()})
        way = await exit_.open_way(call())
        client = exit_.client(way, timeout_ms=1_000)
        exit_.cut(None)
        try:
            await client.get(URL)
        finally:
            await client.aclose()
            await exit_.close_way(way)

    with pytest.raises(EgressUnavailable):
        asyncio.run(late())


def test_a_placeholder_is_worth_something_in_its_leased_request_alone() -> None:
    exit_ = CannedExit({URL: Says()}, handles={"key": "x-key"})
    lease = Lease("key", lease_digest("GET", "example.org", 443, "/x", b""))
    asyncio.run(get(exit_, call(), leases=(lease,), **{"x-key": "{key}"}))
    assert exit_.swapped == ["key"]
    other = Lease("key", lease_digest("GET", "example.org", 443, "/y", b""))
    for leases, header in (((), "x-key"), ((other,), "x-key"), ((lease,), "x-other")):
        with pytest.raises(Refused):
            asyncio.run(get(exit_, call(), leases=leases, **{header: "{key}"}))
