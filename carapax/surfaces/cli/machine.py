"""Commands that work without a gateway: doctor, ledger, model, budget, completion.

Layer: surfaces/cli. Everything they know comes from `local.Local`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from carapax.core.terms.error import NotFound, StoreUnavailable
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.banner import MARKS
from carapax.surfaces.cli.card import wrapped
from carapax.surfaces.cli.entry_line import entry_words
from carapax.surfaces.cli.terminal import cells, pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from carapax.core.terms.check import Check
    from carapax.core.terms.limit import Budget
    from carapax.surfaces.cli.context import Context
    from carapax.surfaces.cli.local import ModelChoice, Saved
    from carapax.surfaces.cli.terminal import Pen
    from carapax.surfaces.cli.texts import Texts

_FOUND_COLUMN = 50
KINDS = {
    "tokens": ("tokens", 1),
    "usd": ("usd_micro", 1_000_000),
    "calls": ("tool_calls", 1),
    "seconds": ("wall_ms", 1000),
}


def doctor(c: Context, o: Namespace) -> int:
    """Every check with what to do about it."""
    return _report(c, o, c.local.doctor(walls=True) if o.walls else c.local.doctor())


def _report(c: Context, o: Namespace, checks: Sequence[Check]) -> int:
    if o.json:
        from carapax.core.terms.plain import plain

        c.print_json({"checks": plain(list(checks))})
    else:
        show_checks(c, checks)
    return codes.FAILED if any(check.standing.value == "failed" for check in checks) else codes.OK


def show_checks(c: Context, checks: Sequence[Check]) -> None:
    """Name, what was found, mark, what to do; the last goes below where the terminal is narrow."""
    width = c.out.width
    names = max(10, min(22, max((cells(check.name) for check in checks), default=0)))
    taken = names + 1
    for check in checks:
        mark = MARKS[check.standing.value]
        found = wrapped(check.found.replace("\n", " "), max(20, min(_FOUND_COLUMN, width - taken - 4)))
        for number, text in enumerate(found[:-1]):
            c.out.line(pad(check.name if number == 0 else "", names), " ", text)
        head = pad(check.name if len(found) == 1 else "", names)
        beside = taken + _FOUND_COLUMN + 3 + 2 + cells(check.next_step) <= width
        column = min(_FOUND_COLUMN, width - taken - 4)
        c.out.line(head, " ", pad(found[-1], column), "  ", mark, f"  {check.next_step}" if beside else "")
        if check.next_step and not beside:
            for number, text in enumerate(wrapped(check.next_step, max(20, width - taken - 2))):
                c.out.line(" " * taken, "  " if number else "→ ", text)


def ledger(c: Context, o: Namespace) -> int:
    """Show, verify, prove, export."""
    if o.action == "show":
        return _ledger_show(c, o)
    if o.action == "prove":
        _write_out(c, o.output, json.dumps(c.local.ledger_prove(o.entry), indent=2).encode("ascii") + b"\n")
    elif o.action == "export":
        _export(c, o)
    else:
        found = c.local.ledger_verify(_read_text(o.checkpoint) if o.checkpoint else None)
        if o.json:
            c.print_json({**found, "verified": True})
        else:
            seconds = f"{int(found.get('duration_ms', 0)) / 1000:.1f}"
            text = c.t(
                "ledger.verified", entries=f"{int(found['entries']):,}", root=str(found["root"])[:12], seconds=seconds
            )
            c.out.line(text, "  ", ("green", "✓"))
            if o.checkpoint:
                c.out.line(c.t("ledger.extends"))
    return codes.OK


def _ledger_show(c: Context, o: Namespace) -> int:
    entries = c.local.ledger_show(o.first, o.limit, o.newest)
    for entry in entries:
        if o.json:
            c.print_json(entry)
            continue
        when = time.strftime("%m-%d %H:%M:%S", time.localtime(int(entry.get("time_ms") or 0) / 1000))
        kind = str(entry.get("kind", ""))
        words = entry_words(kind, entry.get("body") or {})
        room = max(20, c.out.width - 42)
        shown = words if not c.out.tty or len(words) <= room else words[: room - 1] + "…"
        c.out.line(pad(f"#{entry.get('index')}", 8), ("grey", when), "  ", pad(kind, 16), " ", shown)
    if not entries and not o.json:
        c.out.line(c.t("ledger.empty"))
    return codes.OK


def _export(c: Context, o: Namespace) -> None:
    if not o.output:
        for block in c.local.ledger_export():
            _write_raw(c, block)
        return
    try:
        with open(o.output, "xb") as target:
            for block in c.local.ledger_export():
                target.write(block)
    except FileExistsError as error:
        raise StoreUnavailable(f"{o.output} exists already.", next_step="Name another file.") from error


def _write_out(c: Context, output: str | None, content: bytes) -> None:
    if output:
        write_file(output, content)
    else:
        _write_raw(c, content)


def write_file(output: str, content: bytes) -> None:
    """A new file with these bytes. Raises StoreUnavailable when there is one already."""
    try:
        with open(output, "xb") as target:
            target.write(content)
    except FileExistsError as error:
        raise StoreUnavailable(f"{output} exists already.", next_step="Name another file.") from error


def _write_raw(c: Context, content: bytes) -> None:
    # On a terminal bytes are text like any other; in a pipe they are kept as they are.
    if c.out.tty or not hasattr(c.stdout, "buffer"):
        c.out.text(content.decode("utf-8", "replace"))
    else:
        c.stdout.buffer.write(content)
        c.stdout.buffer.flush()


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"{path} cannot be read.", next_step="Name a file that holds a checkpoint.") from error


def model(c: Context, o: Namespace) -> int:
    """Show the choices, or choose."""
    if o.choose:
        choose_model(c)
    if o.provider:
        c.out.line(next((m.name for m in c.local.model_choices() if m.current), ""))
    if o.choose or o.provider:
        return codes.OK
    if o.name:
        return _set_model(c, o)
    choices = c.local.model_choices()
    if o.json:
        from carapax.core.terms.plain import plain

        c.print_json({"models": plain(list(choices))})
        return codes.OK
    _show_choices(c.out, c.t, choices)
    c.out.line(c.t("model.how"))
    return codes.OK


def _show_choices(pen: Pen, t: Texts, choices: Sequence[ModelChoice]) -> None:
    for number, choice in enumerate(choices, 1):
        need = t("model.key") if choice.needs_key and not choice.key_known else ""
        here = "▸" if choice.current else " "
        pen.line(f"{here} {number:>2}  {pad(choice.name, 12)} {choice.title}", ("grey", f"  {need}" if need else ""))


def choose_model(c: Context) -> None:
    """The one question of the first start: Enter is the first choice. Asks nothing when a model was chosen before.

    It is asked on stderr, because a script reads the answer's name from stdout.
    """
    choices = c.local.model_choices()
    given = c.env.get("CARAPAX_MODEL", "")
    if any(choice.current for choice in choices) and not given:
        return
    chosen, model = choices[0], ""
    if given:
        name, _, model = given.partition(":")
        chosen = _named(choices, name)
    elif c.interactive:
        c.err.line(c.t("model.question"))
        _show_choices(c.err, c.t, choices)
        while True:
            c.err.text(f"{c.t('model.number')} ▸ ")
            answer = c.stdin.readline().strip()
            if not answer or (answer.isdecimal() and 0 < int(answer) <= len(choices)):
                chosen = choices[int(answer) - 1] if answer else choices[0]
                break
    url = c.env.get("CARAPAX_MODEL_URL", "") or (_asked_line(c, "model.url") if chosen.needs_url else "")
    key = _asked_key(c) if chosen.needs_key and not chosen.key_known and c.interactive else None
    c.local.set_model(chosen.name, model=model, url=url, key=key)


def _set_model(c: Context, o: Namespace) -> int:
    chosen = _named(c.local.model_choices(), o.name)
    if chosen.needs_url and not o.url:
        c.err.line(c.t("model.needs_url"))
        return codes.USAGE
    key = c.stdin.readline().strip() if o.key_stdin else None
    if key is None and chosen.needs_key and not chosen.key_known and c.interactive:
        key = _asked_key(c)
    saved = c.local.set_model(o.name, model=o.model or "", url=o.url or "", key=key or None)
    return _tell_saved(c, saved)


def _named(choices: Sequence[ModelChoice], name: str) -> ModelChoice:
    found = next((choice for choice in choices if choice.name == name), None)
    if found is None:
        names = ", ".join(choice.name for choice in choices)
        raise NotFound(f"There is no model provider `{name}`.", next_step=f"Choose one of: {names}.")
    return found


def _asked_line(c: Context, key: str) -> str:
    if not c.interactive:
        return ""
    c.err.text(f"{c.t(key)} ▸ ")
    return c.stdin.readline().strip()


def _asked_key(c: Context) -> str | None:
    import getpass

    return getpass.getpass(c.t("model.key_prompt") + " ").strip() or None


def _tell_saved(c: Context, saved: Saved) -> int:
    c.out.line(c.t("saved.live" if saved.live else "saved.restart"))
    return codes.OK


def budget(c: Context, o: Namespace) -> int:
    """Show the budgets, or set one bound."""
    from carapax.core.terms.limit import Span
    from carapax.core.terms.plain import plain

    found = c.local.budgets()
    if o.span is None or o.amount is None:
        if o.json:
            c.print_json(plain(found))
        else:
            for span in [o.span] if o.span else ["turn", "session", "day"]:
                c.out.line(pad(span, 9), _budget_words(c, getattr(found, span)))
        return codes.OK
    amount = _amount(o.amount, o.of)
    if amount is not None and amount < 0:
        c.err.line(c.t("budget.amount"))
        return codes.USAGE
    from dataclasses import replace

    changed = replace(getattr(found, o.span), **{KINDS[o.of][0]: amount})
    return _tell_saved(c, c.local.set_budget(Span(o.span), changed))


def _amount(given: str, kind: str) -> int | None:
    """The bound in its unit, None for "none", -1 for what is not an amount."""
    if given == "none":
        return None
    digits = given.replace(",", "").replace("_", "")
    whole, _, part = digits.partition(".")
    if not whole.isdecimal() or len(whole) > 15 or (part and (kind != "usd" or not part.isdecimal() or len(part) > 6)):
        return -1
    return int(whole) * KINDS[kind][1] + (int(part.ljust(6, "0")) if part else 0)


def _budget_words(c: Context, bounds: Budget) -> str:
    words = []
    for kind, (field, unit) in KINDS.items():
        value = getattr(bounds, field)
        if value is not None:
            shown = f"{value / unit:,.2f}" if kind == "usd" else f"{value // unit:,}"
            words.append(c.t(f"budget.{kind}", amount=shown))
    return " · ".join(words) or c.t("budget.none")


def completion(c: Context, o: Namespace) -> int:
    """Print the completion script of a shell."""
    from carapax.surfaces.cli.completion import script
    from carapax.surfaces.cli.parser import build_parser

    c.out.text(script(o.shell, build_parser(c.t)))
    return codes.OK
