"""What every channel does, run against each adapter and a server or a faithful fake of its platform.

A rig names what it cannot play in `traits.gaps`; the tests that need it are not collected for it, and the first test
holds the names to what the channel and the rig really lack. The tests stand in an order: the last two break the rig.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from carapax.core.terms.channel import (
    Attached,
    Button,
    Feature,
    OutFile,
    Place,
    Received,
    Removed,
)
from carapax.core.terms.error import NotFound, TooLarge
from carapax.ports.channel import ChannelFailed, CredentialRefused, SendRefused
from tests.conformance.channel.rig import Rig, Says
from tests.conformance.channel.stage import (
    FREE_NEEDS,
    Ears,
    find_lacks,
    fresh,
    make_rig,
    needs,
    out,
    rig_names,
    see,
    see_text,
    wait_for,
)

CONTENT = bytes(range(256)) * 40
MINUTES_10_MS = 600_000


@needs()
async def test_what_is_not_played_has_its_reason(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    traits = rig.traits
    facts = rig.open().facts()
    lacks = find_lacks(traits, facts.features)
    given = {name for name in traits.gaps if name not in FREE_NEEDS}
    assert lacks == given, f"without a reason: {sorted(lacks - given)}; not lacking: {sorted(given - lacks)}"
    assert all(len(reason) >= 10 for reason in traits.gaps.values())
    assert (traits.advance is None) <= ("stale" in traits.gaps or not traits.hook)
    with capsys.disabled():
        print(f"\n{traits.kind} has no {', '.join(sorted(traits.gaps)) or 'gap'}")


@needs()
async def test_facts_are_known_without_asking(rig: Rig) -> None:
    facts = rig.open().facts()
    assert facts.kind == rig.traits.kind
    assert facts.text_chars >= 100 and facts.file_bytes >= 0 and facts.edits_per_minute > 0
    assert (Feature.HOOK in facts.features) >= rig.traits.hook


# in


@needs()
async def test_a_message_has_its_sender_and_place(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        text = fresh("Grüße 👋🏽 שלום")
        message = await rig.say(Says(text))
        heard = await ears.received(text)
    assert heard.text == text and heard.message == message and heard.event
    assert heard.sender.id == rig.sender_id("alice") and not heard.sender.bot
    assert heard.place == rig.place_of("alice") and heard.place.private and heard.addressed
    assert not heard.edited and not heard.forwarded and not heard.quoted and not heard.pressed and not heard.files


@needs()
async def test_lines_stay_and_control_characters_go(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        text = fresh("tail")
        await rig.say(Says(f"a\x07b {text}"))
        heard = await ears.received(text)
    assert "\x07" not in heard.text and heard.text.startswith("ab")


@needs("group")
async def test_a_group_is_addressed_only_by_a_mention(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        plain, called = fresh("plain"), fresh("called")
        await rig.say(Says(plain, "bob", chat=rig.traits.group))
        await rig.say(Says(called, "bob", chat=rig.traits.group, mention=True))
        second = await ears.received(called)
        first = await ears.received(plain)
    assert not first.addressed and second.addressed
    for heard in (first, second):
        assert heard.sender.id == rig.sender_id("bob")
        assert heard.place.chat == rig.traits.group and not heard.place.private


@needs("group")
async def test_the_name_of_the_agent_alone_is_no_mention(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        text = fresh("carapax is a word, too")
        await rig.say(Says(text, chat=rig.traits.group))
        assert not (await ears.received(text)).addressed


@needs()
async def test_the_order_within_a_conversation_stays(rig: Rig) -> None:
    ears = Ears(rig)
    texts = [fresh(f"step {number:02}") for number in range(20)]
    async with ears.on():
        for text in texts:
            await rig.say(Says(text))
        await ears.received(texts[-1])
    assert [h.text for h in ears.heard if isinstance(h, Received) and h.text in texts] == texts
    assert len({h.event for h in ears.heard}) == len(ears.heard)


@needs("names")
async def test_the_id_of_a_sender_survives_another_name(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        before, after = fresh("before"), fresh("after")
        await rig.say(Says(before, "bob"))
        first = await ears.received(before)
        await rig.rename("bob", "Alice")
        await rig.say(Says(after, "bob"))
        second = await ears.received(after)
    assert first.sender.id == second.sender.id == rig.sender_id("bob")
    assert second.sender.id != rig.sender_id("alice")


@needs("redelivers")
async def test_what_was_refused_by_the_store_comes_again(rig: Rig) -> None:
    ears = Ears(rig, refuse=1)
    text = fresh("kept")
    async with ears.on():
        await rig.say(Says(text))
        await wait_for(lambda: ears.offered >= 1)
    if not ears.events(text):
        async with ears.on():
            await ears.received(text)
    assert len(set(ears.events(text))) == 1


@needs("redelivers")
async def test_nothing_is_acknowledged_before_it_was_taken(rig: Rig) -> None:
    text = fresh("half taken")
    held = Ears(rig, hold=True)
    async with held.on():
        saying = asyncio.create_task(rig.say(Says(text)))
        await wait_for(lambda: held.offered >= 1, held)
    saying.cancel()  # a platform that calls waits for the answer
    with suppress(asyncio.CancelledError):
        await saying
    ears = Ears(rig)
    async with ears.on():
        await ears.received(text)


@needs("duplicates")
async def test_a_delivery_that_comes_twice_is_one_event(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        text, last = fresh("once"), fresh("afterwards")
        await rig.say(Says(text))
        await ears.received(text)
        await rig.repeat()
        await rig.say(Says(last))
        await ears.received(last)
    assert len(set(ears.events(text))) == 1


@needs("cuts")
async def test_a_cut_connection_ends_the_run_and_the_next_one_hears_what_came_meanwhile(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        assert ears.task is not None
        await rig.cut()
        task = ears.task
        await wait_for(task.done, what="the run did not end")
        assert isinstance(task.exception(), ChannelFailed)
    text = fresh("while you were away")
    if "redelivers" not in rig.traits.gaps:
        await rig.say(Says(text))
    async with ears.on():
        if "redelivers" in rig.traits.gaps:
            await rig.say(Says(text))
        await ears.received(text)
    assert len(ears.events(text)) == 1


@needs("quoted")
async def test_quoted_words_are_not_the_senders(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        text, words = fresh("look at this"), fresh("words of another")
        await rig.say(Says(text, quoted=words))
        heard = await ears.received(text)
    assert words in heard.quoted and words not in heard.text


@needs("forwarded")
async def test_what_was_forwarded_is_marked(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        text = fresh("passed on")
        await rig.say(Says(text, forwarded=True))
        heard = await ears.until(lambda h: isinstance(h, Received) and text in h.text + h.quoted)
    assert heard.forwarded or text in heard.quoted


@needs("edits_in")
async def test_an_edit_replaces_a_message_and_is_another_event(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        before, after, again = fresh("first"), fresh("second"), fresh("third")
        message = await rig.say(Says(before))
        first = await ears.received(before)
        await rig.say(Says(after, edits=message))
        second = await ears.received(after)
        await rig.say(Says(again, edits=message))
        third = await ears.received(again)
    assert second.edited and third.edited and first.message == second.message == third.message
    assert len({first.event, second.event, third.event}) == 3


@needs("deletes")
async def test_a_message_that_is_taken_back_is_told(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on():
        text = fresh("regretted")
        message = await rig.say(Says(text))
        await ears.received(text)
        await rig.say(Says(deletes=message))
        gone = await ears.until(lambda heard: isinstance(heard, Removed))
    assert gone.message == message and not gone.person and gone.event not in ears.events(text)


@needs("files_in")
async def test_a_file_comes_whole_or_not_at_all(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        await rig.say(Says(fresh("see"), files=(("notes.pdf", "application/pdf", CONTENT),)))
        heard = await ears.until(lambda h: isinstance(h, Received) and bool(h.files))
        (file,) = heard.files
        assert isinstance(file, Attached) and file.ref and not file.voice
        assert await channel.fetch(file, len(CONTENT)) == CONTENT
        with pytest.raises(TooLarge):
            await channel.fetch(replace(file, size_bytes=None), len(CONTENT) - 1)


@needs("files_in", "voice")
async def test_a_voice_message_is_one(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        await rig.say(Says(files=(("voice.ogg", "audio/ogg", CONTENT),), voice=True))
        heard = await ears.until(lambda h: isinstance(h, Received) and bool(h.files))
        assert heard.files[0].voice and await channel.fetch(heard.files[0], len(CONTENT)) == CONTENT


@needs("threads", "group")
async def test_an_answer_stays_in_its_thread(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        root, inside, answer = fresh("root"), fresh("inside"), fresh("answer")
        message = await rig.say(Says(root, chat=rig.traits.group))
        whole = await ears.received(root)
        await rig.say(Says(inside, chat=rig.traits.group, thread=message, mention=True))
        heard = await ears.received(inside)
        assert heard.place.thread and heard.place.key != replace(whole.place, thread="").key
        await channel.send(out(heard.place, answer))
        seen = await see_text(rig, answer)
    assert seen.thread == heard.place.thread and seen.chat == rig.traits.group


# out


@needs()
@pytest.mark.parametrize(
    "text", ["Grüße 👋🏽 日本語 e\u0301 🏴󠁧󠁢󠁳󠁣󠁴󠁿", "שלום עולם مرحبا", "1 < 2 & 3 > 2 \\ 'x' \"y\"", "50 * 2 * 3 and a_b_c"]
)
async def test_a_text_arrives_as_written(rig: Rig, text: str) -> None:
    text_now = fresh(text)
    async with Ears(rig).on() as channel:
        await channel.send(out(rig.place_of("alice"), text_now))
        seen = await see_text(rig, text_now)
    assert seen.text == text_now and seen.chat == rig.place_of("alice").chat


@needs()
async def test_the_longest_line_arrives_whole(rig: Rig) -> None:
    async with Ears(rig).on() as channel:
        facts = channel.facts()
        limit = min(facts.text_chars, facts.text_bytes or facts.text_chars, 10_000)
        start = fresh("long")
        text = (start + " word" * limit)[:limit].rstrip()
        await channel.send(out(rig.place_of("alice"), text))
        assert (await see_text(rig, start)).text == text


@needs()
async def test_code_stays_legible(rig: Rig) -> None:
    mark = fresh("mark")
    text = f"Do this: {mark}\n```python\nif a < b:\n    print('x * y_z', \"@all\")\n```\nthen `{mark}!`."
    async with Ears(rig).on() as channel:
        await channel.send(out(rig.place_of("alice"), text))
        await see_text(rig, f"{mark}!")
        everything = "\n".join(seen.text for seen in await rig.seen())
    assert "if a < b:" in everything and "    print('x * y_z', \"" in everything


@needs()
async def test_no_text_notifies_anybody(rig: Rig) -> None:
    mark = fresh("mark")
    known = [rig.sender_id("alice"), rig.sender_id("bob")]
    calls = "@everyone @here @channel @room @all <!channel> <!here> <!everyone> @alice @bob [x](tg://user?id=1)"
    more = " ".join(f"<@{who}> <@!{who}> @{who} <{who}> <at>{who}</at>" for who in known)
    place = Place(rig.place_of("alice").channel, rig.traits.group, private=False) if rig.traits.group else None
    async with Ears(rig).on() as channel:
        facts = channel.facts()
        limit = facts.text_bytes or facts.text_chars
        for words in [f"{mark} {calls} {more}"] if limit >= 1_000 else [f"{mark} {word}" for word in calls.split()]:
            await channel.send(out(place or rig.place_of("alice"), words))
        await see_text(rig, mark)
        assert [seen.pings for seen in await rig.seen() if seen.pings] == []


@needs()
async def test_a_key_that_comes_twice_is_one_message_where_the_facts_say_so(rig: Rig) -> None:
    text, last = fresh("once"), fresh("last")
    async with Ears(rig).on() as channel:
        outgoing = out(rig.place_of("alice"), text)
        await channel.send(outgoing)
        await channel.send(outgoing)
        await channel.send(out(rig.place_of("alice"), last))
        await see_text(rig, last)
        count = sum(text in seen.text for seen in await rig.seen())
        assert count == (1 if Feature.IDEMPOTENT in channel.facts().features else 2)


@needs("reply")
async def test_a_reply_points_at_its_message(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        question, answer = fresh("question"), fresh("answer")
        await rig.say(Says(question))
        heard = await ears.received(question)
        await channel.send(out(heard.place, answer, reply_to=heard.message))
        assert (await see_text(rig, answer)).reply_to == heard.message


@needs("edit")
async def test_a_sent_message_can_grow(rig: Rig) -> None:
    async with Ears(rig).on() as channel:
        short, long = fresh("short"), fresh("longer text")
        place = rig.place_of("alice")
        sent = await channel.send(out(place, short))
        await channel.edit(place, sent.message, long)
        await channel.edit(place, sent.message, long)  # nothing changes: no failure
        seen = await see_text(rig, long)
        assert seen.message == sent.message and short not in [s.text for s in await rig.seen()]


@needs("shows_typing", "typing")
async def test_typing_is_shown(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        text = fresh("are you there")
        await rig.say(Says(text))
        heard = await ears.received(text)
        before = await rig.typing_count()
        await channel.typing(heard.place)

        async def shown() -> bool:
            return await rig.typing_count() > before

        await wait_for(shown)


@needs("react")
async def test_one_reaction_replaces_another(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        text = fresh("react")
        message = await rig.say(Says(text))
        heard = await ears.received(text)
        for mark, wanted in (("👀", ["👀"]), ("👍", ["👍"]), ("", [])):
            await channel.react(heard.place, heard.message, mark)

            async def shown(wanted: list[str] = wanted) -> bool:
                return await rig.reactions(message) == wanted

            await wait_for(shown, what=f"the reaction {mark!r}")


@needs("buttons")
async def test_a_button_comes_back_as_its_data(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        text = fresh("Allow?")
        buttons = (Button("Allow once", "yes:" + "k" * 60), Button("Refuse", "no:1"))
        sent = await channel.send(out(rig.place_of("alice"), text, buttons=buttons))
        seen = await see_text(rig, text)
        assert seen.buttons == ("Allow once", "Refuse")
        await rig.say(Says(presses=buttons[0].data, edits=seen.message))
        heard = await ears.until(lambda h: isinstance(h, Received) and bool(h.pressed))
    assert heard.pressed == buttons[0].data and heard.sender.id == rig.sender_id("alice")
    assert heard.addressed and heard.place.key == rig.place_of("alice").key and sent.message == seen.message


@needs("files_out")
async def test_a_file_goes_out_with_its_bytes(rig: Rig) -> None:
    text = fresh("your file")
    async with Ears(rig).on() as channel:
        file = OutFile("report.pdf", "application/pdf", b"%PDF-1.4\n" + CONTENT)
        await channel.send(out(rig.place_of("alice"), text, files=(file,)))
        await see_text(rig, text)
        seen = await see(rig, lambda seen: bool(seen.files))
    assert seen.files[-1] == (file.name, file.content)


@needs("members", "group")
async def test_members_are_everybody_but_the_agent(rig: Rig) -> None:
    place = Place(rig.place_of("alice").channel, rig.traits.group, private=False)
    async with Ears(rig).on() as channel:
        assert await channel.members(place) == {rig.sender_id("alice"), rig.sender_id("bob")}


@needs()
async def test_where_members_are_not_told_nobody_is_guessed(rig: Rig) -> None:
    async with Ears(rig).on() as channel:
        if Feature.MEMBERS not in channel.facts().features:
            assert await channel.members(rig.place_of("alice")) is None


@needs("statuses")
@pytest.mark.parametrize(
    "status, expected", [(429, ChannelFailed), (500, ChannelFailed), (503, ChannelFailed), (400, SendRefused)]
)
async def test_a_refusal_of_the_platform_says_whether_to_wait(rig: Rig, status: int, expected: type[Exception]) -> None:
    place = rig.place_of("alice")
    async with Ears(rig).on() as channel:
        lost, text = fresh("lost"), fresh("afterwards")
        await rig.answer_next(status, retry_after_s=7 if status == 429 else 0)
        with pytest.raises(expected) as caught:
            await channel.send(out(place, lost))
        if isinstance(caught.value, ChannelFailed):
            assert caught.value.retry_after_ms == (7_000 if status == 429 else 0)
            assert not caught.value.unknown or status >= 500
        await channel.send(out(place, text))
        await see_text(rig, text)
        assert not any(lost in seen.text for seen in await rig.seen())


@needs()
async def test_a_test_asks_the_platform(rig: Rig) -> None:
    async with Ears(rig).on() as channel:
        lines = await channel.test()
        assert lines and all(line and line.isprintable() for line in lines)


@needs()
async def test_closing_ends_everything_and_twice_is_once(rig: Rig) -> None:
    before = asyncio.all_tasks()
    ears = Ears(rig)
    async with ears.on() as channel:
        text = fresh("before the end")
        await channel.send(out(rig.place_of("alice"), text))
        await see_text(rig, text)
    await channel.close()
    await wait_for(lambda: asyncio.all_tasks() <= before, what=f"tasks are left: {asyncio.all_tasks() - before}")


@needs()
async def test_a_channel_that_never_ran_can_be_closed(rig: Rig) -> None:
    await rig.open().close()


# what breaks the rig


@needs("group")
async def test_a_person_who_leaves_is_told(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        await rig.leave("bob")
        gone = await ears.until(lambda heard: isinstance(heard, Removed) and bool(heard.person))
        assert gone.person == rig.sender_id("bob") and gone.place.chat == rig.traits.group
        if Feature.MEMBERS in channel.facts().features:
            assert await channel.members(gone.place) == {rig.sender_id("alice")}


@needs("refuses")
async def test_a_credential_that_is_refused_is_no_reason_to_wait(rig: Rig) -> None:
    channel = rig.open()
    try:
        await rig.refuse_credential()
        with pytest.raises(CredentialRefused):
            await channel.test()
        with pytest.raises(CredentialRefused):
            await channel.send(out(rig.place_of("alice"), fresh("never")))
        with pytest.raises(CredentialRefused):
            async with asyncio.timeout(20):
                await channel.run(Ears(rig).hear, lambda line: None)
    finally:
        await channel.close()


def test_every_package_has_a_rig() -> None:
    from carapax.adapters.channels.catalogue import get_manifest, manifests

    played = {make_rig(name, Path("unused")).traits.kind for name in rig_names()}
    assert played == set(manifests()), (
        "every kind has a rig, and every rig a kind; the missing one fails here until it is there"
    )
    with pytest.raises(NotFound):
        get_manifest("carrier-pigeon")
