"""Signed webhooks: what is believed, once; what is posted, and what the receiver's answers mean."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from carapax.core.terms.channel import Attached, Heard, HookRequest, OutFile, Outgoing, Place
from carapax.core.terms.error import Malformed, StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.conformance.channel.rigs.hook import HookRig
from tests.fakes.platforms.serving import Fault

SAID = {"id": "1", "sender": "alice", "text": "hello"}
STALE_MS = 300_000


@asynccontextmanager
async def played() -> AsyncIterator[tuple[HookRig, Channel, list[Heard]]]:
    rig = HookRig()
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


def taking(heard: list[Heard]) -> Any:
    async def hear(what: Heard) -> None:
        heard.append(what)

    return hear


def with_header(request: HookRequest, name: str, value: str) -> HookRequest:
    return replace(request, headers=tuple((key, value if key == name else old) for key, old in request.headers))


def out(text: str, key: str = "k", **more: Any) -> Outgoing:
    return Outgoing(Place("hook", "person-alice"), text, key=key, **more)


def test_id_time_and_body_are_signed() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            request = rig.request("r-1", SAID)
            seconds = int(request.header("webhook-timestamp"))
            for forged in (
                with_header(request, "webhook-id", "r-2"),
                with_header(request, "webhook-timestamp", str(seconds + 1)),
                replace(request, body=request.body.replace(b"hello", b"pay it")),
                with_header(request, "webhook-signature", "v1," + base64.b64encode(bytes(32)).decode()),
                with_header(request, "webhook-signature", ""),
                # The separators of the signed text cannot be shifted into an id.
                with_header(with_header(request, "webhook-id", f"r-1.{seconds}"), "webhook-timestamp", str(seconds)),
            ):
                assert (await channel.hook(forged, taking(heard))).status == 401
            rig.platform.secret = "whsec_" + base64.b64encode(b"another secret, also of 32 bytes").decode()
            assert (await channel.hook(rig.request("r-3", SAID), taking(heard))).status == 401
            assert not heard
            assert (await channel.hook(request, taking(heard))).status == 200 and len(heard) == 1

    run(main())


def test_a_second_signature_may_be_the_right_one() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            request = rig.request("r-1", SAID)
            both = "v1," + base64.b64encode(bytes(32)).decode() + " " + request.header("webhook-signature")
            assert (await channel.hook(with_header(request, "webhook-signature", both), taking(heard))).status == 200

    run(main())


@pytest.mark.parametrize("off_ms, status", [(-STALE_MS - 2_000, 401), (STALE_MS + 2_000, 401), (-STALE_MS + 5_000, 200),
                                            (STALE_MS - 5_000, 200)])  # fmt: skip
def test_a_time_is_within_five_minutes(off_ms: int, status: int) -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            request = rig.request("r-1", SAID, seconds=(rig.clock.now_ms() + off_ms) // 1000)
            assert (await channel.hook(request, taking(heard))).status == status and len(heard) == (status == 200)

    run(main())


def test_a_request_is_taken_once_also_after_a_restart() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            request = rig.request("r-1", SAID)
            assert (await channel.hook(request, taking(heard))).status == 200
            assert (await channel.hook(request, taking(heard))).status == 401
            again = rig.open()
            assert (await again.hook(request, taking(heard))).status == 401
            await again.close()
            assert len(heard) == 1
            # A new try of the sender's is no replay; it is the same event.
            rig.clock.advance(2_000)
            assert (await channel.hook(rig.request("r-1", SAID), taking(heard))).status == 200
            assert len({what.event for what in heard}) == 1

    run(main())


def test_two_copies_at_once_are_one() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            request = rig.request("r-1", SAID)
            answers = await asyncio.gather(*(channel.hook(request, taking(heard)) for _ in range(5)))
            assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401] and len(heard) == 1

    run(main())


def test_what_the_store_did_not_take_may_come_again() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            request = rig.request("r-1", SAID)

            async def full(what: Heard) -> None:
                raise StoreUnavailable("full")

            assert (await channel.hook(request, full)).status == 503
            assert (await channel.hook(request, taking(heard))).status == 200 and len(heard) == 1

    run(main())


def test_signed_nonsense_is_answered_with_the_reason_and_not_kept() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            answer = await channel.hook(rig.request("r-1", b"{"), taking(heard))
            assert answer.status == 400 and b"JSON" in answer.body
            answer = await channel.hook(rig.request("r-2", SAID | {"admin": True}), taking(heard))
            assert answer.status == 400 and b"admin" in answer.body
            for elsewhere in (
                replace(rig.request("r-3", SAID), method="GET"),
                replace(rig.request("r-3", SAID), path="/x"),
            ):
                assert (await channel.hook(elsewhere, taking(heard))).status == 404
            assert not heard and not rig.notes.kept

    run(main())


def test_what_was_posted_cannot_be_sent_back() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            await channel.send(out("hello"))
            await channel.edit(Place("hook", "person-alice"), next(iter(rig.platform.messages)), "other")
            assert len(rig.platform.requests) == 2
            for id, stamp, signature, body in rig.platform.requests:
                headers = (("webhook-id", id), ("webhook-timestamp", stamp), ("webhook-signature", signature))
                back = HookRequest("POST", "", "", headers, body)
                assert (await channel.hook(back, taking(heard))).status == 401
            assert not heard

    run(main())


def test_a_message_sent_again_has_the_same_id_and_another_signature_time() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            rig.platform.faults = [Fault(503)]
            with pytest.raises(ChannelFailed) as failed:
                await channel.send(out("hello", key="a"))
            assert failed.value.unknown
            rig.clock.advance(60_000)
            await channel.send(out("hello", key="a"))
            await channel.send(out("hello", key="b"))
            ids = [id for id, *_ in rig.platform.requests]
            assert ids[0] == ids[1] != ids[2] and len(rig.platform.messages) == 2
            assert rig.platform.requests[0][1] != rig.platform.requests[1][1]

    run(main())


def test_the_receiver_names_its_messages() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            rig.platform.answers = {"message": "77"}
            assert (await channel.send(out("hello"))).message == "77"
            rig.platform.answers = {"message": [1]}
            assert (await channel.send(out("more", key="l"))).message.startswith("carapax_")

    run(main())


@pytest.mark.parametrize("status, expected", [(401, CredentialRefused), (403, SendRefused), (404, SendRefused),
                                              (410, SendRefused), (429, ChannelFailed), (500, ChannelFailed)])  # fmt: skip
def test_an_answer_means_what_it_says(status: int, expected: type[Exception]) -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            rig.platform.faults = [Fault(status)]
            with pytest.raises(expected):
                await channel.send(out("hello"))

    run(main())


def test_a_receiver_that_has_another_secret_refuses_the_test() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            assert await channel.test() and rig.platform.tests == 1
            rig.vault.values["h/secret"] = "another"
            with pytest.raises(CredentialRefused):
                await channel.test()

    run(main())


def test_without_an_address_it_only_listens() -> None:
    async def main() -> None:
        async with played() as (rig, _, heard):
            channel = rig.open(out_url="")
            assert (await channel.hook(rig.request("r-1", SAID), taking(heard))).status == 200 and heard
            with pytest.raises(SendRefused, match="out_url"):
                await channel.send(out("hello"))
            assert "no address" in (await channel.test())[0]
            await channel.close()

    run(main())


def test_what_is_too_large_to_sign_is_refused() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            file = OutFile("a", "text/plain", bytes(900 << 10))
            with pytest.raises(SendRefused, match="1 MiB"):
                await channel.send(out("x", files=(file,)))
            with pytest.raises(SendRefused):
                await channel.fetch(Attached("x"), 10)
            assert not rig.platform.requests
            fits = OutFile("a", "text/plain", b"\xff" * channel.facts().file_bytes)
            await channel.send(out("x" * channel.facts().text_chars, files=(fits,)))

    run(main())


@pytest.mark.parametrize(
    "url",
    ["http://example.org/x", "https://user@example.org/", "ftp://x/", "https://", "http://127.0.0.1.evil.example/"],
)
def test_an_address_that_is_plain_or_has_a_password_is_not_taken(url: str) -> None:
    with pytest.raises(Malformed):
        HookRig().open(out_url=url)


def test_the_secret_is_nowhere_in_what_is_posted() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            await channel.send(out("hello"))
            assert rig.vault.values["h/secret"] not in json.dumps([str(part) for part in rig.platform.requests])

    run(main())
