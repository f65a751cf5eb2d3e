"""The Cloud API's JSON: every vector, and whatever else may come."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.whatsapp import wire
from carapax.adapters.channels.whatsapp.markup import render_text
from carapax.core.terms.channel import Button, OutFile, Outgoing, Place, Received
from carapax.core.terms.error import Malformed

VECTORS = sorted((Path(wire.__file__).parent / "vectors").glob("*.json"))
PHONE = "106540352242922"
ALICE = Place("whatsapp", "15550100001")


def parse(body: dict[str, Any]) -> wire.Notice:
    return wire.parse_notice(json.dumps(body).encode(), "whatsapp", PHONE)


def field_of(heard: Received, name: str) -> Any:
    match name:
        case "sender":
            return heard.sender.id
        case "name":
            return heard.sender.name
        case "chat" | "private":
            return getattr(heard.place, name)
        case "files":
            return [[file.ref, file.name, file.type, file.voice] for file in heard.files]
    return getattr(heard, name)


def test_the_vectors_are_there() -> None:
    assert len(VECTORS) >= 20


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_says_what_it_should(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    found = parse(vector["body"])
    assert len(found.heard) == len(vector["heard"])
    for heard, wanted in zip(found.heard, vector["heard"], strict=True):
        assert {name: field_of(heard, name) for name in wanted} == wanted
    assert [[failed.message, failed.reason] for failed in found.failed] == vector["failed"]


def places(given: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
    for key, value in items:
        yield (*before, key)
        yield from places(value, (*before, key))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_with_anything_in_its_place_is_malformed_or_says_something(path: Path) -> None:
    body = json.loads(path.read_text("utf-8"))["body"]
    for place in list(places(body)):
        for value in (None, "x", -1, 1 << 70, True, [], {}, [1], {"id": "1"}, 1.5, "\ud800"):
            changed = json.loads(json.dumps(body))
            inside = changed
            for step in place[:-1]:
                inside = inside[step]
            inside[place[-1]] = value
            with contextlib.suppress(Malformed):
                parse(changed)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_bytes_are_read_or_malformed(raw: bytes) -> None:
    for parse_it in (wire.parse_media, wire.parse_trouble, wire.parse_sent, wire.parse_upload, wire.parse_account):
        with contextlib.suppress(Malformed):
            parse_it(raw)
    with contextlib.suppress(Malformed):
        wire.parse_notice(raw, "w", PHONE)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["messages", "contacts", "statuses", "metadata", "url", "id", "error"]), json_values
    )
)
def test_json_is_read_or_malformed(value: dict[str, Any]) -> None:
    value = {"metadata": {"phone_number_id": PHONE}, **value}
    with contextlib.suppress(Malformed):
        parse({"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": value}]}]})
    for parse_it in (wire.parse_media, wire.parse_trouble, wire.parse_sent, wire.parse_upload, wire.parse_account):
        with contextlib.suppress(Malformed):
            parse_it(json.dumps(value).encode())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=100))
def test_a_query_is_a_subscription_or_malformed(query: str) -> None:
    with contextlib.suppress(Malformed):
        wire.parse_challenge(query)


def test_a_subscription_is_read_once() -> None:
    good = "hub.mode=subscribe&hub.verify_token=a+b&hub.challenge=1158201444"
    assert wire.parse_challenge(good) == ("a b", "1158201444")
    for bad in ("", good.replace("subscribe", "x"), good + "&hub.verify_token=c", good.replace("1158201444", "<script>"),
                good.replace("1158201444", ""), "hub.mode=subscribe"):  # fmt: skip
        with pytest.raises(Malformed):
            wire.parse_challenge(bad)


@pytest.mark.parametrize(
    "url",
    [
        "http://lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com.evil.example/x",
        "https://evil.example/lookaside.fbsbx.com",
        "https://user@lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com:8443/x",
        "https://lookaside.fbsbx.com",
        "https://[::1",
        "//lookaside.fbsbx.com/x",
        "",
    ],
)
def test_a_file_elsewhere_is_not_fetched(url: str) -> None:
    with pytest.raises(Malformed):
        wire.parse_media(json.dumps({"url": url}).encode())


def test_a_file_is_fetched_from_metas_host() -> None:
    url = "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&hash=a"
    media = wire.parse_media(json.dumps({"url": url, "sha256": "a" * 64, "file_size": 5}).encode())
    assert media == wire.Media("/whatsapp_business/attachments/?mid=1&hash=a", 5, "a" * 64)
    assert wire.parse_media(json.dumps({"url": url, "sha256": "short"}).encode()).sha256 == ""


def test_text_goes_without_a_preview() -> None:
    message = wire.render_message(Outgoing(ALICE, "see **https://x.example**", key="k", reply_to="wamid.1"))
    assert message["text"] == {"preview_url": False, "body": "see *https://x.example*"}
    assert message["to"] == ALICE.chat and message["context"] == {"message_id": "wamid.1"}
    hidden = wire.render_message(Outgoing(Place("whatsapp", "FR.1349"), "x", key="k"))
    assert hidden["recipient"] == "FR.1349" and "to" not in hidden


def test_many_buttons_or_a_long_text_become_a_list() -> None:
    buttons = tuple(Button(f"Choice number {n} of the ten", f"c:{n}") for n in range(10))
    few = wire.render_message(Outgoing(ALICE, "x", key="k", buttons=buttons[:3]))["interactive"]
    assert few["type"] == "button" and [b["reply"]["id"] for b in few["action"]["buttons"]] == ["c:0", "c:1", "c:2"]
    assert all(len(b["reply"]["title"]) == 20 for b in few["action"]["buttons"])
    for text, taken in (("x", buttons), ("x" * 1_025, buttons[:2])):
        many = wire.render_message(Outgoing(ALICE, text, key="k", buttons=taken))["interactive"]
        rows = many["action"]["sections"][0]["rows"]
        assert many["type"] == "list" and [row["id"] for row in rows] == [button.data for button in taken]
        assert all(len(row["title"]) <= 24 for row in rows) and many["body"]["text"] == text
    for wrong in ((*buttons, buttons[0]), (Button("x", ""),), (Button("x", "é" * 33),), (Button("", "x"),)):
        with pytest.raises(Malformed):
            wire.render_message(Outgoing(ALICE, "x", key="k", buttons=wrong))


@pytest.mark.parametrize("chat", ["", "alice", "+15550100001", "#1", "1" * 30, "15550100001/../x", "FR.1/x", "²³¹²³"])
def test_a_place_of_another_platform_is_refused(chat: str) -> None:
    with pytest.raises(Malformed):
        wire.render_target(chat)


def test_a_file_has_its_name_and_caption() -> None:
    file = OutFile("a.pdf", "application/pdf", b"x")
    message = wire.render_file(ALICE.chat, file, "77", "**see**", "wamid.1")
    assert message["document"] == {"id": "77", "filename": "a.pdf", "caption": "*see*"}
    assert message["context"] == {"message_id": "wamid.1"}
    assert "caption" not in wire.render_file(ALICE.chat, file, "77", "")["document"]


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain", "plain"),
        ("**bold** and *it* and ~~gone~~", "*bold* and _it_ and ~gone~"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("a_b_c", "a_b_c"),
        ("`a ** b`", "`a ** b`"),
        ("```py\nx = **y**\n```", "```x = **y**```"),
        ("[here](https://example.org/a)", "here (https://example.org/a)"),
        ("[x](javascript:alert)", "[x](javascript:alert)"),
        ("# Title\ntext", "*Title*\ntext"),
    ],
)
def test_the_subset_of_markup(text: str, shown: str) -> None:
    assert render_text(text) == shown


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([*"ab *_~`#[]()\n", "```", "**", "https://"]), max_size=60).map("".join))
def test_markup_keeps_the_words_and_does_not_grow(text: str) -> None:
    shown = render_text(text)
    assert len(shown) <= len(text)
    if "```" not in text:
        assert [c for c in shown if c.isalnum()] == [c for c in text if c.isalnum()]
