"""The keys of a device: two devices speak, and a server or a member that cheats gets nowhere."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.matrix import notes as notes_module
from carapax.adapters.channels.matrix.crypt import ROTATE_COUNT, ROTATE_MS, Crypt, Sealed, canonical
from carapax.adapters.channels.matrix.notes import GROUPS, Notes
from carapax.core.terms.error import Malformed
from tests.fakes.platforms import serving

ROOM = "!room:example.org"
ANNA, AGENT, EVE = "@anna:example.org", "@agent:example.org", "@eve:example.org"


class Server:
    """What a homeserver knows of keys, without HTTP."""

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}
        self.one_time: dict[tuple[str, str], dict[str, Any]] = {}

    def join(self, user: str, device: str = "DEV") -> Crypt:
        crypt = Crypt(user, device, Notes(user, device, "passphrase"))
        body = crypt.upload(0, False)
        assert body is not None
        self.devices.setdefault(user, {})[device] = body["device_keys"]
        self.one_time[user, device] = body["one_time_keys"]
        crypt.uploaded()
        return crypt

    def query(self, users: list[str]) -> dict[str, Any]:
        return {"device_keys": {user: copy.deepcopy(self.devices.get(user, {})) for user in users}}

    def claim(self, wanted: dict[str, dict[str, str]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for user, devices in wanted.items():
            for device in devices:
                if self.one_time.get((user, device)):
                    found.setdefault(user, {})[device] = dict([self.one_time[user, device].popitem()])
        return {"one_time_keys": found}


def prepare(server: Server, sender: Crypt, users: list[str]) -> list[str]:
    lines = sender.take_devices(users, server.query(users))
    sender.take_claimed(server.claim(sender.unreached(users)))
    return lines


def hand_over(sender: Crypt, users: list[str], receivers: dict[tuple[str, str], Crypt], now_ms: int = 0) -> int:
    count = 0
    for body, reached in sender.share(ROOM, users, now_ms):
        for user, devices in body["messages"].items():
            for device, content in devices.items():
                event = {"type": "m.room.encrypted", "sender": sender.user, "content": content}
                assert receivers[user, device].take_to_device(event) is not None
                count += 1
        sender.shared(ROOM, reached)
    return count


def said(sender: Crypt, ident: str, body: str = "hi") -> dict[str, Any]:
    content = sender.encrypt(ROOM, "m.room.message", {"msgtype": "m.text", "body": body})
    return {"type": "m.room.encrypted", "event_id": ident, "sender": sender.user, "content": content}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def pair(server: Server) -> tuple[Crypt, Crypt]:
    """Anna and the agent, who has Anna's key of the room."""
    anna, agent = server.join(ANNA), server.join(AGENT)
    prepare(server, anna, [AGENT])
    prepare(server, agent, [ANNA])
    hand_over(anna, [AGENT], {(AGENT, "DEV"): agent})
    return anna, agent


def test_a_message_is_opened_and_proved(pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    opened = agent.decrypt(ROOM, said(anna, "$1", "grüße"))
    assert (opened.type, opened.content["body"], opened.proved) == ("m.room.message", "grüße", True)


def test_answers_go_back_over_the_same_session(server: Server, pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    assert hand_over(agent, [ANNA], {(ANNA, "DEV"): anna}) == 1
    assert hand_over(agent, [ANNA], {(ANNA, "DEV"): anna}) == 0  # once is enough
    assert anna.decrypt(ROOM, said(agent, "$1", "yes")).content["body"] == "yes"
    assert agent.decrypt(ROOM, said(agent, "$2", "own")).proved  # for quotes of what it said itself


def test_a_message_under_anothers_name_is_not_proved(server: Server, pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    server.join(EVE)
    prepare(server, agent, [EVE])
    event = said(anna, "$1") | {"sender": EVE}
    assert not agent.decrypt(ROOM, event).proved


def test_a_device_that_nobody_knows_proves_nothing(pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    agent.take_devices([ANNA], {"device_keys": {ANNA: {}}})
    assert agent.decrypt(ROOM, said(anna, "$1")).proved  # it is gone, but it was hers
    agent.notes.keep_devices(ANNA, {})
    assert not agent.decrypt(ROOM, said(anna, "$2")).proved


def test_an_index_opens_one_event(pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    event = said(anna, "$1")
    assert agent.decrypt(ROOM, event).proved and agent.decrypt(ROOM, event).proved  # delivered twice
    with pytest.raises(Sealed, match="repeats"):
        agent.decrypt(ROOM, event | {"event_id": "$2"})


def test_an_old_index_is_refused_after_the_list_was_cut(
    pair: tuple[Crypt, Crypt], monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, agent = pair
    monkeypatch.setattr("carapax.adapters.channels.matrix.crypt.INDEXES", 2)
    events = [said(anna, f"${number}") for number in range(4)]
    for event in events:
        agent.decrypt(ROOM, event)
    with pytest.raises(Sealed, match="repeats"):
        agent.decrypt(ROOM, events[0] | {"event_id": "$again"})


def test_an_event_of_another_room_is_refused(pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    event = said(anna, "$1")
    key = f"{ROOM} {event['content']['session_id']}"
    agent.notes.put(GROUPS, key.replace(ROOM, "!other:x"), agent.notes.get(GROUPS, key))
    with pytest.raises(Sealed, match="another room"):
        agent.decrypt("!other:x", event)


def test_a_key_that_has_not_come_is_missing(server: Server) -> None:
    anna, agent = server.join(ANNA), server.join(AGENT)
    anna.share(ROOM, [], 0)
    with pytest.raises(Sealed) as caught:
        agent.decrypt(ROOM, said(anna, "$1"))
    assert caught.value.missing


def test_nobody_takes_over_a_session_by_sending_it_again(server: Server, pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    event = said(anna, "$1")
    eve = server.join(EVE)
    prepare(server, anna, [EVE])
    prepare(server, eve, [AGENT])
    prepare(server, agent, [EVE])
    key = f"{ROOM} {event['content']['session_id']}"
    before = copy.deepcopy(agent.notes.get(GROUPS, key))
    eve._outbound[ROOM] = copy.copy(anna._outbound[ROOM])
    eve._outbound[ROOM].shared = set()
    hand_over(eve, [AGENT], {(AGENT, "DEV"): agent})
    assert agent.notes.get(GROUPS, key) == before
    assert agent.decrypt(ROOM, event).proved


def test_a_room_key_for_somebody_else_is_refused(server: Server) -> None:
    anna, agent = server.join(ANNA), server.join(AGENT)
    prepare(server, anna, [AGENT])
    ((body, _),) = anna.share(ROOM, [AGENT], 0)
    event = {"type": "m.room.encrypted", "sender": EVE, "content": body["messages"][AGENT]["DEV"]}
    assert agent.take_to_device(event) is None  # the sender inside is Anna
    anna.left(ROOM)
    anna.notes.devices.get(AGENT)["DEV"][1] = "another key"
    ((body, _),) = anna.share(ROOM, [AGENT], 0)
    event = {"type": "m.room.encrypted", "sender": ANNA, "content": body["messages"][AGENT]["DEV"]}
    assert agent.take_to_device(event) is None


def test_keys_that_are_not_signed_by_their_device_are_left_out(server: Server) -> None:
    agent, eve = server.join(AGENT), server.join(EVE)
    server.join(ANNA)
    real = server.devices[ANNA]["DEV"]
    forged = copy.deepcopy(real)
    forged["keys"]["curve25519:DEV"] = eve.identity[0]
    foreign = eve._device_keys()  # whole, but of another person
    foreign["signatures"] = {ANNA: {"ed25519:DEV": eve._account.sign(canonical(foreign))}}
    for wrong in (
        foreign,
        forged,
        real | {"signatures": {}},
        real | {"device_id": "OTHER"},
        real | {"user_id": EVE},
        7,
        {},
    ):
        lines = agent.take_devices([ANNA], {"device_keys": {ANNA: {"DEV": wrong}}})
        assert len(lines) == 1 and agent.notes.devices.get(ANNA) == {}


def test_one_time_keys_that_are_not_signed_open_no_way(server: Server) -> None:
    anna, agent = server.join(ANNA), server.join(AGENT)
    eve = server.join(EVE)
    agent.take_devices([ANNA], server.query([ANNA]))
    wanted = agent.unreached([ANNA])
    stolen = {"one_time_keys": {ANNA: {"DEV": dict([server.one_time[EVE, "DEV"].popitem()])}}}
    agent.take_claimed(stolen)
    assert agent.unreached([ANNA]) == wanted and agent.share(ROOM, [ANNA], 0) == []
    agent.take_claimed(server.claim(wanted))
    assert agent.unreached([ANNA]) == {} and anna.identity != eve.identity


def test_a_signing_key_that_changed_is_left_out_and_told(server: Server) -> None:
    agent = server.join(AGENT)
    server.join(ANNA)
    assert prepare(server, agent, [ANNA]) == []
    first = agent.notes.devices.get(ANNA)
    server.join(ANNA)  # the same device id with other keys
    (line,) = agent.take_devices([ANNA], server.query([ANNA]))
    assert "not the one first seen" in line and agent.notes.devices.get(ANNA) == first


def test_a_device_not_seen_before_is_told_and_written_to(server: Server, pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    phone = server.join(ANNA, "PHONE")
    agent.changed([ANNA, "@unknown:x"])
    assert agent.stale([ANNA, EVE]) == [ANNA, EVE] and "@unknown:x" not in agent.notes.stale
    (line,) = prepare(server, agent, [ANNA])
    assert "PHONE" in line and ANNA in line
    assert hand_over(agent, [ANNA], {(ANNA, "DEV"): anna, (ANNA, "PHONE"): phone}) == 2
    assert phone.decrypt(ROOM, said(agent, "$1")).content["body"] == "hi"


def test_a_room_gets_another_key_when_it_must(server: Server, pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    people = {(ANNA, "DEV"): anna}

    def session(now_ms: int) -> str:
        hand_over(agent, [ANNA], people, now_ms)
        return str(agent.encrypt(ROOM, "m.room.message", {})["session_id"])

    first = session(0)
    assert session(1) == first
    agent.left(ROOM)
    second = session(2)
    assert second != first
    for _ in range(ROTATE_COUNT):
        agent.encrypt(ROOM, "m.room.message", {})
    third = session(3)
    assert third != second
    fourth = session(ROTATE_MS + 4)
    assert fourth != third
    agent.take_devices([ANNA], {"device_keys": {ANNA: {}}})  # her device is gone
    agent.share(ROOM, [ANNA], ROTATE_MS + 5)
    assert agent.encrypt(ROOM, "m.room.message", {})["session_id"] != fourth


def test_the_relation_stays_outside_and_comes_back(pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    relation = {"rel_type": "m.thread", "event_id": "$0"}
    content = anna.encrypt(ROOM, "m.room.message", {"body": "x", "m.relates_to": relation})
    assert content["m.relates_to"] == relation
    event = {"type": "m.room.encrypted", "event_id": "$1", "sender": ANNA, "content": content}
    assert agent.decrypt(ROOM, event).content["m.relates_to"] == relation


def test_the_server_is_told_what_it_lacks(server: Server) -> None:
    crypt = Crypt(ANNA, "DEV", Notes(ANNA, "DEV", "p"))
    assert crypt.fresh
    body = crypt.upload(0, False)
    assert body is not None and len(body["one_time_keys"]) == 50 and len(body["fallback_keys"]) == 1
    again = crypt.upload(0, True)  # it failed: the same keys once more
    assert again is not None and again["one_time_keys"] == body["one_time_keys"]
    crypt.uploaded()
    assert crypt.upload(50, True) is None and crypt.upload(None, True) is None
    more = crypt.upload(20, True)
    assert more is not None and len(more["one_time_keys"]) == 30 and "device_keys" not in more


def test_a_fallback_key_opens_more_than_one_way(server: Server) -> None:
    agent = Crypt(AGENT, "DEV", Notes(AGENT, "DEV", "p"))
    body = agent.upload(0, False)
    assert body is not None
    agent.uploaded()
    server.devices[AGENT] = {"DEV": body["device_keys"]}
    for name in (ANNA, EVE):
        person = server.join(name)
        server.one_time[AGENT, "DEV"] = dict(body["fallback_keys"])
        prepare(server, person, [AGENT])
        prepare(server, agent, [name])
        assert hand_over(person, [AGENT], {(AGENT, "DEV"): agent}) == 1
        assert agent.decrypt(ROOM, said(person, f"$ {name}")).proved


def test_everything_survives_a_restart(server: Server, pair: tuple[Crypt, Crypt]) -> None:
    anna, agent = pair
    kept = serving.Notes()
    event = said(anna, "$1")
    agent.decrypt(ROOM, event)

    async def reload() -> Crypt:
        await agent.notes.save(kept)
        written = dict(kept.kept)
        await agent.notes.save(kept)  # nothing changed: nothing is written
        assert kept.kept == written
        other = await Notes.load(kept, AGENT, "OTHER", "passphrase")
        assert not other.account
        return Crypt(AGENT, "DEV", await Notes.load(kept, AGENT, "DEV", "passphrase"))

    again = asyncio.run(reload())
    assert not again.fresh and again.identity == agent.identity and again.notes.published
    assert again.decrypt(ROOM, said(anna, "$2", "after")).content["body"] == "after"
    with pytest.raises(Sealed, match="repeats"):
        again.decrypt(ROOM, event | {"event_id": "$3"})
    assert hand_over(again, [ANNA], {(ANNA, "DEV"): anna}) == 1


def test_notes_hold_no_key_in_clear_and_are_bounded(pair: tuple[Crypt, Crypt], monkeypatch: pytest.MonkeyPatch) -> None:
    anna, agent = pair
    kept = serving.Notes()
    key = anna._outbound[ROOM].session.session_key
    asyncio.run(agent.notes.save(kept))
    assert all(key[:40].encode() not in value and b"passphrase" not in value for value in kept.kept.values())
    assert "passphrase" not in repr(agent.notes)
    monkeypatch.setattr(notes_module, "NOTE_BYTES", 2_000)
    for number in range(100):
        agent.notes.put(GROUPS, f"{ROOM} {number}", {"p": "x" * 100})
    asyncio.run(agent.notes.save(kept))
    assert all(len(value) <= 2_000 for name, value in kept.kept.items() if name.startswith("groups"))
    assert f"{ROOM} 99" in json.dumps([value.decode() for value in kept.kept.values()])  # the newest stay
    with pytest.raises(Malformed, match="do not open"):
        Crypt(AGENT, "DEV", asyncio.run(Notes.load(kept, AGENT, "DEV", "another passphrase")))
    kept.kept["account"] = b"["
    with pytest.raises(Malformed):
        asyncio.run(Notes.load(kept, AGENT, "DEV", "passphrase"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(st.text(max_size=60), st.sampled_from([0, 1, 2, None]), JSON)
def test_nothing_that_anybody_sends_raises(body: str, kind: int | None, junk: Any) -> None:
    agent = Crypt(AGENT, "DEV", Notes(AGENT, "DEV", "p"))
    curve = agent.identity[0]
    content = {"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": body[:43]}
    for ciphertext in ({curve: {"type": kind, "body": body}}, junk):
        event = {"type": "m.room.encrypted", "sender": ANNA, "content": content | {"ciphertext": ciphertext}}
        assert agent.take_to_device(event) is None
    assert agent.take_to_device({"type": "m.room.encrypted", "content": junk}) is None
    for answer in ({"device_keys": {ANNA: junk}}, {"device_keys": {ANNA: {"DEV": junk}}}):
        agent.take_devices([ANNA], answer)
    with pytest.raises((Sealed, Malformed)):
        agent.decrypt(ROOM, {"sender": ANNA, "event_id": "$1", "content": {"algorithm": body, "ciphertext": junk}})
