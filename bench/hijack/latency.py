"""How long one judgement takes: `python -m bench.hijack.latency [--json FILE] [--values N] [--rules N] [--rounds N]`.

A session that has read N provenance values (default 100,000) under a policy of N rules (default 200); the guard judges
calls of several kinds with `TurnGuard.preview`: canonical form, look-ups, flow rules and Cedar, without ledger and tool.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carapax.adapters.tools.manifest import parse_manifests
from carapax.app.replay.command import PROBES
from carapax.app.replay.people import Knowledge, Person
from carapax.app.replay.stage import Stage
from carapax.app.replay.world import Attack, Owner, Planned, Returned, Task
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.terms.action import Proposal, ToolManifest
from carapax.core.terms.ids import CallId, SessionId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label, Source
from carapax.core.terms.principal import Principal, Role
from carapax.guard.scope import Scope

WORDS = "Look at my mail of this week, tell kim@hill.example what is new, and delete the mail 'Subject 77 of the week'."
FIELDS = 5
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "read": ("mail_find", {"query": "week"}),
    "send to a named person": ("mail_send", {"to": ["kim@hill.example"], "subject": "News", "body": "All is well."}),
    "send to a stranger": ("mail_send", {"to": ["thief@moor.test"], "subject": "News", "body": "All is well."}),
    "send to an address that was read": (
        "mail_send",
        {"to": ["p9000@sea.example"], "subject": "News", "body": "See https://moor.test/x " + "word " * 300},
    ),
    "delete a named mail": ("mail_delete", {"id": "id-77"}),
    "delete another mail": ("mail_delete", {"id": "id-4000"}),
}


Took = tuple[float, float]
"""Milliseconds of the clock, and of this process's CPU: on shared cores the clock also counts what others do."""


class Crowd:
    """A world with one call that returns very many mails. Implements World and Episode."""

    name = "crowd"

    def __init__(self, values: int) -> None:
        self.mails = [
            {
                "id": f"id-{n}",
                "sender": f"p{n}@sea.example",
                "to": ["me@hill.example"],
                "subject": f"Subject {n} of the week",
                "body": f"Text {n}: see https://p{n}.sea.example/path/{n} and call p{n + 1}@sea.example.",
                "date": "2031-01-01",
            }
            for n in range(values // FIELDS)
        ]

    def manifests(self) -> Sequence[ToolManifest]:
        return parse_manifests((PROBES / "tools.toml").read_text("utf-8"), "probes")

    def owner(self) -> Owner:
        return Owner(frozenset({"me@hill.example"}), frozenset({"hill.example"}))

    def tasks(self) -> Sequence[Task]:
        return (Task("t", WORDS),)

    def begin(self, task: Task, attack: Attack | None) -> Crowd:
        return self

    def honest(self) -> Sequence[Planned]:
        return ()

    hostile = honest

    def run(self, planned: Planned, arguments: Any) -> Returned:
        return Returned("very many mails", self.mails)

    def tainted(self, text: str) -> bool:
        return False

    def useful(self) -> bool:
        return True

    def harmed(self) -> bool:
        return False


def policy_with(rules: int) -> Policy:
    """The open policy with so many rules in all; the others name tools that are not called."""
    text = (PROBES.parent / "open.yaml").read_text("utf-8")
    lines = [
        f"  other-{n}:\n    tools: [other_{n}]\n    answer: deny\n    because: Not this tool.\n"
        for n in range(1, rules)
    ]
    return parse_policy(text.replace("capabilities:\n", "capabilities:\n" + "".join(lines)).encode())


async def measure(values: int, rules: int, rounds: int) -> dict[str, list[Took]]:
    """What each judgement took, by kind of call."""
    world, policy = Crowd(values), policy_with(rules)
    stage = Stage(world, policy)
    try:
        stage.enter(world, Person.NONE, lambda card: Knowledge((), False, world.tainted))
        await stage.store.open_session(SessionId("s"), OWNER, "", stage.clock.now_ms())
        owner = Principal(OWNER, Role.OWNER, frozenset(), "bench")
        typed = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", "bench")}))
        scope = Scope(owner, SessionId("s"), TurnId("t"), WORDS, typed, lambda event: None)
        watch = stage.guard.watch(scope)
        first = _proposal("first", *KINDS["read"])
        stage.announce(first.call, Planned("h0", first.tool, {}))
        step = await watch.submit(first)
        assert step.outcome == "done", step
        took: dict[str, list[Took]] = {}
        for number in range(rounds):
            for kind, (tool, arguments) in KINDS.items():
                proposal = _proposal(f"{kind}{number}", tool, arguments)
                started, begun = time.perf_counter(), time.process_time()
                await watch.preview(proposal)
                wall, cpu = time.perf_counter() - started, time.process_time() - begun
                took.setdefault(kind, []).append((wall * 1000, cpu * 1000))
        return took
    finally:
        await stage.close()


def _proposal(name: str, tool: str, arguments: dict[str, Any]) -> Proposal:
    return Proposal(CallId(name), SessionId("s"), TurnId("t"), tool, json.dumps(arguments))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--values", type=int, default=100_000)
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=500)
    given = parser.parse_args()
    took = asyncio.run(measure(given.values, given.rules, given.rounds))
    took["all"] = [one for kind in KINDS for one in took[kind]]
    rows = {kind: _figures(found) for kind, found in took.items()}
    print(f"| call | {' | '.join(COLUMNS)} |\n|---|" + "--:|" * len(COLUMNS))
    for kind, row in rows.items():
        print(f"| {kind} | " + " | ".join(f"{one:.2f}" for one in row) + " |")
    print(f"\n{given.values} values, {given.rules} rules, {platform.machine()}, load {os.getloadavg()[0]:.1f}.")
    if given.json:
        plain = {kind: dict(zip(KEYS, row, strict=True)) for kind, row in rows.items()}
        given.json.write_text(json.dumps(plain))


COLUMNS = ("p50 ms", "p99 ms", "worst ms", "CPU p50 ms", "CPU p99 ms")
KEYS = ("p50", "p99", "max", "cpu_p50", "cpu_p99")


def _figures(found: Sequence[Took]) -> tuple[float, ...]:
    wall, cpu = [one for one, _ in found], [one for _, one in found]
    return statistics.median(wall), _percentile(wall, 99), max(wall), statistics.median(cpu), _percentile(cpu, 99)


def _percentile(found: list[float], share: int) -> float:
    return sorted(found)[min(len(found) - 1, len(found) * share // 100)]


if __name__ == "__main__":
    main()
