"""`carapax policy`: what the policy answers, what a change of it would change, and putting it in force.

Layer: surfaces/cli. Everything it knows comes from `local.LocalPolicy`. Absent: judging (`core/policy`).
"""

from __future__ import annotations

import time

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.card import wrapped
from carapax.surfaces.cli.machine import show_checks
from carapax.surfaces.cli.terminal import cells, pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carapax.surfaces.cli.context import Context

    Body = Mapping[str, Any]

MARK = {"allow": ("green", "✓"), "ask": ("amber", "◦")}
REFUSED = ("red", "✗")
LISTED = 12
"""Lines of changed answers that are shown before "and … more"."""


def policy(c: Context, o: Namespace) -> int:
    """Run one action."""
    return {
        "init": _init, "check": _check, "explain": _explain, "diff": _diff, "sign": _sign, "test": _test,
        "matrix": _matrix, "simulate": _simulate,
    }[o.action](c, o)  # fmt: skip


def _init(c: Context, o: Namespace) -> int:
    if o.force and not _agreed(c, o, c.t("policy.reset")):
        return codes.FAILED
    c.out.line(c.t("policy.written", path=c.local.policy().init(force=o.force)), "  ", ("green", "✓"))
    c.out.line(("grey", c.t("policy.written_next")))
    return codes.OK


def _agreed(c: Context, o: Namespace, question: str) -> bool:
    if o.yes or c.confirm(question):
        return True
    c.err.line(c.t("confirm.not_done"))
    return False


def _check(c: Context, o: Namespace) -> int:
    checks = c.local.policy().check(o.file)
    if o.json:
        from carapax.core.terms.plain import plain

        c.print_json({"checks": plain(list(checks))})
    else:
        show_checks(c, checks)
    return codes.FAILED if any(check.standing.value == "failed" for check in checks) else codes.OK


def _explain(c: Context, o: Namespace) -> int:
    found = c.local.policy().explain(
        {
            "name": o.call, "arguments": tuple(o.arguments), "effect": o.effect or "", "tainted": o.tainted,
            "role": o.role, "channel": o.channel, "said": o.said or "",
        }
    )  # fmt: skip
    if o.json:
        c.print_json(found)
        return codes.OK
    answer = str(found["answer"])
    c.out.line(MARK.get(answer, REFUSED), " ", pad(_answer(c, answer), 11), str(found["call"]))
    _fact(c, c.t("policy.effect_label"), _effect(c, str(found["effect"])))
    _fact(c, c.t("policy.session_label"), c.t("policy.session_tainted" if found["tainted"] else "policy.session_clean"))
    _fact(c, c.t("policy.why_label"), str(found["reason"] or c.t("policy.no_reason")))
    _fact(c, c.t("step.rule"), str(found["rule"]))
    would = [
        f"{c.t('policy.if.' + str(each['if']))} → {_answer(c, str(each['answer']))}"
        for each in found.get("would") or ()
    ]
    if answer == "ask":
        would.insert(0, c.t("policy.if_yes"))
    for number, text in enumerate(would or ([] if answer == "allow" else [c.t("policy.if_none")])):
        _fact(c, c.t("policy.instead_label") if number == 0 else "", text)
    return codes.OK


def _fact(c: Context, label: str, text: str) -> None:
    for number, line in enumerate(wrapped(text, max(20, c.out.width - 15))):
        c.out.line("  ", ("grey", pad(label if number == 0 else "", 11)), line)


def _answer(c: Context, answer: str) -> str:
    return c.t(f"policy.answer.{answer}")


def _effect(c: Context, effect: str) -> str:
    return c.t(f"policy.effect.{effect}")


def _diff(c: Context, o: Namespace) -> int:
    found = c.local.policy().diff(o.file)
    if o.json:
        c.print_json(found)
    elif found["same"]:
        c.out.line(c.t("policy.same"))
    else:
        show_difference(c, found)
        c.out.line()
        needs = int(found["needs"])
        key = "policy.needs_more" if needs > 1 else "policy.widens" if found["wider"] else "policy.widens_not"
        c.out.line(c.t(key, count=needs))
    return codes.OK


def show_difference(c: Context, found: Body) -> None:
    """The answers that change, in words, then what else becomes wider and narrower."""
    changes = _folded(found["changes"])
    if not changes:
        c.out.line(c.t("policy.no_answers"))
    for row in changes[:LISTED]:
        _change_line(c, row)
    if len(changes) > LISTED:
        c.out.line(c.t("policy.more", count=len(changes) - LISTED))
    for number, text in enumerate(found["wider"]):
        c.out.line(("amber", pad(c.t("policy.wider") if number == 0 else "", 13)), text)
    if found["narrower"]:
        c.out.line(c.t("policy.narrower"))
    for text in found["narrower"]:
        c.out.line("  ", ("grey", text))


def _folded(changes: Sequence[Body]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Changes of one row and kind as one line with all its situations."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for change in changes:
        key = tuple(str(change[part]) for part in ("role", "effect", "tool", "before", "after"))
        rows.setdefault(key, []).append(str(change["situation"]))
    return list(rows.items())


def _change_line(c: Context, row: tuple[tuple[str, ...], list[str]]) -> None:
    (role, effect, tool, before, after), situations = row
    who = "" if role == "owner" else f"{role}: "
    what = who + _effect(c, effect) + ("" if tool == "any tool" else f" ({tool})")
    turn = f"{_answer(c, before)} → {_answer(c, after)}"
    where = ", ".join(_when(c, each) for each in situations)
    head = ("  ", MARK.get(after, REFUSED), " ", pad(what, 32), " ", pad(turn, 24))
    beside = c.out.width - 4 - 33 - 24
    if beside >= 20 and cells(what) <= 32:
        lines = wrapped(where, beside)
        c.out.line(*head, ("grey", lines[0]))
        for text in lines[1:]:
            c.out.line(" " * 61, ("grey", text))
        return
    c.out.line(*head)
    for text in wrapped(where, max(20, c.out.width - 6)):
        c.out.line(" " * 6, ("grey", text))


def _when(c: Context, situation: str) -> str:
    if situation.endswith(" files"):
        return c.t("policy.files", count=situation.removesuffix(" files"))
    return situation if situation[0].isdigit() else c.t(f"policy.when.{situation}")


def _sign(c: Context, o: Namespace) -> int:
    if not _agreed(c, o, c.t("policy.sign")):
        return codes.FAILED
    found = c.local.policy().sign(o.key_file)
    names = ", ".join(found["signed_by"])
    if found["in_force"]:
        c.out.line(c.t("policy.in_force", serial=found["serial"], names=names), "  ", ("green", "✓"))
        return codes.OK
    text = c.t("policy.waits", have=len(found["signed_by"]), needs=found["needs"], names=names)
    c.out.line(("amber", "◦"), " ", text)
    for sentence in found["wider"]:
        c.out.line("    ", str(sentence))
    c.out.line(c.t("policy.waits_next"))
    return codes.WAITING


def _test(c: Context, o: Namespace) -> int:
    found = c.local.policy().test(o.file, o.policy)
    cases = found["cases"]
    wrong = [case for case in cases if not case["held"]]
    if o.json:
        c.print_json(found)
    else:
        for case in wrong:
            _wrong_case(c, case)
        key = "policy.cases_wrong" if wrong else "policy.cases_hold"
        c.out.line(c.t(key, held=len(cases) - len(wrong), total=len(cases)), "  ", REFUSED if wrong else MARK["allow"])
    return codes.FAILED if wrong else codes.OK


def _wrong_case(c: Context, case: Body) -> None:
    expected = _answer(c, str(case["expect"])) + (f" ({case['expect_rule']})" if case["expect_rule"] else "")
    text = c.t("policy.case", line=case["line"], expected=expected, found=_answer(c, str(case["found"])))
    c.out.line(REFUSED, " ", pad(str(case["call"]), 12), text, ("grey", f"  {c.t('step.rule')} {case['rule']}"))


def _matrix(c: Context, o: Namespace) -> int:
    found = c.local.policy().matrix(o.file)
    if o.json:
        c.print_json(found)
        return codes.OK
    rows = found["rows"]
    roles = list(dict.fromkeys(str(row["role"]) for row in rows))
    speaking = [
        role for role in roles if any(set(r["answers"].values()) != {"deny"} for r in rows if r["role"] == role)
    ]
    for role in speaking:
        for names in _fitting(c.out.width - 17, [str(name) for name in found["situations"]]):
            c.out.line(pad(role, 17), *(("grey", pad(name, _wide(name))) for name in names))
            for row in (row for row in rows if row["role"] == role):
                _matrix_row(c, row, names)
            c.out.line()
    if silent := [role for role in roles if role not in speaking]:
        c.out.line(("grey", c.t("policy.denied_all", roles=", ".join(silent))))
    return codes.OK


def _fitting(width: int, names: list[str]) -> list[list[str]]:
    """The columns in blocks that fit."""
    blocks: list[list[str]] = [[]]
    for name in names:
        if blocks[-1] and sum(_wide(each) for each in blocks[-1]) + _wide(name) > width:
            blocks.append([])
        blocks[-1].append(name)
    return blocks


def _wide(name: str) -> int:
    return max(5, len(name)) + 2


def _matrix_row(c: Context, row: Body, names: list[str]) -> None:
    answers = row["answers"]
    if not any(name in answers for name in names):
        return
    label = str(row["effect"] if row["tool"] == "any tool" else row["tool"])
    spans = [(_COLOUR[answers.get(name, "")], pad(answers.get(name, "·"), _wide(name))) for name in names]
    c.out.line("  ", pad(label, 15), *spans)


_COLOUR = {"allow": "green", "ask": "amber", "deny": "red", "": "grey"}


def _simulate(c: Context, o: Namespace) -> int:
    found = c.local.policy().simulate(o.ledger, o.policy, o.days)
    if o.json:
        c.print_json(found)
        return codes.OK
    changed = sum(int(turn["calls"]) for turn in found["turns"] if turn["was"] != turn["now"])
    c.out.line(c.t("policy.replayed", calls=f"{found['calls']:,}", days=found["days"], serial=found["serial"]))
    for turn in found["turns"]:
        same = turn["was"] == turn["now"]
        words = (
            _answer(c, str(turn["now"])) if same else f"{_answer(c, str(turn['was']))} → {_answer(c, str(turn['now']))}"
        )
        mark = MARK.get(str(turn["now"]), REFUSED)
        c.out.line(
            "  ",
            mark,
            " ",
            pad(words, 24),
            f"{turn['calls']:>6,}",
            ("grey", "" if not same else "  " + c.t("policy.as_it_was")),
        )
    for each in found["first"]:
        when = time.strftime("%m-%d %H:%M", time.localtime(int(each["time_ms"]) / 1000))
        c.out.line(
            "    ",
            ("grey", f"#{each['index']} {when}  "),
            str(each["summary"]),
            ("grey", f"  {c.t('step.rule')} {each['rule']}"),
        )
    if found["unknown"]:
        c.out.line(c.t("policy.unknown_calls", count=found["unknown"]))
    c.out.line(c.t("policy.replay_changes" if changed else "policy.replay_same", count=changed))
    return codes.OK
