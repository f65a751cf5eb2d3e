"""Mattermost's wire: documented events, what is refused, and random bytes."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import carapax.adapters.channels.mattermost as package
from carapax.adapters.channels.mattermost import wire
from carapax.core.terms.channel import Heard, Outgoing, Place
from carapax.core.terms.error import Malformed
from carapax.ports.channel import SendRefused
from tests.fakes.platforms import mattermost as fake
from tests.fakes.platforms.serving import shows

VECTORS = sorted((Path(package.__file__).parent / "vectors").glob("*.json"))
ME = wire.Me("bot".ljust(26, "0"), "carapax")
PLACE = Place("mattermost", fake.GROUP, private=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def hear(raw: bytes | str, type: str) -> Heard | None:
    event = wire.parse_event(raw)
    post = event.post
    place = Place("mattermost", wire.checked_id(str(post.get("channel_id"))), wire.root_of(post), private=type == "D")
    return wire.parse_post(post, place, ME, edited=event.type == "post_edited")


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 11


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_documented_event_is_understood(path: Path) -> None:
    vector = json.loads(path.read_text())
    heard = hear(json.dumps(vector["given"]), vector["type"])
    assert shows(heard, vector["wanted"]), heard


@given(st.binary(max_size=200) | JSON.map(lambda made: json.dumps(made).encode()))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    wire.said_error(raw)
    for parse in (wire.parse_press, lambda raw: hear(raw, "O")):
        try:
            parse(raw)
        except Malformed:
            continue


@given(st.sampled_from(VECTORS), st.data())
def test_a_post_with_a_spoilt_field_raises_nothing_else(path: Path, data: st.DataObject) -> None:
    vector = json.loads(path.read_text())["given"]
    post = json.loads(vector["data"]["post"])
    inner = post
    while True:
        key = data.draw(st.sampled_from(sorted(inner)))
        if isinstance(inner[key], dict) and inner[key] and data.draw(st.booleans()):
            inner = inner[key]
            continue
        inner[key] = data.draw(JSON | st.just("\ud800") | st.just("x" * 600))
        break
    vector["data"]["post"] = json.dumps(post)
    try:
        heard = hear(json.dumps(vector), "O")
        wire.parse_removed(post, PLACE)
    except Malformed:
        return
    if heard is not None:
        heard.event.encode()
        repr(heard).encode()


@given(st.dictionaries(st.sampled_from(["user_id", "channel_id", "post_id", "trigger_id", "context"]), JSON))
def test_no_press_raises_anything_else(given_: dict[str, object]) -> None:
    try:
        wire.parse_press(json.dumps(given_).encode())
    except Malformed:
        return


def test_a_press_is_of_its_triggers_person() -> None:
    alice, bob = fake.PEOPLE["alice"], fake.PEOPLE["bob"]
    context = {"data": "yes", "key": "k", "mac": "00"}
    trigger = base64.b64encode(f"t:{alice}:17:sig".encode()).decode()
    body = {
        "user_id": alice,
        "channel_id": fake.GROUP,
        "post_id": fake.GROUP,
        "trigger_id": trigger,
        "context": context,
    }
    press = wire.parse_press(json.dumps(body).encode())
    assert (press.user, press.at_ms, press.data, press.mac) == (alice, 17, "yes", b"\0")
    for change in (
        {"user_id": bob},
        {"trigger_id": "x"},
        {"trigger_id": ""},
        {"context": {**context, "mac": "zz"}},
        {"post_id": "p"},
    ):
        with pytest.raises(Malformed):
            wire.parse_press(json.dumps({**body, **change}).encode())


def test_a_proof_is_of_channel_key_and_data() -> None:
    made = {
        wire.button_message(*words)
        for words in (("c", "k", "d"), ("d", "k", "d"), ("c", "l", "d"), ("c", "k", "e"), ("ck", "", "d"))
    }
    assert len(made) == 5


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("@all @Channel @HERE @bob", "@\u200ball @\u200bChannel @\u200bHERE @\u200bbob"),
        ("write to a@example.org", "write to a@example.org"),
        ("é@all (@bob) .@bob -@bob", "é@\u200ball (@\u200bbob) .@\u200bbob -@\u200bbob"),
        ("`@property` and `@all`", "`@property` and `@\u200ball`"),
        ("```py\n@dataclass\n```\n@bob", "```py\n@dataclass\n```\n@\u200bbob"),
        (
            "![x](https://evil.example/?q=1) [y](https://example.org)",
            "!\u200b[x](https://evil.example/?q=1) [y](https://example.org)",
        ),
        ("\\`@bob` ``@bob` ```@bob", "\\`@\u200bbob` ``@\u200bbob` ```@\u200bbob"),
        ("a @ b, @, 5 ! [x]", "a @ b, @, 5 ! [x]"),
    ],
)
def test_mentions_and_pictures_are_broken(text: str, harmless: str) -> None:
    assert wire.make_harmless(text) == harmless


@given(st.text(alphabet="@ab `.\né-", max_size=40).map(lambda text: text.replace("a", "all").replace("b", "bob")))
def test_no_text_calls_anybody(text: str) -> None:
    assert fake.FakeMattermost().pings({"message": wire.make_harmless(text)}) == ()


@pytest.mark.parametrize(
    ("text", "called", "rest"),
    [
        ("@carapax hi", True, "hi"), ("hi @CARAPAX.", True, "hi @CARAPAX."), ("@carapax-two hi", False, "@carapax-two hi"),
        ("x@carapax hi", False, "x@carapax hi"), ("```\n@carapax\n```", False, "```\n@carapax\n```"),
    ],
)  # fmt: skip
def test_a_call_is_a_mention_by_name(text: str, called: bool, rest: str) -> None:
    assert wire.calls(text, "carapax") is called and wire.without_call(text, "carapax") == rest


def test_a_message_shows_no_previews_and_names_its_key() -> None:
    place = Place("mattermost", fake.GROUP, "root", private=False)
    body = wire.render_message(
        Outgoing(place, "hi", "key"), ME, ["f"], [("Yes", "y", "00")], "https://me.example/hooks/m"
    )
    assert body["root_id"] == "root" and body["file_ids"] == ["f"] and body["props"]["unsafe_links"] == "true"
    assert body["pending_post_id"].startswith(ME.id + ":") and len(body["pending_post_id"]) == 53
    (entry,) = body["props"]["attachments"]
    assert entry["actions"][0]["integration"]["context"]["data"] == "y"
    assert wire.render_edit("x")["props"] == {"unsafe_links": "true", "disable_group_highlight": True}


def test_too_long_is_refused() -> None:
    with pytest.raises(SendRefused):
        wire.render_edit("x" * 16_384)


@pytest.mark.parametrize("id", ["", "a" * 25, "A" * 26, "../" + "a" * 23, "a" * 27])
def test_an_id_is_one(id: str) -> None:
    with pytest.raises(Malformed):
        wire.checked_id(id)
