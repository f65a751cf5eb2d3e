"""What a broken request means: whether it may have arrived decides if it is sent again."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from carapax.adapters.channels.calling import call
from carapax.ports.channel import ChannelFailed

BEFORE = [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout]
AFTER = [httpx2.ReadTimeout, httpx2.WriteTimeout, httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError]


def fail_with(kind: type[httpx2.TransportError], *, sends: bool) -> ChannelFailed:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise kind("it broke")

    async def ask() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
            await call(client, "POST", "https://platform.invalid/send", sends=sends)

    with pytest.raises(ChannelFailed) as failed:
        asyncio.run(ask())
    return failed.value


@pytest.mark.parametrize("kind", BEFORE)
def test_what_never_went_out_did_not_arrive(kind: type[httpx2.TransportError]) -> None:
    assert not fail_with(kind, sends=True).unknown


@pytest.mark.parametrize("kind", AFTER)
def test_what_went_out_may_have_arrived_if_it_delivers_something(kind: type[httpx2.TransportError]) -> None:
    assert fail_with(kind, sends=True).unknown
    assert not fail_with(kind, sends=False).unknown
