"""Measure the gateway with policy, ledger and sandbox on, beside its peers' recorded figures.

    python bench/gateway/run.py [--harness ../shared/bench] [--rounds 3] [--json FILE]

Runs the common harness (`bench.py` and `stub_llm.py`) on `bench/entry.json`: with an empty store, with 10,000 stored
sessions, and with a session of 5,000 messages. Prints medians over the rounds; loopback only; needs `make setup`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OUT = ROOT / "bench" / "out"
STUB_PORT = 18080
SESSIONS = 10_000
MESSAGES = 5_000

GOALS = {
    "ready, s": (1.3, "cold_start_s"),
    "idle memory, MB": (100, "idle_rss_mb"),
    "CPU per turn, ms": (15, "turn_cpu_ms"),
    "turns/s, 20 sessions": (50, "turns_per_s"),
    "turn with a shell call, median ms": (40, "tool_median_ms"),
    "prompt of a trivial turn, KB": (12, "prompt_kb"),
}

PEERS = {
    "OpenClaw 2026.9.6": ("5.4–7.4", "846", "167–184", "6–7", "166 (no sandbox)", "62"),
    "hermes-agent 0.19": ("3.1–4.6", "140", "155–174", "6.4", "179 (no sandbox)", "51–55"),
    "nanobot-ai 0.3.5": ("2.7–3.8", "102", "51–52", "21", "103 (bubblewrap)", "30–32"),
    "gulama 0.2": ("3.6–6.3", "210", "13", "45", "51", "17"),
    "agnoclaw 0.14": ("4.7", "112", "65", "–", "138", "25"),
}


def flat(result: dict[str, Any]) -> dict[str, float]:
    """The figures we promise something about."""
    return {
        "cold_start_s": result["cold_start_s"],
        "idle_rss_mb": result["idle_rss_mb"],
        "turn_cpu_ms": result["turn_cpu_ms"],
        "turn_median_ms": result["turn_ms"]["median"],
        "turns_per_s": result["concurrent"]["turns_per_s"],
        "tool_median_ms": result["tool_turn_ms"]["median"],
        "prompt_kb": round(result["first_prompt_bytes"] / 1024, 1),
        "after_rss_mb": result["rss_after_mb"],
        "bad": result["turn_ms"]["bad"] + result["tool_turn_ms"]["bad"] + result["concurrent"]["errors"],
    }


async def fill(kind: str) -> None:
    """Put a history into the bench's store, through the store itself."""
    from carapax.adapters.store.sql_store import SqlStore
    from carapax.app.clock import SystemClock, new_id
    from carapax.core.terms.conversation import PartKind, Turn, TurnState
    from carapax.core.terms.ids import SessionId, TurnId
    from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label
    from carapax.core.terms.limit import Usage
    from carapax.ports.store import NewPart

    clock = SystemClock()
    home = OUT / "home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = SqlStore.open(str(home / "store.sqlite"), clock)
    label = Label(Integrity.USER, OWNER_ONLY)

    async def turn(session: SessionId, number: int) -> None:
        now_ms = clock.now_ms()
        made = Turn(
            TurnId(new_id(now_ms)),
            session,
            0,
            TurnState.DONE,
            OWNER,
            "api",
            f"message {number}",
            "pong",
            now_ms,
            now_ms,
            Usage(105),
        )
        await store.accept_turn(
            made, (NewPart(PartKind.USER, made.text, label), NewPart(PartKind.REPLY, "pong", label))
        )

    async def session(key: str, turns: int) -> None:
        opened = await store.open_session(SessionId(new_id(clock.now_ms())), OWNER, key, clock.now_ms())
        for number in range(turns):
            await turn(opened.id, number)

    if kind == "sessions":
        for first in range(0, SESSIONS, 100):
            await asyncio.gather(*(session(f"old-{first + n}", 2) for n in range(100)))
    else:
        await session("bench-seq", MESSAGES // 2)
    await store.close()


def wait_port(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit("the stub model did not start")


def measure(harness: Path, kind: str) -> dict[str, float]:
    """One run of the harness on a fresh home."""
    shutil.rmtree(OUT / "home", ignore_errors=True)
    shutil.rmtree(OUT / "work", ignore_errors=True)
    OUT.mkdir(parents=True, exist_ok=True)
    if kind:
        asyncio.run(fill(kind))
    log, result = OUT / "stub.jsonl", OUT / "harness.json"
    log.unlink(missing_ok=True)
    stub = subprocess.Popen([sys.executable, str(harness / "stub_llm.py"), "--port", str(STUB_PORT), "--log", str(log)])
    try:
        wait_port(STUB_PORT)
        subprocess.run(
            [sys.executable, str(harness / "bench.py"), "bench/entry.json", "--json", str(result)],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    finally:
        stub.terminate()
        stub.wait(10)
    found = json.loads(result.read_text())
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    found["first_prompt_bytes"] = next(row["bytes"] for row in asked if row["m"] == "POST" and row["bytes"])
    return flat(found)


def loop_ms() -> int:
    """CPU of a fixed loop of three million steps: how fast this machine is just now."""
    began, total = time.process_time(), 0
    for number in range(3_000_000):
        total += number * number
    return round((time.process_time() - began) * 1000)


def median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(r[name] for r in rounds), 2) for name in rounds[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--harness", type=Path, default=ROOT.parent / "shared" / "bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if not (given.harness / "bench.py").exists():
        raise SystemExit("The common harness is missing; name its folder with --harness.")
    kinds = {"empty": "", f"{SESSIONS:,} sessions": "sessions", f"a session of {MESSAGES:,} messages": "messages"}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    loops = []
    for _ in range(given.rounds):  # interleaved, so that a noisy minute hits every kind
        for name, kind in kinds.items():
            rounds[name].append(measure(given.harness, kind))
            loops.append(loop_ms())
    found = {name: median(of) for name, of in rounds.items()}
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "rounds": given.rounds, "loop_ms": loops}
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "carapax": found, "rounds": rounds}, indent=1))
    print(table(found, machine))
    return 0


def table(found: dict[str, dict[str, float]], machine: dict[str, Any]) -> str:
    """Markdown: us with our goals beside the peers, and what history does to us."""
    ours = found["empty"]
    lines = [
        f"{machine['cores']} shared cores, medians of {machine['rounds']} rounds. The machine's speed drifts: a fixed loop "
        f"took {min(machine['loop_ms'])} to {max(machine['loop_ms'])} ms of CPU in the course of this run.",
        "",
        "| | " + " | ".join(GOALS) + " |",
        "|---" * (len(GOALS) + 1) + "|",
        "| goal | "
        + " | ".join(f"{'≥' if 'turns/s' in name else '≤'} {goal}" for name, (goal, _) in GOALS.items())
        + " |",
        "| **Carapax** | " + " | ".join(f"**{ours[key]}**" for _, key in GOALS.values()) + " |",
        *(f"| {peer} | " + " | ".join(figures) + " |" for peer, figures in PEERS.items()),
        "",
        "Carapax is measured with its policy, ledger and sandbox on; no peer asks a policy or writes a durable record.",
        "",
        "| stored | " + " | ".join(GOALS) + " |",
        "|---" * (len(GOALS) + 1) + "|",
    ]
    for name, figures in found.items():
        shown = [f"{figures[key]} ({figures[key] / ours[key]:.2f}×)" for _, key in GOALS.values()]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
