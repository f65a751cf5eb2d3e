"""A Telegram of one's own beside a real gateway: the local Bot API in a thread, people who write, and waiting on them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from aiohttp import web

from tests.fakes.model_server import Says, Seen
from tests.fakes.platforms.telegram import Telegram
from tests.journeys.gate import Gate

T = TypeVar("T")

GROUP = -1001234567890
BOT = {"id": 424242, "is_bot": True, "first_name": "Carapax", "username": "carapax_test_bot"}
TOKEN = f"{BOT['id']}:" + "Qx7-lantern" + "_Otter44" + "ZkReef91pWmQ2" + "ab"
PEOPLE: dict[str, dict[str, Any]] = {
    "alice": {"id": 1001, "is_bot": False, "first_name": "Alice", "last_name": "Example"},
    "bob": {"id": 1002, "is_bot": False, "first_name": "Bob"},
    "carol": {"id": 1003, "is_bot": False, "first_name": "Carol"},
    "eve": {"id": 1666, "is_bot": False, "first_name": "Eve"},
}
WAIT_S = 20.0


def wait(holds: Callable[[], T], seconds: float = WAIT_S, *, said: Callable[[], object] = lambda: "") -> T:
    """The first true value; an error with `said` after this long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := holds():
            return found
        time.sleep(0.01)
    raise AssertionError(f"It did not come to be within {seconds} s. {said()}")


class CountingTelegram(Telegram):
    """Also counts what it refused for its token."""

    refused = 0

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.refused += request.match_info["token"] != self.token
        return await super()._answer(request)


class BotApi:
    """The Bot API in a thread of its own; what people do is called from the test's thread."""

    def __init__(self, token: str = TOKEN, *, api: type[CountingTelegram] = CountingTelegram) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bot-api", daemon=True)
        group = {"id": GROUP, "type": "supergroup", "title": "The lab"}
        bot = BOT | {"can_read_all_group_messages": True, "can_join_groups": True}
        self.platform = api(token=token, people=dict(PEOPLE), group=group, bot=bot)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.platform.start())
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.run(self.platform.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    @property
    def url(self) -> str:
        return self.platform.url

    # what people do

    def says(self, who: str, text: str = "", *, group: bool = False, **more: Any) -> int:
        """Somebody writes to the bot; the message's number."""

        async def say() -> int:
            platform = self.platform
            given = {"text": text, **more} if text else more
            message = platform.message(who, platform.group if group else None, **given)
            await platform.happen(message=dict(message))
            return int(message["message_id"])

        return self.run(say())

    def mentions(self, who: str, text: str, **more: Any) -> int:
        """Somebody calls the bot by its name in the group."""
        call = f"@{BOT['username']}"
        entity = {"type": "mention", "offset": 0, "length": len(call)}
        return self.says(who, f"{call} {text}", group=True, entities=[entity], **more)

    def sends_file(self, who: str, name: str, content: bytes, caption: str) -> int:
        ref = self.platform.keep_file(name, content)
        document = {"file_id": ref, "file_name": name, "file_size": len(content), "mime_type": "text/plain"}
        return self.says(who, document=document, caption=caption)

    def presses(self, who: str, message: dict[str, Any], label: str) -> None:
        """Somebody presses a button of the bot's, by its label."""
        (data,) = [button["callback_data"] for button in buttons(message) if button["text"] == label]

        async def press() -> None:
            platform = self.platform
            shown = {key: message[key] for key in ("message_id", "date", "from", "chat", "text")}
            query = {"id": f"q{time.monotonic_ns()}", "from": platform.people[who], "data": data}
            await platform.happen(callback_query=query | {"message": shown, "chat_instance": "1"})

        self.run(press())

    # what they see

    def seen(self, who: str | int = "") -> list[dict[str, Any]]:
        """The bot's messages in somebody's chat as they stand now, oldest first."""
        chat = PEOPLE[who]["id"] if isinstance(who, str) and who else who
        mine = [each for each in list(self.platform.messages.values()) if each["from"]["id"] == BOT["id"]]
        return [each for each in mine if not chat or each["chat"]["id"] == chat]

    def texts(self, who: str | int = "") -> list[str]:
        return [words(each) for each in self.seen(who)]

    def answer(self, who: str | int, holds: Callable[[str], bool] | str, seconds: float = WAIT_S) -> str:
        """The first message to somebody that holds a text, once it is there."""
        wanted = (lambda text: holds in text) if isinstance(holds, str) else holds
        return wait(
            lambda: next((text for text in self.texts(who) if wanted(text)), ""), seconds, said=lambda: self.texts(who)
        )

    def card(self, who: str) -> dict[str, Any]:
        """The newest message to somebody that has buttons, once there is one."""
        return (
            wait(
                lambda: next((each for each in reversed(self.seen(who)) if buttons(each)), None),
                said=lambda: self.texts(who),
            )
            or {}
        )

    def refused(self) -> int:
        """Requests that came with a token that is none."""
        return self.platform.refused

    def count(self, *methods: str) -> int:
        """Requests that came, of these methods or of all."""
        return sum(not methods or method in methods for method, _ in list(self.platform.requests))


def words(message: dict[str, Any]) -> str:
    return str(message.get("text") or message.get("caption") or "")


def buttons(message: dict[str, Any]) -> list[dict[str, str]]:
    markup = message.get("reply_markup") or {}
    return [button for row in markup.get("inline_keyboard", []) for button in row]


def add_telegram(gate: Gate, bots: BotApi, *more: str, name: str = "telegram") -> str:
    """Connect the bot by the real command, its token from the environment; what the command printed."""
    gate._env["BOT_TOKEN"] = bots.platform.token
    argv = (
        "channels",
        "add",
        "telegram",
        "--name",
        name,
        "--set",
        f"api={bots.url}",
        "--secret",
        "token=env:BOT_TOKEN",
    )
    try:
        done = gate.command(*argv, *more)
    finally:
        del gate._env["BOT_TOKEN"]
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pair(gate: Gate, bots: BotApi, who: str, person: str = "owner", *, channel: str = "telegram") -> None:
    """Make somebody known by a code from the terminal."""
    made = gate.command("pair", "--as", person, "--channel", channel)
    assert made.returncode == 0, made.stdout + made.stderr
    bots.says(who, made.stdout.strip())
    bots.answer(who, f"here you are {person}")


def last_words(seen: Seen) -> str:
    """What a person said last in a prompt."""
    said = [str(message["content"]) for message in seen.json()["messages"] if message["role"] == "user"]
    return next(text for text in reversed(said) if not text.startswith("[attached file"))


def echo(seen: Seen) -> Says:
    """A model that answers `re:` and the message."""
    return Says([f"re:{last_words(seen)}"])
