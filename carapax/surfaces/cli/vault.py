"""`carapax vault`: keep secrets, say where each may be used, and see where each was.

Layer: surfaces/cli. Everything it does comes from `local.LocalVault`.
Law: a value or a passphrase comes from a hidden prompt or from standard input, never from an argument, and is never shown.
"""

from __future__ import annotations

import time

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carapax.surfaces.cli.context import Context
    from carapax.surfaces.cli.local_vault import LocalVault

DAY_MS = 86_400_000
OAUTH_CHARS = 32_768
_OK = ("green", "✓")


def vault(c: Context, o: Namespace) -> int:
    """Do what the action says."""
    desk = c.local.vault()
    code = {
        "set": _set, "list": _list, "rotate": _rotate, "bind": _bind, "unbind": _unbind, "remove": _remove,
        "import": _import, "protect": _protect, "unlock": _unlock, "audit": _audit,
    }[o.action](c, o, desk)  # fmt: skip
    if taken := desk.moved_in():
        c.err.line(c.t("vault.moved_in", count=len(taken), names=", ".join(taken)))
    return code


def _opened(c: Context, desk: LocalVault) -> LocalVault:
    """The vault, unlocked for this command when a person can be asked; else what follows says that it is locked."""
    if desk.locked() and c.interactive:
        desk.open(_hidden(c, "vault.passphrase"))
    return desk


def _hidden(c: Context, key: str) -> str:
    import getpass

    return getpass.getpass(f"{c.t(key)} ")


def _value(c: Context, name: str) -> str:
    if c.interactive:
        import getpass

        return getpass.getpass(f"{c.t('vault.value', name=name)} ")
    return c.stdin.readline()


def _bound(o: Namespace) -> list[dict[str, Any]]:
    default = "Bearer " if o.header.lower() == "authorization" else ""
    prefix = default if o.prefix is None else o.prefix
    return [
        {
            "place": place,
            "header": o.header,
            "prefix": prefix,
            "path": o.path,
            "methods": tuple(o.method),
            "body": o.body,
        }
        for place in o.places
    ]


def _set(c: Context, o: Namespace, desk: LocalVault) -> int:
    _opened(c, desk)
    if o.remote:
        kind, value = "remote", o.remote
    elif o.oauth:
        if c.interactive:
            c.err.line(c.t("vault.oauth_how"))
        kind, value = "oauth", c.stdin.read(OAUTH_CHARS + 1)
    else:
        kind, value = "plain", _value(c, o.name)
    done = desk.set(o.name, value, kind, _bound(o))
    c.out.line(c.t("vault.kept" if done["new"] else "vault.replaced", name=o.name), "  ", _OK)
    _show_bindings(c, done["bindings"])
    if not done["bindings"]:
        c.out.line(("grey", c.t("vault.bind_how", name=o.name)))
    return codes.OK


def _show_bindings(c: Context, bindings: Sequence[str]) -> None:
    for text in bindings:
        c.out.line("  → ", text)


def _list(c: Context, o: Namespace, desk: LocalVault) -> int:
    found = desk.list()
    if o.json:
        c.print_json(found)
        return codes.OK
    if not found["secrets"]:
        c.out.line(c.t("vault.none"))
        return codes.OK
    now_ms = time.time_ns() // 1_000_000
    for secret in found["secrets"]:
        used = _ago(c, now_ms, secret["used_ms"]) if secret["used_ms"] else c.t("vault.never")
        facts = [c.t("vault.age", age=_ago(c, now_ms, secret["rotated_ms"])), c.t("vault.used", when=used)]
        if secret["kind"] != "plain":
            facts.insert(0, str(secret["kind"]))
        c.out.line(pad(str(secret["handle"]), 24), " ", ("grey", " · ".join(facts)))
        _show_bindings(c, secret["bindings"])
        if not secret["bindings"]:
            c.out.line("  ", ("grey", c.t("vault.unbound")))
        if secret["waiting"]:
            c.out.line("  ", ("amber", c.t("vault.waiting", name=secret["handle"])))
    c.out.line(("grey", c.t(f"vault.source.{found['source']}")))
    if found["locked"]:
        c.out.line(("amber", c.t("vault.locked")))
    return codes.OK


def _ago(c: Context, now_ms: int, then_ms: int) -> str:
    days = max(0, now_ms - then_ms) // DAY_MS
    return c.t("vault.days", days=days) if days else c.t("vault.today")


def _rotate(c: Context, o: Namespace, desk: LocalVault) -> int:
    _opened(c, desk)
    if o.confirm or o.back:
        desk.settle(o.name, keep_new=o.confirm)
        c.out.line(c.t("vault.confirmed" if o.confirm else "vault.back", name=o.name), "  ", _OK)
        return codes.OK
    desk.rotate(o.name, _value(c, o.name))
    c.out.line(c.t("vault.rotated", name=o.name), "  ", _OK)
    c.out.line(("grey", c.t("vault.waiting", name=o.name)))
    return codes.OK


def _bind(c: Context, o: Namespace, desk: LocalVault) -> int:
    _show_all(c, o.name, _opened(c, desk).bind(o.name, _bound(o)))
    return codes.OK


def _show_all(c: Context, name: str, bindings: Sequence[str]) -> None:
    c.out.line(c.t("vault.bound", name=name), "  ", _OK)
    _show_bindings(c, bindings)


def _unbind(c: Context, o: Namespace, desk: LocalVault) -> int:
    gone = _opened(c, desk).unbind(o.name, o.host)
    c.out.line(c.t("vault.unbound_from", name=o.name, count=gone))
    return codes.OK if gone else codes.FAILED


def _remove(c: Context, o: Namespace, desk: LocalVault) -> int:
    if not o.yes and not c.confirm(c.t("vault.sure", name=o.name)):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    _opened(c, desk).remove(o.name)
    c.out.line(c.t("vault.removed", name=o.name))
    return codes.OK


def _import(c: Context, o: Namespace, desk: LocalVault) -> int:
    done = _opened(c, desk).import_file(o.file, tuple(o.keep), delete=o.delete)
    for name, handle in done["moved"]:
        c.out.line("  ", pad(str(name), 28), " → ", f"vault:{handle}")
    c.out.line(c.t("vault.imported", count=len(done["moved"]), file=o.file), "  ", _OK)
    if done["stayed"]:
        c.out.line(("grey", c.t("vault.stayed", names=", ".join(done["stayed"]))))
    if done["moved"]:
        c.out.line(("grey", c.t("vault.import_next")))
    return codes.OK


def _protect(c: Context, o: Namespace, desk: LocalVault) -> int:
    _opened(c, desk)
    passphrase = ""
    if o.source == "passphrase":
        if c.interactive:
            passphrase = _hidden(c, "vault.new_passphrase")
            if passphrase != _hidden(c, "vault.again"):
                c.err.line(c.t("vault.differs"))
                return codes.FAILED
        else:
            passphrase = c.stdin.readline().rstrip("\n")
    desk.protect(o.source, passphrase)
    c.out.line(c.t("vault.protected"), "  ", _OK)
    c.out.line(("grey", c.t(f"vault.source.{o.source}")))
    return codes.OK


def _unlock(c: Context, o: Namespace, desk: LocalVault) -> int:
    passphrase = _hidden(c, "vault.passphrase") if c.interactive else c.stdin.readline().rstrip("\n")
    done: Mapping[str, Any] = desk.unlock(passphrase)
    c.out.line(c.t("vault.unlocked"), "  ", _OK)
    return codes.FAILED if done["locked"] else codes.OK


def _audit(c: Context, o: Namespace, desk: LocalVault) -> int:
    from carapax.surfaces.cli.entry_line import entry_words

    found = desk.audit(o.name, o.limit)
    for entry in found:
        if o.json:
            c.print_json(entry)
            continue
        when = time.strftime("%m-%d %H:%M:%S", time.localtime(int(entry["time_ms"]) / 1000))
        number = c.t("vault.pending") if entry["index"] is None else f"#{entry['index']}"
        words = entry_words(str(entry["kind"]), entry["body"])
        c.out.line(pad(number, 9), ("grey", when), "  ", pad(str(entry["kind"]), 15), " ", words)
    if not found and not o.json:
        c.out.line(c.t("vault.no_trace"))
    return codes.OK
