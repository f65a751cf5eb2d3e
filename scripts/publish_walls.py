"""Try every way out of every tier of this machine and write docs/walls.md.   python scripts/publish_walls.py [--json FILE]

What is tried and what counts as refused is the self-test's (`carapax/adapters/sandbox/selftest`), the same that
`carapax doctor --walls` runs. Nothing is written when a wall does not hold. `--json`: a saved `carapax doctor --walls --json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from carapax.adapters.sandbox.selftest.expected import EXPECTED
from carapax.app.doctor import examine_walls
from carapax.app.home import Home
from carapax.core.terms.plain import plain

PAGE = Path(__file__).parents[1] / "docs" / "walls.md"
TIERS = ("tier 1", "tier 2", "tier 3")
LAYERS = {attempt.words: attempt.layer for attempt in EXPECTED.values()} | {
    "taking more memory than allowed": "control group",
    "starting more processes than allowed": "control group",
    "running longer than allowed": "launcher",
    "writing more output than allowed": "launcher",
    "filling the temporary folder": "mounts",
    "writing a file larger than allowed": "resource limit",
}
HEAD = """\
# The walls

Where what the agent runs is kept in. Made by `python scripts/publish_walls.py`, which really tries each way out, as
`carapax doctor --walls` does on your machine. At every start the default tier is tried whole before anything runs in it, the
others before their first job; every launch repeats a short part. A wall that does not hold stops the tools.

| tier | for | made of |
|---|---|---|
| 0 | small computations | an interpreter without a system (Monty), in a process behind bubblewrap and a system call filter |
| 1 | commands, files, approved skills | launcher, namespaces, bubblewrap, system call filter, Landlock, control groups |
| 2 | what third parties wrote | gVisor: a kernel of its own in user space, behind its own filter, without a network |
| 3 | untrusted binaries | a virtual machine without a network device, restored from a snapshot for one job, reseeded, then destroyed |

Who wrote the code decides the tier (`docs/formats/policy.md`, section `walls`: a policy may only raise it). A tier that is not
set up is a refusal that names what to install; no weaker one stands in for it. The only way out of any tier is the egress proxy,
and only for a tool that declares it ([decision 11](decisions/0011-a-command-with-a-way-out-is-another-tool.md)).
What must work through it is tried by `carapax doctor --walls` alone, against a service on this machine's loopback.

What a host must allow for the walls to stand, also under systemd and in a container: [deploy.md](deploy.md).
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    checks = json.loads(given.json.read_text("utf-8"))["checks"] if given.json else try_all()
    failed = [check for check in checks if check["standing"] == "failed"]
    for check in failed:
        print(f"{check['name']}: {check['found']}", file=sys.stderr)
    if failed:
        return 1
    PAGE.write_text(render(checks), "utf-8")
    print(f"{PAGE.name}: {len(checks)} checks")
    return 0


def try_all() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        environ = {"CARAPAX_WORKSPACE": f"{folder}/workspace"}
        return [dict(plain(check)) for check in examine_walls(Home(Path(folder, "home")), environ)]


def render(checks: Sequence[dict[str, Any]]) -> str:
    """The page."""
    found: dict[str, dict[str, str]] = {}
    for check in checks:
        tier, _, name = check["name"].partition(": ")
        found.setdefault(name.removeprefix(f"{tier}: "), {})[tier] = check["found"].replace("|", "/")
    attempts = {name: row for name, row in found.items() if name in LAYERS}
    others = {name: row for name, row in found.items() if name not in LAYERS}
    parts = [HEAD, "\n## Attempts\n\nThe layer is the one that refuses in tier 1. In tiers 2 and 3 the job's own kernel or the\n"
             "filter inside answers; an empty field is an attempt that means nothing there.\n\n"]  # fmt: skip
    parts += table(("attempt", "layer", *TIERS), ((name, LAYERS[name], *cells(row)) for name, row in attempts.items()))
    parts += ["\n## What must go on working, and what is found\n\n"]
    rest = ((name, *cells(row)) for name, row in others.items() if "tier 0" not in row)
    parts += table(("", *TIERS), rest)
    parts += ["\n## Tier 0\n\n"]
    parts += table(("attempt", "tier 0"), ((name, row["tier 0"]) for name, row in others.items() if "tier 0" in row))
    return "".join(parts)


def cells(row: dict[str, str]) -> list[str]:
    return [row.get(tier, "") for tier in TIERS]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |\n", f"|{'---|' * len(head)}\n", *(f"| {' | '.join(row)} |\n" for row in rows)]


if __name__ == "__main__":
    sys.exit(main())
