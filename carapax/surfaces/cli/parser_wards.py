"""The grammar of the incidents, canaries and of lifting a stop.

Layer: surfaces/cli; part of `parser`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KINDS = ("aws", "database", "ssh", "token", "env")


def incident_grammar(p: Any, action: Any, json_again: Any) -> None:
    """`carapax incident`."""
    p.add_argument("--json", action="store_true", help=p.t("opt.json"))
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"))
    for name in ("list", "show", "export", "resume", "kill", "keep"):
        a = action(p, actions, "incident", name)
        if name != "list":
            a.add_argument("number", type=_number, metavar="N", help=p.t("opt.incident"))
        if name == "export":
            a.add_argument("-o", "--output", metavar="FILE", help=p.t("opt.incident_output"))
        else:
            json_again(a)
        if name in ("resume", "kill", "keep"):
            a.add_argument("--yes", action="store_true", help=p.t("opt.yes"))


def canary_grammar(p: Any, action: Any, json_again: Any) -> None:
    """`carapax canary`."""
    p.add_argument("--json", action="store_true", help=p.t("opt.json"))
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"))
    json_again(action(p, actions, "canary", "list"))
    add = action(p, actions, "canary", "add")
    add.add_argument("kind", choices=KINDS, help=p.t("opt.canary_kind"))
    add.add_argument("path", nargs="?", metavar="PATH", help=p.t("opt.canary_path"))
    add.add_argument("--handle", metavar="NAME", help=p.t("opt.canary_handle"))
    json_again(add)
    remove = action(p, actions, "canary", "remove")
    remove.add_argument("name", metavar="NAME", help=p.t("opt.canary_name"))
    remove.add_argument("--yes", action="store_true", help=p.t("opt.yes"))


def resume_grammar(p: Any) -> None:
    """`carapax resume`."""
    p.add_argument("--all", action="store_true", help=p.t("opt.resume_all"))
    p.add_argument("--yes", action="store_true", help=p.t("opt.yes"))


def stop_grammar(p: Any) -> None:
    """`carapax stop`."""
    p.add_argument("--all", action="store_true", help=p.t("opt.stop_all"))
    p.add_argument("--json", action="store_true", help=p.t("opt.json"))


def _number(text: str) -> int:
    number = int(text)
    if not 0 < number <= 999_999_999:
        raise ValueError
    return number
