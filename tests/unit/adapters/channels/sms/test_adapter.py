"""The number against the local Twilio: signatures, error numbers, pictures; and Twilio's own validator."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carapax.core.terms.channel import Attached, Heard, Outgoing, Received
from carapax.core.terms.error import Malformed, StoreUnavailable, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.conformance.channel.rigs.sms import URL, SmsRig
from tests.fakes.platforms import sms as platform_module

ROOT = Path(__file__).parents[5]
PEERS = ROOT / ".venv-peers/bin/python"
VALIDATOR = ROOT / "tests/fakes/platforms/sms_validator.py"
SIGNATURE = "x-twilio-signature"


@asynccontextmanager
async def played() -> AsyncIterator[tuple[SmsRig, Channel, list[Heard]]]:
    rig = SmsRig()
    await rig.start()
    channel = rig.open()
    try:
        yield rig, channel, []
    finally:
        await channel.close()
        await rig.stop()


def run(what: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await what

    asyncio.run(bounded())


def taking(heard: list[Heard]) -> Any:
    async def hear(what: Heard) -> None:
        heard.append(what)

    return hear


def out(rig: SmsRig, text: str) -> Outgoing:
    return Outgoing(rig.place_of("alice"), text, key="k")


@pytest.mark.parametrize("name, value", [("Body", "pay Mallory"), ("From", "+15550100002"), ("MessageSid", "SM" + "9" * 32),
                                         ("NumMedia", "1"), ("Extra", "1")])  # fmt: skip
def test_every_field_is_signed(name: str, value: str) -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            form = rig.platform.form("alice", "pay Bob")
            request = rig.request(form)
            forged = replace(request, body=rig.platform.body({**form, name: value}))
            assert (await channel.hook(forged, taking(heard))).status == 401 and not heard
            answer = await channel.hook(request, taking(heard))
            assert answer.status == 200 and answer.body.endswith(b"<Response/>") and answer.type.startswith("text/xml")
            assert len(heard) == 1

    run(main())


def test_the_address_is_signed_in_either_spelling() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            form = rig.platform.form("alice", "hello")
            signed = rig.request(form, URL)
            with_port = replace(rig.request(form, URL.replace(".example", ".example:443")), url=URL)
            for fine in (signed, with_port):
                assert (await channel.hook(fine, taking(heard))).status == 200
            for url in ("https://evil.example/hooks/sms", URL + "?x=1", "", URL.replace("https", "http")):
                assert (await channel.hook(replace(signed, url=url), taking(heard))).status == 401
            assert len(heard) == 2

    run(main())


def test_no_signature_but_the_right_one_is_believed() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            request = rig.request(rig.platform.form("alice", "hello"))
            good = request.header(SIGNATURE)
            for value in (
                "",
                "x",
                base64.b64encode(bytes(20)).decode(),
                good[:-1],
                base64.b64encode(bytes(32)).decode(),
            ):
                spoiled = replace(request, headers=((SIGNATURE, value),))
                assert (await channel.hook(spoiled, taking(heard))).status == 401
            assert (await channel.hook(replace(request, headers=()), taking(heard))).status == 401
            twice = replace(request, headers=((SIGNATURE, good),) * 2)
            assert (await channel.hook(twice, taking(heard))).status == 401
            rig.platform.token = "another"
            other = rig.request(rig.platform.form("alice", "hello"))
            assert (await channel.hook(other, taking(heard))).status == 401
            for elsewhere in (replace(request, method="GET"), replace(request, path="/x")):
                assert (await channel.hook(elsewhere, taking(heard))).status == 404
            assert not heard

    run(main())


def test_what_was_not_delivered_is_in_the_log() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            form = rig.platform.form("alice", "") | {"MessageStatus": "undelivered", "ErrorCode": "30003"}
            assert (await channel.hook(rig.request(form), taking(heard))).status == 200
            bad = rig.platform.form("alice", "x") | {"MessageSid": "no"}
            assert (await channel.hook(rig.request(bad), taking(heard))).status == 200
            assert "off or out of reach" in rig.logged[0] and len(rig.logged) == 2 and not heard

    run(main())


def test_a_person_who_wrote_stop_is_left_alone_with_the_reason() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            rig.platform.stopped.add(rig.sender_id("alice"))
            with pytest.raises(SendRefused, match="STOP"):
                await channel.send(out(rig, "hello"))
            rig.platform.stopped.clear()
            with pytest.raises(SendRefused, match="1,600"):
                await channel.send(out(rig, "x" * 1_601))
            with pytest.raises(Malformed):
                await channel.send(out(rig, ""))

    run(main())


@pytest.mark.parametrize(
    "status, code, expected",
    [(401, 20003, CredentialRefused), (400, 20003, CredentialRefused), (429, 20429, ChannelFailed), (503, 0, ChannelFailed),
     (400, 21614, SendRefused), (404, 20404, SendRefused)],
)  # fmt: skip
def test_an_error_number_means_what_twilio_says(status: int, code: int, expected: type[Exception]) -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            rig.platform._refused = lambda request: platform_module._error(status, code, "No")  # type: ignore[method-assign]
            with pytest.raises(expected) as caught:
                await channel.send(out(rig, "x"))
            assert rig.platform.token not in str(caught.value)
            assert getattr(caught.value, "unknown", False) is (status >= 500)

    run(main())


def test_a_picture_is_fetched_in_two_steps_and_the_second_has_no_token() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            form = rig.platform.form("alice", "look", (("a.jpg", "image/jpeg", b"\xff\xd8picture"),))
            await channel.hook(rig.request(form), taking(heard))
            assert isinstance(heard[0], Received)
            (file,) = heard[0].files
            assert await channel.fetch(file, 100) == b"\xff\xd8picture"
            with pytest.raises(TooLarge):
                await channel.fetch(file, 5)
            with pytest.raises(SendRefused):
                await channel.fetch(Attached("MM" + "2" * 32 + "/ME" + "f" * 32), 100)
            with pytest.raises(Malformed):
                await channel.fetch(Attached("../../x"), 100)
            for host in ("https://evil.example", "http://mms.twiliocdn.com", "https://127.0.0.1"):
                rig.platform.media_host = host
                with pytest.raises(ChannelFailed, match="where the file is"):
                    await channel.fetch(file, 100)

    run(main())


def test_what_came_while_nobody_listened_is_heard_at_the_next_start() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            rig.platform.form("alice", "before the channel was there")
            await channel.run(taking(heard), lambda line: None)
            assert not heard and not rig.platform.queries  # the first start takes nothing from before it
            first = rig.platform.form("alice", "by webhook")
            await channel.hook(rig.request(first), taking(heard))
            rig.platform.received[0] = (rig.platform.received[0][0], rig.platform.clock() - 3_600)
            for text in ("one", "two"):
                rig.platform.form("bob", text)
            rig.platform.form("alice", "three", (("a.jpg", "image/jpeg", b"picture"),))
            again = rig.open()
            await again.run(taking(heard), lambda line: None)
            texts = [what.text for what in heard if isinstance(what, Received)]
            assert texts == ["by webhook", "one", "two", "three"]
            assert heard[1].place.chat == rig.sender_id("bob") and isinstance(heard[3], Received)
            assert await again.fetch(heard[3].files[0], 100) == b"picture"
            await again.run(taking(heard), lambda line: None)
            assert len(heard) == 4
            await again.close()

    run(main())


def test_what_the_store_did_not_take_at_the_start_is_asked_for_again() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            await channel.run(taking(heard), lambda line: None)
            kept = dict(rig.notes.kept)
            rig.platform.form("alice", "one")

            async def full(what: Heard) -> None:
                raise StoreUnavailable("full")

            with pytest.raises(StoreUnavailable):
                await channel.run(full, lambda line: None)
            assert rig.notes.kept == kept
            await channel.run(taking(heard), lambda line: None)
            assert len(heard) == 1 and rig.notes.kept != kept

    run(main())


@pytest.mark.parametrize(
    "note", [b"", b"{", b"[]", b'{"until_ms": 1}', b'{"until_ms": -1, "ids": []}', b'{"ids": [1]}']
)
def test_a_note_that_cannot_be_read_is_a_new_beginning(note: bytes) -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            rig.platform.form("alice", "old")
            rig.notes.kept["heard"] = note
            await channel.run(taking(heard), lambda line: None)
            assert not heard and json.loads(rig.notes.kept["heard"])["until_ms"]

    run(main())


def test_a_long_absence_is_caught_up_for_three_days_at_most() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            await channel.run(taking(heard), lambda line: None)
            rig.platform.form("alice", "old")
            rig.clock.advance(4 * 24 * 3_600_000)
            await channel.run(taking(heard), lambda line: None)
            assert not heard

    run(main())


def test_what_twilio_lists_and_cannot_be_read_is_left_out() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            await channel.run(taking(heard), lambda line: None)
            good = rig.platform.form("alice", "good")
            rig.platform.received.append((good | {"MessageSid": "../../x"}, rig.platform.clock()))
            rig.platform.received.append((good | {"From": "\n"}, rig.platform.clock()))
            rig.platform.received.append((good | {"To": "+15559999999"}, rig.platform.clock()))
            await channel.run(taking(heard), lambda line: None)
            assert [what.event for what in heard] == [f"m:{good['MessageSid']}"] and len(rig.logged) == 1

    run(main())


def test_what_an_sms_cannot_do_is_refused() -> None:
    async def main() -> None:
        async with played() as (rig, channel, _):
            with pytest.raises(SendRefused):
                await channel.edit(rig.place_of("alice"), "SM1", "x")
            with pytest.raises(SendRefused):
                await channel.react(rig.place_of("alice"), "SM1", "👍")
            await channel.typing(rig.place_of("alice"))
            assert not rig.platform.messages

    run(main())


def test_twilios_own_validator_agrees_about_every_signature() -> None:
    async def main() -> None:
        async with played() as (rig, channel, heard):
            forms = [
                rig.platform.form("alice", text, files)
                for text, files in (("hello", ()), ("Grüße 👋 & = + %", ()), ("", (("a", "image/png", b"x"),)))
            ]
            cases = []
            for form in forms:
                signature = rig.platform.sign(URL, form)
                cases += [
                    [rig.platform.token, URL, form, signature],
                    [rig.platform.token, URL, {**form, "Body": "forged"}, signature],
                    ["another", URL, form, signature],
                ]
            environment = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
            process = await asyncio.create_subprocess_exec(
                str(PEERS), "-P", str(VALIDATOR), env=environment,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                said, failed = await asyncio.wait_for(process.communicate(json.dumps(cases).encode()), 60)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            assert process.returncode == 0, failed.decode()[-2_000:]
            assert json.loads(said) == [True, False, False] * 3
            for _, url, form, signature in cases[::3]:
                request = replace(rig.request(form), url=url, headers=((SIGNATURE, signature),))
                assert (await channel.hook(request, taking(heard))).status == 200
            assert len(heard) == 3

    run(main())
