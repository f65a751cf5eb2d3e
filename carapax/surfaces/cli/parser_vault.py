"""The grammar of `carapax vault`.

Layer: surfaces/cli; part of `parser`. Absent: any argument that could be a value or a passphrase.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ACTIONS = ("set", "list", "rotate", "bind", "unbind", "remove", "import", "protect", "unlock", "audit")


def vault_grammar(p: Any, action: Any, json_option: Any) -> None:
    """`carapax vault`."""
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"), required=True)
    made = {name: action(p, actions, "vault", name) for name in ACTIONS}
    for name in ("set", "rotate", "bind", "unbind", "remove"):
        made[name].add_argument("name", metavar="NAME", help=p.t("opt.vault_name"))
    kinds = made["set"].add_mutually_exclusive_group()
    kinds.add_argument("--oauth", action="store_true", help=p.t("opt.vault_oauth"))
    kinds.add_argument("--remote", metavar="PATH", help=p.t("opt.vault_remote"))
    made["set"].add_argument(
        "--bind", action="append", default=[], metavar="HOST", dest="places", help=p.t("opt.vault_bind")
    )
    made["bind"].add_argument("places", nargs="+", metavar="HOST", help=p.t("opt.vault_place"))
    for name in ("set", "bind"):
        _binding_options(made[name])
    made["unbind"].add_argument("host", nargs="?", default="", metavar="HOST", help=p.t("opt.vault_host"))
    ends = made["rotate"].add_mutually_exclusive_group()
    ends.add_argument("--confirm", action="store_true", help=p.t("opt.vault_confirm"))
    ends.add_argument("--back", action="store_true", help=p.t("opt.vault_back"))
    made["remove"].add_argument("--yes", action="store_true", help=p.t("opt.yes"))
    made["import"].add_argument("file", metavar="FILE", help=p.t("opt.vault_file"))
    made["import"].add_argument("--keep", action="append", default=[], metavar="NAME", help=p.t("opt.vault_keep"))
    made["import"].add_argument("--delete", action="store_true", help=p.t("opt.vault_delete"))
    sources = made["protect"].add_mutually_exclusive_group(required=True)
    for source in ("passphrase", "systemd", "machine"):
        sources.add_argument(
            f"--{source}", dest="source", action="store_const", const=source, help=p.t(f"opt.vault_{source}")
        )
    made["audit"].add_argument("name", nargs="?", default="", metavar="NAME", help=p.t("opt.vault_name"))
    made["audit"].add_argument("--limit", type=_count, default=50, help=p.t("opt.limit"))
    for name in ("list", "audit"):
        json_option(made[name])


def _binding_options(p: Any) -> None:
    p.add_argument("--header", default="authorization", metavar="NAME", help=p.t("opt.vault_header"))
    p.add_argument("--prefix", metavar="TEXT", help=p.t("opt.vault_prefix"))
    p.add_argument("--path", default="/", metavar="PATH", help=p.t("opt.vault_path"))
    p.add_argument("--method", action="append", default=[], metavar="METHOD", help=p.t("opt.vault_method"))
    p.add_argument("--body", action="store_true", help=p.t("opt.vault_body"))


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 10_000:
        raise ValueError
    return number
