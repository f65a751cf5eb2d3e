"""Teams' wire: documented activities, what is refused, and random bytes."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import carapax.adapters.channels.teams as package
from carapax.adapters.channels.catalogue import get_manifest, render_oauth
from carapax.adapters.channels.teams import wire
from carapax.adapters.vault.oauth import parse_oauth
from carapax.core.terms.channel import Button, Heard, Outgoing, Place
from carapax.core.terms.error import Malformed
from carapax.ports.channel import SendRefused
from tests.fakes.platforms.serving import shows

VECTORS = sorted((Path(package.__file__).parent / "vectors").glob("*.json"))
APP = "c9e8c047-2a74-40a2-b28a-b162d5f5327c"
PLACE = Place("teams", "a:1")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def hear(raw: bytes) -> tuple[Heard, ...]:
    return wire.parse_heard(wire.parse_activity(raw), "teams", APP)


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 15


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_documented_activity_is_understood(path: Path) -> None:
    vector = json.loads(path.read_text())
    heard = hear(json.dumps(vector["given"]).encode())
    assert len(heard) == len(vector["wanted"])
    assert all(shows(one, wanted) for one, wanted in zip(heard, vector["wanted"], strict=True)), heard


@given(st.binary(max_size=200) | JSON.map(lambda made: json.dumps(made).encode()))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    wire.said_error(raw)
    try:
        hear(raw)
    except Malformed:
        return


@given(st.sampled_from(VECTORS), st.data())
def test_an_activity_with_a_spoilt_field_raises_nothing_else(path: Path, data: st.DataObject) -> None:
    activity = json.loads(path.read_text())["given"]
    inner = activity
    while True:
        key = data.draw(st.sampled_from(sorted(inner)))
        if isinstance(inner[key], dict) and inner[key] and data.draw(st.booleans()):
            inner = inner[key]
            continue
        inner[key] = data.draw(JSON | st.just("\ud800") | st.just("x" * 6_000))
        break
    try:
        heard = hear(json.dumps(activity).encode())
    except Malformed:
        return
    for one in heard:
        one.event.encode()
        repr(one).encode()


@pytest.mark.parametrize(
    ("conversation", "private"),
    [
        ({"conversationType": "personal", "id": "a:1"}, True),
        ({"conversationType": "personal", "id": "a:1", "isGroup": True}, False),
        ({"conversationType": "personal", "id": "19:x;messageid=1"}, False),
        ({"conversationType": "groupChat", "id": "19:x"}, False),
        ({"id": "a:1"}, False),
    ],
)
def test_only_a_conversation_of_two_is_private(conversation: dict[str, object], private: bool) -> None:
    activity = {"type": "message", "id": "1", "from": {"id": "29:a"}, "conversation": conversation, "text": "x"}
    (heard,) = hear(json.dumps(activity).encode())
    assert heard.place.private is private


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/emea/", "http://smba.trafficmanager.net/emea/", "https://smba.trafficmanager.net.evil.example/",
        "https://smba.trafficmanager.net:444/", "https://x@smba.trafficmanager.net/", "https://smba.trafficmanager.net/a?b",
        "https://smba.trafficmanager.net/../x/", "https://smba.trafficmanager.net/a%2f", "https://[", "", "smba.trafficmanager.net",
        "https://smba.trafficmanager.net/emea/#x", "https://smba.trafficmanager.net:x/", "https://evil.trafficmanager.net/",
    ],
)  # fmt: skip
def test_a_service_elsewhere_is_none(url: str) -> None:
    with pytest.raises(Malformed):
        wire.check_service(url)


def test_a_service_is_an_origin_and_a_path() -> None:
    host = "https://smba.trafficmanager.net"
    assert wire.check_service(f"{host}/emea") == wire.check_service(f"{host}:443/emea/") == (host, "/emea/")
    assert wire.check_service(f"{host}/de/72f988bf-86f1/") == (host, "/de/72f988bf-86f1/")
    assert wire.check_service(host) == (host, "/")


def test_the_manifest_names_every_service_and_how_tokens_are_got() -> None:
    manifest = get_manifest("teams")
    assert {*wire.SERVICE_HOSTS, "login.botframework.com"} == set(manifest.hosts)
    (asked,) = (asked for asked in manifest.asks if asked.secret)
    sealed = parse_oauth(render_oauth(asked, {"tenant": "the-tenant", "app_id": APP}, "invented-secret"))
    assert sealed.endpoint == "https://login.microsoftonline.com/the-tenant/oauth2/v2.0/token"
    assert (sealed.client_id, sealed.client_secret, sealed.grant) == (APP, "invented-secret", "client_credentials")
    assert sealed.scope == "https://api.botframework.com/.default"


def test_buttons_stand_on_a_card_that_works_without_execute_too() -> None:
    body = wire.render_message(Outgoing(PLACE, "Allow?", "k", buttons=(Button("Yes", "yes:1"),)), APP)
    (card,) = body["attachments"]
    (action,) = card["content"]["actions"]
    assert action["type"] == "Action.Execute" and action["data"] == action["fallback"]["data"] == {"carapax": "yes:1"}
    assert "entities" not in body and body["textFormat"] == "markdown"


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("1 < 2 & 3 > 2", "1 &lt; 2 &amp; 3 > 2"),
        ("<at>bob</at> <img src=x>", "&lt;at>bob&lt;/at> &lt;img src=x>"),
        ("![x](https://evil.example/?q)", "!\u200b[x](https://evil.example/?q)"),
        ("\\`<img src=x>`", "\\`&lt;img src=x>`"),
        ("`a < b` **bold**\n```\nif a < b & c:\n```", "`a < b` **bold**\n```\nif a < b & c:\n```"),
    ],
)
def test_tags_and_pictures_are_shown_as_written(text: str, harmless: str) -> None:
    assert wire.make_harmless(text) == harmless


@given(st.text(alphabet="<>&!a[] \né", max_size=60))
def test_text_without_code_comes_back(text: str) -> None:
    made = wire.make_harmless(text)
    assert "<" not in made and "![" not in made
    assert html.unescape(made).replace("\u200b", "") == text


def test_too_long_is_refused() -> None:
    with pytest.raises(SendRefused):
        wire.render_edit("<" * 20_001)
    assert wire.render_edit("<" * wire.TEXT_CHARS)


def test_conversations_and_their_threads() -> None:
    for id in ("19:x@thread.tacv2;messageid=15", "a:1", "19:x;messageid=", "19:x;messageid=y"):
        chat, thread = wire.split_conversation(id)
        assert wire.conversation_of(Place("teams", chat, thread)) == id
    assert wire.split_conversation("19:x;messageid=15") == ("19:x", "15")
