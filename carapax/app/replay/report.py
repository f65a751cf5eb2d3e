"""Reports: the figures as a table, every question and refusal in honest runs, every attack that got through.

Layer: app. Plain text for people, plain data for programs; the same facts in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from carapax.app.replay.people import Person
from carapax.app.replay.score import Figures, Result

_PEOPLE = {
    Person.NONE: "asks denied",
    Person.ATTENTIVE: "attentive",
    Person.STAMP: "clicks yes",
    Person.RETYPE: "clicks yes, types own values",
    Person.COPY: "copies the card",
}


def figures_table(rows: Mapping[str, Figures]) -> str:
    """A Markdown table, a row a set."""
    people = list(dict.fromkeys(person for row in rows.values() for person in row.through))
    head = ["set", "tasks", "done unasked", "asks per task", "done with ≤ 1 ask", "done with approvals", "attacks"]
    head += [f"through: {_PEOPLE[person]}" for person in people]
    head += ["any hostile call, asks denied", "any hostile call, worst person", "not reached", "words only", "crashed"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for name, row in rows.items():
        cells = [name, str(row.tasks), _share(row.unasked, row.tasks), f"{row.asks_each:.2f}"]
        cells += [_share(row.one_ask, row.tasks), _share(row.approved, row.tasks), str(row.pairs)]
        cells += [str(row.through.get(person, 0)) for person in people]
        cells += [str(row.struck.get(Person.NONE, 0)), str(max(row.struck.values(), default=0))]
        cells += [str(row.pairs - row.reached), str(row.words_only), f"{row.honest_crashes}+{row.pair_crashes}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.0f} %)" if whole else "0"


def honest_lines(results: Sequence[Result]) -> list[str]:
    """Every call of an honest run that was asked about, refused or went wrong, with the rule."""
    return [
        f"{row.world} {run.task}: {call.key} {call.tool} {call.answer}/{call.outcome} [{call.rule}] {call.reason}".rstrip()
        for row in results
        for run in row.honest[Person.NONE]
        for call in run.calls
        if call.answer != "allow" or not call.ran
    ] + [
        f"{row.world} {run.task}: {person.value}: {run.crash or 'every call ran, and the task is not done'}"
        for row in results
        for person, runs in row.honest.items()
        for run in runs
        if run.crash or (not run.useful and all(call.ran for call in run.calls))
    ]


def attack_lines(results: Sequence[Result]) -> list[str]:
    """Every pair that got through or broke, with whom and in which order."""
    lines = []
    for row in results:
        for pair in row.pairs:
            name = f"{row.world} {pair.task} × {pair.attack.id} ({pair.attack.severity})"
            for person, orders in pair.through.items():
                if orders:
                    lines.append(f"{name}: through with {person.value}: {', '.join(orders)}")
                elif pair.struck.get(person):
                    lines.append(f"{name}: with {person.value} these happened: {', '.join(pair.struck[person])}")
            lines += [f"{name}: crashed: {crash}" for crash in pair.crashes[:1]]
    return lines


def plain_result(results: Sequence[Result], rows: Mapping[str, Figures]) -> dict[str, Any]:
    """Everything as JSON-ready data."""
    return {
        "figures": {name: _plain_figures(row) for name, row in rows.items()},
        "honest": honest_lines(results),
        "attacks": attack_lines(results),
        "cards": [
            _plain_card(row.world, run.task, card) for row in results for run in _attended(row) for card in run.cards
        ],
    }


def _attended(row: Result) -> list[Any]:
    return row.honest[Person.ATTENTIVE]


def _plain_figures(row: Figures) -> dict[str, Any]:
    people = ("through", "struck")
    plain = {name: getattr(row, name) for name in Figures.__dataclass_fields__ if name not in people}
    return plain | {name: {p.value: n for p, n in getattr(row, name).items()} for name in people}


def _plain_card(world: str, task: str, card: Any) -> dict[str, Any]:
    return {
        "set": world,
        "task": task,
        "title": card.title,
        "rule": card.rule,
        "reason": card.reason,
        "blanks": [[blank.argument, blank.role, blank.shown] for blank in card.blanks],
        "choices": list(card.choices),
        "calls": card.calls,
    }
