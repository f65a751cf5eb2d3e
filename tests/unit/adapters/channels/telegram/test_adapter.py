"""The bot against the local Bot API: cursors, chats that move, conflicts, the webhook's proof; and a foreign client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carapax.core.terms.channel import Attached, Button, Heard, HookRequest, OutFile, Outgoing, Place, Received
from carapax.core.terms.error import Malformed, Refused, StoreUnavailable, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.conformance.channel.rig import Says
from tests.conformance.channel.rigs.telegram import GROUP, TelegramRig
from tests.fakes.platforms.serving import Fault, until

ROOT = Path(__file__).parents[5]
PEERS = ROOT / ".venv-peers/bin/python"
CLIENT = ROOT / "tests/fakes/platforms/telegram_client.py"
DAY_MS = 24 * 3_600_000
ALICE = Place("telegram", "1001")


@asynccontextmanager
async def played(*, hook: bool = False) -> AsyncIterator[tuple[TelegramRig, Channel]]:
    rig = TelegramRig(hook=hook)
    await rig.start()
    channel = rig.open()
    try:
        yield rig, channel
    finally:
        await channel.close()
        await rig.stop()


@asynccontextmanager
async def polling(
    channel: Channel, heard: list[Heard], *expected: type[Exception]
) -> AsyncIterator[asyncio.Task[None]]:
    async def hear(what: Heard) -> None:
        heard.append(what)

    task = asyncio.create_task(channel.run(hear, lambda line: None))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, *expected):
            await task


def run(what: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await what

    asyncio.run(bounded())


def out(text: str, place: Place = ALICE, **more: Any) -> Outgoing:
    return Outgoing(place, text, key="k", **more)


def sent(rig: TelegramRig, method: str) -> list[dict[str, Any]]:
    return [given for name, given in rig.platform.requests if name == method]


# polling


def test_a_kept_cursor_is_used_after_a_restart_and_dropped_once_it_is_confirmed() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            heard: list[Heard] = []
            await rig.say(Says("one"))
            async with polling(channel, heard):
                await until(lambda: heard and len(rig.platform.offsets) == 2)
            number = rig.platform.newest["update_id"]
            assert rig.platform.offsets == [None, number + 1]
            again = rig.open()
            async with polling(again, heard):
                await until(lambda: len(rig.platform.offsets) == 3)
            assert rig.platform.offsets[2] == number + 1 and len(heard) == 1
            await again.close()

    run(main())


def test_a_cursor_of_yesterday_is_not_used() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            heard: list[Heard] = []
            await rig.say(Says("one"))
            async with polling(channel, heard):
                await until(lambda: heard and len(rig.platform.offsets) == 2)
            assert rig.traits.gaps
            rig._clock.advance(DAY_MS + 1)
            # After a quiet week Telegram counts anew from anywhere, also from below.
            rig.platform._update = 5
            await rig.say(Says("two"))
            again = rig.open()
            async with polling(again, heard):
                await until(lambda: len(heard) == 2)
            await again.close()

    run(main())


def test_a_confirmed_cursor_is_sent_once_so_that_a_count_that_begins_anew_is_heard() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            heard: list[Heard] = []
            rig.platform.poll_s = 0.05
            await rig.say(Says("one"))
            async with polling(channel, heard):
                await until(lambda: len(rig.platform.offsets) >= 4)
                rig.platform._update = 5
                await rig.say(Says("two"))
                await until(lambda: len(heard) == 2)
            assert rig.platform.offsets[:4] == [None, 1_002, None, None]

    run(main())


def test_a_cursor_that_is_none_is_no_cursor() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            for kept in (b"", b"x y", b"12", b"-5 7", b"\xff\xfe 1"):
                rig._notes.kept["offset"] = kept
                assert await channel._cursor() is None  # type: ignore[attr-defined]

    run(main())


def test_what_the_store_refused_is_not_behind_the_cursor() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            taken: list[Heard] = []

            async def hear(what: Heard) -> None:
                if len(taken) == 1:
                    raise StoreUnavailable("full")
                taken.append(what)

            await rig.say(Says("one"))
            await rig.say(Says("two"))
            with pytest.raises(StoreUnavailable):
                await channel.run(hear, lambda line: None)
            assert "offset" not in rig._notes.kept
            heard: list[Heard] = []
            again = rig.open()
            async with polling(again, heard):
                await until(lambda: len(heard) == 2)
            assert heard[0].event == taken[0].event
            await again.close()

    run(main())


def test_another_program_that_polls_is_explained() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            other = rig.open()
            async with polling(channel, [], ChannelFailed) as first:
                await until(lambda: rig.platform.polls)
                async with polling(other, []):
                    await until(first.done)
            error = first.exception()
            assert isinstance(error, ChannelFailed) and "Another program" in error.what
            await other.close()

    run(main())


def test_a_webhook_from_before_does_not_stop_the_polls() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            heard: list[Heard] = []
            await rig.say(Says("hello"))
            rig.platform.webhook = {"url": "https://old.example/"}
            async with polling(channel, heard):
                await until(lambda: heard)
            assert not rig.platform.webhook

    run(main())


@pytest.mark.parametrize("token", ["424242:another", "nonsense"])
def test_a_token_that_telegram_does_not_know_ends_the_run(token: str) -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            rig.platform.token = token
            with pytest.raises(CredentialRefused):
                await channel.run(None, lambda line: None)  # type: ignore[arg-type]

    run(main())


def test_the_token_is_in_no_note_and_no_error() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            token = rig._vault.values["channel/telegram/token"]
            heard: list[Heard] = []
            await rig.say(Says("one"))
            async with polling(channel, heard):
                await until(lambda: heard)
            rig.platform.faults = [Fault(400)]
            with pytest.raises(SendRefused) as refused:
                await channel.send(out("x"))
            assert token not in f"{refused.value.what} {channel!r} {channel.__dict__} {rig._notes.kept}"
            rig._vault.values.clear()
            with pytest.raises(Refused):
                await channel.send(out("x"))

    run(main())


def test_a_press_is_confirmed_to_telegram_after_it_was_taken() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            message = await channel.send(out("Allow?", buttons=(Button("Yes", "y"),)))
            await rig.say(Says(presses="y", edits=message.message))
            heard: list[Heard] = []
            async with polling(channel, heard):
                await until(lambda: rig.platform.answered)
            assert isinstance(heard[0], Received) and heard[0].pressed == "y"

    run(main())


# chats


def test_a_group_that_became_a_supergroup_keeps_its_id_here() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            platform = rig.platform
            platform.group["id"], new = -4321, -1009999
            old = {"id": -4321, "type": "group", "title": "The lab"}
            await platform.happen(message=platform.message("alice", old, migrate_to_chat_id=new))
            platform.moved = {-4321: new}
            await platform.happen(message=platform.message("bob", {"id": new, "type": "supergroup"}, text="after"))
            heard: list[Heard] = []
            async with polling(channel, heard):
                await until(lambda: heard)
            assert heard[0].place.chat == "-4321"
            again = rig.open()  # the move is kept
            await again.send(out("answer", heard[0].place))
            assert [given["chat_id"] for given in sent(rig, "sendMessage")] == [new]
            await again.close()

    run(main())


def test_a_send_to_a_group_that_moved_goes_where_it_is() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            rig.platform.moved = {GROUP: -1007777}
            await channel.send(out("there", Place("telegram", str(GROUP), private=False)))
            assert [given["chat_id"] for given in sent(rig, "sendMessage")] == [GROUP, -1007777]

    run(main())


@pytest.mark.parametrize("chat, words", [("1002", "blocked"), ("999", "chat not found")])
def test_a_place_that_takes_nothing_is_refused(chat: str, words: str) -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            rig.platform.blocked = {1002}
            with pytest.raises(SendRefused, match=words):
                await channel.send(out("x", Place("telegram", chat)))

    run(main())


# what goes out


def test_previews_are_off_so_that_no_address_is_fetched() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            await channel.send(out("see https://evil.example/?d=secret"))
            assert sent(rig, "sendMessage")[0]["link_preview_options"] == {"is_disabled": True}

    run(main())


def test_a_text_that_the_parser_refuses_goes_out_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            monkeypatch.setattr("carapax.adapters.channels.telegram.markup.render_html", lambda text: f"<b>{text}")
            await channel.send(out("**x** @bob"))
            (seen,) = await rig.seen()
            assert seen.text == "**x** @\u2060bob" and not seen.pings

    run(main())


def test_a_file_with_a_long_text_is_two_messages_and_a_failure_between_is_unknown() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            file = OutFile("a.bin", "application/octet-stream", b"\x00\xff" * 100)
            await channel.send(out("x" * 2_000, files=(file,)))
            first, second = await rig.seen()
            assert first.text == "x" * 2_000 and second.files == (("a.bin", file.content),)

            rig.platform.faults = []
            original = rig.platform._sendDocument

            async def failing(given: dict[str, Any], request: Any) -> Any:
                rig.platform._sendDocument = original  # type: ignore[method-assign]
                raise_429 = __import__("tests.fakes.platforms.telegram", fromlist=["Refusal"]).Refusal
                raise raise_429(429, "Too Many Requests: retry after 3", {"retry_after": 3})

            rig.platform._sendDocument = failing  # type: ignore[method-assign]
            with pytest.raises(ChannelFailed) as failed:
                await channel.send(out("y" * 2_000, files=(file,)))
            assert failed.value.unknown and failed.value.retry_after_ms == 3_000

    run(main())


def test_a_file_that_is_too_large_is_refused_before_it_is_sent() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            file = OutFile("a.bin", "application/octet-stream", bytes((20 << 20) + 1))
            with pytest.raises(SendRefused):
                await channel.send(out("", files=(file,)))
            assert not sent(rig, "sendDocument")

    run(main())


def test_an_edit_and_a_reaction_that_cannot_be_are_refused() -> None:
    async def main() -> None:
        async with played() as (_rig, channel):
            with pytest.raises(SendRefused):
                await channel.edit(ALICE, "99999", "x")
            with pytest.raises(SendRefused):
                await channel.react(ALICE, "101", "🦀")
            with pytest.raises(Malformed):
                await channel.edit(ALICE, "not a number", "x")

    run(main())


def test_a_file_is_refused_by_its_size_or_when_it_is_gone() -> None:
    async def main() -> None:
        async with played() as (rig, channel):
            with pytest.raises(TooLarge):
                await channel.fetch(Attached("x", size_bytes=11), 10)
            with pytest.raises(SendRefused):
                await channel.fetch(Attached("nothing"), 10)
            large = rig.platform.keep_file("a", bytes((20 << 20) + 1))
            with pytest.raises(TooLarge):
                await channel.fetch(Attached(large), 30 << 20)
            for path in ("../bot/getMe", "/etc/passwd", "a?b"):
                rig.platform.files["bad"] = (path, b"x")
                with pytest.raises(ChannelFailed):
                    await channel.fetch(Attached("bad"), 10)
            rig.platform.files["moved"] = ("documents/x", b"x" * 11)
            with pytest.raises(TooLarge):
                await channel.fetch(Attached("moved"), 10)

    run(main())


def test_a_send_whose_connection_breaks_may_have_arrived() -> None:
    async def main() -> None:
        async with played() as (rig, channel):

            async def breaking(given: dict[str, Any], request: Any) -> Any:
                request.transport.abort()
                await asyncio.sleep(0)
                raise ConnectionResetError

            rig.platform._sendMessage = breaking  # type: ignore[method-assign]
            with pytest.raises(ChannelFailed) as failed:
                await channel.send(out("x"))
            assert failed.value.unknown
            await rig.platform.server.stop()
            again = rig.open()
            with pytest.raises(ChannelFailed) as failed:
                await again.send(out("x"))
            assert not failed.value.unknown
            await again.close()
            await rig.platform.server.start()

    run(main())


# Telegram calls


def request(update: dict[str, Any], proof: str, **more: Any) -> HookRequest:
    headers = (("x-telegram-bot-api-secret-token", proof),)
    return replace(HookRequest("POST", "", "", headers, json.dumps(update).encode()), **more)


def test_the_webhook_is_set_with_a_proof_that_is_not_the_token() -> None:
    async def main() -> None:
        async with played(hook=True) as (rig, channel):
            lines: list[str] = []
            await channel.run(None, lines.append)  # type: ignore[arg-type]
            webhook = rig.platform.webhook
            assert webhook["url"] == "https://home.example/hooks/telegram" and webhook["max_connections"] == 1
            assert len(webhook["secret_token"]) == 64 and lines
            assert rig.platform.token not in json.dumps(webhook)
            # Another channel of the same bot has another proof.
            again = rig.open()
            again._opening = replace(again._opening, name="telegram-2")  # type: ignore[attr-defined]
            await again.run(None, lines.append)  # type: ignore[arg-type]
            assert rig.platform.webhook["secret_token"] != webhook["secret_token"]
            await again.close()

    run(main())


def test_only_the_exact_proof_is_believed() -> None:
    async def main() -> None:
        async with played(hook=True) as (rig, channel):
            await channel.run(None, lambda line: None)  # type: ignore[arg-type]
            good = rig.platform.webhook["secret_token"]
            heard: list[Heard] = []

            async def hear(what: Heard) -> None:
                heard.append(what)

            update = {"update_id": 1, "message": rig.platform.message("alice", None, text="x")}
            for proof in ("", good[:-1], good + "00", good[:-2] + "zz", "0" * 64, rig.platform.token, good[::-1]):
                assert (await channel.hook(request(update, proof), hear)).status == 401
            twice = (("x-telegram-bot-api-secret-token", good),) * 2
            assert (await channel.hook(request(update, good, headers=twice), hear)).status == 401
            assert not heard
            assert (await channel.hook(request(update, good, path="/x"), hear)).status == 404
            assert (await channel.hook(request(update, good, method="GET"), hear)).status == 404
            assert (await channel.hook(request(update, good, body=b"{"), hear)).status == 200
            assert not heard
            assert (await channel.hook(request(update, good), hear)).status == 200 and len(heard) == 1

    run(main())


# the stand-in itself


def test_a_foreign_client_finds_the_local_bot_api_as_it_expects() -> None:
    async def main() -> None:
        rig = TelegramRig(hook=False)
        await rig.start()
        try:
            platform = rig.platform
            platform.blocked = {1002}
            await rig.say(Says("hello"))
            file = platform.keep_file("a.bin", b"\x00\x01\xfe")
            send = platform._sendMessage

            async def slow(given: dict[str, Any], request: Any) -> Any:
                if given["text"] == "slow":
                    return await send({**given, "chat_id": 1001, "text": ""}, request)
                return await send(given, request)

            platform._sendMessage = slow  # type: ignore[method-assign]
            process = await asyncio.create_subprocess_exec(
                str(PEERS), "-P", str(CLIENT), platform.url, platform.token, "1001", file,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                said, failed = await asyncio.wait_for(process.communicate(), 60)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            assert process.returncode == 0, failed.decode()[-2_000:]
            found = json.loads(said)
            assert found["me"] == "carapax_test_bot" and found["token"] == "InvalidToken"
            assert found["updates"] == [[platform.newest["update_id"], 1001, "hello"]]
            assert found["sent"][1] == "bold & plain" and found["edited"] == "other"
            assert found["reacted"] and found["typing"] and found["document"] == "a.txt" and found["file"] == "0001fe"
            kinds = [refusal.split(":")[0] for refusal in found["refusals"]]
            assert kinds == ["BadRequest", "BadRequest", "BadRequest", "Forbidden", "BadRequest"]
        finally:
            await rig.stop()

    asyncio.run(main())
