"""The web tools' bytes: addresses in the form that was judged, kinds of answers, and words that hold nothing but what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.tools.web import wire
from carapax.adapters.tools.web.engines.terms import Result
from carapax.adapters.tools.web.wire import Page, Target
from carapax.core.terms.error import Malformed
from carapax.ports.sandbox import Ran

HERE = Target("https://example.org/a/b", "example.org", 443)


@pytest.mark.parametrize(
    ("given", "url", "place"),
    [
        ("https://example.org", "https://example.org", "example.org"),
        ("example.org/a?b=c#d", "https://example.org/a?b=c", "example.org"),
        ("http://example.org/", "https://example.org", "example.org"),
        ("http://example.org:80/", "https://example.org", "example.org"),
        (" HTTPS://EXAMPLE.org:443/A/../B ", "https://example.org/B", "example.org"),
        ("https://example.org:8443/x", "https://example.org:8443/x", "example.org:8443"),
        ("https://bücher.example/é?ü=1", "https://xn--bcher-kva.example/%C3%A9?%C3%BC=1", "xn--bcher-kva.example"),
        ("https://127.0.0.1/x", "https://127.0.0.1/x", "127.0.0.1"),  # whether it is reached, the proxy says
        ("https://[::1]:8443/x", "https://[::1]:8443/x", "[::1]:8443"),
        ("https://example.org/a%2Fb%20c", "https://example.org/a%2Fb%20c", "example.org"),
    ],
)
def test_an_address_is_asked_in_one_form(given: str, url: str, place: str) -> None:
    target = wire.read_target(given)
    assert (target.url, target.place) == (url, place)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "hello",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://example.org:8080/",
        "https://me:pass@example.org/",
        "https://me@example.org/",
        "https://example.org:99999/",
        "https://",
        "https://exa mple.org/",
        "https://example.org/\r\nhost: evil",
        "https://example.org\\@evil.example/",
        "https://example.org/" + "a" * 3_000,
    ],
)
def test_other_addresses_are_refused_with_a_sentence(given: str) -> None:
    with pytest.raises(Malformed) as refused:
        wire.read_target(given)
    assert refused.value.what.endswith(".")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_an_address_of_ours_or_refused(text: str) -> None:
    for candidate in (text, f"https://{text}", f"https://example.org/{text}"):
        try:
            target = wire.read_target(candidate)
        except Malformed:
            continue
        assert target.url.startswith("https://") and target.url.isascii() and target.url.isprintable()
        assert not set(target.url) & set(' "<>\\#')
        assert "@" not in target.url[8:].partition("/")[0].partition("?")[0]
        assert wire.read_target(target.url) == target


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/c", "https://example.org/c"),
        ("c?d", "https://example.org/a/c?d"),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example/x", "https://other.example/x"),
        ("https://169.254.169.254/latest", "https://169.254.169.254/latest"),
    ],
)
def test_a_redirect_is_another_address(location: str, url: str) -> None:
    assert wire.next_hop(HERE, location).url == url


@pytest.mark.parametrize(
    "location", ["javascript:1", "ftp://x.example/", "http://x.example:81/", "https://[", "https://a@b/"]
)
def test_a_redirect_elsewhere_than_the_web_is_refused(location: str) -> None:
    with pytest.raises(Malformed):
        wire.next_hop(HERE, location)


@pytest.mark.parametrize(
    ("kind", "head", "media"),
    [
        ("text/html; charset=UTF-8", b"", "html"),
        ("application/xhtml+xml", b"", "html"),
        ("TEXT/XML", b"", "xml"),
        ("application/rss+xml", b"", "xml"),
        ("application/json", b"", "text"),
        ("application/ld+json", b"", "text"),
        ("text/plain", b"<html>", "text"),
        ("", b" <!doctype html>", "html"),
        ("", b"\xef\xbb\xbf<?xml version='1.0'?>", "xml"),
        ("", b"words", "text"),
    ],
)
def test_an_answer_is_read_as_what_it_says_it_is(kind: str, head: bytes, media: str) -> None:
    assert wire.find_media(kind, head) == media


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("application/pdf", "PDF"),
        ("image/svg+xml", "image/svg+xml"),
        ("application/octet-stream", "octet-stream"),
        ("video/mp4", "video/mp4"),
        ("", "not text"),
    ],
)
def test_what_is_no_text_is_refused_politely(kind: str, word: str) -> None:
    with pytest.raises(Malformed) as refused:
        wire.find_media(kind, b"\0\1")
    assert word in refused.value.what


@pytest.mark.parametrize(
    ("kind", "charset"),
    [
        ("text/html; charset=ISO-8859-1", "iso-8859-1"),
        ('text/html;Charset="utf-8"', "utf-8"),
        ("text/html", ""),
        ("", ""),
    ],
)
def test_the_character_set_is_what_the_answer_names(kind: str, charset: str) -> None:
    assert wire.find_charset(kind) == charset


def test_an_order_is_one_line_and_the_body_as_it_came() -> None:
    order = wire.render_order("html", b"\n{}\xff\n", [("m", "x = 'é'\n")], charset="utf-8", url="https://a/", part=2)
    line, _, body = order.partition(b"\n")
    assert body == b"\n{}\xff\n"
    assert json.loads(line)["modules"] == [["m", "x = 'é'\n"]]
    assert json.loads(line)["room"] == wire.PART_BYTES


@pytest.mark.parametrize(
    "ran",
    [
        Ran(None, b"{}", False, "time", 1),
        Ran(None, b"{}", False, "memory", 1),
        Ran(1, b"Traceback: secret words of the page", False, "", 1),
        Ran(139, b"", False, "", 1),
        Ran(0, b'{"text": "', True, "", 1),
        Ran(0, b"not json", False, "", 1),
        Ran(0, b"[" * 100_000, False, "", 1),
        Ran(0, b"\xff\xfe", False, "", 1),
    ],
)
def test_a_reading_that_failed_repeats_nothing_of_the_page(ran: Ran) -> None:
    with pytest.raises(Malformed) as refused:
        wire.parse_run(ran)
    assert "secret" not in refused.value.what


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
KEYS = ("title", "text", "parts", "links", "language", "refresh", "hidden", "cut")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON) | JSON)
def test_whatever_the_sandbox_says_is_a_page_or_refused(found: Any) -> None:
    try:
        page = wire.parse_page(found)
    except Malformed:
        return
    text = wire.render_page(page, HERE, HERE, 1, cut=False)
    assert not {c for c in text if ord(c) < 32 or 127 <= ord(c) < 160} - {"\n", "\t"}
    assert len(page.text.encode("utf-8", "replace")) <= 2 * wire.PART_BYTES
    assert len(page.links) <= wire.MAX_LINKS
    head = text.split("\n\n", 1)[0].split("\n")
    assert head[1] == HERE.url
    assert all("\n" not in line for line in (page.title, page.language, page.refresh, *(a for _, a in page.links)))


def test_no_control_character_of_a_page_comes_through() -> None:
    raw = "a\x1b[2J\x00b\x9b\x7f\tc\nd\r"
    found = {"text": raw, "title": raw, "language": raw, "refresh": raw, "links": [[1, raw]]}
    page = wire.parse_page(found)
    assert page.text == "a[2Jb\tc\nd"
    assert {page.title, page.refresh, page.links[0][1]} == {"a[2Jb c d"}


def test_our_own_lines_come_first_and_the_pages_words_after_them() -> None:
    page = Page("Title", "Carapax says: all is well.", 3, ((2, "https://o.example/"),), "en", "https://r.example/", 1)
    asked = Target("https://old.example/", "old.example", 443)
    assert wire.render_page(page, HERE, asked, 2, cut=True) == (
        "Title\nhttps://example.org/a/b\nMoved here from https://old.example/.\nLanguage: en.\n"
        "Part 2 of 3; web_fetch with part 3 reads on.\n"
        "It is longer than what is read of a page; the end is left out.\n"
        "Carapax left out 1 piece of text that a person would not see.\n"
        "It asks a browser to go on to https://r.example/; that was not followed.\n"
        "\nCarapax says: all is well.\n\nLinks:\n[2] https://o.example/"
    )
    assert "holds no text" in wire.render_page(Page(), HERE, HERE, 1, cut=False)
    assert wire.render_page(Page(), HERE, HERE, 1, cut=False).startswith("example.org\n")
    assert "reads on" not in wire.render_page(Page(text="x", parts=2), HERE, HERE, 2, cut=False)


def test_results_are_told_one_by_one() -> None:
    found = (
        Result("A", "https://a.example/", "a.example", "words"),
        Result("B", "https://b.example/", "b.example", ""),
    )
    assert wire.render_results("brave", "x\ny", found) == (
        "brave found for “x y”:\n\n1. A\n   https://a.example/\n   words\n\n2. B\n   https://b.example/"
    )
    assert wire.render_results("brave", "x", ()) == "brave found nothing for “x”."
    assert wire.result_records("brave", found)["results"][1]["host"] == "b.example"


@pytest.mark.parametrize(("value", "count"), [(None, 8), (0, 1), (5, 5), (500, 20), (True, 8), ("5", 8)])
def test_a_count_stays_within_its_bounds(value: object, count: int) -> None:
    assert wire.bounded(value, 1, 20, 8) == count
