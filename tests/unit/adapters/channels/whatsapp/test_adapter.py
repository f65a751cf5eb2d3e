"""The number against the local Graph API: subscription, signatures, windows, files, and what error numbers mean."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from carapax.core.terms.channel import Attached, Button, Heard, HookRequest, OutFile, Outgoing, Received
from carapax.core.terms.error import Malformed, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.conformance.channel.rigs.whatsapp import WhatsAppRig
from tests.fakes.platforms import whatsapp as platform_module
from tests.fakes.platforms.serving import Fault


@asynccontextmanager
async def played() -> AsyncIterator[tuple[WhatsAppRig, Channel, list[Heard]]]:
    rig = WhatsAppRig()
    await rig.start()
    channel = rig.open()
    try:
        yield rig, channel, []
    finally:
        await channel.close()
        await rig.stop()


def run(what: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await what

    asyncio.run(bounded())


def out(rig: WhatsAppRig, text: str, **more: Any) -> Outgoing:
    return Outgoing(rig.place_of("alice"), text, key="k", **more)


def taking(heard: list[Heard]) -> Any:
    async def hear(what: Heard) -> None:
        heard.append(what)

    return hear


def subscription(token: str, **more: Any) -> HookRequest:
    query = f"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}"
    return replace(HookRequest("GET", "", query, (), b""), **more)


def test_the_subscription_is_answered_for_the_right_word_alone() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            word = rig.vault.values["w/verify"].replace(" ", "+")
            answer = await channel.hook(subscription(word), taking(heard))
            assert (answer.status, answer.body, answer.type) == (200, b"1158201444", "text/plain; charset=utf-8")
            for wrong in ("", word[:-1], word + "x", word.upper()):
                answer = await channel.hook(subscription(wrong), taking(heard))
                assert answer.status == 401 and not answer.body
            html = subscription(word, query=f"hub.mode=subscribe&hub.challenge=<b>&hub.verify_token={word}")
            assert (await channel.hook(html, taking(heard))).status == 401

    run(main())


@pytest.mark.parametrize("spoil", [
    lambda s: "", lambda s: s[:-1] + ("0" if s[-1] != "0" else "1"), lambda s: s.removeprefix("sha256="),
    lambda s: s.replace("sha256=", "sha1="), lambda s: "sha256=", lambda s: "sha256=zz", lambda s: s + "00",
])  # fmt: skip
def test_a_webhook_with_another_signature_is_not_heard(spoil: Any) -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            _, body = rig.platform.message("alice", type="text", text={"body": "pay"})
            request = rig.request(body)
            name = "x-hub-signature-256"
            spoiled = replace(request, headers=((name, spoil(request.header(name))),))
            assert (await channel.hook(spoiled, taking(heard))).status == 401
            twice = replace(request, headers=((name, request.header(name)),) * 2)
            assert (await channel.hook(twice, taking(heard))).status == 401
            assert not heard
            assert (await channel.hook(request, taking(heard))).status == 200 and len(heard) == 1

    run(main())


def test_a_signature_of_another_app_is_not_heard() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            _, body = rig.platform.message("alice", type="text", text={"body": "pay"})
            rig.platform.app_secret = rig.platform.token
            assert (await channel.hook(rig.request(body), taking(heard))).status == 401 and not heard

    run(main())


def test_what_is_signed_and_cannot_be_read_is_answered_and_logged() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            for body in (b"{", b"[]", b'{"object":"page"}'):
                assert (await channel.hook(rig.request(body), taking(heard))).status == 200
            assert len(rig.logged) == 3 and not heard
            for changed in (replace(rig.request(b"{}"), method="PUT"), replace(rig.request(b"{}"), path="/x")):
                assert (await channel.hook(changed, taking(heard))).status == 404

    run(main())


def test_a_message_that_failed_later_is_in_the_log() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            errors = [{"code": 131047, "title": "Re-engagement message"}]
            body = rig.platform.notice(statuses=[{"id": "wamid.1", "status": "failed", "errors": errors}])
            assert (await channel.hook(rig.request(body), taking(heard))).status == 200
            assert len(rig.logged) == 1 and "24 hours" in rig.logged[0]

    run(main())


def test_after_24_hours_the_reason_is_said() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            rig.platform.closed.add(rig.sender_id("alice"))
            with pytest.raises(SendRefused, match="24 hours"):
                await channel.send(out(rig, "hello"))

    run(main())


@pytest.mark.parametrize(
    "status, code, expected, retry_ms",
    [
        (400, 131056, ChannelFailed, 6_000),
        (400, 130429, ChannelFailed, 30_000),
        (400, 131000, ChannelFailed, 0),
        (503, 131016, ChannelFailed, 0),
        (400, 190, CredentialRefused, 0),
        (403, 200, CredentialRefused, 0),
        (401, 0, CredentialRefused, 0),
        (400, 131026, SendRefused, 0),
        (400, 131051, SendRefused, 0),
        (404, 100, SendRefused, 0),
    ],
)
def test_an_error_number_means_what_meta_says(status: int, code: int, expected: type[Exception], retry_ms: int) -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            rig.platform._take = lambda given: platform_module._error(status, code, "No")  # type: ignore[method-assign]
            with pytest.raises(expected) as caught:
                await channel.send(out(rig, "x"))
            assert getattr(caught.value, "retry_after_ms", 0) == retry_ms
            assert rig.platform.token not in str(caught.value)

    run(main())


def test_a_file_with_other_bytes_than_named_is_refused() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            id = rig.platform.keep(b"genuine", "text/plain")
            assert await channel.fetch(Attached(id), 7) == b"genuine"
            with pytest.raises(TooLarge):
                await channel.fetch(Attached(id), 6)
            rig.platform.media[id]["told"] = 1
            with pytest.raises(TooLarge):
                await channel.fetch(Attached(id), 6)
            rig.platform.media[id]["content"] = b"changed"
            with pytest.raises(ChannelFailed, match="bytes"):
                await channel.fetch(Attached(id), 7)
            rig.platform.media[id]["host"] = "https://evil.example"
            with pytest.raises(ChannelFailed, match="media host"):
                await channel.fetch(Attached(id), 7)
            with pytest.raises(SendRefused):
                await channel.fetch(Attached("404404"), 7)
            for ref in ("", "../me", "1/../2", "a?b", "²"):
                with pytest.raises(Malformed):
                    await channel.fetch(Attached(ref), 7)

    run(main())


def test_several_files_follow_the_text() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            files = tuple(OutFile(f"{n}.txt", "text/plain", b"x" * n) for n in (1, 2))
            await channel.send(out(rig, "two files", files=files, buttons=(Button("Fine", "ok"),)))
            seen = await rig.seen()
            assert [s.text for s in seen] == ["two files", "", ""] and seen[0].buttons == ("Fine",)
            assert [s.files for s in seen[1:]] == [(("1.txt", b"x"),), (("2.txt", b"xx"),)]
            rig.platform.faults = [Fault(429, 3)]
            with pytest.raises(ChannelFailed) as first:
                await channel.send(out(rig, "none arrives", files=files))
            assert not first.value.unknown and first.value.retry_after_ms == 3_000
            with pytest.raises(SendRefused, match="must be a file"):
                await channel.send(out(rig, "", files=(OutFile("a.exe", "application/x-msdownload", b"MZ"),)))
            with pytest.raises(SendRefused, match="16 MB"):
                await channel.send(out(rig, "", files=(OutFile("a", "text/plain", bytes((16 << 20) + 1)),)))

    run(main())


def test_a_failure_after_the_first_part_is_unknown() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            take = rig.platform._take

            def second_fails(given: dict[str, Any]) -> Any:
                return platform_module._error(400, 130429, "slow") if given["type"] == "document" else take(given)

            rig.platform._take = second_fails  # type: ignore[method-assign]
            file = OutFile("a.txt", "text/plain", b"x")
            with pytest.raises(ChannelFailed) as failed:
                await channel.send(out(rig, "y" * 1_500, files=(file,)))
            assert failed.value.unknown and failed.value.retry_after_ms == 30_000

    run(main())


def test_typing_points_at_the_newest_message_and_marks_it_read() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            await channel.typing(rig.place_of("alice"))
            assert not rig.platform.typing
            for text in ("one", "two"):
                id, body = rig.platform.message("alice", type="text", text={"body": text})
                await channel.hook(rig.request(body), taking(heard))
            await channel.typing(rig.place_of("alice"))
            assert rig.platform.typing == rig.platform.read == [id]
            assert isinstance(heard[-1], Received) and heard[-1].message == id

    run(main())


def test_the_memory_of_newest_messages_is_bounded() -> None:
    async def main() -> None:
        async with played() as (_, channel, _):
            for n in range(1_500):
                channel._note(str(n), "m")  # type: ignore[attr-defined]
            assert len(channel._latest) == 1_000 and "0" not in channel._latest  # type: ignore[attr-defined]

    run(main())


def test_what_whatsapp_cannot_do_is_refused() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            with pytest.raises(SendRefused):
                await channel.edit(rig.place_of("alice"), "wamid.1", "x")
            with pytest.raises(SendRefused):
                await channel.react(rig.place_of("alice"), "wamid.none", "👍")

    run(main())


def test_the_token_reaches_meta_and_nothing_else() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            await channel.test()
            assert rig.platform.token not in f"{channel!r}{json.dumps(list(map(str, channel.__dict__.values())))}"

    run(main())
