"""Kill the gateway and cut connections, again and again, while people write; then count what was lost.

Seeded. A round: some messages in conversations chosen by chance, a moment, then SIGKILL or a cut on every platform. In most
rounds everything is answered before the next begins. Judged by what the platforms have.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from bench.channels.book import NUMBER
from bench.channels.peers import (
    HookPeer,
    MattermostPeer,
    Peer,
    SignalPeer,
    TelegramPeer,
    TerminalPeer,
    WebPeer,
)
from bench.channels.stage import Stage, staged

DRAIN_S = 20.0
LAST_S = 120.0
CUT_SHARE = 0.25
DRAIN_SHARE = 0.75


@dataclass
class Kills:
    """What the rounds did."""

    kills: int = 0
    cuts: int = 0
    slow: int = 0  # rounds whose answers were not all there within DRAIN_S
    down_s: list[float] = field(default_factory=list)


def all_peers() -> list[Peer]:
    return [
        TelegramPeer("telegram"),
        HookPeer("hook"),
        MattermostPeer("mattermost"),
        SignalPeer("signal"),
        WebPeer("web"),
        TerminalPeer("terminal"),
    ]


async def measure_kills(kills: int, seed: int, most_s: float) -> dict[str, Any]:
    """Rounds until so many kills are done or the time is over, and the verdict."""
    chance, done, began_s = random.Random(seed), Kills(), time.monotonic()
    async with staged(all_peers()) as stage:
        await stage.all_up()
        while done.kills < kills and time.monotonic() - began_s < most_s:
            await _round(stage, chance, done)
            if done.kills and done.kills % 50 == 0:
                print(f"{done.kills} kills, {done.cuts} cuts, {time.monotonic() - began_s:.0f} s", file=sys.stderr)
        await stage.drained(LAST_S)
        dead = await asyncio.to_thread(stage.dead)
        standing = await asyncio.to_thread(stage.standing)
        return _found(stage, done, dead, standing) | {"seed": seed, "took_s": round(time.monotonic() - began_s)}


async def _round(stage: Stage, chance: random.Random, done: Kills) -> None:
    for _ in range(chance.randint(2, 8)):
        peer = chance.choice(stage.peers)
        await stage.say(peer, chance.choice(peer.people))
        if chance.random() < 0.3:
            await asyncio.sleep(chance.uniform(0, 0.03))
    await asyncio.sleep(chance.uniform(0, 0.4))
    if chance.random() < CUT_SHARE:
        done.cuts += 1
        for peer in stage.peers:
            if chance.random() < 0.7:
                await peer.cut()
    else:
        began_s = time.monotonic()
        await asyncio.to_thread(stage.gate.kill)
        await asyncio.to_thread(stage.gate.start)
        done.kills += 1
        done.down_s.append(time.monotonic() - began_s)
    if chance.random() < DRAIN_SHARE:
        dead = await asyncio.to_thread(stage.dead)
        listed = len({n for _, body, _ in dead for n in NUMBER.findall(body)})
        done.slow += not await _answered(stage, listed)


async def _answered(stage: Stage, listed: int) -> bool:
    ends = time.monotonic() + DRAIN_S
    while time.monotonic() < ends:
        if stage.book.open() <= listed and await asyncio.to_thread(stage.standing) == 0:
            return True
        await asyncio.sleep(0.05)
    return False


def _found(stage: Stage, done: Kills, dead: list[tuple[str, str, str]], standing: int) -> dict[str, Any]:
    unknown = {n for kind, body, _ in dead for n in NUMBER.findall(body) if kind == "delivery"}
    verdict = stage.book.judge(unknown)
    others: dict[str, int] = {}
    for kind, _, error in dead:
        others[f"{kind}: {error[:60]}"] = others.get(f"{kind}: {error[:60]}", 0) + 1
    says: dict[str, int] = {}
    for _, text in stage.book.notices:
        says[text[:50]] = says.get(text[:50], 0) + 1
    crossing = [number for pair in verdict.crossed for number in pair]
    for number in [*verdict.lost[:20], *verdict.twice[:20], *crossing[:20]]:
        said = stage.book.said[number]
        print("  !", number, said, file=sys.stderr)
    return {
        "messages": verdict.said,
        "kills": done.kills,
        "cuts": done.cuts,
        "slow_rounds": done.slow,
        "lost": len(verdict.lost),
        "twice": len(verdict.twice),
        "crossed": len(verdict.crossed),
        "unknown": verdict.unknown,
        "unknown_arrived": verdict.unknown_arrived,
        "standing": standing,
        "given_up": others,
        "notices": says,
        "lost_by_channel": _by_channel(stage, verdict.lost),
        "twice_by_channel": _by_channel(stage, verdict.twice),
        "down_s": round(sum(done.down_s) / max(1, len(done.down_s)), 2),
    }


def _by_channel(stage: Stage, numbers: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for number in numbers:
        name = stage.book.said[number].channel
        found[name] = found.get(name, 0) + 1
    return found
