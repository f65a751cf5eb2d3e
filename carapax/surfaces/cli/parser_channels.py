"""The grammar of channels, given-up messages, pairing and people.

Layer: surfaces/cli; part of `parser`. Absent: any argument that could be a secret's value.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def channels_grammar(p: Any, action: Any, json_again: Any) -> None:
    """`carapax channels`."""
    p.add_argument("--json", action="store_true", help=p.t("opt.json"))
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"))
    made = {name: action(p, actions, "channels", name) for name in ("list", "add", "status", "logs", "test", "remove")}
    add = made["add"]
    add.add_argument("kind", nargs="?", metavar="KIND", help=p.t("opt.channel_kind"))
    add.add_argument("--name", metavar="NAME", help=p.t("opt.channel_new_name"))
    add.add_argument(
        "--set", dest="given", action="append", default=[], metavar="KEY=VALUE", help=p.t("opt.channel_set")
    )
    add.add_argument(
        "--secret", dest="secrets", action="append", default=[], metavar="KEY=FROM", help=p.t("opt.channel_secret")
    )
    made["status"].add_argument("name", nargs="?", metavar="NAME", help=p.t("opt.channel_name"))
    for name in ("logs", "test", "remove"):
        made[name].add_argument("name", metavar="NAME", help=p.t("opt.channel_name"))
    made["logs"].add_argument("--limit", type=_count, default=50, help=p.t("opt.limit"))
    made["remove"].add_argument("--yes", action="store_true", help=p.t("opt.yes"))
    for name in ("list", "add", "status", "logs", "test"):
        json_again(made[name])


def messages_grammar(p: Any, action: Any, json_option: Any) -> None:
    """`carapax messages`."""
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"), required=True)
    made = {name: action(p, actions, "messages", name) for name in ("dead", "retry", "drop")}
    for name in ("retry", "drop"):
        made[name].add_argument("id", metavar="ID", help=p.t("opt.message"))
    made["drop"].add_argument("--yes", action="store_true", help=p.t("opt.yes"))
    for each in made.values():
        json_option(each)


def pair_grammar(p: Any) -> None:
    """`carapax pair`."""
    p.add_argument("code", nargs="?", metavar="CODE", help=p.t("opt.pair_code"))
    p.add_argument("--as", dest="person", default="", metavar="PERSON", help=p.t("opt.pair_as"))
    p.add_argument("--channel", default="", metavar="NAME", help=p.t("opt.pair_channel"))
    p.add_argument("--json", action="store_true", help=p.t("opt.json"))


def people_grammar(p: Any, action: Any, json_again: Any) -> None:
    """`carapax people`."""
    p.add_argument("--json", action="store_true", help=p.t("opt.json"))
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"))
    json_again(action(p, actions, "people", "list"))
    forget = action(p, actions, "people", "forget")
    forget.add_argument("channel", metavar="CHANNEL", help=p.t("opt.channel_name"))
    forget.add_argument("sender", metavar="SENDER", help=p.t("opt.sender"))
    forget.add_argument("--yes", action="store_true", help=p.t("opt.yes"))


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 500:
        raise ValueError
    return number
