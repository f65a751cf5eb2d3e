"""`carapax pair` and `carapax people`: who is who on the channels.

Layer: surfaces/cli. Law: a person is shown by the platform's id, with the name that they gave themselves only beside it.
"""

from __future__ import annotations

from carapax.core.terms.error import Malformed
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.channels import OK_MARK, clock
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from typing import Any

    from carapax.surfaces.cli.context import Context


def pair(c: Context, o: Namespace) -> int:
    """Make a code, or take in whoever was given one."""
    return _accept(c, o) if o.code else _make(c, o)


def _make(c: Context, o: Namespace) -> int:
    made = c.client().call("POST", "/api/pairings", {"channel": o.channel, "person": o.person})
    if o.json:
        c.print_json(made)
        return codes.OK
    channel = str(made.get("channel") or "")
    where = c.t("pair.on", channel=channel) if channel else c.t("pair.anywhere")
    c.err.line(c.t("pair.code", where=where, when=clock(made.get("expires_ms"))))
    c.out.line("    ", str(made["code"]))
    c.err.line(("grey", c.t("pair.who", person=made.get("person", ""))))
    return codes.OK


def _accept(c: Context, o: Namespace) -> int:
    from carapax.core.channel.pairing import read_code

    code = read_code(o.code)
    if code is None:
        raise Malformed(c.t("pair.not_a_code"), next_step=c.t("pair.not_a_code_next"))
    account = c.client().call("POST", "/api/accounts", {"code": code, "person": o.person})
    if o.json:
        c.print_json(account)
    else:
        told = c.t("pair.done", who=_who(account), channel=account.get("channel"), person=account.get("person"))
        c.out.line(OK_MARK, " ", told)
    return codes.OK


def people(c: Context, o: Namespace) -> int:
    """List them, or forget one."""
    return _forget(c, o) if o.action == "forget" else _list(c, o)


def _list(c: Context, o: Namespace) -> int:
    client = c.client()
    accounts = client.call("GET", "/api/accounts").get("accounts") or []
    pairings = client.call("GET", "/api/pairings").get("pairings") or []
    if o.json:
        c.print_json({"accounts": accounts, "pairings": pairings})
        return codes.OK
    if not accounts:
        c.out.line(c.t("people.none"))
    for each in sorted(accounts, key=lambda a: (str(a.get("person")), str(a.get("channel")), str(a.get("sender")))):
        since = c.t("people.since", when=clock(each.get("since_ms"))[:10])
        c.out.line(
            pad(str(each.get("person", "")), 14), " ", pad(str(each.get("channel", "")), 14), " ", _who(each), ("grey", f"   {since}"),
            strict=True,
        )  # fmt: skip
    for each in pairings:
        when = clock(each.get("expires_ms"))
        if each.get("sender"):
            c.out.line(
                ("amber", c.t("people.waiting", who=_who(each), channel=each.get("channel"), when=when)), strict=True
            )
        else:
            c.out.line(("grey", c.t("people.made", person=each.get("person"), when=when)))
    return codes.OK


def _who(account: Mapping[str, Any]) -> str:
    from carapax.core.channel.people import display
    from carapax.core.terms.channel import Person

    return display(Person(str(account.get("sender") or ""), str(account.get("name") or "")))


def _forget(c: Context, o: Namespace) -> int:
    from urllib.parse import urlencode

    if not o.yes and not c.confirm(c.t("people.sure", sender=o.sender, channel=o.channel)):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    c.client().call("DELETE", f"/api/accounts?{urlencode({'channel': o.channel, 'sender': o.sender})}")
    c.out.line(c.t("people.forgotten", sender=o.sender, channel=o.channel))
    return codes.OK
