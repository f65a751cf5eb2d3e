"""The web chat, with a browser for each person that asks its hook."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import HookRequest, Place
from carapax.ports.channel import Channel, Hear
from tests.conformance.channel.rig import Says, Seen, Traits
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock
from tests.fakes.platforms.web_browser import Browser

GAPS = {
    "group": "a page is one person's conversation",
    "groups": "a page is one person's conversation",
    "members": "a page is one person's conversation",
    "threads": "a page is one person's conversation",
    "reply": "a page shows one conversation in its order",
    "react": "the page shows no reactions",
    "files_out": "the agent's files would have to outlive a restart outside the notes",
    "voice": "the page records no speech",
    "edits_in": "what a visitor sent stays as it is",
    "deletes": "what a visitor sent stays as it is",
    "quoted": "a visitor's words are all their own",
    "forwarded": "a visitor's words are all their own",
    "names": "visitors have no names",
    "cuts": "pages come to us, no connection is held",
    "statuses": "nobody else is asked when something is sent",
    "refuses": "there is no credential",
    "body_signed": "the proof is a cookie and an origin, not a signature",
    "stale": "the proof is a cookie and an origin, without a time",
}


class WebRig:
    def __init__(self) -> None:
        self.traits = Traits(
            "web", hook=True, cuts=False, statuses=False, refuses=False, shows_typing=True, gaps=dict(GAPS)
        )
        self.notes, self.clock = Notes(), ShiftedClock()
        self.browsers = {name: Browser() for name in ("alice", "bob")}
        self._waiting: list[tuple[Browser, HookRequest]] = []  # what a page tries again
        self._again: asyncio.Task[None] | None = None

    async def start(self) -> None:
        channel = self.open()
        for browser in self.browsers.values():
            browser.show(channel, _deaf)
            await browser.hello()
            await browser.leave()

    async def stop(self) -> None:
        for browser in self.browsers.values():
            await browser.leave()

    def open(self) -> Channel:
        return open_channel("web", Opening("web", {}, {}, DirectEgress(DictVault()), self.notes, self.clock))

    def sender_id(self, sender: str) -> str:
        return hashlib.sha256(self.browsers[sender].cookie.partition("=")[2].encode()).hexdigest()

    def place_of(self, sender: str) -> Place:
        return Place("web", self.sender_id(sender))

    def hooked(self, channel: Channel, hear: Hear) -> None:
        for browser in self.browsers.values():
            browser.show(channel, hear)
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._again = asyncio.create_task(self._try_again(waiting))

    async def _try_again(self, waiting: list[tuple[Browser, HookRequest]]) -> None:
        for browser, request in waiting:
            await browser.ask(request)

    async def say(self, says: Says) -> str:
        browser = self.browsers[says.sender]
        refs = [await browser.put(*file) for file in says.files]
        given: dict[str, Any] = {"text": says.text, "files": refs}
        if says.presses:
            given = {"press": says.presses, "message": says.edits}
        try:
            answer = await browser.post(**given)
        except BaseException as error:  # broad: refused by the store, or the test went on; a page tries again
            assert browser.last_post is not None
            self._waiting.append((browser, browser.last_post))
            if isinstance(error, asyncio.CancelledError):
                raise
            return ""
        return str(json.loads(answer.body)["message"]) if answer.status == 200 else ""

    async def rename(self, sender: str, name: str) -> None:
        raise NotImplementedError

    async def repeat(self) -> None:
        browser = self.browsers["alice"]
        assert browser.last_post is not None
        await browser.ask(browser.last_post)

    async def seen(self) -> list[Seen]:
        found = [
            (
                line["at"],
                Seen(
                    self.sender_id(name), line["id"], line["text"], buttons=tuple(label for label, _ in line["buttons"])
                ),
            )
            for name, browser in self.browsers.items()
            for line in browser.lines.values()
            if not line["mine"]
        ]
        return [seen for _, seen in sorted(found, key=lambda pair: pair[0])]

    async def typing_count(self) -> int:
        return sum(browser.typings for browser in self.browsers.values())

    async def reactions(self, message: str) -> list[str]:
        return []

    async def leave(self, sender: str) -> None:
        raise NotImplementedError

    async def cut(self) -> None:
        raise NotImplementedError

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        raise NotImplementedError

    async def refuse_credential(self) -> None:
        raise NotImplementedError


async def _deaf(heard: object) -> None:
    return


def make_rig(folder: Path) -> WebRig:
    return WebRig()
