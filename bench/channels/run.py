"""Measure the messengers: what they cost, how fast they are, and what is lost when the gateway dies.

    python -m bench.channels.run [--only idle latency rate kills soak] [--kills 300] [--messages 100000] [--json FILE]

A real gateway with its egress proxy, the tests' platforms on loopback, a model that answers at once. The breaker's figure for
messages is raised: as delivered it halts everything at 120 a minute. Takes about 40 minutes on two cores that are idle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from bench.channels.costs import THINKS_S, measure_idle, measure_latency, measure_rate
from bench.channels.kills import measure_kills
from bench.channels.soak import TURNS, measure_soak

IDLE_S, EACH, OFFERED, RATE_S = 60.0, 60, 200, 8.0
Found = dict[str, Any]
Row = tuple[str, str, str, bool | None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(TABLES), choices=list(TABLES), metavar="NAME")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--most-s", type=float, default=3_600.0, help="for the kills, and for the soak")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    measures: dict[str, Callable[[], Coroutine[Any, Any, Found]]] = {
        "idle": lambda: measure_idle(IDLE_S),
        "latency": lambda: measure_latency(EACH),
        "rate": lambda: measure_rate(OFFERED, RATE_S),
        "kills": lambda: measure_kills(given.kills, given.seed, given.most_s),
        "soak": lambda: measure_soak(given.messages, given.most_s),
    }
    found: dict[str, Found] = {}
    for name in given.only:
        load, began_s = os.getloadavg()[0], time.monotonic()
        found[name] = asyncio.run(measures[name]())
        found[name] |= {"load_before": round(load, 2), "whole_s": round(time.monotonic() - began_s)}
        if given.json:  # after each part: the later ones take long
            machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "kernel": platform.release()}
            given.json.write_text(json.dumps({"machine": machine, **found}, indent=1))
    print(table(found))
    return 0


def table(found: dict[str, Found]) -> str:
    """Markdown: what was measured, and its goal."""
    loads = ", ".join(f"{name} {part['load_before']}" for name, part in found.items())
    lines = [
        f"{os.cpu_count()} CPUs; load before each part: {loads}.",
        "",
        "| what | measured | goal | |",
        "|---|---|---|---|",
    ]
    for name, part in found.items():
        for what, measured, goal, met in TABLES[name](part):
            lines.append(f"| {what} | {measured} | {goal} | {'' if met is None else 'met' if met else '**missed**'} |")
    return "\n".join(lines)


def _idle(found: Found) -> Iterator[Row]:
    each, further, cpu = found["mb_each"], found["mb_each_further"], found["all_cpu_percent"]
    yield "gateway and proxy without a channel", f"{found['bare_mb']} MB", "", None
    yield f"with {found['kinds']} channels, one of each kind", f"{found['one_of_each_mb']} MB", "", None
    yield f"with {found['channels']} channels, connected and idle", f"{found['all_mb']} MB", "", None
    yield "each channel, mean", f"{each} MB", "< 3 MB", each < 3
    yield "each further channel of a kind that is there", f"{further} MB", "", None
    yield "CPU of both, idle without a channel", f"{found['bare_cpu_percent']} %", "", None
    yield f"CPU of both, idle with {found['channels']}", f"{cpu} %", "< 1 %", cpu < 1


def _latency(found: Found) -> Iterator[Row]:
    for name, said in found["stored"].items():
        yield _timed(f"delivered → stored, {name}", said, 30)
    for name, said in found["last_token_to_platform"].items():
        yield _timed(f"last token → platform has the reply, {name}", said, 20)


def _timed(what: str, said: Found, most_ms: float) -> Row:
    measured = f"p50 {said['p50_ms']} ms, p95 {said['p95_ms']} ms"
    return what, measured, f"p95 < {most_ms} ms", said["p95_ms"] < most_ms


def _rate(found: Found) -> Iterator[Row]:
    for name, said in (("offered 200 a second", found["paced"]), ("all at once", found["burst"])):
        rate, about = (
            said["taken_per_s"],
            f"webhooks, {said['messages']:,} messages {name}, model thinks {THINKS_S:.0f} s",
        )
        yield (
            f"{about}: kept",
            f"{rate} /s",
            "≥ 200 /s" if name[0] == "o" else "",
            rate >= 190 if name[0] == "o" else None,
        )
        yield "… its wait until kept", f"p50 {said['p50_ms']} ms, p95 {said['p95_ms']} ms", "", None
        yield "… CPU each, with its turn and reply as far as they came", f"{said['cpu_ms_each']} ms", "", None
    yield "… without an answer in the end", str(found["open"]), "0", found["open"] == 0


def _kills(found: Found) -> Iterator[Row]:
    yield (
        "kills, rounds of cut connections, messages",
        f"{found['kills']}, {found['cuts']}, {found['messages']}",
        "300",
        None,
    )
    for name, what in (("lost", "lost"), ("twice", "answered twice"), ("crossed", "out of order in a conversation")):
        yield what, str(found[name]), "0", found[name] == 0
    yield (
        "of unknown outcome, listed for a person (of them arrived)",
        f"{found['unknown']} ({found['unknown_arrived']})",
        "",
        None,
    )
    yield "kill to answering again, mean", f"{found['down_s']} s", "", None


def _soak(found: Found) -> Iterator[Row]:
    count, growth = found["messages"], found["rss_growth_percent"]
    yield f"messages, one in {TURNS} a turn; answered", f"{count:,}; {found['answered']:,}", "100,000", count >= 100_000
    yield "memory after warm-up, growth", f"{growth} %", "≤ 10 %", growth <= 10
    yield "messages a second, CPU each", f"{found['per_s']} /s, {found['cpu_ms_each']} ms", "", None
    yield "store and ledger, grown by", f"{found['store_mb']} MB, {found['ledger_mb']} MB", "", None


TABLES: dict[str, Callable[[Found], Iterator[Row]]] = {
    "idle": _idle,
    "latency": _latency,
    "rate": _rate,
    "kills": _kills,
    "soak": _soak,
}

if __name__ == "__main__":
    sys.exit(main())
