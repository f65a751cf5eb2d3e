"""The page's requests, cookie and events: what is not one is refused, and no text breaks out of an event."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.web import wire
from carapax.adapters.channels.web.texts import ENGLISH, FRENCH
from carapax.adapters.channels.web.wire import Item
from carapax.core.terms.channel import Button, HookRequest
from carapax.core.terms.error import Malformed

VECTORS = Path(wire.__file__).parent / "vectors"
KEY = "k" * 43


def asked(**headers: str) -> HookRequest:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HookRequest("POST", "/send", "", pairs, b"", "http://chat.example:8080/hooks/web/send")


def test_every_vector_is_read_or_refused() -> None:
    paths = sorted(VECTORS.glob("*.json"))
    assert len(paths) >= 5
    for path in paths:
        if path.name.startswith("refused"):
            with pytest.raises(Malformed):
                wire.parse_said(path.read_bytes())
        else:
            assert wire.parse_said(path.read_bytes()).id


def test_a_message_a_press_and_files() -> None:
    said = wire.parse_said((VECTORS / "text.json").read_bytes())
    assert said.text == "What is on my list today?\nAnd tomorrow?" and not said.press
    said = wire.parse_said((VECTORS / "press.json").read_bytes())
    assert (said.press, said.message) == ("yes:4f", "0123456789abcdef0123456789abcdef")
    assert wire.parse_said((VECTORS / "files.json").read_bytes()).files == ("a" * 32,)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"id": 5, "text": "x"}',
        b'{"id": "aaaaaaaaaaaaaaaa"}',
        b'{"id": "aaaaaaaaaaaaaaa/", "text": "x"}',
        b'{"id": "aaaaaaaaaaaaaaaa", "text": 5}',
        b'{"id": "aaaaaaaaaaaaaaaa", "text": "x", "files": "y"}',
        b'{"id": "aaaaaaaaaaaaaaaa", "text": "x", "files": [1]}',
        b'{"id": "aaaaaaaaaaaaaaaa", "text": "x", "files": ["../../etc/passwd"]}',
        b'{"id": "aaaaaaaaaaaaaaaa", "press": "' + b"y" * 65 + b'"}',
        b'{"id": "aaaaaaaaaaaaaaaa", "text": "' + b"y" * (600 << 10) + b'"}',
        b"[" * 100_000,
        json.dumps({"id": "a" * 16, "text": "x", "files": ["a" * 16] * 11}).encode(),
    ],
)
def test_what_is_no_message_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        wire.parse_said(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=70),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "text", "press", "message", "files"]), inner)
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_is_a_message_or_malformed(body: bytes) -> None:
    with suppress(Malformed):
        wire.parse_said(body)
    items, last = wire.parse_items(body)
    assert isinstance(items, list) and isinstance(last, int)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.text(max_size=60), st.text(max_size=60))
def test_any_header_is_read(value: str, other: str, query: str) -> None:
    request = asked(cookie=value, origin=other, accept_language=value, last_event_id=other)
    assert wire.find_key(request) == "" or wire.KEY.fullmatch(wire.find_key(request))
    assert wire.is_same_origin(request, "") in (True, False)
    assert wire.prefers_french(request) in (True, False)
    assert wire.parse_last(request) >= 0
    with suppress(Malformed):
        name, type = wire.parse_upload(query, value)
        assert name and "/" not in name and "\\" not in name and len(type) <= 121


@pytest.mark.parametrize(
    ("cookie", "key"),
    [
        (f"carapax-visitor={KEY}", KEY),
        (f"a=b; carapax-visitor={KEY}; c=d", KEY),
        (f"carapax-visitor={KEY}; carapax-visitor={'j' * 43}", ""),
        (f"carapax-visitor={KEY}x", ""),
        (f"xcarapax-visitor={KEY}", ""),
        ("carapax-visitor=", ""),
        ("", ""),
    ],
)
def test_the_cookie_is_one_key_or_none(cookie: str, key: str) -> None:
    assert wire.find_key(asked(cookie=cookie)) == key


def test_two_cookie_headers_are_none() -> None:
    request = HookRequest("POST", "/send", "", (("cookie", f"carapax-visitor={KEY}"),) * 2, b"")
    assert wire.find_key(request) == ""


@pytest.mark.parametrize(
    ("headers", "configured", "same"),
    [
        ({"origin": "http://chat.example:8080"}, "", True),
        ({"origin": "https://chat.example:8080"}, "", True),  # a proxy spoke TLS in front
        ({"origin": "http://CHAT.example:8080"}, "", True),
        ({"origin": "http://chat.example"}, "", False),
        ({"origin": "http://evil.example:8080"}, "", False),
        ({"origin": "http://chat.example:8080.evil.example"}, "", False),
        ({"origin": "null"}, "", False),
        ({"origin": "file://chat.example:8080"}, "", False),
        ({"origin": "http://["}, "", False),
        ({"origin": ""}, "", False),
        ({}, "", False),
        ({"origin": "https://agent.example"}, "https://agent.example", True),
        ({"origin": "http://agent.example"}, "https://agent.example", False),
        ({"origin": "http://chat.example:8080"}, "https://agent.example", False),
        ({"origin": "http://chat.example:8080", "sec_fetch_site": "same-origin"}, "", True),
        ({"origin": "http://chat.example:8080", "sec_fetch_site": "same-site"}, "", False),
        ({"origin": "http://chat.example:8080", "sec_fetch_site": "cross-site"}, "", False),
    ],
)
def test_only_our_own_page_asks(headers: dict[str, str], configured: str, same: bool) -> None:
    assert wire.is_same_origin(asked(**headers), configured) is same


def test_the_cookie_is_for_no_script_and_no_other_site() -> None:
    cookie = wire.set_cookie(KEY, "/hooks/web", secure=True)
    assert {"HttpOnly", "SameSite=Strict", "Secure", "Path=/hooks/web"} <= set(cookie.split("; "))
    assert "Secure" not in wire.set_cookie(KEY, "/hooks/web", secure=False)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.text(max_size=30))
def test_no_text_breaks_out_of_an_event(text: str, label: str) -> None:
    event = wire.render_item(Item(3, "i", False, text, 9, (Button(label, "d"),), (text,))).decode()
    assert event.startswith("id: 3\nevent: line\ndata: ") and event.endswith("\n\n")
    assert len(event.splitlines()) == 4  # two of the frame, the data, and the empty line
    assert json.loads(event.split("data: ", 1)[1])["text"] == text


_ITEMS = st.builds(
    Item,
    st.integers(0, 99),
    st.text(max_size=9),
    st.booleans(),
    st.text(max_size=30),
    st.integers(0, 9),
    st.tuples(st.builds(Button, st.text(max_size=5), st.text(max_size=5))),
    st.tuples(st.text(max_size=5)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_ITEMS, max_size=4))
def test_what_is_kept_is_read_again(items: list[Item]) -> None:
    assert wire.parse_items(wire.render_items(items, 7)) == (items, 7)


@pytest.mark.parametrize(
    ("header", "french"),
    [
        ("fr", True),
        ("fr-CH, fr;q=0.9, en;q=0.8, *;q=0.5", True),
        ("en-GB,en;q=0.9,fr;q=0.8", False),
        ("de, fr;q=0.3, en;q=0.2", True),
        ("de", False),
        ("", False),
        ("fr;q=x, en", False),
        ("en;q=0.1, fr;q=0.2", True),
    ],
)
def test_the_language_follows_the_browser(header: str, french: bool) -> None:
    assert wire.prefers_french(asked(accept_language=header)) is french


def test_names_and_types_of_files() -> None:
    assert wire.parse_upload("name=a%2Fb%5Cc.pdf", "application/pdf") == ("a_b_c.pdf", "application/pdf")
    assert wire.parse_upload("name=..", "no type") == ("file", "")
    assert wire.parse_upload("", "text/html; charset=x") == ("file", "")
    with pytest.raises(Malformed):
        wire.parse_upload("&".join(f"a{n}=1" for n in range(9)), "")


def test_a_visitor_is_a_digest_of_the_key() -> None:
    assert wire.visitor_of(KEY) != wire.visitor_of("j" * 43) and KEY not in wire.visitor_of(KEY)
    assert wire.event_of("a", "b") != wire.event_of("b", "a") and len(wire.event_of("a", "b")) == 32


def test_both_languages_say_the_same_things() -> None:
    assert ENGLISH.keys() == FRENCH.keys()
    page = (Path(wire.__file__).parent / "page" / "index.html").read_text()
    for name in ENGLISH:
        assert f"{{{{{name}}}}}" in page, name
