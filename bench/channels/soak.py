"""A hundred thousand messages through one gateway: memory as it goes, files, CPU.

Every twentieth message is words for a turn; the others are `/whoami`, which takes the whole way in and out (kept, looked at
in its conversation's order, answered from the outbox, recorded), but asks no model.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from bench.channels.peers import TelegramPeer
from bench.channels.stage import Stage, staged, until

TURNS = 20  # one in so many messages
BOTS, PEOPLE = 4, 16
AHEAD = 256  # messages that may be without an answer


async def measure_soak(messages: int, most_s: float) -> dict[str, Any]:
    """So many messages, or as many as the time allows; memory at every twentieth part of them."""
    peers = [TelegramPeer(f"telegram-{n}", people=PEOPLE) for n in range(BOTS)]
    async with staged(peers) as stage:
        await stage.all_up()
        began_s, used_s, before = time.monotonic(), stage.cpu_s(), stage.sizes_mb()
        notices = _Notices(stage)
        rows: list[dict[str, float]] = []
        sent = turns = 0
        while sent < messages and time.monotonic() - began_s < most_s:
            for _ in range(max(1, messages // 20)):
                peer = peers[sent % BOTS]
                who = peer.people[sent // BOTS % PEOPLE]
                if sent % TURNS == 0:
                    await stage.say(peer, who)
                    turns += 1
                else:
                    await peer.say(who, "", "/whoami")
                sent += 1
                await until(lambda: sent - notices.count() - stage.book.answered <= AHEAD, 120, "answers")  # noqa: B023
                if time.monotonic() - began_s > most_s:
                    break
            rows.append({"messages": sent, "rss_mb": round(stage.rss_mb(), 1), "s": round(time.monotonic() - began_s)})
            print(rows[-1], file=sys.stderr)
        await stage.drained(60)
        after = stage.sizes_mb()
        warm = [row["rss_mb"] for row in rows[len(rows) // 4 :]]
        return {
            "messages": sent,
            "turns": turns,
            "answered": stage.book.answered + notices.count(),
            "seconds": round(time.monotonic() - began_s),
            "per_s": round(sent / (time.monotonic() - began_s), 1),
            "cpu_ms_each": round(1e3 * (stage.cpu_s() - used_s) / max(1, sent), 2),
            "rss_growth_percent": round(100 * (max(warm) / warm[0] - 1), 1) if warm else 0.0,
            "store_mb": round(after[0] - before[0], 1),
            "ledger_mb": round(after[1] - before[1], 1),
            "rows": rows,
        }


class _Notices:
    """Counts the answers to commands and forgets their texts."""

    def __init__(self, stage: Stage) -> None:
        self._book, self._counted = stage.book, 0
        self._book.notices.clear()

    def count(self) -> int:
        self._counted += len(self._book.notices)
        self._book.notices.clear()
        return self._counted
