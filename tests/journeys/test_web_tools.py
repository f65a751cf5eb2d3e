"""The web tools through the real egress proxy, to a server with TLS on loopback that stands for the web."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.tools.web.adapter import WebTools
from carapax.adapters.tools.web.engines.searxng import SearxNg
from carapax.adapters.tools.web.engines.terms import Asking, Engine
from carapax.core.terms.action import Outcome, Receipt
from carapax.core.terms.egress import Binding, Hop, Verdict
from carapax.core.terms.error import EgressUnavailable
from tests.fakes.egress_room import SECRET, Room
from tests.fakes.gate import LOOPBACK, FakeGate
from tests.fakes.sandbox import UnwalledSandbox
from tests.fakes.web_server import Got, Reply, WebServer
from tests.unit.adapters.tools.conftest import sealed
from tests.unit.adapters.tools.web.asked import vector

HTML = [("content-type", "text/html; charset=utf-8")]
HOST = "allowed.example"


@dataclass(frozen=True, slots=True)
class Keyed:
    """An engine with a key, on a port of the test's own."""

    port: int
    binding: Binding | None
    name: str = "keyed"
    host: str = "bound.example"
    select: Mapping[str, str] | None = None

    def request(self, query: str, count: int, placeholder: str) -> Asking:
        plain = SearxNg(self.host, self.port).request(query, count, placeholder)
        return dataclasses.replace(plain, headers={**plain.headers, "authorization": f"Bearer {placeholder}"})

    def parse(self, answer: Any) -> Any:
        return SearxNg(self.host).parse(answer)


def play(
    folder: Path,
    answer: Callable[[Got], Reply],
    work: Callable[[Room, WebTools], Awaitable[Any]],
    *,
    gate: FakeGate | None = None,
    engine: Callable[[int], Engine] | None = None,
    bindings: Callable[[int], list[Binding]] = lambda port: [],
) -> None:
    async def run() -> None:
        with WebServer(answer) as server:
            async with Room(folder, server, gate=gate or FakeGate(), bindings=bindings(server.port)) as room:
                made = engine(server.port) if engine is not None else None
                await work(room, WebTools(UnwalledSandbox(Path("/")), room.keeper, made))

    asyncio.run(run())


async def fetch(tool: WebTools, url: str) -> Receipt:
    return await tool.perform(sealed(tool, "web_fetch", {"url": url}))


def test_a_page_is_read_through_the_proxy(tmp_path: Path) -> None:
    async def work(room: Room, tool: WebTools) -> None:
        receipt = await fetch(tool, f"https://{HOST}:{room.server.port}/zoo/shells?a=b#part")
        assert receipt.outcome is Outcome.DONE, receipt.text
        assert receipt.text.startswith(f"Shells of turtles\nhttps://{HOST}:{room.server.port}/zoo/shells?a=b\n")
        (got,) = room.server.requests
        assert (got.method, got.path, got.header("accept-encoding")) == ("GET", "/zoo/shells?a=b", "identity")
        ((_, traffic),) = room.gate.closed
        assert (traffic.requests, traffic.hosts) == (1, (HOST,))

    play(tmp_path, lambda got: Reply(vector("page.html"), headers=HTML), work)


@pytest.mark.parametrize(
    "inner",
    [
        "https://127.0.0.1:{port}/",
        "https://169.254.169.254/latest/",
        "https://[::1]:{port}/",
        "https://denied.example/",
    ],
)
def test_a_redirect_inwards_is_refused_and_nothing_is_looked_up_or_dialled(tmp_path: Path, inner: str) -> None:
    async def work(room: Room, tool: WebTools) -> None:
        receipt = await fetch(tool, f"https://{HOST}:{room.server.port}/away")
        assert receipt.outcome is Outcome.FAILED
        assert receipt.text.startswith("refused: No rule lets this run reach ")
        assert room.network() == [f"look-up {HOST}", "dial 127.0.0.1"]
        assert len(room.server.requests) == 1

    def away(got: Got) -> Reply:
        port = (got.header("host") or "").rpartition(":")[2]
        return Reply(status=302, headers=[("location", inner.format(port=port))])

    play(tmp_path, away, work)


def test_a_public_name_that_leads_inwards_is_refused_whatever_the_rules_say(tmp_path: Path) -> None:
    def decide(hop: Hop) -> Verdict:
        return Verdict(True, "egress.everything", pinned=LOOPBACK if hop.host == HOST else ())

    async def work(room: Room, tool: WebTools) -> None:
        receipt = await fetch(tool, f"https://{HOST}:{room.server.port}/")
        assert receipt.outcome is Outcome.FAILED
        assert "other.example" in receipt.text
        assert room.network()[-1] == "look-up other.example"  # and not dialled
        assert len(room.server.requests) == 1

    def away(got: Got) -> Reply:
        port = (got.header("host") or "").rpartition(":")[2]
        return Reply(status=302, headers=[("location", f"https://other.example:{port}/")])

    play(tmp_path, away, work, gate=FakeGate(decide=decide))


def test_a_search_uses_its_key_once_and_never_sees_it(tmp_path: Path) -> None:
    def bind(port: int) -> Binding:
        return Binding("service", "bound.example", port, methods=("GET",), path="/search")

    def answer(got: Got) -> Reply:
        echoed = {"title": got.header("authorization"), "url": "https://a.example/", "content": "words"}
        return Reply(json.dumps({"results": [echoed]}).encode(), headers=[("content-type", "application/json")])

    async def work(room: Room, tool: WebTools) -> None:
        receipt = await tool.perform(sealed(tool, "web_search", {"query": "turtle shell & co"}))
        assert receipt.outcome is Outcome.DONE, receipt.text
        (got,) = room.server.requests
        assert got.header("authorization") == f"Bearer {SECRET}"
        assert got.path == "/search?q=turtle%20shell%20%26%20co&format=json&safesearch=1"
        assert SECRET not in repr(receipt)  # the engine echoed it; the proxy took it out
        assert "https://a.example/" in receipt.text

    play(tmp_path, answer, work, engine=lambda port: Keyed(port, bind(port)), bindings=lambda port: [bind(port)])


def test_a_huge_answer_is_cut_and_its_way_is_closed(tmp_path: Path) -> None:
    async def work(room: Room, tool: WebTools) -> None:
        receipt = await fetch(tool, f"https://{HOST}:{room.server.port}/")
        assert receipt.outcome is Outcome.DONE and "the end is left out" in receipt.text
        assert len(room.gate.closed) == 1
        receipt = await fetch(tool, f"https://{HOST}:{room.server.port}/again")
        assert receipt.outcome is Outcome.DONE

    body = [b"words and words\n" * 4_096] * 200
    play(tmp_path, lambda got: Reply(body, headers=[("content-type", "text/plain")], framing="chunked"), work)


def test_a_proxy_that_dies_in_the_middle_is_a_sentence_and_is_started_anew(tmp_path: Path) -> None:
    killing: list[Room] = []

    def answer(got: Got) -> Reply:
        if killing:
            killing.pop().keeper._process.kill()  # type: ignore[union-attr]
        return Reply(b"<p>words</p>", headers=HTML)

    async def work(room: Room, tool: WebTools) -> None:
        url = f"https://{HOST}:{room.server.port}/"
        killing.append(room)
        receipt = await fetch(tool, url)
        assert receipt.outcome is Outcome.FAILED
        assert receipt.text.startswith((f"{HOST}:{room.server.port} could not be read", "refused: "))
        for _ in range(100):  # until its end was noticed, a call is refused and nothing was started
            try:
                receipt = await fetch(tool, url)
                break
            except EgressUnavailable:
                await asyncio.sleep(0.02)
        assert receipt.outcome is Outcome.DONE, receipt.text

    play(tmp_path, answer, work)
