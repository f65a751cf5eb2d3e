"""Slack's wire: documented payloads, what is refused, and random bytes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

import carapax.adapters.channels.slack as package
from carapax.adapters.channels.slack import wire
from carapax.adapters.channels.slack.mrkdwn import read_text, render_text, unescape
from carapax.core.terms.channel import Button, Outgoing, Place
from carapax.core.terms.error import Malformed
from carapax.ports.channel import ChannelFailed, CredentialRefused, SendRefused
from tests.fakes.platforms.serving import shows

VECTORS = sorted((Path(package.__file__).parent / "vectors").glob("*.json"))
ME = wire.Me("U0CARAPAX", "B0CARAPAX", "carapax", "Acme")
PLACE = Place("slack", "C1", private=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 14


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_documented_payload_is_understood(path: Path) -> None:
    vector = json.loads(path.read_text())
    heard = wire.parse_payload(vector["given"], ME, "slack")
    assert shows(heard, vector["wanted"]), heard


def test_the_two_events_of_a_mention_are_one() -> None:
    inner = {"user": "U1", "text": "<@U0CARAPAX> hi", "ts": "15.000001", "channel": "C1"}
    first, second = (
        wire.parse_payload({"type": "event_callback", "event_id": type, "event": {**inner, "type": type}}, ME, "slack")
        for type in ("message", "app_mention")
    )
    assert first == second and first is not None


@pytest.mark.parametrize(("chat", "kind"), [("C1", "im"), ("D1", "channel"), ("G1", "mpim"), ("C1", "")])
def test_a_place_is_private_only_when_all_signs_agree(chat: str, kind: str) -> None:
    event = {"type": "message", "user": "U1", "text": "hi", "ts": "15.1", "channel": chat, "channel_type": kind}
    heard = wire.parse_payload({"type": "event_callback", "event": event}, ME, "slack")
    assert heard is not None and not heard.place.private


@given(st.binary(max_size=200) | JSON.map(lambda made: json.dumps(made).encode()))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    for parse in (wire.parse_frame, lambda raw: wire.parse_request("application/x-www-form-urlencoded", raw)):
        with contextlib.suppress(Malformed):
            parse(raw)
    with contextlib.suppress(Malformed):
        wire.parse_payload(wire.parse_request("application/json", raw), ME, "slack")


@given(st.sampled_from(VECTORS), st.data())
def test_a_payload_with_a_spoilt_field_raises_nothing_else(path: Path, data: st.DataObject) -> None:
    payload = json.loads(path.read_text())["given"]
    inner = payload
    while True:
        key = data.draw(st.sampled_from(sorted(inner)))
        if isinstance(inner[key], dict) and inner[key] and data.draw(st.booleans()):
            inner = inner[key]
            continue
        inner[key] = data.draw(JSON | st.just("\ud800") | st.just("x" * 600))
        break
    try:
        heard = wire.parse_payload(payload, ME, "slack")
    except Malformed:
        return
    if heard is not None:
        repr(heard).encode()
        heard.event.encode()


@given(st.text(alphabet="*_~`<>&!@#[]() \nab|", max_size=80))
def test_no_text_makes_a_control_sequence(text: str) -> None:
    rendered = render_text(text)
    assert "<" not in rendered and ">" not in rendered
    assert "&" not in rendered.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")


@given(st.text(alphabet="abc <>&@!é日", max_size=60))
def test_plain_text_comes_back(text: str) -> None:
    assert unescape(render_text(text)) == text


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("**bold** and *it* and _it_ and ~~gone~~", "*bold* and _it_ and _it_ and ~gone~"),
        ("**a *b* c**", "*a _b_ c*"),
        ("# Title\n- one\n* two", "*Title*\n• one\n• two"),
        ("see [the list](https://example.org/a_b?x=1&y=2)", "see the list (https://example.org/a_b?x=1&amp;y=2)"),
        ("![pic](https://example.org/p.png)", "pic (https://example.org/p.png)"),
        ("`a < b` **x**", "`a &lt; b` *x*"),
        ("```python\nif a < b:\n    **x**\n```", "```\nif a &lt; b:\n    **x**\n```"),
        ("```\nnever closed <!here>", "```\nnever closed &lt;!here&gt;```"),
        ("2 * 3 * 4, a_b_c, **", "2 * 3 * 4, a_b_c, **"),
        ("<!channel> <@U1> &lt;!here&gt;", "&lt;!channel&gt; &lt;@U1&gt; &amp;lt;!here&amp;gt;"),
        ("a\x01b", "ab"),
    ],
)
def test_markdown_becomes_mrkdwn(markdown: str, mrkdwn: str) -> None:
    assert render_text(markdown) == mrkdwn


@pytest.mark.parametrize(
    ("mrkdwn", "text"),
    [
        ("<#C1|ops> <#C2>", "#ops #C2"),
        ("<!subteam^S1|@crew> <!date^1^x|today>", "@crew today"),
        ("<mailto:a@example.org|a@example.org>", "mailto:a@example.org"),
        ("1 &lt; 2 &amp;lt;", "1 < 2 &lt;"),
        ("<@U9|ann>", "@ann"),
    ],
)
def test_what_people_write_is_read(mrkdwn: str, text: str) -> None:
    assert read_text(mrkdwn, "U0CARAPAX") == text


def test_a_long_text_with_buttons_stands_in_sections() -> None:
    body = wire.render_message(Outgoing(PLACE, "x" * 3_000 + "&", "k", buttons=(Button("B" * 90, "d"),)))
    *sections, actions = body["blocks"]
    assert "".join(section["text"]["text"] for section in sections) == body["text"] == "x" * 3_000 + "&amp;"
    assert all(section["text"]["verbatim"] and len(section["text"]["text"]) <= 3_000 for section in sections)
    assert len(actions["elements"][0]["text"]["text"]) == 75


def test_a_message_asks_for_no_previews_and_no_names() -> None:
    body = wire.render_message(Outgoing(Place("slack", "C1", "9.1", private=False), "hi @channel", "k"))
    assert body == {
        "channel": "C1", "text": "hi @channel", "parse": "none", "link_names": False, "unfurl_links": False,
        "unfurl_media": False, "thread_ts": "9.1",
    }  # fmt: skip


def test_too_long_is_refused() -> None:
    with pytest.raises(SendRefused):
        wire.render_message(Outgoing(PLACE, "&" * 8_001, "k"))


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("invalid_auth", CredentialRefused), ("token_revoked", CredentialRefused), ("account_inactive", CredentialRefused),
        ("ratelimited", ChannelFailed), ("internal_error", ChannelFailed), ("is_archived", SendRefused), (7, SendRefused),
        ("a\x07b", SendRefused), ("missing_scope", SendRefused),
    ],
)  # fmt: skip
def test_an_error_word_says_whether_to_wait(said: object, error: type[Exception]) -> None:
    found = wire.said_error({"ok": False, "error": said, "needed": "files:read"}, "chat.postMessage")
    assert type(found) is error


def test_a_form_has_one_payload() -> None:
    form = "application/x-www-form-urlencoded; charset=utf-8"
    assert wire.parse_request(form, urlencode({"payload": '{"type":"x"}'}).encode()) == {"type": "x"}
    for body in (b"", b"payload=%7B%7D&payload=%7B%7D", b"\xff", b"a=1"):
        with pytest.raises(Malformed):
            wire.parse_request(form, body)
