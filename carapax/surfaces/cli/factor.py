"""The second factor at the command line: set it up, remove it, see how it stands.

Layer: surfaces/cli. The secret is shown once, on stdout, and counts only when a code of it was typed back.
"""

from __future__ import annotations

import time

from carapax.surfaces.cli import codes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from carapax.surfaces.cli.context import Context


def factor(c: Context, o: Namespace) -> int:
    """Do what the action says."""
    return {"set": _set, "remove": _remove, "status": _status}[o.action](c, o)


def _set(c: Context, o: Namespace) -> int:
    offer = c.local.factor_offer()
    secret = str(offer["secret"])
    c.out.line(c.t("factor.scan"))
    c.out.line("  ", " ".join(secret[n : n + 4] for n in range(0, len(secret), 4)))
    c.out.line("  ", str(offer["uri"]))
    c.err.text(f"{c.t('factor.confirm')} ▸ ")
    code = c.stdin.readline().strip()
    if not code:
        c.err.line(c.t("factor.unset"))
        return codes.FAILED
    c.local.factor_confirm(secret, code)
    c.out.line(("green", "✓"), " ", c.t("factor.set"))
    return codes.OK


def _remove(c: Context, o: Namespace) -> int:
    if not o.yes and not c.confirm(c.t("factor.sure")):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    c.local.factor_remove()
    c.out.line(c.t("factor.removed"))
    return codes.OK


def _status(c: Context, o: Namespace) -> int:
    found = c.local.factor_status()
    if o.json:
        c.print_json(dict(found))
        return codes.OK
    standing = str(found["standing"])
    until = time.strftime("%H:%M:%S", time.localtime(int(found["locked_until_ms"]) / 1000))
    words = {"none": c.t("factor.none"), "set": c.t("factor.ready"), "locked": c.t("factor.locked", until=until)}
    c.out.line(words[standing])
    return codes.OK
