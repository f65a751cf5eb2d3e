"""The program that takes pages apart, fed with anything: it answers within bounds, or raises and so says nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import carapax.core.flow.hidden  # the program finds it by its name, as if the order had brought it
from carapax.adapters.tools.web import program, wire
from carapax.adapters.tools.web.engines.duckduckgo import SELECT

URL = "https://www.example.org/shells"
BYTES = st.binary(max_size=400) | st.text(max_size=200).map(str.encode)
MARKUP = st.lists(
    st.sampled_from(
        ["<p>", "</p>", "<a href='/x'>", "<a href='https://[", "</a>", "<ul><li>", "<table><tr><td>", "<pre>", "<base href=//b>",
         "<meta http-equiv=refresh content='0;url=/r'>", "<title>", "</title>", "<!--", "-->", "<script>", "<div hidden>", "&lt;a&gt;",
         "&#0;", "[1]\ue000", "words ", "é\u202e", "\x00\x1b[2J", "<svg><desc>", "<h9>", "<style>.a{display:none}</style>"]
    )
).map(lambda pieces: "".join(pieces).encode())  # fmt: skip


def reader(media: str, *, charset: str = "", part: int = 1, room: int = 200) -> program.Reader:
    order = {
        "modules": [],
        "media": media,
        "charset": charset,
        "url": URL,
        "part": part,
        "room": room,
        "select": SELECT,
    }
    return program.Reader(order)


def read(media: str, body: bytes, **more: Any) -> dict[str, Any]:
    found = program.READERS[media](reader(media, **more), body)
    return dict(json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")))


@pytest.mark.parametrize("media", ["html", "xml", "text"])
@settings(max_examples=80, deadline=None)
@given(body=BYTES | MARKUP, charset=st.sampled_from(("", "utf-8", "utf-16", "shift_jis", "punycode", "x")))
def test_any_body_is_a_page_within_bounds(media: str, body: bytes, charset: str) -> None:
    found = read(media, body, charset=charset)
    page = wire.parse_page(found)
    assert len(found["text"].encode("utf-8", "replace")) <= 200
    assert len(found["title"]) <= program.TITLE_CHARS
    assert len(found["links"]) <= program.LINKS
    for _, address in found["links"]:
        assert address.startswith(("http://", "https://")) and len(address) <= program.LINK_CHARS
        assert not set(address) & set(' <>"\\\x00\n')
    assert found["refresh"] == "" or found["refresh"].startswith(("http://", "https://"))
    for text in (found["text"], found["title"]):
        assert not {c for c in text if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c == "\ue000"}
    assert page.parts == found["parts"] >= 1


@settings(max_examples=80, deadline=None)
@given(body=BYTES | MARKUP)
def test_any_page_of_results_is_within_bounds(body: bytes) -> None:
    found = read("results", b"<div class=result>" + body + b"<a class=result__a href='" + body)
    assert len(found["results"]) <= program.RESULTS
    for one in found["results"]:
        assert len(one["title"]) <= program.TITLE_CHARS and len(one["snippet"]) <= program.SNIPPET_CHARS


@settings(max_examples=80, deadline=None)
@given(text=st.text(alphabet="ab é日\n", max_size=600), room=st.integers(8, 90))
def test_the_parts_of_a_text_are_the_whole_of_it(text: str, room: int) -> None:
    whole = read("text", text.encode(), room=100_000)["text"]
    parts = read("text", text.encode(), room=room)["parts"]
    pieces = [read("text", text.encode(), part=at, room=room) for at in range(1, parts + 1)]
    assert all(len(piece["text"].encode()) <= room and piece["parts"] == parts for piece in pieces)
    joined = "".join(piece["text"] for piece in pieces)
    assert joined.replace("\n", "") == whole.replace("\n", "")
    assert read("text", text.encode(), part=parts + 1, room=room)["text"] == ""


@pytest.mark.parametrize(
    ("href", "address"),
    [
        ("/a?b=c#d", "https://www.example.org/a?b=c"),
        ("b/../c", "https://www.example.org/c"),
        ("//o.example/x", "https://o.example/x"),
        ("#top", ""),
        ("/shells#top", ""),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("mailto:a@example.org", ""),
        ("https://[", ""),
        ("/a b", ""),
        ("/" + "a" * 600, ""),
    ],
)
def test_a_link_is_an_address_of_the_web_or_none(href: str, address: str) -> None:
    assert program._joined(URL, href) == address


@pytest.mark.parametrize(
    ("content", "refresh"),
    [
        ("0;url=/next", "https://www.example.org/next"),
        ("5; URL='https://o.example/'", "https://o.example/"),
        ("0;url=javascript:alert(1)", ""),
        ("30", ""),
        ("url", ""),
    ],
)
def test_a_refresh_is_found(content: str, refresh: str) -> None:
    body = f'<meta http-equiv="REFRESH" content="{content}"><p>words</p>'
    assert read("html", body.encode())["refresh"] == refresh


def test_the_base_of_a_page_is_what_its_links_are_relative_to() -> None:
    body = b"<base href='https://b.example/x/'><a href=y>there</a><base href='https://c.example/'>"
    assert read("html", body)["links"] == [[1, "https://b.example/x/y"]]


@pytest.mark.parametrize(("lang", "said"), [("de-CH", "de-CH"), ("<b>", ""), ("x" * 50, "")])
def test_a_language_is_a_tag_of_one(lang: str, said: str) -> None:
    assert read("html", f'<html lang="{lang}"><p>1 2 3</p>'.encode())["language"] == said


def test_the_modules_of_an_order_are_run_under_their_names() -> None:
    import sys

    order = {
        "modules": [["carapax_made_up", "value = 7"]],
        "media": "text",
        "charset": "",
        "url": URL,
        "part": 1,
        "room": 9,
    }
    program.Reader(order)
    assert sys.modules.pop("carapax_made_up").value == 7
    assert carapax.core.flow.hidden is sys.modules["carapax.core.flow.hidden"]
