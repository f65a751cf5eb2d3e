"""What channels cost while nothing happens, how fast messages are kept, and how soon a reply is out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from bench.channels.book import percentile
from bench.channels.peers import (
    HookPeer,
    MattermostPeer,
    Peer,
    SignalPeer,
    TelegramPeer,
    TerminalPeer,
    WebPeer,
)
from bench.channels.stage import Stage, staged, until

SETTLE_S = 8.0
THINKS_S = 2.0
HOOKS = 12
"""With five callers each: a webhook may call 20 times a second for long, and 64 requests may be open in all
(carapax/surfaces/api/settings.py)."""


def twenty() -> list[Peer]:
    """Twenty channels of six kinds."""
    return [
        *(TelegramPeer(f"telegram-{n}", people=1) for n in range(6)),
        *(HookPeer(f"hook-{n}", people=1) for n in range(4)),
        *(MattermostPeer(f"mattermost-{n}") for n in range(4)),
        *(SignalPeer(f"signal-{n}") for n in range(3)),
        *(WebPeer(f"web-{n}") for n in range(2)),
        TerminalPeer("terminal"),
    ]


async def measure_idle(idle_s: float) -> dict[str, Any]:
    """Memory of a gateway and its proxy: without a channel, with one of each kind, with twenty; the CPU of these."""
    kinds: dict[str, Peer] = {}
    for peer in (peers := twenty()):
        kinds.setdefault(peer.kind, peer)
    first, rest = list(kinds.values()), [peer for peer in peers if peer not in kinds.values()]
    async with staged(()) as stage:
        await asyncio.to_thread(stage.gate.stop)  # a first start does more than a later one
        await asyncio.to_thread(stage.gate.start)
        await asyncio.sleep(SETTLE_S)
        bare_mb = stage.rss_mb()
        bare_cpu = await _cpu_share(stage, idle_s / 2)
        few_mb = await _with_more(stage, first)
        all_mb = await _with_more(stage, rest)
        all_cpu = await _cpu_share(stage, idle_s)
    return {
        "channels": len(peers),
        "kinds": len(kinds),
        "bare_mb": round(bare_mb, 1),
        "one_of_each_mb": round(few_mb, 1),
        "all_mb": round(all_mb, 1),
        "mb_each": round((all_mb - bare_mb) / len(peers), 2),
        "mb_each_further": round((all_mb - few_mb) / len(rest), 2),
        "bare_cpu_percent": round(bare_cpu, 2),
        "all_cpu_percent": round(all_cpu, 2),
    }


async def _with_more(stage: Stage, peers: Sequence[Peer]) -> float:
    """Memory after these were added and the gateway was started anew, as on any later day."""
    for peer in peers:
        await peer.start(stage.gate, stage.book)
        stage.peers = [*stage.peers, peer]
        await stage.add(peer)
    await asyncio.to_thread(stage.gate.stop)
    await asyncio.to_thread(stage.gate.start)
    await stage.all_up()
    await asyncio.sleep(SETTLE_S)
    return stage.rss_mb()


async def _cpu_share(stage: Stage, seconds: float) -> float:
    """Per cent of one core."""
    began_s, used_s = time.monotonic(), stage.cpu_s()
    await asyncio.sleep(seconds)
    return 100 * (stage.cpu_s() - used_s) / (time.monotonic() - began_s)


async def measure_latency(messages: int) -> dict[str, Any]:
    """One message at a time, each in its turn on each channel."""
    telegram, hook, terminal = TelegramPeer("telegram", 2), HookPeer("hook", 2), TerminalPeer("terminal")
    mattermost, signal = MattermostPeer("mattermost"), SignalPeer("signal")
    peers: list[Peer] = [telegram, hook, terminal, mattermost, signal]
    async with staged(peers) as stage:
        await stage.all_up()
        for peer in peers:  # the first turn of a process loads what the others find loaded
            await _one(stage, peer)
        stored: tuple[Any, ...] = (telegram.api.confirmed_s, hook.waits_s, terminal.client.waits_s)
        for waits in stored:
            waits.clear()
        last = await _replies(stage, peers, messages)
        return {
            "stored": {
                name: _summary(list(waits))
                for name, waits in zip(("telegram", "hook", "terminal"), stored, strict=True)
            },
            "last_token_to_platform": {name: _summary(waits) for name, waits in last.items()},
        }


async def _replies(stage: Stage, peers: Sequence[Peer], messages: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(messages):
        for peer in peers:
            number = await _one(stage, peer)
            found[peer.name].append(stage.book.said[number].replies[0] - stage.book.modelled[number])
    return found


async def _one(stage: Stage, peer: Peer) -> str:
    number = await stage.say(peer, peer.people[0])
    await until(lambda: stage.book.said[number].replies, 30, f"an answer on {peer.name}")
    return number


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "count": len(seconds),
        "p50_ms": round(percentile(seconds, 0.5) * 1e3, 1),
        "p95_ms": round(percentile(seconds, 0.95) * 1e3, 1),
    }


async def measure_rate(offered: int, seconds: float) -> dict[str, Any]:
    """Webhooks that call so often while a model thinks THINKS_S for each answer; then as many as they can at once."""
    peers: list[HookPeer] = [HookPeer(f"hook-{n}", people=5) for n in range(HOOKS)]
    async with staged(peers) as stage:
        await _one(stage, peers[0])
        stage.model.pause_s = THINKS_S
        for peer in peers:
            peer.waits_s.clear()
        paced = await _offer(stage, peers, offered, seconds)
        await stage.drained(120)
        for peer in peers:
            peer.waits_s.clear()
        burst = await _offer(stage, peers, 0, seconds)
        await stage.drained(240)
        return {"paced": paced, "burst": burst, "open": stage.book.open()}


async def _offer(stage: Stage, peers: Sequence[HookPeer], offered: int, seconds: float) -> dict[str, Any]:
    before, began_s, used_s = len(stage.book.said), time.monotonic(), stage.cpu_s()
    count = int((offered or 250) * seconds)
    for n in range(count):
        if offered and (wait_s := began_s + n / offered - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        peer = peers[n % len(peers)]
        await stage.say(peer, peer.people[n // len(peers) % len(peer.people)])
    said = list(stage.book.said.values())[before:]
    await until(lambda: all(each.taken_s for each in said), 120, "all are taken")
    last_s = max(each.taken_s for each in said)
    waits = [wait for peer in peers for wait in peer.waits_s]
    statuses: dict[int, int] = {}
    for peer in peers:
        for status, times in peer.statuses.items():
            statuses[status] = statuses.get(status, 0) + times
        peer.statuses.clear()
    return {
        "offered_per_s": offered or "all at once",
        "messages": count,
        "taken_per_s": round(count / (last_s - began_s), 1),
        "cpu_ms_each": round(1e3 * (stage.cpu_s() - used_s) / count, 2),
        "answered_meanwhile": sum(bool(each.replies) for each in said),
        "statuses": statuses,
        **_summary(waits),
    }
