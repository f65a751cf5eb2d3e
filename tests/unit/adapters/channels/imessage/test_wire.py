"""BlueBubbles' webhooks and answers: what each means, and that nothing but Malformed is raised."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.imessage import wire
from carapax.core.terms.channel import Evidence, Heard, Place, Received, Removed
from carapax.core.terms.error import Malformed

VECTORS = Path(wire.__file__).parent / "vectors"
OWN = frozenset({"agent@icloud.example"})
GROUP = "iMessage;+;chat100000000000000001"
GUID = "6B1C1B2E-1F4E-4F0B-9C57-0A1B2C3D4E5F"


def read(raw: bytes) -> Heard | wire.GroupChanged | None:
    return wire.parse_hook(raw, channel="imessage", own=OWN)


def raw_of(name: str, **changes: Any) -> bytes:
    given = json.loads((VECTORS / f"{name}.json").read_text())
    given["data"] |= changes
    return json.dumps(given).encode()


def received(name: str, **changes: Any) -> Received:
    found = read(raw_of(name, **changes))
    assert isinstance(found, Received)
    return found


def test_every_vector_is_read_or_refused() -> None:
    paths = sorted(VECTORS.glob("*.json"))
    assert len(paths) >= 10
    for path in paths:
        if path.name.startswith("refused_"):
            with pytest.raises(Malformed):
                read(path.read_bytes())
        else:
            assert (read(path.read_bytes()) is None) is path.name.startswith("none_"), path.name


def test_a_private_message() -> None:
    found = received("private")
    assert found.sender.id == "+33600000001" and found.event == found.message == GUID
    assert found.place == Place("imessage", "iMessage;-;+33600000001") and found.addressed
    assert found.evidence is Evidence.PLATFORM and found.sent_ms == 1780304400123


def test_an_address_is_lower_case_and_its_own() -> None:
    assert received("private", handle={"address": "Lea@ICloud.example"}).sender.id == "lea@icloud.example"
    for address in ("", "lea", "lea@icloud.example\n", "a b@x.example", "+33", None, "x" * 300):
        with suppress(Malformed):
            assert read(raw_of("private", handle={"address": address})) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"chats": [{"guid": "SMS;-;+33600000001"}]},
        {"chats": [{"guid": "RCS;-;+33600000001"}]},
        {"handle": {"address": "+33600000001", "service": "SMS"}},
    ],
)
def test_nobody_vouches_for_the_sender_of_an_sms(changes: dict[str, Any]) -> None:
    assert received("private", **changes).evidence is Evidence.NONE
    assert received("sms").evidence is Evidence.NONE


def test_a_mention_is_by_address() -> None:
    found = received("group_mention")
    assert found.addressed and found.place == Place("imessage", GROUP, private=False)
    other = raw_of("group_mention").replace(b"agent@icloud.example", b"bob@icloud.example")
    heard = read(other)
    assert isinstance(heard, Received) and not heard.addressed
    assert not received("group_mention", attributedBody=None).addressed


def test_an_edit_is_another_event_of_the_same_message() -> None:
    edit, first = received("edit"), received("private")
    assert edit.edited and not first.edited and edit.message == first.message and edit.event != first.event
    assert received("edit", dateEdited=1780304499999).event != edit.event
    gone = read(raw_of("retracted"))
    assert isinstance(gone, Removed) and gone.message == first.message and gone.event not in (first.event, edit.event)


def test_a_voice_message_and_a_file() -> None:
    found = received("voice")
    assert found.files[0].voice and found.text == "" and found.files[0].ref == "at_0_A-3"
    assert not received("voice", isAudioMessage=False).files[0].voice


def test_who_leaves_is_asked_for() -> None:
    assert read(raw_of("left")) == wire.GroupChanged(GROUP, "A-4")


def test_a_reply_and_a_forward() -> None:
    assert received("private", threadOriginatorGuid="A-9").reply_to == "A-9"
    assert received("private", threadOriginatorGuid="../x").reply_to == ""
    assert received("private", isForward=True).forwarded


@pytest.mark.parametrize(
    "changes",
    [{"guid": None}, {"guid": "../x"}, {"guid": 7}, {"text": 5}, {"chats": "x"}, {"chats": [{"guid": "x"}]}, {"attachments": {}},
     {"dateCreated": -1}, {"handle": []}, {"attachments": [{"guid": 5}]}],
)  # fmt: skip
def test_a_field_of_another_kind_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read(raw_of("private", **changes))


_KEYS = st.sampled_from(
    ["type", "data", "guid", "text", "handle", "address", "chats", "attachments", "dateEdited", "dateRetracted", "isFromMe",
     "attributedBody", "runs", "attributes", "__kIMMentionConfirmedMention", "participants", "detected_imessage", "error", "message"]
)  # fmt: skip
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["new-message", GUID, GROUP])
)
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5), max_leaves=30
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_is_a_webhook_or_malformed(raw: bytes) -> None:
    with suppress(Malformed):
        read(raw)
    assert len(wire.parse_error(raw)) <= 160


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(_KEYS, _JSON, max_size=6), st.sampled_from(["new-message", "updated-message", "participant-left"])
)
def test_any_message_is_read_or_malformed(changes: dict[str, Any], type: str) -> None:
    given = json.loads(raw_of("private", **changes)) | {"type": type}
    with suppress(Malformed):
        read(json.dumps(given).encode())
    for parse in (wire.parse_list, wire.parse_members, wire.parse_own, wire.parse_sent):
        with suppress(Malformed):
            parse(changes)


def test_answers_of_the_server() -> None:
    assert wire.parse_own({"data": {"detected_imessage": "Agent@icloud.example", "detected_icloud": None}}) == OWN
    assert wire.parse_members({"data": {"participants": [{"address": "+331234"}, {"address": "?"}]}}) == {"+331234"}
    assert wire.parse_sent({"data": {"guid": "A-1"}}) == "A-1"
    assert wire.parse_error(b'{"error": {"message": "No such chat"}}') == "No such chat"
    assert wire.parse_error(b'{"message": "Unauthorized"}') == "Unauthorized"
    assert wire.parse_list(None) == [] and wire.parse_own(None) == frozenset()


def test_paths_are_escaped() -> None:
    assert wire.path_of("chat", "iMessage;-;+33/../x", "typing") == "/api/v1/chat/iMessage%3B-%3B%2B33%2F..%2Fx/typing"


def test_tapbacks_are_the_nearest() -> None:
    assert wire.tapback_of("👍", {}, "m") == "like" and wire.tapback_of("", {"m": "love"}, "m") == "-love"
    assert wire.tapback_of("", {}, "m") == "-like"
    with pytest.raises(Malformed):
        wire.tapback_of("🦀", {}, "m")


def test_the_same_key_is_queued_under_the_same_name() -> None:
    assert wire.temp_guid("k") == wire.temp_guid("k") != wire.temp_guid("l")
