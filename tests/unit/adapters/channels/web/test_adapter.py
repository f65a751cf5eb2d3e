"""The web chat against its own page's requests: who may ask, what is kept, and what a phone that slept sees."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import pytest

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.adapters.channels.web import adapter, shelf, visitors
from carapax.adapters.channels.web.shelf import Shelf
from carapax.adapters.channels.web.wire import Item
from carapax.core.terms.channel import Attached, Button, Heard, HookAnswer, OutFile, Outgoing, Place, Received
from carapax.core.terms.error import StoreUnavailable, TooLarge
from carapax.ports.channel import Channel, SendRefused
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.looped import looped
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until
from tests.fakes.platforms.web_browser import HERE, Browser


class Here:
    def __init__(self, **values: str) -> None:
        self.notes, self.clock = Notes(), ShiftedClock()
        self.values = values
        self.heard: list[Received] = []
        self.refuse = 0

    def open(self) -> Channel:
        return open_channel("web", Opening("web", self.values, {}, DirectEgress(DictVault()), self.notes, self.clock))

    async def hear(self, heard: Heard) -> None:
        if self.refuse:
            self.refuse -= 1
            raise StoreUnavailable("The disk is full.")
        assert isinstance(heard, Received)
        self.heard.append(heard)

    async def browser(self, channel: Channel, origin: str = HERE) -> Browser:
        made = Browser(origin)
        made._channel, made._hear = channel, self.hear
        assert (await made.hello()).status == 200
        return made


def header(answer: HookAnswer, name: str) -> str:
    return dict(answer.headers).get(name, "")


@looped
async def test_the_page_lets_in_nothing_from_elsewhere() -> None:
    here = Here()
    channel = here.open()
    browser = await here.browser(channel)
    for path in ("", "/"):
        answer = await browser.ask(browser.request("GET", path))
        policy = header(answer, "content-security-policy")
        assert answer.status == 200 and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy and "http" not in policy
        page = answer.body.decode()
        assert "{{" not in page and "<style" not in page and "onclick" not in page and page.count("<script") == 1
    assert 'src="web/app.js"' in (await browser.ask(browser.request("GET", ""))).body.decode()
    for path, type in (("/app.js", "text/javascript"), ("/style.css", "text/css"), ("/icon.svg", "image/svg+xml")):
        answer = await browser.ask(browser.request("GET", path))
        assert (
            answer.status == 200
            and answer.type.startswith(type)
            and header(answer, "x-content-type-options") == "nosniff"
        )


@looped
async def test_the_title_is_text_and_frames_are_named() -> None:
    here = Here(title='<b>"Shop"</b>', embed="https://www.example.org")
    browser = await here.browser(here.open())
    answer = await browser.ask(browser.request("GET", "/", accept_language="fr"))
    assert b"<b>" not in answer.body and b"&lt;b&gt;" in answer.body and b'lang="fr"' in answer.body
    assert "frame-ancestors https://www.example.org" in header(answer, "content-security-policy")
    assert not header(answer, "x-frame-options")


@looped
async def test_unknown_paths_and_methods() -> None:
    here = Here()
    browser = await here.browser(here.open())
    for method, path, status in [
        ("GET", "/other", 404), ("GET", "/../page/index.html", 404), ("GET", "/page/index.html", 404), ("POST", "/", 405),
        ("PUT", "/send", 405), ("GET", "/send", 405), ("DELETE", "/events", 405), ("GET", "/app.js/", 404),
    ]:  # fmt: skip
        assert (await browser.ask(browser.request(method, path))).status == status, path


@looped
async def test_a_key_that_was_not_made_here_is_nobodys() -> None:
    here = Here()
    browser = await here.browser(here.open())
    good = browser.cookie
    for cookie in ("", "carapax-visitor=" + "A" * 43, good + "; " + good, good[:-1]):
        browser.cookie = cookie
        assert (await browser.post(text="let me in")).status == 401
        assert (await browser.events()).status == 401
        assert (
            await browser.ask(browser.request("POST", "/file?name=a", b"x", content_type="application/octet-stream"))
        ).status == 401
    assert not here.heard


@looped
async def test_another_site_cannot_write_for_a_visitor() -> None:
    here = Here()
    browser = await here.browser(here.open())
    body = json.dumps({"id": "a" * 16, "text": "forged"}).encode()
    for wrong in (
        {"origin": "https://evil.example"}, {"origin": ""}, {"origin": "null"}, {"sec_fetch_site": "cross-site"},
    ):  # fmt: skip
        assert (await browser.ask(browser.request("POST", "/send", body, **wrong))).status == 401
        assert (await browser.ask(browser.request("POST", "/hello", b"{}", **wrong))).status == 401
    for type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):  # what a form can send
        assert (await browser.ask(browser.request("POST", "/send", body, content_type=type))).status == 415
        assert (await browser.ask(browser.request("POST", "/file?name=a", b"x", content_type=type))).status == 415
    assert (await browser.ask(browser.request("GET", "/events", sec_fetch_site="cross-site"))).status == 401
    assert not here.heard


@looped
async def test_a_configured_origin_is_the_only_one() -> None:
    here = Here(origin="https://agent.example.org")
    channel = here.open()
    browser = await here.browser(channel, "https://agent.example.org")
    assert (await browser.post(text="hello")).status == 200
    browser.origin = "http://127.0.0.1:18790"
    assert (await browser.post(text="hello")).status == 401


@looped
async def test_the_same_attempt_is_the_same_event_and_another_visitors_is_not() -> None:
    here = Here()
    channel = here.open()
    alice, mallory = await here.browser(channel), await here.browser(channel)
    for browser in (alice, alice, mallory):
        assert (await browser.post(id="s" * 20, text="hi")).status == 200
    events = [heard.event for heard in here.heard]
    assert events[0] == events[1] != events[2]
    assert here.heard[0].sender.id != here.heard[2].sender.id
    assert here.heard[0].place == Place("web", here.heard[0].sender.id)


@looped
async def test_what_the_store_refused_is_not_shown_as_sent() -> None:
    here = Here()
    browser = await here.browser(here.open())
    here.refuse = 1
    with pytest.raises(StoreUnavailable):
        await browser.post(text="lost?")
    box = next((value for name, value in here.notes.kept.items() if name.startswith("box-")), b"")
    assert b"lost?" not in box


async def _read(browser: Browser, channel: Channel, here: Here, wanted: str) -> None:
    browser.show(channel, here.hear)
    try:
        await until(lambda: any(wanted in line["text"] for line in browser.lines.values()))
    finally:
        await browser.leave()


@looped
async def test_a_phone_that_slept_misses_nothing_after_a_restart() -> None:
    here = Here()
    channel = here.open()
    browser = await here.browser(channel)
    await browser.post(text="question")
    place = here.heard[0].place
    sent = await channel.send(Outgoing(place, "one", "k1"))
    await _read(browser, channel, here, "one")
    first = browser.last
    await channel.send(Outgoing(place, "two", "k2"))
    await channel.edit(place, sent.message, "one, and more")
    await channel.close()
    again = here.open()
    await again.send(Outgoing(place, "three", "k3"))
    await again.send(Outgoing(place, "three", "k3"))  # tried again: the same line
    browser.lines.clear()
    await _read(browser, again, here, "three")
    assert [line["text"] for line in browser.lines.values()] == ["two", "one, and more", "three"]
    assert int(browser.last) > int(first)
    fresh = await here.browser(again)
    fresh.cookie = browser.cookie
    await _read(fresh, again, here, "three")
    assert [line["text"] for line in fresh.lines.values()] == ["question", "two", "one, and more", "three"]


@looped
async def test_a_stream_ends_with_the_channel_and_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Here()
    channel = here.open()
    browser = await here.browser(channel)
    answer = await browser.events()
    assert answer.stream is not None and answer.type.startswith("text/event-stream")
    assert await anext(answer.stream) == b"retry: 2000\n\n"
    waiting = asyncio.ensure_future(anext(answer.stream))
    await asyncio.sleep(0)
    await channel.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert (await browser.events()).status == 503
    monkeypatch.setattr(adapter, "QUIET_S", 0.01)
    again = here.open()
    browser._channel = again
    answer = await browser.events()
    assert answer.stream is not None
    assert [await anext(answer.stream), await anext(answer.stream)] == [b"retry: 2000\n\n", b": still here\n\n"]
    here.clock.advance(700_000)
    with suppress(StopAsyncIteration):
        await anext(answer.stream)
        raise AssertionError("it went on for more than ten minutes")


@looped
async def test_typing_is_shown_and_ends_with_the_line() -> None:
    here = Here()
    channel = here.open()
    browser = await here.browser(channel)
    await browser.post(text="q")
    place = here.heard[0].place
    answer = await browser.events()
    assert answer.stream is not None
    await anext(answer.stream)
    await anext(answer.stream)  # the visitor's own line
    await channel.typing(place)
    assert b"typing\ndata: true" in await anext(answer.stream)
    await channel.send(Outgoing(place, "a", "k"))
    assert b'"text": "a"' in await anext(answer.stream)
    assert b"typing\ndata: false" in await anext(answer.stream)
    await answer.stream.aclose()  # type: ignore[attr-defined]


@looped
async def test_streams_are_bounded() -> None:
    here = Here()
    browser = await here.browser(here.open())
    streams = []
    for _ in range(adapter.MAX_STREAMS_EACH):
        answer = await browser.events()
        assert answer.stream is not None
        await anext(answer.stream)
        streams.append(answer.stream)
    assert (await browser.events()).status == 429
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
    answer = await browser.events()
    assert answer.status == 200 and answer.stream is not None
    await answer.stream.aclose()  # type: ignore[attr-defined]


@looped
async def test_only_a_button_that_was_shown_is_pressed() -> None:
    here = Here()
    channel = here.open()
    alice, mallory = await here.browser(channel), await here.browser(channel)
    await alice.post(text="q")
    place = here.heard[0].place
    sent = await channel.send(Outgoing(place, "Allow?", "k", buttons=(Button("Yes", "yes:1"),)))
    assert (await alice.post(press="no:1", message=sent.message)).status == 400
    assert (await alice.post(press="yes:1", message="f" * 32)).status == 400
    assert (await mallory.post(press="yes:1", message=sent.message)).status == 400
    assert (await alice.post(press="yes:1", message=sent.message)).status == 200
    assert [heard.pressed for heard in here.heard] == ["", "yes:1"]
    assert here.heard[1].sender == here.heard[0].sender and here.heard[1].text == ""


@looped
async def test_files_are_their_visitors_own() -> None:
    here = Here()
    channel = here.open()
    alice, mallory = await here.browser(channel), await here.browser(channel)
    content = bytes(range(256)) * 5_000  # more than one piece
    ref = await alice.put("a b/é.bin", "image/png", content)
    assert (await mallory.post(text="mine", files=[ref])).status == 400
    assert (await alice.post(text="see", files=[ref])).status == 200
    (file,) = here.heard[0].files
    assert (file.name, file.type, file.size_bytes) == ("a b_é.bin", "image/png", len(content))
    again = here.open()  # after a restart
    assert await again.fetch(file, len(content)) == content
    with pytest.raises(TooLarge):
        await again.fetch(file, len(content) - 1)
    with pytest.raises(SendRefused):
        await again.fetch(Attached("x" * 32), 100)
    large = alice.request("POST", "/file?name=a", bytes(shelf.FILE_BYTES + 1), content_type="application/octet-stream")
    assert (await alice.ask(large)).status == 413


@looped
async def test_the_oldest_files_make_room() -> None:
    notes = Notes()
    kept = Shelf(notes)
    first = await kept.put("v", "a", "", b"first")
    big = [await kept.put("v", f"b{n}", "", bytes(10 << 20)) for n in range(3)]
    assert await kept.read(first.ref) == b"first"
    last = await kept.put("v", "c", "", bytes(2 << 20))
    with pytest.raises(SendRefused):
        await kept.read(first.ref)
    assert len(await Shelf(notes).read(last.ref)) == 2 << 20 and len(await kept.read(big[1].ref)) == 10 << 20
    assert await kept.find(big[1].ref, "w") is None and await kept.find(big[1].ref, "v") is not None
    notes.kept["file-1"] = b"damaged"
    with pytest.raises(SendRefused):
        await Shelf(notes).read(big[0].ref)
    notes.kept["files"] = b"\xff"
    assert await Shelf(notes).find(last.ref) is None


@looped
async def test_too_much_too_fast_is_slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "MAX_SAID_A_MINUTE", 3)
    monkeypatch.setattr(visitors, "MAX_NEW_A_MINUTE", 2)
    here = Here()
    channel = here.open()
    browser, _ = await here.browser(channel), await here.browser(channel)
    third = Browser()
    third._channel, third._hear = channel, here.hear
    assert (await third.hello()).status == 429 and not third.cookie
    assert [(await browser.post(text="x")).status for _ in range(4)] == [200, 200, 200, 429]
    here.clock.advance(61_000)
    assert (await browser.post(text="x")).status == 200 and (await third.hello()).status == 200


@looped
async def test_newcomers_do_not_push_out_who_was_here_this_week(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "MAX_VISITORS", 2)
    here = Here()
    channel = here.open()
    first, second = await here.browser(channel), await here.browser(channel)
    third = Browser()
    third._channel, third._hear = channel, here.hear
    assert (await third.hello()).status == 429
    here.clock.advance(6 * 86_400_000)
    assert (await second.post(text="still here")).status == 200
    here.clock.advance(2 * 86_400_000)
    assert (await third.hello()).status == 200
    assert (await second.post(text="still here")).status == 200 and (await first.post(text="gone")).status == 401


@looped
async def test_who_is_a_visitor_already_stays_the_same_one() -> None:
    here = Here()
    browser = await here.browser(here.open())
    cookie = browser.cookie
    assert (await browser.hello()).status == 200 and browser.cookie == cookie
    browser._channel = here.open()
    assert (await browser.post(text="after a restart")).status == 200


@looped
async def test_a_conversation_is_bounded() -> None:
    here = Here()
    kept = visitors.Visitors(here.notes, here.clock)
    for number in range(visitors.MAX_ITEMS + 20):
        await kept.put("v" * 64, Item(0, f"i{number}", False, "text", 0))
    assert len((await kept.open("v" * 64)).items) == visitors.MAX_ITEMS
    for number in range(40):
        await kept.put("w" * 64, Item(0, f"i{number}", False, "x" * 20_000, 0))
    assert len((await kept.open("w" * 64)).items) < 20
    assert max(map(len, here.notes.kept.values())) < 1 << 20
    for number in range(visitors.MAX_OPEN + 5):
        await kept.open(f"{number:064x}")
    assert len(kept._open) <= visitors.MAX_OPEN and len((await kept.open("v" * 64)).items) == visitors.MAX_ITEMS


@looped
async def test_what_cannot_be_sent_is_refused() -> None:
    here = Here()
    channel = here.open()
    browser = await here.browser(channel)
    await browser.post(text="q")
    place = here.heard[0].place
    for wrong in (
        channel.send(Outgoing(Place("web", "nobody"), "x", "k")),
        channel.send(Outgoing(place, "x", "k", files=(OutFile("a", "text/plain", b"x"),))),
        channel.edit(place, "f" * 32, "x"),
        channel.edit(place, here.heard[0].event, "not the agent's line"),
        channel.typing(replace(place, chat="nobody")),
        channel.react(place, "m", "x"),
    ):
        with pytest.raises(SendRefused):
            await wrong
    assert await channel.members(place) is None and await channel.test()


@looped
async def test_broken_notes_are_nobody() -> None:
    here = Here()
    for broken in (b"\xff", b"[]", b'{"x": 1}', b'{"' + b"a" * 64 + b'": "y"}'):
        here.notes.kept["visitors"] = broken
        browser = Browser()
        browser._channel, browser._hear = here.open(), here.hear
        assert (await browser.hello()).status == 200
