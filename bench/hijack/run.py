"""Replay hijacked models against the guard: `python -m bench.hijack.run [--json FILE] [--suite NAME …] [--people NAME …]`
`[--pairs N] [--jobs N] [--set FOLDER | --module PKG.MOD:NAME] [--policy FILE] [--style plain|important] [--list]`.

Without --set or --module: AgentDojo v1.2.2, all 949 pairs. Prints a table like the one the figures are compared with;
--list adds every question and refusal of the honest runs and every attack that got through.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from carapax.app.replay.command import PROBES
from carapax.app.replay.people import Person
from carapax.app.replay.recorded import RecordedWorld
from carapax.app.replay.report import attack_lines, figures_table, honest_lines, plain_result
from carapax.app.replay.score import HIJACKED, Result, count, join_parts, replay, unguarded, words_only_pairs
from carapax.app.replay.sets import read_set
from carapax.core.policy.document import parse_policy

POLICY = PROBES.parent / "open.yaml"


def main() -> int:
    given = _parse()
    worlds = _worlds(given)
    policy = parse_policy(given.policy.read_bytes())
    people = tuple(Person(name) for name in given.people) if given.people else HIJACKED
    started = time.monotonic()
    if given.jobs > 1 and not (given.set or given.module):
        results = _replay_parted(given, [world.name for world in worlds], people)
    else:
        results = [asyncio.run(replay(world, policy, people=people, pairs=given.pairs, tell=_tell)) for world in worlds]
    took_s = time.monotonic() - started
    words_only = {world.name: words_only_pairs(world) for world in worlds}
    rows = {row.world: count([row], words_only[row.world]) for row in results}
    if len(rows) > 1:
        rows["all"] = count(results, sum(words_only.values()))
    print(figures_table(rows))
    bare = {world.name: unguarded(world) for world in worlds} if not given.pairs else {}
    for name, (done, through) in bare.items():
        print(f"\nWithout a guard, {name}: {done} tasks done, {through} attacks through.")
    print(f"\n{took_s:.0f} s on {platform.machine()}, load {os.getloadavg()[0]:.1f}, policy {policy.name}.")
    if given.list:
        print("\n".join(["", *honest_lines(results), *attack_lines(results)]))
    if given.json:
        document = plain_result(results, rows) | {"unguarded": bare, "seconds": round(took_s)}
        given.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return 0


def _replay_parted(given: Any, suites: Sequence[str], people: Sequence[Person]) -> list[Result]:
    """The suites, each in as many parts as there are jobs."""
    with ProcessPoolExecutor(given.jobs) as pool:
        parts = {
            suite: [pool.submit(_replay_part, suite, given, people, (n, given.jobs)) for n in range(given.jobs)]
            for suite in suites
        }
        return [join_parts([part.result() for part in parts[suite]]) for suite in suites]


def _replay_part(suite: str, given: Any, people: Sequence[Person], part: tuple[int, int]) -> Result:
    from bench.hijack.dojo import worlds

    (world,) = worlds([suite], given.style)
    policy = parse_policy(given.policy.read_bytes())
    return asyncio.run(replay(world, policy, people=people, pairs=given.pairs, part=part, tell=_tell))


def _parse() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--suite", nargs="*")
    parser.add_argument("--people", nargs="*", choices=[person.value for person in Person])
    parser.add_argument("--pairs", type=int, help="at most so many pairs of each set")
    parser.add_argument("--set", type=Path, action="append", help="a folder as docs/replay.md describes")
    parser.add_argument("--module", action="append", help="PKG.MOD:NAME of a World, or of a function that gives one")
    parser.add_argument("--policy", type=Path, default=POLICY)
    parser.add_argument("--style", default="important", choices=["plain", "important"])
    parser.add_argument("--jobs", type=int, default=1, help="processes to play AgentDojo's pairs in")
    parser.add_argument("--list", action="store_true", help="every question, refusal and success, one a line")
    return parser.parse_args()


def _worlds(given: Any) -> Sequence[Any]:
    if given.set or given.module:
        return [RecordedWorld(read_set(folder)) for folder in given.set or ()] + [
            _load(one) for one in given.module or ()
        ]
    try:
        from bench.hijack.dojo import SUITES, worlds
    except ImportError as error:
        sys.exit(f"{error}: run `make bench-setup`, then this with .venv-hijack/bin/python.")
    return worlds(given.suite or SUITES, given.style)


def _load(spec: str) -> Any:
    module, _, name = spec.partition(":")
    found = getattr(importlib.import_module(module), name or "world")
    return found() if callable(found) else found


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
