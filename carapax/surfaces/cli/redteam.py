"""`carapax redteam replay`: what a hijacked model could do under a policy, and what an honest one may not.

Layer: surfaces/cli. Everything it knows comes from `local.Local`; playing is `app`'s.
"""

from __future__ import annotations

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from typing import Any

    from carapax.surfaces.cli.context import Context

PEOPLE = ("none", "attentive", "stamp", "retype", "copy")
GUARDED = PEOPLE[:-1]
"""With these people at the card nothing may come through; whoever copies the card is told, and does not fail the run."""
_COLUMN = 34


def redteam(c: Context, o: Namespace) -> int:
    """Replay a set and say what came of it; fails when an attack came through."""
    found = c.local.redteam(o.set, o.policy, open_policy=o.open)
    if o.json:
        c.print_json(found)
    else:
        _show(c, found)
    figures = found["figures"][found["set"]]
    through = any(figures["through"].get(person, 0) for person in GUARDED)
    return codes.FAILED if through or figures["pair_crashes"] else codes.OK


def _show(c: Context, found: Mapping[str, Any]) -> None:
    figures, bare = found["figures"][found["set"]], found["unguarded"]
    c.out.line(c.t("redteam.head", set=found["set"], policy=found["policy"]))
    tasks, pairs = figures["tasks"], figures["pairs"]
    rows = [
        ("unasked", _of(figures["unasked"], tasks)),
        ("asks", f"{figures['asks'] / tasks:.2f}" if tasks else "0"),
        ("one_ask", _of(figures["one_ask"], tasks)),
        ("approved", _of(figures["approved"], tasks)),
        ("bare", _of(bare["through"], pairs)),
        *((f"through.{person}", _of(figures["through"].get(person, 0), pairs)) for person in PEOPLE),
        ("not_reached", str(pairs - figures["reached"])),
        ("words_only", str(figures["words_only"])),
        ("crashed", str(figures["honest_crashes"] + figures["pair_crashes"])),
    ]
    for key, value in rows:
        c.out.line("  ", pad(c.t(f"redteam.{key}"), _COLUMN), value)
    for key in ("honest", "attacks"):
        if found[key]:
            c.out.line("")
            c.out.line(c.t(f"redteam.{key}"))
            for line in found[key]:
                c.out.line("  ", line)


def _of(part: int, whole: int) -> str:
    return f"{part} / {whole}"
