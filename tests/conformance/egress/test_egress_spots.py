"""Every egress: the secret goes where the service takes it, and a placeholder anywhere else sends nothing."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from carapax.core.terms.error import Refused
from carapax.ports.egress import Egress, Spot
from tests.conformance.egress.rooms import KINDS, SECRETS, open_egress
from tests.fakes.model_server import ModelServer, Raw, Says, Seen

BASE64_USER = base64.b64encode(b"me:").decode()


@pytest.fixture(params=KINDS, scope="module")
def egress(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Egress]:
    yield from open_egress(request.param, tmp_path_factory.mktemp("spots"))


def filled(value: Any, word: str) -> Any:
    """What a test wrote, with the placeholder for WORD and its Basic form for BASIC."""
    basic = base64.b64encode(f"me:{word}".encode()).decode()
    if isinstance(value, dict):
        return {filled(name, word): filled(each, word) for name, each in value.items()}
    return value.replace("BASIC", basic).replace("WORD", word) if isinstance(value, str) else value


def ask(egress: Egress, spot: Spot, secret: str, path: str = "/x", **options: Any) -> list[Seen]:
    """One request; what arrived."""
    with ModelServer(Raw(b"{}")) as server:

        async def play() -> None:
            base = f"http://127.0.0.1:{server.port}"
            async with egress.client(base_url=base, secret=secret, timeout_ms=10_000, spot=spot) as client:
                given = {name: filled(value, client.placeholder) for name, value in options.items()}
                answer = await client.post(base + filled(path, client.placeholder), **given)
                assert client.placeholder not in answer.text
                assert not any(value in str(answer.request.url) for value in SECRETS.values())

        try:
            asyncio.run(play())
        finally:
            found = list(server.requests)
        return found


def refused(egress: Egress, spot: Spot, secret: str, path: str = "/x", **options: Any) -> None:
    with ModelServer(Says(["never"])) as server:

        async def play() -> None:
            base = f"http://127.0.0.1:{server.port}"
            async with egress.client(base_url=base, secret=secret, timeout_ms=10_000, spot=spot) as client:
                given = {name: filled(value, client.placeholder) for name, value in options.items()}
                await client.post(base + filled(path, client.placeholder), **given)

        with pytest.raises(Refused) as caught:
            asyncio.run(play())
        assert server.requests == []
        assert not any(value in str(caught.value) + caught.value.next_step for value in SECRETS.values())


@pytest.mark.parametrize(
    ("field", "shown", "sent"),
    [
        ("authorization", "Bearer WORD", "Bearer {}"),
        ("authorization", "Bot WORD", "Bot {}"),
        ("x-api-key", "WORD", "{}"),
        ("x-goog-api-key", "WORD", "{}"),
    ],
)
def test_in_a_header(egress: Egress, field: str, shown: str, sent: str) -> None:
    (got,) = ask(egress, Spot.HEADER, "service", headers={field: shown})
    assert got.header(field) == sent.format(SECRETS["service"])


def test_as_the_password_of_basic(egress: Egress) -> None:
    (got,) = ask(egress, Spot.BASIC, "password", headers={"authorization": "Basic BASIC"})
    scheme, _, word = (got.header("authorization") or "").partition(" ")
    assert (scheme, base64.b64decode(word).decode()) == ("Basic", f"me:{SECRETS['password']}")


def test_in_the_path(egress: Egress) -> None:
    (got,) = ask(egress, Spot.PATH, "token", "/botWORD/sendMessage?chat=1", json={"text": "hi"})
    path, _, query = got.path.partition("?")
    assert path.split("/")[2] == "sendMessage"
    assert unquote(path.split("/")[1]) == "bot" + SECRETS["token"]
    assert query == "chat=1"
    assert got.json() == {"text": "hi"}


def test_as_the_value_of_one_argument(egress: Egress) -> None:
    (got,) = ask(egress, Spot.QUERY, "password", "/api?first=1&password=WORD&last=2")
    assert parse_qs(got.path.partition("?")[2]) == {"first": ["1"], "password": [SECRETS["password"]], "last": ["2"]}


def test_in_a_json_body_wherever_it_stands(egress: Egress) -> None:
    (got,) = ask(egress, Spot.BODY, "password", json={"login": "me", "secret": "WORD", "again": {"x": "a WORD b"}})
    value = SECRETS["password"]
    assert got.json() == {"login": "me", "secret": value, "again": {"x": f"a {value} b"}}
    assert int(got.header("content-length") or 0) == len(got.body)


def test_in_a_form(egress: Egress) -> None:
    (got,) = ask(egress, Spot.BODY, "password", data={"user": "me", "secret": "WORD"})
    assert parse_qs(got.body.decode()) == {"user": ["me"], "secret": [SECRETS["password"]]}


def test_a_request_without_the_placeholder_goes_on_as_it_is(egress: Egress) -> None:
    for spot in Spot:
        (got,) = ask(egress, spot, "service", "/a?b=c", json={"d": "e"}, headers={"x-other": "f"})
        assert (got.path, got.json(), got.header("x-other")) == ("/a?b=c", {"d": "e"}, "f")
        assert SECRETS["service"] not in str(got)


ELSEWHERE: list[tuple[str, dict[str, Any]]] = [
    ("/x", {"headers": {"authorization": "Bearer WORD"}}),
    ("/x", {"headers": {"authorization": "Basic BASIC"}}),
    ("/x", {"headers": {"authorization": "WORD"}}),
    ("/x", {"headers": {"x-other": "WORD"}}),
    ("/x", {"headers": {"x-other": "BASIC"}}),
    ("/x", {"headers": {"xWORD": "1"}}),
    ("/botWORD/x", {}),
    ("/x?key=WORD", {}),
    ("/x?WORD=key", {}),
    ("/x?key=aWORD", {}),
    ("/x", {"json": {"key": "WORD"}}),
    ("/x", {"content": "text WORD", "headers": {"content-type": "text/plain"}}),
]
RIGHT = {
    Spot.HEADER: (0,),
    Spot.BASIC: (1,),
    Spot.PATH: (6,),
    Spot.QUERY: (7,),
    Spot.BODY: (10,),
}


@pytest.mark.parametrize("spot", list(Spot))
def test_anywhere_else_it_is_refused_and_nothing_is_sent(egress: Egress, spot: Spot) -> None:
    for number, (path, options) in enumerate(ELSEWHERE):
        if number not in RIGHT[spot]:
            refused(egress, spot, "service", path, **options)


@pytest.mark.parametrize(
    ("spot", "path", "options"),
    [
        (Spot.HEADER, "/x", {"headers": {"authorization": "Bearer WORD", "x-api-key": "WORD"}}),
        (Spot.HEADER, "/xWORD", {"headers": {"authorization": "Bearer WORD"}}),
        (Spot.PATH, "/WORD/WORD", {}),
        (Spot.PATH, "/WORD?x=WORD", {}),
        (Spot.QUERY, "/x?a=WORD&b=WORD", {}),
        (Spot.BASIC, "/x?a=WORD", {"headers": {"authorization": "Basic BASIC"}}),
        (Spot.BODY, "/x", {"json": {"a": "WORD"}, "headers": {"x-api-key": "WORD"}}),
    ],
)
def test_twice_is_refused(egress: Egress, spot: Spot, path: str, options: dict[str, Any]) -> None:
    refused(egress, spot, "service", path, **options)


def test_a_value_that_would_end_its_field_is_refused(egress: Egress) -> None:
    refused(egress, Spot.HEADER, "broken", headers={"authorization": "Bearer WORD"})
    refused(egress, Spot.HEADER, "password", headers={"authorization": "Bearer WORD"})
    refused(egress, Spot.PATH, "broken", "/botWORD/x")
    refused(egress, Spot.QUERY, "broken", "/x?k=WORD")
    refused(egress, Spot.BODY, "broken", json={"k": "WORD"})


def test_no_secret_and_a_placeholder_in_its_spot_is_refused_or_taken_out(egress: Egress) -> None:
    (got,) = ask(egress, Spot.BASIC, "", headers={"authorization": "Basic BASIC"})
    assert got.header("authorization") is None
    refused(egress, Spot.PATH, "", "/botWORD/x")
    refused(egress, Spot.BODY, "", json={"k": "WORD"})


def test_a_large_body_passes_but_no_placeholder_in_it(egress: Egress) -> None:
    large = "x" * (1 << 20)
    (got,) = ask(egress, Spot.BODY, "service", json={"text": large})
    assert len(got.body) > 1 << 20
    refused(egress, Spot.BODY, "service", json={"text": large, "key": "WORD"})


def test_what_comes_back_holds_no_secret(egress: Egress) -> None:
    echoed = json.dumps(SECRETS["service"]).encode()
    with ModelServer(*[Raw(b"you said " + echoed, headers={"x-echo": SECRETS["service"]})] * 4) as server:

        async def play(spot: Spot, path: str, **options: Any) -> str:
            base = f"http://127.0.0.1:{server.port}"
            async with egress.client(base_url=base, secret="service", timeout_ms=10_000, spot=spot) as client:
                given = {name: filled(value, client.placeholder) for name, value in options.items()}
                answer = await client.post(base + filled(path, client.placeholder), **given)
                return answer.text + str(answer.headers)

        for spot, path, options in (
            (Spot.PATH, "/WORD", {}),
            (Spot.QUERY, "/?k=WORD", {}),
            (Spot.BODY, "/", {"json": {"k": "WORD"}}),
            (Spot.BASIC, "/", {"headers": {"authorization": "Basic BASIC"}}),
        ):
            shown = asyncio.run(play(spot, path, **options))
            assert SECRETS["service"] not in shown
            assert "*" * len(SECRETS["service"]) in shown
