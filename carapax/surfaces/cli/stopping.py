"""`carapax stop --all` and `carapax resume`: everything halted at once, also while the gateway hangs; and lifted.

Layer: surfaces/cli. The stopping itself is `app`'s, in this process; only a person lifts it.
"""

from __future__ import annotations

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.client import GatewayAbsent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from carapax.surfaces.cli.context import Context


def stop_all(c: Context, o: Namespace) -> int:
    """Stop everything of this home, and say what came of each part."""
    done = c.local.wards().stop_all()
    if o.json:
        c.print_json(done)
        return codes.OK
    c.out.line(("red", "■ "), c.t("stopall.done", jobs=done["jobs"], ms=done["took_ms"]))
    if done["proxy"]:
        c.out.line("  ", c.t("stopall.proxy"))
    if not done["gateway"]:
        c.out.line("  ", c.t("stopall.no_gateway"))
    elif not done["answered"] or done["turns"] < 0:
        c.out.line("  ", c.t("stopall.stuck"))
    else:
        c.out.line("  ", c.t("stopall.turns", turns=done["turns"]))
        if not done["recorded"]:
            c.out.line("  ", c.t("stopall.unrecorded"))
    c.out.line("  ", c.t("stopall.lift"))
    return codes.OK


def resume(c: Context, o: Namespace) -> int:
    """Lift the stop of everything."""
    wards = c.local.wards()
    if not o.all:
        c.err.line(c.t("resume.which"))
        return codes.USAGE
    if not wards.is_stopped():
        c.out.line(c.t("resume.nothing"))
        return codes.OK
    if not o.yes and not c.confirm(c.t("resume.confirm")):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    try:
        c.client().call("POST", "/api/resume-all")
    except GatewayAbsent:
        wards.resume_alone()
        c.err.line(c.t("resume.alone"))
    c.out.line(c.t("resume.done"), "  ", ("green", "✓"))
    return codes.OK
