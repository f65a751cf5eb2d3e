"""Discord's wire: documented events, what is refused, and random bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import carapax.adapters.channels.discord as package
from carapax.adapters.channels.discord import wire
from carapax.core.terms.channel import Button, Outgoing, Place
from carapax.core.terms.error import Malformed
from carapax.ports.channel import ChannelFailed, SendRefused
from tests.fakes.platforms.serving import shows

VECTORS = sorted((Path(package.__file__).parent / "vectors").glob("*.json"))
ME = "900000000000000001"
PLACE = Place("discord", "4", private=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 14


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_documented_event_is_understood(path: Path) -> None:
    vector = json.loads(path.read_text())
    frame = wire.parse_frame(json.dumps(vector["given"]))
    spot = wire.parse_spot(vector["spot"])
    assert wire.channel_of(frame) == spot.id
    heard = wire.parse_event(frame, spot.place("discord"), ME)
    assert len(heard) == len(vector["wanted"])
    assert all(shows(one, wanted) for one, wanted in zip(heard, vector["wanted"], strict=True)), heard


@pytest.mark.parametrize(
    ("spot", "private"),
    [
        ({"id": "1", "type": 1}, True),
        ({"id": "1", "type": 1, "guild_id": "2"}, False),
        ({"id": "1", "type": 3}, False),
        ({"id": "1"}, False),
        ({"id": "1", "type": 12, "guild_id": "2", "parent_id": "3"}, False),
    ],
)
def test_only_a_conversation_of_two_is_private(spot: dict[str, object], private: bool) -> None:
    assert wire.parse_spot(spot).place("discord").private is private


@given(st.binary(max_size=200) | JSON.map(lambda made: json.dumps(made).encode()))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    wire.parse_session(raw)
    wire.said_error(raw)
    try:
        frame = wire.parse_frame(raw)
        wire.channel_of(frame)
        wire.parse_event(frame, PLACE, ME)
    except Malformed:
        return


@given(st.sampled_from(VECTORS), st.data())
def test_an_event_with_a_spoilt_field_raises_nothing_else(path: Path, data: st.DataObject) -> None:
    frame = json.loads(path.read_text())["given"]
    inner = frame
    while True:
        key = data.draw(st.sampled_from(sorted(inner)))
        if isinstance(inner[key], dict) and inner[key] and data.draw(st.integers(0, 3)):
            inner = inner[key]
            continue
        inner[key] = data.draw(JSON | st.just("\ud800") | st.just("x" * 600))
        break
    try:
        parsed = wire.parse_frame(json.dumps(frame))
        wire.channel_of(parsed)
        heard = wire.parse_event(parsed, PLACE, ME)
        if parsed.type == "INTERACTION_CREATE":
            wire.callback_path(parsed)
    except Malformed:
        return
    for one in heard:
        one.event.encode()
        repr(one).encode()


@given(st.dictionaries(st.sampled_from(["id", "type", "guild_id", "parent_id", "recipients"]), JSON))
def test_no_channel_object_raises_anything_else(given_: dict[str, object]) -> None:
    try:
        wire.parse_spot(given_)
    except Malformed:
        return


def test_a_message_pings_nobody_and_shows_no_previews() -> None:
    body = wire.render_message(Outgoing(PLACE, "@everyone <@1>", "key", reply_to="77"))
    assert body["allowed_mentions"] == {"parse": [], "replied_user": False} and body["flags"] == 4
    assert body["enforce_nonce"] and len(body["nonce"]) == 25 and body["content"] == "@everyone <@1>"
    assert body["message_reference"] == {"type": 0, "message_id": "77", "fail_if_not_exists": False}
    edit = wire.render_edit("@here")
    assert edit["allowed_mentions"]["parse"] == [] and edit["flags"] == 4 and edit["components"] == []


def test_a_nonce_is_of_the_key() -> None:
    one, two, other = (wire.render_message(Outgoing(PLACE, text, key))["nonce"] for text, key in ("ak", "bk", "ax"))
    assert one == two != other


def test_buttons_stand_in_rows_of_five() -> None:
    body = wire.render_message(Outgoing(PLACE, "?", "k", buttons=tuple(Button("L" * 90, str(n)) for n in range(7))))
    assert [len(row["components"]) for row in body["components"]] == [5, 2]
    assert len(body["components"][0]["components"][0]["label"]) == 80


def test_too_long_is_refused() -> None:
    with pytest.raises(SendRefused):
        wire.render_message(Outgoing(PLACE, "x" * 2_001, "k"))
    with pytest.raises(SendRefused):
        wire.render_edit("x" * 2_001)


@pytest.mark.parametrize(
    "url",
    ["wss://evil.example", "ws://gateway.discord.gg", "wss://discord.gg.evil.example", "wss://x@gateway.discord.gg", "", "wss://evildiscord.gg"],
)  # fmt: skip
def test_a_gateway_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(ChannelFailed):
        wire.check_host(url)


def test_a_gateway_keeps_its_host_only() -> None:
    wanted = "wss://gateway-us-east1-b.discord.gg/?v=10&encoding=json"
    assert wire.check_host("wss://gateway-us-east1-b.discord.gg/other?v=9") == wanted


@pytest.mark.parametrize(
    "url", ["https://evil.example/a", "http://cdn.discordapp.com/a", "https://cdn.discordapp.com:444/a", ""]
)
def test_a_file_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(Malformed):
        wire.file_address({"attachments": [{"id": "1", "url": url}]}, "1")


def test_a_file_that_is_gone_is_refused() -> None:
    with pytest.raises(SendRefused):
        wire.file_address({"attachments": []}, "1")


@pytest.mark.parametrize("token", ["", "../../channels/1", "a/b", "a?b", "x" * 600])
def test_a_token_of_a_press_cannot_lead_elsewhere(token: str) -> None:
    frame = wire.Frame(0, 1, "INTERACTION_CREATE", {"id": "1", "token": token})
    with pytest.raises(Malformed):
        wire.callback_path(frame)


def test_a_session_comes_back() -> None:
    kept = (wire.Session("abc", 7, "wss://gateway.discord.gg"), {"1": "2"})
    assert wire.parse_session(wire.render_session(*kept)) == kept
    assert wire.parse_session(None) == wire.parse_session(b"\xff") == (wire.Session(), {})


@pytest.mark.parametrize("stamp", ["yesterday", "2026-13-01", "9" * 30])
def test_a_moment_is_one(stamp: str) -> None:
    with pytest.raises(Malformed):
        wire.parse_time(stamp)
