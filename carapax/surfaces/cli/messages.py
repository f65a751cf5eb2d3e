"""`carapax messages`: what could not be delivered or handled, and a person's decision about it.

Layer: surfaces/cli. Absent: what the messages say; it does not leave the gateway.
"""

from __future__ import annotations

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.channels import clock
from carapax.surfaces.cli.client import quoted
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from carapax.surfaces.cli.context import Context


def messages(c: Context, o: Namespace) -> int:
    """List what was given up, try one again, or drop one."""
    return {"dead": _dead, "retry": _retry, "drop": _drop}[o.action](c, o)


def _dead(c: Context, o: Namespace) -> int:
    found = c.client().call("GET", "/api/dead-messages").get("messages") or []
    if o.json:
        c.print_json({"messages": found})
    elif not found:
        c.out.line(c.t("messages.none"))
    else:
        for each in found:
            c.out.line(
                pad(str(each.get("id", "")), 9), ("grey", clock(each.get("started_ms"))), "  ", pad(str(each.get("kind", "")), 9), " ",
                pad(c.t("messages.tries", count=each.get("attempts", 0)), 10), " ", str(each.get("error") or ""),
            )  # fmt: skip
    return codes.OK


def _retry(c: Context, o: Namespace) -> int:
    done = c.client().call("POST", f"/api/dead-messages/{quoted(o.id)}/retry")
    if o.json:
        c.print_json(done)
    else:
        c.out.line(c.t("messages.retried", id=done.get("id", o.id)))
    return codes.OK


def _drop(c: Context, o: Namespace) -> int:
    if not o.yes and not c.confirm(c.t("messages.sure", id=o.id)):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    done = c.client().call("DELETE", f"/api/dead-messages/{quoted(o.id)}")
    if o.json:
        c.print_json(done)
    else:
        c.out.line(c.t("messages.dropped", id=done.get("id", o.id)))
    return codes.OK
