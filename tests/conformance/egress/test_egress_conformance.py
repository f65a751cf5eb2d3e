"""Every egress: a client that reaches one origin and nothing else, and never holds the secret."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.egress.keeper import Keeper
from carapax.adapters.egress.kept import KeptEgress
from carapax.core.terms.error import CarapaxError, Refused
from carapax.ports.egress import Egress, Redirected
from tests.conformance.vault.memory import MemoryVault
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.egress_room import child_argv
from tests.fakes.gate import FakeGate
from tests.fakes.model_server import Endless, ModelServer, Raw, Says, Status

SECRET = "sk-very-secret-value"


@pytest.fixture(params=["direct", "kept"])
def egress(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Egress]:
    if request.param == "direct":
        vault = MemoryVault()
        vault.put_secret("service", SECRET)
        yield DirectEgress(vault)
        return
    keeper = Keeper(child_argv(tmp_path, secrets={"service": SECRET}), FakeGate())
    yield KeptEgress(keeper)
    keeper.close()


def test_it_reaches_its_own_origin_with_the_secret_added_on_the_way(egress: Egress) -> None:
    with ModelServer(Says(["hi"])) as server:

        async def play() -> tuple[int, str]:
            client = egress.client(base_url=server.openai_url, secret="service", timeout_ms=5_000)
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
def test_it_reaches_nothing_else(egress: Egress, path: str) -> None:
    with ModelServer(Says(["never"])) as server:

        async def play() -> None:
            client = egress.client(base_url=server.openai_url, secret="service", timeout_ms=5_000)
            try:
                await client.get(path.format(port=server.port))
            finally:
                await client.aclose()

        with pytest.raises(CarapaxError):
            asyncio.run(play())
        assert server.requests == []


@pytest.mark.parametrize("field", ["x-api-key", "x-goog-api-key"])
def test_the_key_may_stand_in_the_headers_that_services_use(egress: Egress, field: str) -> None:
    with ModelServer(Says(["hi"])) as server:

        async def play() -> int:
            async with egress.client(base_url=server.openai_url, secret="service", timeout_ms=5_000) as client:
                answer = await client.post("chat/completions", json={}, headers={field: client.placeholder})
                return int(answer.status_code)

        assert asyncio.run(play()) == 200
        assert server.requests[0].header(field) == SECRET


def test_an_echoed_key_comes_back_masked(egress: Egress) -> None:
    with ModelServer(Raw(f'{{"echo": "{SECRET}"}}'.encode(), headers={"x-echo": SECRET})) as server:

        async def play() -> str:
            async with egress.client(base_url=server.openai_url, secret="service", timeout_ms=5_000) as client:
                headers = {"authorization": f"Bearer {client.placeholder}"}
                answer = await client.post("chat/completions", json={}, headers=headers)
                return str(answer.headers) + str(answer.text)

        shown = asyncio.run(play())
        assert SECRET not in shown
        assert "*" * len(SECRET) in shown


def test_pieces_arrive_as_they_are_sent(egress: Egress) -> None:
    with ModelServer(Endless("and on ")) as server:

        async def play() -> int:
            async with egress.client(base_url=server.openai_url, secret="service", timeout_ms=5_000) as client:
                headers = {"authorization": f"Bearer {client.placeholder}"}
                seen = 0
                body = {"stream": True, "messages": []}
                async with client.stream("POST", "chat/completions", json=body, headers=headers) as answer:
                    async for part in answer.aiter_bytes():
                        seen += len(part)
                        if seen > 2_000:
                            break
                return seen

        assert asyncio.run(play()) > 2_000
        assert server.left_early.wait(10)


@pytest.mark.parametrize("code", [401, 403, 429, 500])
def test_what_the_service_answers_is_passed_on(egress: Egress, code: int) -> None:
    with ModelServer(Status(code)) as server:

        async def play() -> int:
            async with egress.client(base_url=server.openai_url, secret="", timeout_ms=5_000) as client:
                return int((await client.post("chat/completions", json={})).status_code)

        assert asyncio.run(play()) == code


def test_where_a_redirect_leads_is_told_and_not_followed(egress: Egress) -> None:
    elsewhere = "https://files.example/a?b=c"

    def play(location: str) -> str:
        async def ask(base: str) -> None:
            async with egress.client(base_url=base, secret="service", timeout_ms=5_000) as client:
                headers = {"authorization": f"Bearer {client.placeholder}"}
                await client.get(base, headers=headers, follow_redirects=True)

        with ModelServer(Status(307, headers={"location": location})) as server:
            with pytest.raises(Redirected) as caught:
                asyncio.run(ask(server.openai_url))
            assert len(server.requests) == 1
            return caught.value.location

    assert play(elsewhere) == elsewhere
    assert SECRET not in play(f"https://files.example/?key={SECRET}")
    assert len(play("https://files.example/" + "x" * 100_000)) <= 8_192


def test_a_redirect_a_missing_key_and_a_key_of_the_callers_own_are_refused(egress: Egress) -> None:
    with ModelServer(Status(302, headers={"location": "/elsewhere"})) as server:

        async def play(secret: str, fields: dict[str, str]) -> None:
            async with egress.client(base_url=server.openai_url, secret=secret, timeout_ms=5_000) as client:
                shown = {name: value.replace("PLACE", client.placeholder) for name, value in fields.items()}
                with pytest.raises(Refused):
                    await client.post("chat/completions", json={}, headers=shown)

        asyncio.run(play("absent", {"authorization": "Bearer PLACE"}))
        asyncio.run(play("service", {"authorization": "Bearer my-own"}))
        assert server.requests == []
        asyncio.run(play("service", {"authorization": "Bearer PLACE"}))
        assert len(server.requests) == 1
