"""`carapax egress`: what left and what was refused, why, and lines for the policy that a person picks.

Layer: surfaces/cli. Everything it knows comes from `local_egress.LocalEgress`. Absent: judging and writing (`app`).
Law: a line is written only after a person at this terminal said yes to exactly this line.
"""

from __future__ import annotations

import time

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.card import wrapped
from carapax.surfaces.cli.entry_line import entry_words
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from typing import Any

    from carapax.surfaces.cli.context import Context

MARKS = {"allow": ("green", "✓"), "deny": ("red", "✗")}


def egress(c: Context, o: Namespace) -> int:
    """Run one action."""
    return {"log": _log, "why": _why, "allow": _allow}[o.action](c, o)


def _log(c: Context, o: Namespace) -> int:
    entries = c.local.egress().log(o.session, o.refused, o.limit)
    if o.json:
        c.print_json({"entries": list(entries)})
        return codes.OK
    for entry in entries:
        body = entry["body"]
        when = time.strftime("%m-%d %H:%M:%S", time.localtime(int(entry["time_ms"]) / 1000))
        answer = body.get("answer") if entry["kind"] == "egress" else "deny" if entry["kind"] == "egress.seen" else ""
        mark: Any = MARKS.get(str(answer), " ")
        c.out.line(mark, " ", pad(f"#{entry['index']}", 8), ("grey", when), "  ", entry_words(str(entry["kind"]), body))
        for line in wrapped(str(body.get("reason") or ""), max(20, c.out.width - 10)) if body.get("reason") else ():
            c.out.line(" " * 10, ("grey", line))
    if not entries:
        c.out.line(c.t("egress.nothing"))
    return codes.OK


def _why(c: Context, o: Namespace) -> int:
    found = c.local.egress().why(o.url, o.tool, o.method)
    if o.json:
        c.print_json(found)
        return codes.OK
    c.out.line(MARKS[str(found["answer"])], " ", str(found["request"]))
    _fact(c, c.t("egress.tool"), str(found["tool"]))
    _fact(c, c.t("step.rule"), str(found["rule"]))
    if found["reason"]:
        _fact(c, c.t("policy.why_label"), str(found["reason"]))
    if found["tool_answer"] and found["tool_answer"] != "allow":
        about = {"tool": found["tool"], "rule": found["tool_rule"]}
        asks = found["tool_answer"] == "ask"
        _fact(c, "", c.t("egress.tool_asks", **about) if asks else c.t("egress.tool_denied", **about))
    if found["line"]:
        c.out.line()
        c.out.line(c.t("egress.would"))
        _show_line(c, str(found["line"]))
    return codes.OK


def _fact(c: Context, label: str, text: str) -> None:
    for number, line in enumerate(wrapped(text, max(20, c.out.width - 15))):
        c.out.line("  ", ("grey", pad(label if number == 0 else "", 11)), line)


def _show_line(c: Context, line: str) -> None:
    for part in line.rstrip("\n").split("\n"):
        c.out.line("  ", part)


def _allow(c: Context, o: Namespace) -> int:
    desk = c.local.egress()
    found = desk.proposals(tuple(o.hosts), o.days)
    if o.json:
        c.print_json({"proposals": list(found)})
        return codes.OK
    if not found:
        c.out.line(c.t("egress.none_refused", days=o.days))
        return codes.OK
    asking = bool(o.hosts or o.review) and c.interactive
    chosen = []
    for proposal in found:
        _show_proposal(c, proposal)
        if asking and c.confirm(c.t("egress.confirm", host=_place(proposal))):
            chosen.append(str(proposal["name"]))
        c.out.line()
    if not o.hosts and not o.review:
        c.err.line(c.t("egress.how"))
        return codes.OK
    if not asking:
        c.err.line(c.t("egress.ask_here"))
        return codes.FAILED
    if not chosen:
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    done = desk.allow(chosen)
    c.out.line(c.t("egress.allowed", count=len(chosen), serial=done["serial"]), "  ", ("green", "✓"))
    return codes.OK


def _place(proposal: Mapping[str, Any]) -> str:
    host = f"[{proposal['host']}]" if ":" in str(proposal["host"]) else str(proposal["host"])
    return host if proposal["port"] == 443 else f"{host}:{proposal['port']}"


def _show_proposal(c: Context, proposal: Mapping[str, Any]) -> None:
    count = int(proposal["count"])
    if count:
        last = time.strftime("%Y-%m-%d %H:%M", time.localtime(int(proposal["last_ms"]) / 1000))
        c.out.line(_place(proposal), "  ", ("grey", c.t("egress.refused", count=count, last=last)))
    else:
        c.out.line(_place(proposal), "  ", ("grey", c.t("egress.never")))
    _show_line(c, str(proposal["line"]))
    for number, text in enumerate(proposal["wider"]):
        c.out.line("  ", ("amber", pad(c.t("policy.wider") if number == 0 else "", 13)), str(text))
