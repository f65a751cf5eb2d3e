"""Slack's adapter beyond the suite: refreshes, unknown outcomes, addresses that are not Slack's, and the official SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.slack.adapter import SlackChannel, open_channel
from carapax.adapters.channels.slack.latest import MOST, Latest
from carapax.core.terms.channel import (
    Attached,
    Button,
    Evidence,
    Heard,
    HookRequest,
    OutFile,
    Outgoing,
    Place,
    Received,
)
from carapax.core.terms.error import Malformed, StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.conformance.channel.rig import Says
from tests.conformance.channel.rigs.slack import SlackRig
from tests.fakes.platforms import slack as fake
from tests.fakes.platforms.serving import LOOPBACK_ONLY, Notes, until

PYTHON = Path(__file__).parents[5] / ".venv-peers/bin/python"
ALICE = Place("slack", "D0ALICE")


def play(test: Callable[[SlackRig, Channel], Coroutine[Any, Any, None]], **secrets: str) -> None:
    """Run a test with a started rig and an opened channel."""

    async def inside() -> None:
        rig = SlackRig(**secrets)
        await rig.start()
        channel = rig.open()
        try:
            async with asyncio.timeout(30):
                await test(rig, channel)
        finally:
            await channel.close()
            await rig.stop()

    asyncio.run(inside())


async def posted(
    rig: SlackRig, channel: Channel, heard: list[Heard], *, at_s: int | None = None, secret: str = fake.SIGNING
) -> int:
    """Post the newest payload, signed; the status."""
    headers, body = rig.slack.signed(rig.clock.now_ms() // 1000 if at_s is None else at_s, secret=secret)

    async def hear(what: Heard) -> None:
        heard.append(what)

    return (await channel.hook(HookRequest("POST", "", "", headers, body), hear)).status


def told(rig: SlackRig, text: str = "hi", channel: str = "D0ALICE") -> None:
    inner = {"type": "message", "channel": channel, "user": "U0ALICE", "text": text, "ts": rig.slack.stamp()}
    rig.slack.last = {"payload": fake.event(inner), "type": "events_api"}


def test_a_refresh_loses_nothing() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        heard: list[Heard] = []
        lines: list[str] = []

        async def hear(what: Heard) -> None:
            heard.append(what)

        run = asyncio.create_task(channel.run(hear, lines.append))
        await until(lambda: len(lines) == 1)
        await rig.slack.refresh()
        await rig.say(Says("meanwhile"))
        await until(lambda: len(lines) == 2 and heard and not rig.slack.unacknowledged)
        assert {what.text for what in heard if isinstance(what, Received)} == {"meanwhile"}
        assert lines == ["@carapax in Acme"] * 2
        run.cancel()
        await asyncio.wait([run])

    play(test, app_token="slack-app")


@pytest.mark.parametrize(("reason", "error"), [("link_disabled", CredentialRefused), ("warning", ChannelFailed)])
def test_a_socket_that_is_ended_again_and_again_fails(reason: str, error: type[Exception]) -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        ends: list[asyncio.Task[None]] = []

        def up(line: str) -> None:
            ends.append(asyncio.create_task(rig.slack.refresh(reason)))

        with pytest.raises(error):
            await channel.run(_never, up)
        assert len(ends) <= 4
        await asyncio.wait(ends)

    play(test, app_token="slack-app")


@pytest.mark.parametrize("secrets", [{"app_token": "slack-app"}, {"signing_secret": "slack-sign"}])
def test_what_slack_gave_up_is_asked_for_at_the_next_start(secrets: dict[str, str]) -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        heard: list[Heard] = []
        lines: list[str] = []

        async def hear(what: Heard) -> None:
            heard.append(what)

        stamp = rig.slack.stamp()
        known = {fake.GROUP: stamp, "D0ALICE": stamp, "C0GONE": stamp}
        rig.notes.kept["latest"] = json.dumps(known).encode()
        await channel.send(Outgoing(ALICE, "mine", "k"))
        missed = [f"missed {number}" for number in range(5)]
        for text in missed:
            await rig.say(Says(text))
        await rig.say(Says("for you", "bob", chat=fake.GROUP, mention=True))
        rig.slack.unacknowledged.clear()
        rig.slack.history_page = 2
        run = asyncio.create_task(channel.run(hear, lines.append))
        await until(lambda: lines)
        found = [what for what in heard if isinstance(what, Received)]
        assert [what.text for what in found if what.place == ALICE] == missed
        assert [(what.text, what.addressed) for what in found if what.place.chat == fake.GROUP] == [("for you", True)]
        assert set(json.loads(rig.notes.kept["latest"])) == {fake.GROUP, "D0ALICE"} and len(rig.log) == 1
        run.cancel()
        await asyncio.wait([run])
        again = rig.open()
        run = asyncio.create_task(again.run(hear, lines.append))
        await until(lambda: len(lines) == 2)
        assert len(heard) == 6
        run.cancel()
        await asyncio.wait([run])
        await again.close()

    play(test, **secrets)


def test_what_the_store_refused_while_catching_up_is_asked_for_again() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        heard: list[Heard] = []

        async def hear(what: Heard) -> None:
            heard.append(what)

        rig.notes.kept["latest"] = json.dumps({"D0ALICE": rig.slack.stamp()}).encode()
        await rig.say(Says("first"))
        await rig.say(Says("second"))
        rig.slack.unacknowledged.clear()
        with pytest.raises(ChannelFailed):
            await channel.run(_never, print)
        again = rig.open()
        await again.run(hear, lambda line: None)
        assert [what.text for what in heard if isinstance(what, Received)] == ["first", "second"]
        await again.close()

    play(test, signing_secret="slack-sign")


def test_an_envelope_is_acknowledged_only_after_it_was_taken() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        offered, free = asyncio.Event(), asyncio.Event()

        async def hear(what: Heard) -> None:
            offered.set()
            await free.wait()

        run = asyncio.create_task(channel.run(hear, lambda line: None))
        await until(lambda: rig.slack.server.sockets)
        await rig.say(Says("held"))
        await offered.wait()
        await channel.test()  # a whole request later nothing was acknowledged
        assert rig.slack.unacknowledged and not rig.slack.acknowledged
        free.set()
        await until(lambda: rig.slack.acknowledged)
        run.cancel()
        await asyncio.wait([run])

    play(test, app_token="slack-app")


def test_the_note_of_the_newest_is_bounded_and_may_be_none() -> None:
    async def inside() -> None:
        notes = Notes()
        latest = Latest(notes)
        for number in range(MOST + 5):
            await latest.took(f"C{number}", "15.000001")
        await latest.took("C9", "14.000001")
        found = await Latest(notes).all()
        assert len(found) == MOST and "C0" not in found and found["C9"] == "15.000001"
        notes.kept["latest"] = b'{"C1": 7}'
        assert await Latest(notes).all() == {}

    asyncio.run(inside())


def test_a_malformed_event_is_acknowledged_and_ignored() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        run = asyncio.create_task(channel.run(_never, lambda line: None))
        await until(lambda: rig.slack.server.sockets)
        await rig.slack.deliver(fake.event({"type": "message", "channel": 7, "user": "U1"}))
        await until(lambda: rig.slack.acknowledged)
        run.cancel()
        await asyncio.wait([run])

    play(test, app_token="slack-app")


def test_a_send_whose_connection_breaks_is_unknown() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        rig.slack.breaks = True
        with pytest.raises(ChannelFailed) as caught:
            await channel.send(Outgoing(ALICE, "lost?", "k"))
        assert caught.value.unknown
        rig.slack.breaks = False
        await rig.slack.server.stop()
        with pytest.raises(ChannelFailed) as caught:
            await channel.send(Outgoing(ALICE, "not sent", "k"))
        assert not caught.value.unknown
        await rig.slack.server.start()

    play(test, app_token="slack-app")


@pytest.mark.parametrize(
    "base", ["wss://evil.example", "ws://wss-primary.slack.com", "wss://slack.com.evil.example", "wss://evilslack.com"]
)
def test_a_socket_elsewhere_is_refused(base: str) -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        rig.slack.socket_base = base
        with pytest.raises(ChannelFailed, match="not Slack's"):
            await channel.test()

    play(test, app_token="slack-app")


@pytest.mark.parametrize(
    "base",
    ["https://evil.example", "http://files.slack.com", "https://files.slack.com:444", "https://x@files.slack.com"],
)
def test_a_file_elsewhere_is_refused(base: str) -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        rig.slack.files_base = base
        rig.slack.files["F1"] = {"name": "a.txt", "type": "text/plain", "content": b"x"}
        with pytest.raises(ChannelFailed, match="file host"):
            await channel.fetch(Attached("F1"), 100)
        with pytest.raises(ChannelFailed, match="file host"):
            await channel.send(Outgoing(ALICE, "", "k", files=(OutFile("a", "text/plain", b"x"),)))

    play(test, app_token="slack-app")


def test_a_sign_in_page_is_no_file_and_a_lost_file_is_gone() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        rig.slack.files["F1"] = {"name": "a.txt", "type": "text/plain", "content": b"x"}
        assert await channel.fetch(Attached("F1"), 100) == b"x"
        rig.slack.sign_in = True
        with pytest.raises(SendRefused, match="files:read"):
            await channel.fetch(Attached("F1"), 100)
        with pytest.raises(SendRefused):
            await channel.fetch(Attached("F2"), 100)

    play(test, app_token="slack-app")


def test_files_with_buttons_and_in_threads() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        place = Place("slack", fake.GROUP, "15.000001", private=False)
        files = (OutFile("a.txt", "text/plain", b"one"), OutFile("b.txt", "text/plain", b"two"))
        sent = await channel.send(Outgoing(place, "choose", "k", buttons=(Button("A", "a"),), files=files))
        first, second = await rig.seen()
        assert first.files == (("a.txt", b"one"), ("b.txt", b"two")) and first.thread == second.thread == "15.000001"
        assert second.message == sent.message and second.buttons == ("A",)

    play(test, app_token="slack-app")


def test_there_is_no_typing() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        with pytest.raises(SendRefused):
            await channel.typing(ALICE)
        assert (await channel.hook(HookRequest("POST", "", "", (), b""), _never)).status == 404

    play(test, app_token="slack-app")


def test_a_challenge_is_answered_only_when_signed() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        rig.slack.last = {"payload": {"type": "url_verification", "challenge": "3eZbrw1a"}, "type": "events_api"}
        headers, body = rig.slack.signed(rig.clock.now_ms() // 1000)
        answer = await channel.hook(HookRequest("POST", "/", "", headers, body), _never)
        assert (answer.status, answer.body) == (200, b"3eZbrw1a")
        headers, body = rig.slack.signed(rig.clock.now_ms() // 1000, secret="another")
        answer = await channel.hook(HookRequest("POST", "/", "", headers, body), _never)
        assert (answer.status, answer.body) == (401, b"")

    play(test, signing_secret="slack-sign")


def test_a_signed_message_says_so_and_is_taken_once() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        heard: list[Heard] = []
        told(rig)
        now_s = rig.clock.now_ms() // 1000
        assert await posted(rig, channel, heard, at_s=now_s) == 200
        assert await posted(rig, channel, heard, at_s=now_s) == 401
        restarted = rig.open()
        assert await posted(rig, restarted, heard, at_s=now_s) == 401
        await restarted.close()
        assert len(heard) == 1 and isinstance(heard[0], Received) and heard[0].evidence is Evidence.SIGNED
        assert await posted(rig, channel, heard, at_s=now_s + 1) == 200  # Slack's own retry has another signature
        assert heard[0] == heard[1]

    play(test, signing_secret="slack-sign")


@pytest.mark.parametrize(("ahead_s", "status"), [(-301, 401), (-297, 200), (299, 200), (302, 401)])
def test_a_request_has_five_minutes(ahead_s: int, status: int) -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        heard: list[Heard] = []
        told(rig)
        assert await posted(rig, channel, heard, at_s=rig.clock.now_ms() // 1000 + ahead_s) == status
        assert len(heard) == (status == 200)

    play(test, signing_secret="slack-sign")


def test_a_signed_request_that_is_no_payload_is_refused() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        rig.slack.last = {"payload": ["no", "object"], "type": "events_api"}
        assert await posted(rig, channel, []) == 400
        assert (await channel.hook(HookRequest("GET", "", "", (), b""), _never)).status == 404

    play(test, signing_secret="slack-sign")


def test_one_way_in_is_needed() -> None:
    with pytest.raises(Malformed, match="signing secret"):
        open_channel(Opening("slack", {}, {"bot_token": "b"}, None, None, None))  # type: ignore[arg-type]


def test_nothing_heavy_is_held() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        assert isinstance(channel, SlackChannel) and not channel._clients
        await channel.test()
        assert len(channel._clients) == 2

    play(test, app_token="slack-app")


SDK = """
import sys, json
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from threading import Event
base, bot, app, signing = sys.argv[1:5]
web = WebClient(token=bot, base_url=base + "/api/")
assert web.auth_test()["user_id"] == "U0CARAPAX"
sent = web.chat_postMessage(channel="D0ALICE", text="from the sdk")
web.chat_update(channel="D0ALICE", ts=sent["ts"], text="changed by the sdk")
web.reactions_add(channel="D0ALICE", timestamp=sent["ts"], name="eyes")
assert web.reactions_get(channel="D0ALICE", timestamp=sent["ts"])["message"]["reactions"][0]["name"] == "eyes"
members = [m for page in web.conversations_members(channel="C0GROUP") for m in page["members"]]
assert sorted(members) == ["U0ALICE", "U0BOB", "U0CARAPAX"], members
web.files_upload_v2(channel="D0ALICE", filename="a.txt", content="bytes", initial_comment="a file")
try:
    WebClient(token="xoxb-other", base_url=base + "/api/").auth_test()
    raise SystemExit("another token was taken")
except SlackApiError as error:
    assert error.response["error"] == "invalid_auth"
got = Event()
client = SocketModeClient(app_token=app, web_client=WebClient(base_url=base + "/api/"))
def take(client, request):
    assert request.payload["event"]["text"] == "to the sdk", request.payload
    client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
    got.set()
client.socket_mode_request_listeners.append(take)
client.connect()
assert got.wait(10)
client.close()
verifier = SignatureVerifier(signing)
asked = json.loads(sys.argv[5])
assert verifier.is_valid_request(asked["body"], asked["headers"])
print(verifier.generate_signature(timestamp=asked["headers"]["x-slack-request-timestamp"], body='{"type":"url_verification","challenge":"c"}'))
"""


def test_the_official_sdk_speaks_with_the_local_slack_and_signs_for_the_hook() -> None:
    async def test(rig: SlackRig, channel: Channel) -> None:
        base = f"http://127.0.0.1:{rig.slack.server.port}"
        rig.slack.socket_base, rig.slack.files_base = base.replace("http", "ws"), base
        await rig.say(Says("to the sdk"))
        headers, body = rig.slack.signed(rig.clock.now_ms() // 1000)
        asked = json.dumps({"headers": dict(headers), "body": body.decode()})
        child = await asyncio.create_subprocess_exec(
            PYTHON, "-c", LOOPBACK_ONLY + SDK, base, fake.BOT_TOKEN, fake.APP_TOKEN, fake.SIGNING, asked,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await child.communicate()
        assert child.returncode == 0, err.decode()
        assert len(rig.slack.acknowledged) == 1
        assert [seen.text for seen in await rig.seen()] == ["changed by the sdk", "a file"]
        signed = (
            ("content-type", "application/json"), ("x-slack-signature", out.decode().strip()),
            ("x-slack-request-timestamp", dict(headers)["x-slack-request-timestamp"]),
        )  # fmt: skip
        request = HookRequest("POST", "", "", signed, b'{"type":"url_verification","challenge":"c"}')
        answer = await channel.hook(request, _never)
        assert (answer.status, answer.body) == (200, b"c")

    play(test, signing_secret="slack-sign")


async def _never(heard: Heard) -> None:
    raise StoreUnavailable("nothing is taken here")
