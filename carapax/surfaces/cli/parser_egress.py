"""The grammar of `carapax egress`.

Layer: surfaces/cli; part of `parser`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def egress_grammar(p: Any, action: Any) -> None:
    """`carapax egress`."""
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"), required=True)
    log = action(p, actions, "egress", "log")
    log.add_argument("--session", metavar="SESSION", default="", help=p.t("opt.egress_session"))
    log.add_argument("--refused", action="store_true", help=p.t("opt.refused"))
    log.add_argument("--limit", type=_count, default=50, help=p.t("opt.limit"))
    why = action(p, actions, "egress", "why")
    why.add_argument("url", metavar="URL", help=p.t("opt.egress_url"))
    why.add_argument("--tool", metavar="TOOL", default="run_online", help=p.t("opt.egress_tool"))
    why.add_argument("--method", metavar="METHOD", default="GET", type=str.upper, help=p.t("opt.method"))
    allow = action(p, actions, "egress", "allow")
    allow.add_argument("hosts", metavar="HOST", nargs="*", help=p.t("opt.hosts"))
    allow.add_argument("--review", action="store_true", help=p.t("opt.review"))
    allow.add_argument("--days", type=_count, default=7, help=p.t("opt.refused_days"))
    for made in (log, why, allow):
        made.add_argument("--json", action="store_true", help=p.t("opt.json"))


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 10_000:
        raise ValueError
    return number
