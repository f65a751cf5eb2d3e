"""The grammar of the command line: commands, arguments, options, help with examples.

Layer: surfaces/cli. argparse, because it imports in 16 ms where cyclopts takes 160 ms.
Absent: words (texts: `help.X` one line, `about.X` a paragraph, `examples.X`) and what commands do.
"""

from __future__ import annotations

import argparse
import re

from carapax.surfaces.cli.parser_channels import channels_grammar, messages_grammar, pair_grammar, people_grammar
from carapax.surfaces.cli.parser_egress import egress_grammar
from carapax.surfaces.cli.parser_vault import vault_grammar
from carapax.surfaces.cli.parser_wards import canary_grammar, incident_grammar, resume_grammar, stop_grammar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from carapax.surfaces.cli.texts import Texts

MODULES = {
    "chat": "chat", "ask": "turns", "serve": "gateway", "doctor": "machine", "sessions": "sessions",
    "channels": "channels", "messages": "messages", "pair": "people", "people": "people",
    "approvals": "turns", "approve": "turns", "deny": "turns", "factor": "factor",
    "undo": "turns", "ledger": "machine", "policy": "policy", "trust": "trust", "redteam": "redteam", "model": "machine",
    "incident": "incident", "canary": "canary", "egress": "egress", "resume": "stopping", "vault": "vault",
    "status": "gateway", "stop": "gateway", "token": "gateway", "budget": "machine", "completion": "machine",
}  # fmt: skip
SHELLS = ("bash", "zsh", "fish")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in the person's language and where the help is; exits with 2."""

    def __init__(self, *, t: Texts, prog: str, description: str | None = None, epilog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.t = t
        self._positionals.title = t("usage.arguments")
        self._optionals.title = t("usage.options")
        self.add_argument("-h", "--help", action="help", help=t("opt.help"))
        self.add_argument("--lang", choices=("en", "fr"), help=t("opt.lang"), default=None)

    def error(self, message: str) -> NoReturn:
        # argparse writes in English; these are the sentences it can say here.
        for pattern, key in _ARGPARSE:
            if found := re.fullmatch(pattern, message, re.DOTALL):
                message = self.t(key, *found.groups())
                break
        self.exit(2, f"{message}\n{self.t('usage.see', command=self.prog)}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        from carapax.surfaces.cli.neutral import neutralise

        if message:
            text = neutralise(message).replace("usage:", self.t("usage.usage"), 1)
            encoding = getattr(file, "encoding", None) or "utf-8"
            super()._print_message(text.encode(encoding, "replace").decode(encoding), file)


_ARGPARSE = (
    (r"the following arguments are required: (.*)", "usage.required"),
    (r"unrecognized arguments: (.*)", "usage.unrecognized"),
    (r"argument (.*?): invalid choice: (.*?) \(choose from (.*)\)", "usage.choice"),
    (r"argument (.*?): invalid \w+ value: (.*)", "usage.value"),
    (r"argument (.*?): expected .*", "usage.expected"),
)


def build_parser(t: Texts) -> Parser:
    """The whole grammar in one language."""
    parser = Parser(prog="carapax", t=t, description=t("about"), epilog=t("examples"))
    parser.add_argument("-V", "--version", action="store_true", help=t("opt.version"))
    commands = parser.add_subparsers(
        dest="command", metavar=t("usage.command"), title=t("usage.commands"), prog="carapax"
    )

    def command(name: str, fill: Callable[[Parser], None]) -> None:
        fill(
            commands.add_parser(
                name, t=t, help=t(f"help.{name}"), description=t(f"about.{name}"), epilog=t(f"examples.{name}")
            )
        )

    for name, fill in (
        ("chat", _chat), ("ask", _ask), ("serve", _serve), ("doctor", _doctor), ("sessions", _sessions),
        ("channels", _channels), ("pair", pair_grammar), ("people", _people), ("messages", _messages),
        ("approvals", _approvals), ("approve", _approve), ("deny", _deny), ("factor", _factor),
        ("undo", _undo), ("ledger", _ledger), ("policy", _policy), ("trust", _trust), ("redteam", _redteam), ("model", _model),
        ("incident", _incident), ("canary", _canary), ("egress", _egress), ("resume", resume_grammar), ("vault", _vault),
        ("status", _json), ("stop", stop_grammar), ("token", _token), ("budget", _budget), ("completion", _completion),
    ):  # fmt: skip
        command(name, fill)
    return parser


def _json(p: Parser) -> None:
    p.add_argument("--json", action="store_true", help=p.t("opt.json"))


def _session_options(p: Parser) -> None:
    p.add_argument("--session", metavar="SESSION", help=p.t("opt.session"))
    p.add_argument("-c", "--continue", dest="last", action="store_true", help=p.t("opt.continue"))


def _chat(p: Parser) -> None:
    _session_options(p)
    p.add_argument("--keep", action="store_true", help=p.t("opt.keep"))


def _ask(p: Parser) -> None:
    p.add_argument("text", nargs="+", metavar="TEXT", help=p.t("opt.text"))
    _session_options(p)
    p.add_argument("--key", help=p.t("opt.key"))
    _watch_options(p)


def _watch_options(p: Parser) -> None:
    _json(p)
    p.add_argument("--events", action="store_true", help=p.t("opt.events"))
    p.add_argument("-v", "--verbose", action="store_true", help=p.t("opt.verbose"))


def _serve(p: Parser) -> None:
    p.add_argument("--host", default="127.0.0.1", help=p.t("opt.host"))
    p.add_argument("--port", type=_port, default=18790, help=p.t("opt.port"))
    p.add_argument("--tls-cert", metavar="FILE", help=p.t("opt.tls_cert"))
    p.add_argument("--tls-key", metavar="FILE", help=p.t("opt.tls_key"))
    p.add_argument("--sample", action="store_true", help=p.t("opt.sample"))


def _sessions(p: Parser) -> None:
    _json(p)
    p.set_defaults(limit=50)  # without an action it lists
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"))
    for name in ("list", "search", "show", "name", "export", "delete"):
        a = _action(p, actions, "sessions", name)
        if name in ("list", "search"):
            a.add_argument("--limit", type=_count, default=50, help=p.t("opt.limit"))
        else:
            a.add_argument("session", metavar="SESSION", help=p.t("opt.which_session"))
        if name in ("search", "name"):
            a.add_argument("words", nargs="+", metavar="WORDS", help=p.t(f"opt.{name}_words"))
        if name == "delete":
            a.add_argument("--yes", action="store_true", help=p.t("opt.yes"))
        if name in ("list", "search", "show", "name"):
            _json_again(a)


def _action(p: Parser, actions: Any, command: str, name: str) -> Parser:
    made: Parser = actions.add_parser(
        name, t=p.t, help=p.t(f"help.{command}.{name}"), description=p.t(f"help.{command}.{name}")
    )
    return made


def _doctor(p: Parser) -> None:
    p.add_argument("--walls", action="store_true", help=p.t("opt.walls"))
    _json(p)


def _json_again(p: Parser) -> None:
    # SUPPRESS: an action's own default must not overwrite the flag given before the action.
    p.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=p.t("opt.json"))


def _approvals(p: Parser) -> None:
    p.add_argument("--all", action="store_true", help=p.t("opt.all"))
    p.add_argument("--whole", action="store_true", help=p.t("opt.whole"))
    _json(p)


def _approve(p: Parser) -> None:
    p.add_argument("id", metavar="ID", help=p.t("opt.approval"))
    p.add_argument("--type", dest="typed", action="append", default=[], metavar="VALUE", help=p.t("opt.typed"))
    p.add_argument("--pick", default="", metavar="LINES", help=p.t("opt.pick"))
    p.add_argument("--code", default="", metavar="CODE", help=p.t("opt.code"))
    _watch_options(p)


def _deny(p: Parser) -> None:
    p.add_argument("id", metavar="ID", help=p.t("opt.approval"))
    _watch_options(p)


def _factor(p: Parser) -> None:
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"), required=True)
    _action(p, actions, "factor", "set")
    _action(p, actions, "factor", "remove").add_argument("--yes", action="store_true", help=p.t("opt.yes"))
    _json(_action(p, actions, "factor", "status"))


def _undo(p: Parser) -> None:
    p.add_argument("--turn", metavar="N", help=p.t("opt.turn"))
    p.add_argument("--session", metavar="SESSION", help=p.t("opt.session"))
    _json(p)


def _ledger(p: Parser) -> None:
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"), required=True)
    show = _action(p, actions, "ledger", "show")
    show.add_argument("--first", type=_index, metavar="N", help=p.t("opt.first"))
    show.add_argument("--limit", type=_count, default=20, help=p.t("opt.limit"))
    show.add_argument("--newest", action="store_true", help=p.t("opt.newest"))
    _json(show)
    verify = _action(p, actions, "ledger", "verify")
    verify.add_argument("--checkpoint", metavar="FILE", help=p.t("opt.checkpoint"))
    _json(verify)
    prove = _action(p, actions, "ledger", "prove")
    prove.add_argument("entry", type=_index, metavar="ENTRY", help=p.t("opt.entry"))
    prove.add_argument("-o", "--output", metavar="FILE", help=p.t("opt.output"))
    export = _action(p, actions, "ledger", "export")
    export.add_argument("-o", "--output", metavar="FILE", help=p.t("opt.output"))


def _policy(p: Parser) -> None:
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"), required=True)
    made = {name: _action(p, actions, "policy", name) for name in _POLICY}
    made["init"].add_argument("--force", action="store_true", help=p.t("opt.force"))
    made["sign"].add_argument("--key-file", metavar="FILE", help=p.t("opt.key_file"))
    for name in ("init", "sign"):
        made[name].add_argument("--yes", action="store_true", help=p.t("opt.yes"))
    made["explain"].add_argument("call", metavar="CALL", help=p.t("opt.call"))
    made["explain"].add_argument("arguments", metavar="NAME=VALUE", nargs="*", help=p.t("opt.arguments"))
    made["explain"].add_argument("--tainted", action="store_true", help=p.t("opt.tainted"))
    made["explain"].add_argument("--as", dest="effect", metavar="EFFECT", help=p.t("opt.effect"))
    made["explain"].add_argument("--role", default="owner", metavar="ROLE", help=p.t("opt.role"))
    made["explain"].add_argument("--channel", default="cli", metavar="NAME", help=p.t("opt.channel"))
    made["explain"].add_argument("--said", metavar="TEXT", help=p.t("opt.said"))
    made["test"].add_argument("file", metavar="FILE", help=p.t("opt.cases"))
    for name in ("check", "diff", "matrix"):
        made[name].add_argument("file", metavar="FILE", nargs="?", help=p.t("opt.policy_file"))
    for name in ("test", "simulate"):
        made[name].add_argument("--policy", metavar="FILE", help=p.t("opt.policy_file"))
    made["simulate"].add_argument("ledger", metavar="LEDGER", nargs="?", help=p.t("opt.ledger"))
    made["simulate"].add_argument("--days", type=_count, default=30, help=p.t("opt.past_days"))
    for name in ("check", "explain", "diff", "test", "matrix", "simulate"):
        _json(made[name])


_POLICY = ("init", "check", "explain", "diff", "sign", "test", "matrix", "simulate")


def _trust(p: Parser) -> None:
    p.add_argument("tier", nargs="?", choices=("observe", "draft", "assist", "act"), help=p.t("opt.tier"))
    p.add_argument("--yes", action="store_true", help=p.t("opt.yes"))
    _json(p)


def _redteam(p: Parser) -> None:
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"), required=True)
    replay = _action(p, actions, "redteam", "replay")
    replay.add_argument("set", metavar="FOLDER", nargs="?", help=p.t("opt.set"))
    replay.add_argument("--policy", metavar="FILE", help=p.t("opt.policy_file"))
    replay.add_argument("--open", action="store_true", help=p.t("opt.open_policy"))
    _json(replay)


def _model(p: Parser) -> None:
    p.add_argument("name", nargs="?", metavar="PROVIDER", help=p.t("opt.model_name"))
    p.add_argument("model", nargs="?", metavar="MODEL", help=p.t("opt.model"))
    p.add_argument("--url", help=p.t("opt.url"))
    p.add_argument("--key-stdin", action="store_true", help=p.t("opt.key_stdin"))
    p.add_argument("--choose", action="store_true", help=p.t("opt.choose"))
    p.add_argument("--provider", action="store_true", help=p.t("opt.provider"))
    _json(p)


def _token(p: Parser) -> None:
    actions = p.add_subparsers(dest="action", metavar=p.t("usage.action"), title=p.t("usage.actions"), required=True)
    create = _action(p, actions, "token", "create")
    create.add_argument("name", metavar="NAME", help=p.t("opt.token_name"))
    create.add_argument("--scope", default="chat", metavar="SCOPES", help=p.t("opt.scope"))
    create.add_argument("--days", type=_count, default=30, help=p.t("opt.days"))
    _json(create)
    _json(_action(p, actions, "token", "list"))
    _action(p, actions, "token", "revoke").add_argument("id", metavar="ID", help=p.t("opt.token_id"))


def _budget(p: Parser) -> None:
    p.add_argument("span", nargs="?", choices=("turn", "session", "day"), help=p.t("opt.span"))
    p.add_argument("amount", nargs="?", metavar="AMOUNT", help=p.t("opt.amount"))
    p.add_argument("--of", choices=("tokens", "usd", "calls", "seconds"), default="tokens", help=p.t("opt.of"))
    _json(p)


def _egress(p: Parser) -> None:
    egress_grammar(p, _action)


def _incident(p: Parser) -> None:
    incident_grammar(p, _action, _json_again)


def _vault(p: Parser) -> None:
    vault_grammar(p, _action, _json)


def _channels(p: Parser) -> None:
    channels_grammar(p, _action, _json_again)


def _people(p: Parser) -> None:
    people_grammar(p, _action, _json_again)


def _messages(p: Parser) -> None:
    messages_grammar(p, _action, _json)


def _canary(p: Parser) -> None:
    canary_grammar(p, _action, _json_again)


def _completion(p: Parser) -> None:
    p.add_argument("shell", choices=SHELLS, help=p.t("opt.shell"))


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 10_000:
        raise ValueError
    return number


def _index(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 53:
        raise ValueError
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 65_536:
        raise ValueError
    return number


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers below one parser, by name, in order."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}
