"""`carapax canary`: the planted secrets of this home; never their values.

Layer: surfaces/cli. Only a person at this machine plants or removes one.
"""

from __future__ import annotations

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from carapax.surfaces.cli.context import Context


def canary(c: Context, o: Namespace) -> int:
    """List, add, or remove."""
    action = o.action or "list"
    wards = c.local.wards()
    if action == "add":
        place, at = ("vault", o.handle) if o.handle else ("file", o.path or "")
        if not at:
            c.err.line(c.t("canary.where"))
            return codes.USAGE
        made = wards.canary_add(o.kind, place, at)
        if o.json:
            c.print_json(made)
        else:
            c.out.line(c.t("canary.added", name=made["name"]), "  ", ("green", "✓"))
        return codes.OK
    if action == "remove":
        if not o.yes and not c.confirm(c.t("canary.confirm", name=o.name)):
            c.err.line(c.t("confirm.not_done"))
            return codes.FAILED
        wards.canary_remove(o.name)
        c.out.line(c.t("canary.removed", name=o.name))
        return codes.OK
    found = wards.canaries()
    if o.json:
        c.print_json({"canaries": found})
        return codes.OK
    if not found:
        c.out.line(c.t("canary.none"))
    for one in found:
        note = "" if one["there"] else c.t("canary.gone")
        if one["place"] == "note":
            note = c.t("canary.note")
        c.out.line(pad(str(one["name"]), 32), " ", pad(str(one["kind"]), 9), " ", ("grey", note))
    return codes.OK
