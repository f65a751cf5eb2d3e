"""signal-cli's events and requests: what each means, and that nothing but Malformed is raised."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.signal import wire
from carapax.core.terms.channel import Heard, OutFile, Place, Received, Removed
from carapax.core.terms.error import Malformed
from tests.fakes.platforms.signal import GROUP, OWN, PEOPLE

VECTORS = Path(wire.__file__).parent / "vectors"


def read(raw: bytes) -> Heard | wire.GroupChanged | None:
    return wire.parse_event(raw, channel="signal", own=OWN)


def received(name: str) -> Received:
    found = read((VECTORS / f"{name}.json").read_bytes())
    assert isinstance(found, Received)
    return found


def test_every_vector_means_something_or_nobodys_message() -> None:
    paths = sorted(VECTORS.glob("*.json"))
    assert len(paths) >= 10
    for path in paths:
        assert (read(path.read_bytes()) is None) is path.name.startswith("none_"), path.name


def test_a_private_message() -> None:
    found = received("private")
    assert found.sender.id == PEOPLE["alice"] and found.sender.name == "Alice"
    assert found.place == Place("signal", PEOPLE["alice"]) and found.addressed
    assert found.event == f"{PEOPLE['alice']}/1780304400123" and found.message == f"1780304400123:{PEOPLE['alice']}"
    assert found.text == "What is on my list?" and found.sent_ms == 1780304400123


def test_a_mention_by_id_calls_the_agent() -> None:
    found = received("group_mention")
    assert found.addressed and found.place == Place("signal", GROUP, private=False)
    assert found.text == "what did @Bob say?"


def test_a_mention_of_somebody_with_the_agents_name_does_not() -> None:
    raw = (VECTORS / "group_mention.json").read_text().replace(OWN, PEOPLE["bob"])
    found = read(raw.encode())
    assert isinstance(found, Received) and not found.addressed


def test_quoting_the_agent_calls_it_and_quoting_others_does_not() -> None:
    found = received("group_quote_of_agent")
    assert found.addressed and found.quoted == "" and found.reply_to == f"1780304401900:{OWN}"
    raw = (VECTORS / "group_quote_of_agent.json").read_text().replace(OWN, PEOPLE["alice"])
    other = read(raw.encode())
    assert isinstance(other, Received) and not other.addressed and other.quoted == "Shall I?"


def test_edits_and_deletions_name_the_first_message() -> None:
    edit, first = received("edit"), received("private")
    assert edit.edited and edit.message == first.message and edit.event != first.event
    gone = read((VECTORS / "delete.json").read_bytes())
    assert isinstance(gone, Removed) and gone.message == first.message and gone.event not in (first.event, edit.event)


def test_a_voice_message_has_no_words() -> None:
    (file,) = received("voice").files
    assert file.voice and file.size_bytes == 20480
    assert wire.split_ref(file.ref) == ("voice-1.aac", PEOPLE["alice"])


def test_a_changed_group_is_asked_for() -> None:
    raw = (VECTORS / "group_quote_of_agent.json").read_text().replace("DELIVER", "UPDATE")
    assert read(raw.encode()) == wire.GroupChanged(GROUP)


@pytest.mark.parametrize(
    "change",
    [
        {"sourceUuid": "not-a-uuid"},
        {"sourceUuid": PEOPLE["alice"].upper()},
        {"sourceUuid": 5},
        {"dataMessage": {"timestamp": -5, "message": "x"}},
        {"dataMessage": {"timestamp": True, "message": "x"}},
        {"dataMessage": {"message": "x"}},
        {"dataMessage": {"timestamp": 5, "message": 7}},
        {"dataMessage": {"timestamp": 5, "message": "x", "groupInfo": {"groupId": "../x"}}},
        {"dataMessage": {"timestamp": 5, "message": "x", "mentions": "y"}},
        {"dataMessage": {"timestamp": 5, "message": "x", "attachments": {"id": "y"}}},
        {"dataMessage": []},
    ],
)
def test_a_field_of_another_kind_is_no_message(change: dict[str, object]) -> None:
    base = {"sourceUuid": PEOPLE["alice"], "timestamp": 5, "dataMessage": {"timestamp": 5, "message": "x"}}
    assert isinstance(read(json.dumps({"envelope": base}).encode()), Received)
    with suppress(Malformed):
        assert read(json.dumps({"envelope": base | change}).encode()) is None


_KEYS = st.sampled_from(
    ["envelope", "params", "result", "sourceUuid", "dataMessage", "editMessage", "timestamp", "message", "mentions", "uuid", "start",
     "quote", "id", "authorUuid", "text", "groupInfo", "groupId", "type", "attachments", "remoteDelete", "contentType"]
)  # fmt: skip
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from([PEOPLE["alice"], GROUP, OWN])
)
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5), max_leaves=30
)
_ENVELOPES = st.dictionaries(_KEYS, _JSON, max_size=6).map(
    lambda message: {
        "envelope": {"sourceUuid": PEOPLE["alice"], "dataMessage": {"timestamp": 5, "message": "x"} | message}
    }
)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=100)
    | _JSON.map(lambda value: json.dumps(value).encode())
    | _ENVELOPES.map(lambda value: json.dumps(value).encode())
)
def test_anything_is_an_event_or_malformed(raw: bytes) -> None:
    with suppress(Malformed):
        read(raw)


@settings(max_examples=200, deadline=None)
@given(_JSON)
def test_any_answer_is_read_or_malformed(value: object) -> None:
    for parse in (wire.parse_own, wire.parse_groups, wire.parse_file, lambda given: wire.parse_members(given, GROUP)):
        with suppress(Malformed):
            parse(value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 7))
def test_a_stream_is_the_same_in_any_pieces(raw: bytes, size: int) -> None:
    raw = raw.replace(b"\r", b"")
    whole = list(wire.Stream().feed(raw))
    stream = wire.Stream()
    assert [told for at in range(0, len(raw), size) for told in stream.feed(raw[at : at + size])] == whole


def test_events_are_read_from_a_stream() -> None:
    stream = wire.Stream()
    pieces = [b":\n", b"event:receive\nid:7\nda", b"ta:{}\n", b"\n:\n\nid: 8\r\ndata: a\r\ndata: b\r\n\r\n"]
    found = [told for piece in pieces for told in stream.feed(piece)]
    assert found == [wire.Told("7", b"{}"), wire.Told("8", b"a\nb")]
    with pytest.raises(Malformed):
        list(wire.Stream().feed(b"data:" + b"x" * (wire.EVENT_BYTES + 1)))


@pytest.mark.parametrize(
    ("markdown", "text", "styles"),
    [
        ("plain * 2 * 3 and a_b_c", "plain * 2 * 3 and a_b_c", None),
        ("a **b** c", "a b c", ["2:1:BOLD"]),
        ("👋🏽 **b** `c`", "👋🏽 b c", ["5:1:BOLD", "7:1:MONOSPACE"]),
        ("*i* and _j_", "i and j", ["0:1:ITALIC", "6:1:ITALIC"]),
        ("see:\n```py\nx * y\n```\nend", "see:\nx * y\nend", ["5:5:MONOSPACE"]),
        ("```\nopen", "```\nopen", None),
        ("``` \n```", "", None),
        ("@everyone <@x> \ufffc", "@everyone <@x> \ufffc", None),
    ],
)
def test_markdown_becomes_styles(markdown: str, text: str, styles: list[str] | None) -> None:
    assert wire.render_text(markdown) == {"message": text} | ({"textStyle": styles} if styles else {})


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab*_` \n👋é", max_size=60))
def test_styles_lie_inside_the_text(markdown: str) -> None:
    found = wire.render_text(markdown)
    units = len(found["message"].encode("utf-16-le")) // 2
    for style in found.get("textStyle", []):
        start, length, _ = style.split(":")
        assert int(start) >= 0 and int(length) > 0 and int(start) + int(length) <= units


def test_a_file_is_a_data_uri_that_its_name_cannot_leave() -> None:
    assert (
        wire.render_file(OutFile("a.pdf", "application/pdf", b"x")) == "data:application/pdf;filename=a.pdf;base64,eA=="
    )
    uri = wire.render_file(OutFile("a;base64,/etc/passwd", "x;y", b"x"))
    assert uri.startswith("data:application/octet-stream;filename=") and uri.count(";") == 2 and "/etc" not in uri


def test_conversations_and_messages_are_named_exactly() -> None:
    assert wire.to_whom(PEOPLE["bob"]) == {"recipient": [PEOPLE["bob"]]} and wire.to_whom(GROUP) == {"groupId": GROUP}
    for bad in ("", "+33123456789", "u:someone", GROUP + "x" * 90, PEOPLE["bob"] + "\n"):
        with pytest.raises(Malformed):
            wire.to_whom(bad)
    assert wire.parse_message_id(wire.message_id(5, OWN)) == (5, OWN)
    for bad in ("", "5", f"x:{OWN}", f"5:{OWN}x", f"-5:{OWN}"):
        with pytest.raises(Malformed):
            wire.parse_message_id(bad)
    for bad in ("", "x", "|" + GROUP, "x|y"):
        with pytest.raises(Malformed):
            wire.split_ref(bad)


def test_members_that_are_not_all_known_are_not_told() -> None:
    group = {"id": GROUP, "isMember": True, "members": [{"uuid": OWN}, {"uuid": None, "number": "+331"}]}
    assert wire.parse_members([group], GROUP) is None and wire.parse_groups([group]) == {}
    assert wire.parse_members([group | {"isMember": False}], GROUP) == frozenset()
    assert wire.parse_members([], GROUP) is None
