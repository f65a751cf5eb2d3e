"""Searching: one exact request with a placeholder under a lease, and results that anybody may have written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import httpx2
import pytest

from carapax.adapters.tools.web.engines.brave import Brave
from carapax.adapters.tools.web.engines.duckduckgo import DuckDuckGo
from carapax.adapters.tools.web.engines.searxng import SearxNg
from carapax.adapters.tools.web.engines.tavily import Tavily
from carapax.adapters.tools.web.engines.terms import Engine
from carapax.core.flow.records import read_records, source_name
from carapax.core.terms.action import FieldRole, Outcome
from carapax.core.terms.error import Refused
from tests.fakes.exit import Says
from tests.unit.adapters.tools.conftest import sealed
from tests.unit.adapters.tools.web.asked import Web, vector


def searching(
    engine: Engine | None,
    body: bytes,
    content_type: str = "application/json",
    *,
    handles: Mapping[str, str] | None = None,
) -> Web:
    return Web(lambda request: Says(body, content_type=content_type), engine=engine, handles=handles)


KEYED: dict[str, tuple[Engine, str, dict[str, str]]] = {
    "brave": (Brave(), "brave.json", {"brave-search": "x-subscription-token"}),
    "tavily": (Tavily(), "tavily.json", {"tavily": "authorization"}),
}


@pytest.mark.parametrize("name", KEYED)
def test_a_key_is_used_once_for_exactly_this_request(name: str) -> None:
    engine, answer, handles = KEYED[name]
    web = searching(engine, vector(answer), handles=handles)
    receipt = web.do("web_search", query="turtle shell & co", count=5)
    assert receipt.outcome is Outcome.DONE
    assert web.exit.swapped == list(handles)
    (request,) = web.exit.requests
    assert request.url.host == engine.host
    assert web.exit.open == {} and web.exit.closed == 1
    assert "1. " in receipt.text and "https://en.example.org/wiki/Carapace" in receipt.text


@pytest.mark.parametrize("name", KEYED)
def test_a_key_that_is_not_there_is_said_with_the_next_step(name: str) -> None:
    engine, answer, handles = KEYED[name]
    web = searching(engine, vector(answer))
    receipt = web.do("web_search", query="x")
    assert receipt.outcome is Outcome.FAILED
    assert receipt.text == f"{name} needs a key. Add it with `carapax vault set {next(iter(handles))}`."
    assert web.exit.requests == [] and web.exit.open == {}


def test_duckduckgo_is_asked_where_nothing_was_chosen() -> None:
    web = searching(None, vector("duckduckgo.html"), "text/html; charset=UTF-8")
    receipt = web.do("web_search", query="carapace shell")
    assert web.asked() == ["https://html.duckduckgo.com/html/?q=carapace%20shell"]
    assert receipt.text == (
        "duckduckgo found for “carapace shell”:\n\n"
        "1. Carapace & shell\n   https://en.example.org/wiki/Carapace?a=1&b=2\n"
        "   A carapace is the upper shell of a turtle.\n\n"
        "2. A link of its own\n   https://plain.example.net/page"
    )


def test_a_page_of_results_is_read_in_the_sandbox_and_json_needs_none() -> None:
    web = searching(DuckDuckGo(), vector("duckduckgo.html"), "text/html")
    web.do("web_search", query="x")
    assert len(web.sandbox.jobs) == 1  # type: ignore[attr-defined]
    web = searching(SearxNg("search.example.org"), vector("searxng.json"))
    web.do("web_search", query="x")
    assert web.sandbox.jobs == []  # type: ignore[attr-defined]
    assert web.asked() == ["https://search.example.org/search?q=x&format=json&safesearch=1"]


def test_a_riddle_is_said_to_be_one() -> None:
    receipt = searching(DuckDuckGo(), vector("duckduckgo-riddle.html"), "text/html").do("web_search", query="x")
    assert receipt.outcome is Outcome.FAILED
    assert "riddle" in receipt.text and receipt.text.endswith("Try again later, or ask less often.")


def test_results_can_be_looked_up_and_are_the_engines_word() -> None:
    web = searching(SearxNg("search.example.org"), vector("searxng.json"))
    receipt = web.do("web_search", query="x")
    manifest = web.tool.manifests()[1]
    records = read_records(manifest, {"query": "x"}, receipt.content)
    assert [record.of(FieldRole.URL) for record in records] == [("https://en.example.org/wiki/Carapace",)]
    assert records[0].of(FieldRole.TEXT)[0] == "en.example.org"
    assert source_name("web_search", records) == "web_search at searxng"


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (3, 3), (None, 8), (99, 20)])
def test_no_more_results_than_asked_for(count: int | None, shown: int) -> None:
    many = {"results": [{"title": f"T{n}", "url": f"https://h{n}.example/", "content": "c"} for n in range(50)]}
    web = searching(SearxNg("search.example.org"), json.dumps(many).encode())
    receipt = web.do("web_search", query="x", **({} if count is None else {"count": count}))
    assert len(receipt.content["results"]) == shown  # type: ignore[index]


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b'{"results": 7}', b"[" * 200_000, b"\xff\xfe\x00", b'{"results": "x"}']
)
def test_an_answer_of_another_form_is_a_failure_that_repeats_nothing(body: bytes) -> None:
    receipt = searching(SearxNg("search.example.org"), body).do("web_search", query="x")
    assert receipt.outcome is Outcome.FAILED
    assert "not json" not in receipt.text and len(receipt.text) < 200


def test_nothing_found_is_said() -> None:
    receipt = searching(SearxNg("search.example.org"), b'{"results": []}').do("web_search", query="nothing\nat all")
    assert (receipt.outcome, receipt.text) == (Outcome.DONE, "searxng found nothing for “nothing at all”.")


@pytest.mark.parametrize("status", [301, 401, 429, 500])
def test_another_status_is_a_failure_and_no_redirect_carries_a_key(status: int) -> None:
    engine, _, handles = KEYED["brave"]
    answer = Says(b"secret words", status=status, headers={"location": "https://evil.example/"})
    web = Web(lambda request: answer, engine=engine, handles=handles)
    receipt = web.do("web_search", query="x")
    assert receipt.outcome is Outcome.FAILED
    assert receipt.text.startswith(f"api.search.brave.com answered {status}")
    assert len(web.exit.requests) == 1


def test_a_refusal_is_shown_with_its_next_step() -> None:
    def no(request: httpx2.Request) -> Says:
        raise Refused("No rule lets web_search reach it.", next_step="Run `carapax egress allow html.duckduckgo.com`.")

    receipt = Web(no).do("web_search", query="x")
    assert receipt.text == (
        "refused: No rule lets web_search reach it. Run `carapax egress allow html.duckduckgo.com`."
    )


def test_a_search_without_words_opens_no_way() -> None:
    web = searching(None, b"")
    receipt = web.do("web_search", query="  ")
    assert (receipt.outcome, web.exit.closed) == (Outcome.FAILED, 0)


def test_what_is_asked_is_the_judged_query_alone() -> None:
    web = searching(SearxNg("search.example.org"), b'{"results": []}')
    call = sealed(web.tool, "web_search", {"query": "a&format=html#x", "count": 3})
    asyncio.run(web.tool.perform(call))
    assert dict(web.exit.requests[0].url.params) == {"q": "a&format=html#x", "format": "json", "safesearch": "1"}
