"""`carapax trust`: how far the agent is trusted, the record that rests on, and what the next step would change.

Layer: surfaces/cli. The record is counted from the ledger by `app`; only a person at this machine can change the tier.
"""

from __future__ import annotations

import time

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.policy import show_difference
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from typing import Any

    from carapax.surfaces.cli.context import Context

TIERS = ("observe", "draft", "assist", "act")


def trust(c: Context, o: Namespace) -> int:
    """Show the tier and its record, or change it."""
    if o.tier:
        return _change(c, o)
    found = c.local.policy().trust()
    if o.json:
        c.print_json(found)
        return codes.OK
    tier = str(found["tier"])
    for name in TIERS:
        here = name == tier
        c.out.line(
            "▸ " if here else "  ",
            pad(name, 9),
            c.t(f"trust.tier.{name}") if here else ("grey", c.t(f"trust.tier.{name}")),
        )
    c.out.line()
    _show_record(c, found["record"])
    if not found["next"]:
        return codes.OK
    c.out.line()
    c.out.line(c.t("trust.next", tier=found["next"]))
    _show_step(c, found["step"])
    c.out.line(c.t("trust.how", tier=found["next"]))
    return codes.OK


def _show_record(c: Context, record: Mapping[str, Any]) -> None:
    if record["since_ms"] is None:
        c.out.line(c.t("trust.no_record"))
        return
    since = time.strftime("%Y-%m-%d", time.localtime(int(record["since_ms"]) / 1000))
    c.out.line(c.t("trust.record", since=since))
    for label, count in (
        (c.t("trust.done"), record["done"]),
        (c.t("trust.failed"), record["failed"]),
        (c.t("trust.asked"), record["asked"]),
        (c.t("trust.approved"), record["approved"]),
        (c.t("trust.denied"), record["denied"]),
        (c.t("trust.unanswered"), record["unanswered"]),
        (c.t("trust.refused"), record["refused"]),
        (c.t("trust.undone"), record["undone"]),
    ):
        c.out.line("  ", f"{int(count):>7,}", "  ", label)


def _show_step(c: Context, step: Mapping[str, Any]) -> None:
    if step["changes"]:
        show_difference(c, {**step, "narrower": (), "wider": ()})
    else:
        c.out.line(
            "  ", c.t("trust.no_grants" if step["tier"] == "act" and not step["grants"] else "policy.no_answers")
        )


def _change(c: Context, o: Namespace) -> int:
    desk = c.local.policy()
    step = desk.trust_step(o.tier)
    before = str(desk.trust()["tier"])
    if before == o.tier:
        c.out.line(c.t("trust.already", tier=o.tier))
        return codes.OK
    if not o.json:
        _show_step(c, step)
    if not o.yes and not c.confirm(c.t("trust.confirm", before=before, tier=o.tier)):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    done = desk.set_trust(o.tier)
    if o.json:
        c.print_json(done)
    else:
        c.out.line(c.t("trust.changed", tier=o.tier, serial=done["serial"]), "  ", ("green", "✓"))
    return codes.OK
