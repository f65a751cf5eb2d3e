"""Search engines: the exact requests, and what is read of answers in the form that each documents."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.tools.web.engines import choice
from carapax.adapters.tools.web.engines.brave import Brave
from carapax.adapters.tools.web.engines.duckduckgo import DuckDuckGo
from carapax.adapters.tools.web.engines.searxng import SearxNg, at_address
from carapax.adapters.tools.web.engines.tavily import Tavily
from carapax.adapters.tools.web.engines.terms import Engine, Result, make_result
from carapax.core.policy.document import parse_policy
from carapax.core.policy.egress import decide_egress
from carapax.core.policy.home import home_policy
from carapax.core.terms.egress import Hop
from carapax.core.terms.error import SettingsInvalid
from tests.unit.core.questions import lines_policy

VECTORS = Path(choice.__file__).parents[1] / "vectors"
ALL: tuple[Engine, ...] = (Brave(), DuckDuckGo(), SearxNg("search.example.org"), Tavily())


def vector(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def test_what_brave_answers() -> None:
    assert Brave().parse(vector("brave.json")) == (
        Result(
            "Carapace & shell",
            "https://en.example.org/wiki/Carapace",
            "en.example.org",
            "A carapace is the upper shell of a turtle.",
        ),
        Result("shop.example.net", "https://shop.example.net/a?b=c", "shop.example.net", ""),
    )
    assert Brave().parse({"type": "search"}) == ()


def test_what_tavily_answers_without_its_own_words() -> None:
    found = Tavily().parse(vector("tavily.json"))
    assert [one.host for one in found] == ["en.example.org", "old.example.net"]
    assert "pay" not in repr(found)
    assert json.loads(Tavily().request("x", 3, "p").body)["include_answer"] is False


def test_what_searxng_answers() -> None:
    assert [one.url for one in SearxNg("h").parse(vector("searxng.json"))] == ["https://en.example.org/wiki/Carapace"]


@pytest.mark.parametrize(
    ("url", "leads"),
    [
        ("//duckduckgo.com/l/?uddg=https%3A%2F%2Fa.example%2Fx%3Fy%3D1&rut=0", "https://a.example/x?y=1"),
        ("https://b.example/", "https://b.example/"),
        ("//duckduckgo.com/l/?rut=0", None),
        ("//duckduckgo.com/y.js?ad=1", None),
        ("//duckduckgo.com/l/?uddg=javascript%3Aalert(1)", None),
        ("https://[", None),
        (7, None),
    ],
)
def test_where_a_counting_link_leads(url: object, leads: str | None) -> None:
    found = DuckDuckGo().parse({"results": [{"title": "t", "url": url, "snippet": "s"}]})
    assert [one.url for one in found] == ([leads] if leads else [])


def test_a_riddle_is_no_result() -> None:
    with pytest.raises(ValueError, match="riddle"):
        DuckDuckGo().parse({"results": [], "blocked": True})


@pytest.mark.parametrize("engine", ALL, ids=lambda engine: engine.name)
@pytest.mark.parametrize(
    "answer", [[], "x", 7, None, {"web": 1, "results": 1}, {"web": {"results": "x"}, "results": {}}]
)
def test_another_form_is_refused(engine: Engine, answer: object) -> None:
    with pytest.raises(ValueError, match="form"):
        engine.parse(answer)


@pytest.mark.parametrize("engine", ALL, ids=lambda engine: engine.name)
@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(
        st.dictionaries(
            st.sampled_from(("title", "url", "content", "description", "snippet")),
            st.text() | st.none() | st.integers(),
        )
    )
)
def test_results_are_bounded_whatever_is_answered(engine: Engine, items: list[dict[str, Any]]) -> None:
    for one in engine.parse({"results": items, "web": {"results": items}}):
        assert one.url.startswith(("http://", "https://")) and one.host
        assert not {c for c in one.title + one.snippet + one.url + one.host if ord(c) < 32 or 127 <= ord(c) < 160}
        assert len(one.title) <= 300 and len(one.snippet) <= 600 and len(one.url) <= 2_000


@pytest.mark.parametrize("engine", ALL, ids=lambda engine: engine.name)
@settings(max_examples=60, deadline=None)
@given(query=st.text(max_size=60))
def test_what_is_leased_is_what_is_sent(engine: Engine, query: str) -> None:
    sent = engine.request(query.encode("utf-8", "replace").decode(), 7, "placeholder")
    request = httpx2.Request(sent.method, sent.url(), headers=dict(sent.headers), content=sent.body or None)
    assert request.url.raw_path.decode() == sent.path
    assert (request.url.scheme, request.url.host, request.url.port or 443) == ("https", sent.host, sent.port)
    again = engine.request(query.encode("utf-8", "replace").decode(), 7, "another")
    assert (sent.path, sent.body) == (again.path, again.body)


@pytest.mark.parametrize("engine", ALL, ids=lambda engine: engine.name)
def test_a_placeholder_stands_only_where_the_key_is_bound(engine: Engine) -> None:
    sent = engine.request("q", 5, "PLACEHOLDER")
    holding = {name: value for name, value in sent.headers.items() if "PLACEHOLDER" in value}
    assert "PLACEHOLDER" not in sent.path and b"PLACEHOLDER" not in sent.body
    if engine.binding is None:
        assert holding == {}
    else:
        assert holding == {engine.binding.header: f"{engine.binding.prefix}PLACEHOLDER"}
        assert (engine.binding.host, engine.binding.port) == (sent.host, sent.port)
        assert sent.method in engine.binding.methods and sent.path.startswith(engine.binding.path)


def test_the_engines_of_the_settings() -> None:
    assert [choice.find_engine(name, "https://s.example/x/").name for name in choice.NAMES] == list(choice.NAMES)
    assert choice.find_engine().name == "duckduckgo"
    assert {binding.handle for binding in choice.BINDINGS} == {"brave-search", "tavily"}
    with pytest.raises(SettingsInvalid, match="ask-jeeves") as refused:
        choice.find_engine("ask-jeeves")
    assert "brave, duckduckgo, searxng, tavily" in refused.value.next_step


def test_a_searxng_lies_where_the_settings_say() -> None:
    engine = at_address("https://search.example.org:8443/searx/")
    assert engine.request("a b&c", 8, "").url() == (
        "https://search.example.org:8443/searx/search?q=a%20b%26c&format=json&safesearch=1"
    )


@pytest.mark.parametrize(
    "address",
    [
        "",
        "search.example.org",
        "http://search.example.org",
        "https://",
        "https://a:b@c.example",
        "https://c/?x",
        "https://[",
        "https://c:x",
    ],
)
def test_a_searxng_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        choice.find_engine("searxng", address)
    assert "search_address" in refused.value.next_step


def test_the_policys_lines_let_it_ask_and_nothing_else() -> None:
    rule = choice.egress_rules(Brave())["search-brave"]
    assert (rule["hosts"], rule["methods"], rule["paths"]) == (
        ["api.search.brave.com"],
        ["GET"],
        ["/res/v1/web/search"],
    )
    assert rule["tools"] == ["web_search"]
    for engine in ALL:
        assert choice.egress_rules(engine)[f"search-{engine.name}"]["answer"] == "allow"


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/\n",
        "https://a b.example/",
        "//x.example/",
        "mailto:a@b.example",
        None,
        "https:///x",
        "https://" + "a" * 2_000 + ".example/",
    ],
)
def test_a_result_has_an_address_of_the_web(url: object) -> None:
    assert make_result("t", url, "s") is None


def judged(engine: Engine, tool: str, *, host: str = "", port: int = 0, path: str = "", method: str = "") -> bool:
    """What the policy's section says, made of the engine's own lines, to its own request with some of it changed."""
    lines = f"egress: {json.dumps(choice.egress_rules(engine))}\n"  # JSON is YAML
    rules = parse_policy(lines_policy("read: allow\n", more=lines)).egress
    sent = engine.request("a/../b?c", 5, "p")
    hop = Hop(host or sent.host, port or sent.port, method or sent.method, path or sent.path)
    return decide_egress(rules, tool, hop).allowed


@pytest.mark.parametrize("engine", [*ALL, SearxNg("s.example", 8443, "/searx")], ids=lambda engine: engine.name)
def test_the_policy_judges_by_these_lines(engine: Engine) -> None:
    assert judged(engine, "web_search")
    assert not judged(engine, "web_fetch")
    assert not judged(engine, "web_search", host="other.example")
    assert not judged(engine, "web_search", path="/admin")
    assert not judged(engine, "web_search", method="DELETE")
    assert not judged(engine, "web_search", port=9_443)


def test_the_home_policy_lets_the_tools_read_and_nothing_more() -> None:
    rules = parse_policy(home_policy(1, datetime.date(2026, 1, 1))).egress
    sent = DuckDuckGo().request("x", 8, "")
    assert decide_egress(rules, "web_search", Hop(sent.host, sent.port, sent.method, sent.path)).allowed
    assert not decide_egress(rules, "web_search", Hop("www.example.org", 443, "GET", "/")).allowed
    page = Hop("www.example.org", 443, "GET", "/a//b?c=../d")
    assert decide_egress(rules, "web_fetch", page).allowed
    assert not decide_egress(rules, "web_fetch", dataclasses.replace(page, method="POST")).allowed
    for inner in ("127.0.0.1", "169.254.169.254", "::1", "router"):
        assert not decide_egress(rules, "web_fetch", dataclasses.replace(page, host=inner)).allowed
