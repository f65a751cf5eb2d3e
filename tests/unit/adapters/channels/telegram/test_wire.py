"""The Bot API's JSON: every vector, and whatever else may come."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.telegram import wire
from carapax.core.terms.channel import Button, Outgoing, Place, Received, Removed
from carapax.core.terms.error import Malformed

VECTORS = sorted((Path(wire.__file__).parent / "vectors").glob("*.json"))
ME = wire.Me(id=424242, username="carapax_test_bot", name="Carapax", reads_all=True, joins_groups=True)
PLACE = Place("telegram", "1001")


def parse(update: dict[str, Any]) -> wire.Update:
    return wire.parse_update(update, "telegram", ME)


def field_of(heard: Received | Removed, name: str) -> Any:
    if name in ("chat", "thread", "private"):
        return getattr(heard.place, name)
    if name == "person":
        assert isinstance(heard, Removed)
        return heard.person
    if name == "event":
        return heard.event
    assert isinstance(heard, Received)
    match name:
        case "sender":
            return heard.sender.id
        case "name":
            return heard.sender.name
        case "bot":
            return heard.sender.bot
        case "files":
            return [[file.ref, file.name, file.type, file.size_bytes, file.voice] for file in heard.files]
    return getattr(heard, name)


def test_the_vectors_are_there() -> None:
    assert len(VECTORS) >= 30


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_says_what_it_should(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    found = parse(vector["update"])
    assert found.number == vector["update"]["update_id"]
    assert len(found.heard) == len(vector["heard"])
    for heard, wanted in zip(found.heard, vector["heard"], strict=True):
        assert heard.place.channel == "telegram"
        assert {name: field_of(heard, name) for name in wanted} == wanted
    assert (list(found.moved) if found.moved else None) == vector.get("moved")
    assert found.query == vector["update"].get("callback_query", {}).get("id", "")


def vector(name: str) -> dict[str, Any]:
    path = next(path for path in VECTORS if path.stem == name)
    update: dict[str, Any] = json.loads(path.read_text("utf-8"))["update"]
    return update


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_with_anything_in_its_place_is_malformed_or_says_something(path: Path) -> None:
    update = json.loads(path.read_text("utf-8"))["update"]
    wrong: tuple[Any, ...] = (None, "x", -1, 1 << 70, True, [], {}, [1], {"id": "1"}, 1.5, "\ud800")
    for places in list(_places(update)):
        for value in wrong:
            changed = json.loads(json.dumps(update))
            inside = changed
            for step in places[:-1]:
                inside = inside[step]
            inside[places[-1]] = value
            with contextlib.suppress(Malformed):
                parse(changed)


def _places(given: Any, before: tuple[Any, ...] = ()) -> Any:
    items = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
    for key, value in items:
        yield (*before, key)
        yield from _places(value, (*before, key))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_bytes_are_an_answer_or_malformed(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        wire.parse_answer(raw)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values)
def test_json_is_updates_or_malformed(value: Any) -> None:
    for parse_it in (lambda: wire.parse_updates(value, "t", ME), lambda: wire.parse_me(value), lambda: wire.parse_sent(value),
                     lambda: wire.parse_file_path(value), lambda: wire.parse_answer(json.dumps(value).encode())):  # fmt: skip
        with contextlib.suppress(Malformed):
            parse_it()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["message", "edited_message", "callback_query", "chat_member"]), st.dictionaries(
    st.sampled_from(["chat", "from", "message_id", "text", "entities", "message", "data", "id", "new_chat_member", "photo"]),
    json_values, max_size=8))  # fmt: skip
def test_an_update_of_a_known_kind_is_read_or_malformed(kind: str, body: dict[str, Any]) -> None:
    with contextlib.suppress(Malformed):
        assert parse({"update_id": 1, kind: body}).number == 1


def test_one_bad_update_does_not_hide_the_others() -> None:
    good = vector("message_private")
    bad = {"update_id": 9, "message": {"message_id": "seven"}}
    found = wire.parse_updates([bad, good], "telegram", ME)
    assert [update.number for update in found] == [9, 10] and not found[0].heard and found[1].heard


def test_a_text_is_cut_and_plain() -> None:
    update = vector("message_private")
    update["message"]["text"] = "a\x00b\x1b[31m\u202e\u200b" + "x" * 300_000
    (heard,) = parse(update).heard
    assert isinstance(heard, Received)
    assert heard.text.startswith("ab[31m\u202e\u200bx") and len(heard.text.encode()) <= 256 << 10


def test_entities_count_utf16_units_of_the_text_as_sent() -> None:
    update = vector("message_group_mention")
    message = update["message"]
    for before in ("", "🏴󠁧󠁢󠁳󠁣󠁴󠁿 ", "\x07\x07", "é"):
        message["text"] = f"{before}@carapax_test_bot x"
        message["entities"][0]["offset"] = len(before.encode("utf-16-le")) // 2
        (heard,) = parse(update).heard
        assert isinstance(heard, Received) and heard.addressed


def test_a_mention_by_number_calls_the_bot_and_no_other() -> None:
    update = vector("message_group_mention")
    for who, called in ((ME.id, True), (1001, False)):
        update["message"]["entities"] = [{"type": "text_mention", "offset": 0, "length": 2, "user": {"id": who}}]
        (heard,) = parse(update).heard
        assert isinstance(heard, Received) and heard.addressed is called


def test_a_sender_is_never_their_username() -> None:
    update = vector("message_private")
    update["message"]["from"] |= {"username": "owner", "first_name": "1002"}
    (heard,) = parse(update).heard
    assert isinstance(heard, Received) and heard.sender.id == "1001"


@pytest.mark.parametrize("path", ["documents/file_1.pdf", "voice/file_22.oga", "photos/a-b_c.jpg"])
def test_a_path_of_a_file_is_taken(path: str) -> None:
    assert wire.parse_file_path({"file_path": path}) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../bot1:x/getMe",
        "a/../../b",
        "a//b",
        "a?x=1",
        "a#b",
        "a%2e%2e/b",
        "a b",
        ".hidden",
        "a\n",
        7,
    ],
)
def test_a_path_that_leads_elsewhere_is_not(path: Any) -> None:
    with pytest.raises(Malformed):
        wire.parse_file_path({"file_path": path})


def test_a_place_of_another_platform_is_refused() -> None:
    with pytest.raises(Malformed):
        wire.render_target(PLACE, "#channel")
    with pytest.raises(Malformed):
        wire.render_target(Place("telegram", "1", thread="x"), "1")
    for message in ("", "x", "-1", "1.5", "9" * 30, "²"):
        with pytest.raises(Malformed):
            wire.message_number(message)


def test_buttons_have_data_that_fits() -> None:
    extras = wire.render_extras(Outgoing(PLACE, "x", key="k", buttons=(Button("Yes", "y" * 64),), reply_to="5"))
    assert extras["reply_markup"]["inline_keyboard"] == [[{"text": "Yes", "callback_data": "y" * 64}]]
    assert extras["reply_parameters"]["message_id"] == 5
    for data in ("", "é" * 33):
        with pytest.raises(Malformed):
            wire.render_extras(Outgoing(PLACE, "x", key="k", buttons=(Button("Yes", data),)))


def test_a_refusal_holds_what_telegram_wishes() -> None:
    answered = wire.parse_answer(
        b'{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 5","parameters":{"retry_after":5}}'
    )
    assert (answered.ok, answered.code, answered.retry_after_s) == (False, 429, 5)
    moved = wire.parse_answer(b'{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-100}}')
    assert moved.moved_to == "-100"
    assert wire.parse_answer(b'{"ok":false,"parameters":{"retry_after":99999999}}').retry_after_s == 3_600
