"""Teams' adapter beyond the suite: who is believed, where it is answered, and whose files are fetched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from carapax.adapters.channels.teams.adapter import KEYS_AGAIN_MS, KEYS_MS
from carapax.adapters.channels.teams.places import MOST, NOTE, Places
from carapax.core.terms.channel import Attached, Heard, HookRequest, OutFile, Outgoing, Place, Received, Removed
from carapax.core.terms.error import StoreUnavailable, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.conformance.channel.rigs.teams import TeamsRig
from tests.fakes.platforms import teams as fake
from tests.fakes.platforms.serving import Notes

ALICE = Place("teams", fake.DMS["alice"])


class Door:
    """Posts activities to a channel, and keeps what it hears."""

    def __init__(self, rig: TeamsRig, channel: Channel) -> None:
        self.rig, self.channel = rig, channel
        self.heard: list[Heard] = []
        self.full = False

    async def hear(self, heard: Heard) -> None:
        if self.full:
            raise StoreUnavailable("full")
        self.heard.append(heard)

    async def post(self, activity: dict[str, Any] | bytes, bearer: str | None = None) -> int:
        given = bearer if bearer is not None else self.rig.teams.bearer(self.rig.clock.now_ms())
        body = activity if isinstance(activity, bytes) else json.dumps(activity).encode()
        request = HookRequest("POST", "", "", (("authorization", f"Bearer {given}"),), body)
        return (await self.channel.hook(request, self.hear)).status

    def said(self, text: str = "hi", chat: str = ALICE.chat, **more: Any) -> dict[str, Any]:
        return self.rig.teams.activity("message", "alice", chat, text=text, **more)


def play(test: Callable[[TeamsRig, Door], Coroutine[Any, Any, None]]) -> None:
    async def inside() -> None:
        rig = TeamsRig()
        await rig.start()
        door = Door(rig, rig.open())
        try:
            async with asyncio.timeout(30):
                await test(rig, door)
        finally:
            for opened in rig.opened:
                await opened.close()
            await rig.stop()

    asyncio.run(inside())


def test_a_genuine_activity_is_heard() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        assert await door.post(door.said()) == 200
        assert isinstance(door.heard[0], Received) and door.heard[0].text == "hi"

    play(test)


@pytest.mark.parametrize(
    "changes",
    [
        {"serviceUrl": "https://smba.trafficmanager.net/amer/"},
        {"serviceUrl": ""},
        {"channelId": "skype"},
        {"channelId": "webchat"},
        {"channelId": ""},
        {"conversation": {"id": "a:1", "conversationType": "personal", "tenantId": "another"}},
        {"conversation": {"id": "a:1", "conversationType": "personal"}, "channelData": {}},
    ],
)
def test_an_activity_that_the_token_does_not_speak_for_is_refused(changes: dict[str, Any]) -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        assert await door.post({**door.said(), **changes}) == 401 and not door.heard

    play(test)


def test_a_genuine_token_for_a_service_elsewhere_is_refused() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        for url in ("https://evil.example/", "http://smba.trafficmanager.net/emea/"):
            bearer = rig.teams.bearer(rig.clock.now_ms(), serviceurl=url)
            assert await door.post({**door.said(), "serviceUrl": url}, bearer) == 401
        assert not door.heard and "evil" not in rig.notes.kept[NOTE].decode()

    play(test)


def test_a_key_that_does_not_speak_for_teams_is_refused() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        rig.teams.endorsements = ["skype"]
        assert await door.post(door.said()) == 401 and not door.heard

    play(test)


def test_a_forged_or_stale_token_is_refused() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        now_ms = rig.clock.now_ms()
        forged = rig.teams.bearer(now_ms, key=fake.signing_key("forger"), header={"alg": "RS256", "kid": "key-real"})
        unknown = rig.teams.bearer(now_ms, key=fake.signing_key("forger"))
        for bearer in (
            forged,
            unknown,
            "",
            "x",
            rig.teams.bearer(now_ms - 3_600_000),
            rig.teams.bearer(now_ms, aud="other"),
        ):
            assert await door.post(door.said(), bearer) == 401
        assert not door.heard and rig.teams.keys_fetched == 1
        for method, path, status in (("GET", "", 404), ("POST", "/x", 404), ("POST", "", 401)):
            assert (await door.channel.hook(HookRequest(method, path, "", (), b"{}"), door.hear)).status == status

    play(test)


def test_keys_are_fetched_again_after_a_day_and_for_an_unknown_one_once_a_minute() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        unknown = rig.teams.bearer(rig.clock.now_ms(), key=fake.signing_key("forger"))
        await door.post(door.said())
        for _ in range(5):
            await door.post(door.said(), unknown)
        assert rig.teams.keys_fetched == 1
        rig.clock.advance(KEYS_AGAIN_MS + 1)
        for _ in range(5):
            await door.post(door.said(), unknown)
        assert rig.teams.keys_fetched == 2
        rig.clock.advance(KEYS_MS + 1)
        assert await door.post(door.said()) == 200 and rig.teams.keys_fetched == 3

    play(test)


def test_without_keys_nothing_is_believed_and_teams_asks_again() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        rig.teams.keys_status = 500
        assert await door.post(door.said()) == 503 and not door.heard
        rig.teams.keys_status = 200
        assert await door.post(door.said()) == 200
        rig.teams.keys_status = 500
        rig.clock.advance(KEYS_MS + 1)
        assert await door.post(door.said()) == 503

    play(test)


def test_what_does_not_read_is_refused_only_with_a_genuine_token() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        for body in (b"", b"[]", b'{"conversation": 7}'):
            assert await door.post(body) == 400 and await door.post(body, "x") == 401
        assert await door.post({**door.said(), "from": 7}) == 400 and not door.heard

    play(test)


def test_a_full_store_is_not_answered_well() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        door.full = True
        said = door.said()
        assert await door.post(said) == 503
        door.full = False
        assert await door.post(said) == 200 and len(door.heard) == 1

    play(test)


def test_an_invoke_that_is_not_ours_is_not_implemented() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        assert await door.post(rig.teams.activity("invoke", "alice", ALICE.chat, name="task/fetch", value={})) == 501
        other = {"action": {"type": "Action.Execute", "verb": "other", "data": {"carapax": "yes"}}}
        assert (
            await door.post(rig.teams.activity("invoke", "alice", ALICE.chat, name="adaptiveCard/action", value=other))
            == 501
        )
        assert not door.heard

    play(test)


def test_where_a_chat_is_answered_is_told_and_survives_a_restart() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        rig.notes.kept.clear()
        with pytest.raises(SendRefused, match="after somebody wrote"):
            await door.channel.send(Outgoing(ALICE, "hello?", "k"))
        await door.post(door.said())
        await door.channel.send(Outgoing(ALICE, "hello", "k"))
        await rig.open().send(Outgoing(ALICE, "hello again", "l"))
        await rig.open().send(Outgoing(Place("teams", fake.DMS["bob"]), "to another", "m"))
        assert [seen.text for seen in await rig.seen()] == ["hello", "hello again", "to another"]

    play(test)


def test_a_kept_address_elsewhere_is_not_answered() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        rig.notes.kept[NOTE] = json.dumps({ALICE.chat: {"url": "https://evil.example/", "team": ""}}).encode()
        with pytest.raises(SendRefused, match="Microsoft"):
            await door.channel.send(Outgoing(ALICE, "hello?", "k"))

    play(test)


def test_places_are_bounded_and_written_only_when_they_change() -> None:
    async def inside() -> None:
        notes = Notes()
        places = Places(notes)
        await places.remember("first", "https://a", "team")
        notes.kept.clear()
        await places.remember("first", "https://a", "")
        assert not notes.kept
        for number in range(MOST):
            await places.remember(f"chat {number}", "https://b", "")
        again = Places(notes)
        assert await again.service_of("chat 5") == "https://b" and await again.chats_of("team") == []
        notes.kept[NOTE] = b'{"x": 7}'
        assert await Places(notes).service_of("x") == ""

    asyncio.run(inside())


def test_who_leaves_the_team_leaves_every_known_channel_of_it() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        other = {"team": {"id": fake.TEAM}, "tenant": {"id": fake.TENANT}}
        await door.post(door.said(chat="19:other@thread.tacv2", channelData=other))
        door.heard.clear()
        await door.post(
            rig.teams.activity("conversationUpdate", "alice", fake.GROUP, membersRemoved=[{"id": "29:bob"}])
        )
        gone = [heard for heard in door.heard if isinstance(heard, Removed)]
        assert {heard.place.chat for heard in gone} == {fake.GROUP, "19:other@thread.tacv2"}
        assert len({heard.event for heard in gone}) == 2 and {heard.person for heard in gone} == {"29:bob"}

    play(test)


def test_documents_are_fetched_without_the_token_and_pictures_with_it() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        rig.teams.files["1"] = b"x" * 100
        document = Attached("https://acme.sharepoint.com/personal/files/1?tempauth=once")
        picture = Attached("https://smba.trafficmanager.net/emea/v3/attachments/1/views/original")
        for file in (document, picture):
            assert await door.channel.fetch(file, 100) == b"x" * 100
            with pytest.raises(TooLarge):
                await door.channel.fetch(file, 99)
        assert ("document", True) not in rig.teams.fetched and ("picture", True) in rig.teams.fetched
        with pytest.raises(SendRefused):
            await door.channel.fetch(Attached("https://acme.sharepoint.com/personal/files/1?tempauth=old"), 100)

    play(test)


@pytest.mark.parametrize(
    "ref",
    [
        "https://evil.example/a", "http://smba.trafficmanager.net/a", "https://smba.trafficmanager.net:444/a", "", "https://[",
        "https://smba.trafficmanager.net@evil.example/a", "https://sharepoint.com.evil.example/a", "https://evilsharepoint.com/a",
        "https://x@acme.sharepoint.com/a",
    ],
)  # fmt: skip
def test_a_file_elsewhere_is_refused(ref: str) -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        with pytest.raises(SendRefused):
            await door.channel.fetch(Attached(ref), 100)

    play(test)


def test_what_teams_has_not_is_refused() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        with pytest.raises(SendRefused):
            await door.channel.react(ALICE, "1", "👀")
        with pytest.raises(SendRefused):
            await door.channel.send(Outgoing(ALICE, "x", "k", files=(OutFile("a", "text/plain", b"x"),)))

    play(test)


def test_a_busy_conversation_is_waited_for_and_a_broken_send_is_unknown() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        await rig.answer_next(412)
        with pytest.raises(ChannelFailed) as caught:
            await door.channel.send(Outgoing(ALICE, "x", "k"))
        assert not caught.value.unknown
        rig.teams.breaks = True
        with pytest.raises(ChannelFailed) as caught:
            await door.channel.send(Outgoing(ALICE, "x", "k"))
        assert caught.value.unknown

    play(test)


def test_a_conversation_cannot_lead_to_another_path() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        for id in ("../../x", "a/b", "a?b", "a#b", "%2e%2e"):
            with pytest.raises(SendRefused, match="ConversationNotFound"):
                await door.channel.send(Outgoing(Place("teams", id), "x", "k"))

    play(test)


def test_members_come_in_pages() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        rig.teams.page = 2
        found = await door.channel.members(Place("teams", fake.GROUP, "15", private=False))
        assert found == {fake.PEOPLE["alice"], fake.PEOPLE["bob"]}
        rig.teams.members += [f"29:{number}" for number in range(10_000)]
        rig.teams.page = 500
        assert await door.channel.members(Place("teams", fake.GROUP, private=False)) is None

    play(test)


def test_a_refused_credential_is_noticed_by_the_test_and_the_run() -> None:
    async def test(rig: TeamsRig, door: Door) -> None:
        lines: list[str] = []
        await door.channel.run(door.hear, lines.append)
        assert lines and next(iter(await door.channel.test())).endswith(fake.APP_ID)
        await rig.refuse_credential()
        with pytest.raises(CredentialRefused):
            await door.channel.run(door.hear, lines.append)

    play(test)
