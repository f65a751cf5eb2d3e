"""A gateway that is killed again and again while three people write: every message is answered once, in order.

What cannot be known is said: a reply whose sending was cut is listed as possibly delivered, never sent again by itself.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from carapax.app.turns import POISON
from tests.fakes.model_server import ModelServer, Says, Seen
from tests.fakes.platforms.serving import Fault
from tests.journeys.gate import Gate
from tests.journeys.messenger import BotApi, CountingTelegram, add_telegram, last_words, pair, wait

KILLS = 25
WRITERS = ("alice", "bob", "carol")
MOST_S = 240.0
WORK_S = 20.0
MARK = re.compile(r"\bno\d+\b")


class Faulty(CountingTelegram):
    """Fails some requests at drawn moments: sends with 429 and 502, polls with 502."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.chance = random.Random(7)
        self.rate = 0.0
        self.poll_faults = 0
        self.limited = self.lost = 0

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        if method == "getUpdates" and self.poll_faults:
            self.poll_faults -= 1
            return web.Response(status=502)
        if method == "sendMessage" and self.chance.random() < self.rate:
            if self.chance.random() < 0.6:
                self.limited += 1
                self.faults.append(Fault(429, 1))
            else:
                self.lost += 1
                return web.Response(status=502)  # nobody but the test knows that it was not taken
        return await super()._answer(request)


def model(seen: Seen) -> Says:
    """Answers `re:` and the message."""
    return Says([f"re:{last_words(seen)}"])


class Writers(threading.Thread):
    """Three people who write numbered messages, a few at a time, as long as asked."""

    def __init__(self, bots: BotApi, seed: int) -> None:
        super().__init__(daemon=True)
        self._bots, self._chance = bots, random.Random(seed)
        self._enough = threading.Event()
        self.wrote: dict[str, list[str]] = {who: [] for who in WRITERS}

    def run(self) -> None:
        while not self._enough.wait(self._chance.uniform(0.02, 0.2)):
            who = self._chance.choice(WRITERS)
            if len(self.wrote[who]) - len(answers(self._bots, who)) > 12:
                continue  # a person waits when nothing comes back
            text = f"no{len(self.wrote[who])} of {who}"
            self.wrote[who].append(text)
            self._bots.says(who, text)

    def stop(self) -> None:
        self._enough.set()
        self.join(10)


def answers(bots: BotApi, who: str) -> list[str]:
    """The messages that were answered, in the order in which their answers came."""
    return [text.removeprefix("re:") for text in bots.texts(who) if text.startswith("re:no")]


@contextmanager
def begun(place: Path, bots: BotApi, server: ModelServer) -> Iterator[Gate]:
    """A gateway whose three people each wait for one answer after the other."""
    gate = Gate(place, server.openai_url)
    try:
        gate.start()
        add_telegram(gate, bots)
        for who, person in zip(WRITERS, ("owner", "bob", "carol"), strict=True):
            pair(gate, bots, who, person)
            bots.says(who, "/queue follow-up")
            bots.answer(who, "From now on: follow-up")
        yield gate
    finally:
        gate.kill()


def strike(gate: Gate, bots: BotApi, server: ModelServer, chance: random.Random) -> None:
    """Kill the gateway at a drawn moment of its work: so many steps after it began, and some milliseconds."""
    after = _steps(bots, server) + chance.randint(1, 6)
    until = time.monotonic() + WORK_S
    while _steps(bots, server) < after and time.monotonic() < until:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.05))  # the moment is what is drawn: nothing waits for it
    gate.kill()


def _steps(bots: BotApi, server: ModelServer) -> int:
    return len(server.requests) + bots.count("sendMessage")


def possibly_delivered(gate: Gate) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gate.command("messages", "dead", "--json").stdout)["messages"]
    return found


def is_settled(gate: Gate, bots: BotApi) -> bool:
    """Whether nothing is left to be taken, answered or sent."""
    counts = gate.request("GET", "/api/status")[1]["work"]
    return not bots.platform.updates and not any(count for name, count in counts.items() if not name.endswith(".dead"))


def check_answers(bots: BotApi, wrote: dict[str, list[str]], dead: int) -> None:
    """Every message answered once and in order, but for as many as are listed."""
    missing = 0
    for who in WRITERS:
        got = answers(bots, who)
        assert len(got) == len(set(got)), f"answered twice: {[text for text in got if got.count(text) > 1]}"
        assert got == [text for text in wrote[who] if text in set(got)], f"out of order: {got}"
        missing += len(wrote[who]) - len(got)
    assert missing <= dead, f"{missing} without an answer, {dead} listed"


def test_whatever_is_killed_every_message_is_answered_once_and_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(20_261_201)
    began = time.monotonic()
    with BotApi() as bots, ModelServer(model, last_repeats=True) as server, begun(tmp_path, bots, server) as gate:
        writers = Writers(bots, seed=3)
        writers.start()
        try:
            for _ in range(KILLS):
                strike(gate, bots, server, chance)
                gate.start()
        finally:
            writers.stop()
        wrote = sum(map(len, writers.wrote.values()))

        wait(lambda: is_settled(gate, bots), 60, said=lambda: gate.request("GET", "/api/status")[1]["work"])
        dead = possibly_delivered(gate)
        with capsys.disabled():
            print(
                f"\n[{KILLS} kills, {wrote} messages, {len(dead)} possibly delivered, {time.monotonic() - began:.0f} s]"
            )
        cut = [each for each in dead if "may have arrived" in each["error"]]
        worn = [each for each in dead if each["kind"] == "turn" and POISON in each["error"]]  # killed five times in it
        assert len(cut) + len(worn) == len(dead), dead
        check_answers(bots, writers.wrote, len(dead))
        assert wrote >= 3 * KILLS // 2
    assert time.monotonic() - began < MOST_S


def test_a_platform_that_limits_fails_and_cuts_costs_no_message_and_no_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(11)
    with (
        BotApi(api=Faulty) as bots,
        ModelServer(model, last_repeats=True) as server,
        begun(tmp_path, bots, server) as gate,
    ):
        platform = bots.platform
        assert isinstance(platform, Faulty)
        platform.rate = 0.2
        writers = Writers(bots, seed=5)
        writers.start()
        try:
            for number in range(4):
                target = sum(map(len, writers.wrote.values())) + chance.randint(3, 8)
                wait(lambda target=target: sum(map(len, writers.wrote.values())) >= target)  # type: ignore[misc]
                platform.poll_faults += number % 2
                bots.run(platform.cut())
        finally:
            writers.stop()
        wait(lambda: is_settled(gate, bots), 60, said=lambda: gate.request("GET", "/api/status")[1]["work"])
        dead = possibly_delivered(gate)
        wrote = sum(map(len, writers.wrote.values()))
        with capsys.disabled():
            print(f"\n[{wrote} messages, {platform.limited} limits, {platform.lost} losses, {len(dead)} listed]")
        assert platform.limited and platform.lost
        assert len(dead) == platform.lost
        check_answers(bots, writers.wrote, len(dead))
