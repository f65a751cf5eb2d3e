"""The walls: what each tier costs, how fast all is halted, what the egress proxy carries and refuses.

Run: `.venv/bin/python -m bench.walls.run [--json FILE] [--only PART …]`. What is compared is interleaved in one run. A part
whose piece is missing, or that does not work, says so and fails; it never stands in the table with a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

from bench.walls import halting, proxies, tiers
from bench.walls.figures import Figure, Missing

PLACE = os.path.realpath(tempfile.gettempdir())
PARTS: dict[str, Callable[[Path], Awaitable[list[Figure]]]] = {
    "tier1": tiers.measure_default,
    "tier2": tiers.measure_strong,
    "tier3": tiers.measure_machine,
    "many": tiers.measure_many,
    "halt": halting.measure_halt,
    "trip": halting.measure_trip,
    "stop": halting.measure_stop,
    "attacks": proxies.measure_attacks,
    "tunnel": proxies.measure_tunnel,
    "opened": proxies.measure_opened,
}


async def measure(names: list[str]) -> tuple[dict[str, list[Figure]], dict[str, str]]:
    """The figures of each part, and why a part has none."""
    found: dict[str, list[Figure]] = {}
    missing: dict[str, str] = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="walls-", dir=PLACE) as folder:
            try:
                found[name] = await PARTS[name](Path(folder))
            except Missing as error:
                missing[name] = str(error)
    return found, missing


def table(found: dict[str, list[Figure]], missing: dict[str, str]) -> str:
    """The figures as a table, and the parts that have none."""
    lines = ["| what | measured | goal | |", "|---|---|---|---|"]
    for figures in found.values():
        for one in figures:
            met = "" if one.met is None else "met" if one.met else "**missed**"
            lines.append(f"| {one.name} | {one.value:,g} {one.unit} | {one.goal} | {met} |")
    return "\n".join([*lines, *(f"\n{name}: not measured: {why}" for name, why in missing.items())])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", default=list(PARTS), choices=list(PARTS), metavar="PART")
    chosen = parser.parse_args()
    found, missing = asyncio.run(measure(chosen.only))
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "load": [round(x, 2) for x in os.getloadavg()]}
    print(f"{machine['cpus']} CPUs, load {machine['load'][0]}.\n")
    print(table(found, missing))
    if chosen.json:
        parts = {name: [asdict(figure) for figure in figures] for name, figures in found.items()}
        chosen.json.write_text(json.dumps({"machine": machine, "parts": parts, "missing": missing}, indent=2) + "\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
