"""Every egress: a client that reaches one origin and nothing else, and never holds the secret."""

from __future__ import annotations

import asyncio

import pytest

from carapax.adapters.egress.direct import DirectEgress
from carapax.core.terms.error import CarapaxError
from carapax.ports.egress import Egress
from tests.conformance.vault.memory import MemoryVault
from tests.fakes.model_server import ModelServer, Says

SECRET = "sk-very-secret-value"


def make() -> Egress:
    vault = MemoryVault()
    vault.put_secret("service", SECRET)
    return DirectEgress(vault)


def test_it_reaches_its_own_origin_with_the_secret_added_on_the_way() -> None:
    with ModelServer(Says(["hi"])) as server:

        async def play() -> tuple[int, str]:
            client = make().client(base_url=server.openai_url, secret="service", timeout_ms=5_000)
            assert SECRET not in repr(client) + repr(vars(client))
            try:
                headers = {"authorization": f"Bearer {client.placeholder}"}
                answer = await client.post(f"{server.openai_url}/chat/completions", json={}, headers=headers)
                return answer.status_code, answer.text
            finally:
                await client.aclose()

        status, text = asyncio.run(play())
        assert status == 200
        assert SECRET not in text
        assert server.requests[0].header("authorization") == f"Bearer {SECRET}"


@pytest.mark.parametrize("path", ["http://127.0.0.1:1/v1", "https://127.0.0.1/v1", "http://localhost:{port}/v1"])
def test_it_reaches_nothing_else(path: str) -> None:
    with ModelServer(Says(["never"])) as server:

        async def play() -> None:
            client = make().client(base_url=server.openai_url, secret="service", timeout_ms=5_000)
            try:
                await client.get(path.format(port=server.port))
            finally:
                await client.aclose()

        with pytest.raises(CarapaxError):
            asyncio.run(play())
        assert server.requests == []
