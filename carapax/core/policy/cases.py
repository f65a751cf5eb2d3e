"""Cases: a file of calls with the answers that somebody expects, to be run against a policy before it is signed.

Layer: core/policy. Format: docs/formats/policy.md, "Cases". The same strict YAML as the policy.
Law: a case says nothing that `decide` does not answer; nothing runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from carapax.core.policy import reading
from carapax.core.policy.capability import NETWORK
from carapax.core.policy.decide import decide
from carapax.core.policy.document import Policy
from carapax.core.policy.matrix import ANYTHING, PLAIN, Situation, answer, question_of
from carapax.core.policy.tree import Node, parse_tree
from carapax.core.terms.action import Effect
from carapax.core.terms.principal import Role

ANSWERS = ("allow", "ask", "deny")
PLACES = ("workspace", "outside", "none")
FURTHEST = ("none", "owner", "org", "known", "other")
GIVEN = (
    "role", "tool", "place", "network", "hidden_text", "reversible", "files", "channel", "recipients", "amount",
    "intended", "tainted", "private", "owner_named",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the file: an effect, what is given, what is expected."""

    line: int
    effect: Effect
    role: Role
    tool: str
    how: Situation
    expect: str
    rule: str  # "" is any


@dataclass(frozen=True, slots=True)
class Tried:
    case: Case
    found: str
    rule: str

    @property
    def held(self) -> bool:
        return self.found == self.case.expect and self.case.rule in ("", self.rule)


def parse_cases(document: bytes) -> tuple[Case, ...]:
    """The cases of a file. Raises PolicyInvalid, with line, key and remedy."""
    given = reading.fields(parse_tree(document), ("cases",), ("cases",))
    return tuple(_case(node) for node in reading.items(given["cases"]))


def _case(node: Node) -> Case:
    keys = reading.fields(node, ("call", "given", "expect", "rule"), ("call", "expect"))
    effect = reading.member(keys["call"], Effect)
    given = reading.fields(keys["given"], GIVEN) if "given" in keys else {}
    return Case(
        node.line,
        effect,
        reading.member(given["role"], Role) if "role" in given else Role.OWNER,
        reading.text(given["tool"]) if "tool" in given else ANYTHING,
        situation(effect, given),
        reading.word(keys["expect"], ANSWERS),
        reading.text(keys["rule"]) if "rule" in keys else "",
    )


def situation(effect: Effect, given: Mapping[str, Node]) -> Situation:
    """The situation of a case; what is not given is as in the matrix's first column."""
    start = replace(PLAIN, network=True, place="none") if effect in NETWORK else PLAIN
    truths = ("network", "hidden_text", "reversible", "intended", "tainted", "private", "owner_named")
    found: dict[str, Any] = {key: reading.truth(given[key]) for key in truths if key in given}
    words = {"place": PLACES, "recipients": FURTHEST}
    found |= {key: reading.word(given[key], known) for key, known in words.items() if key in given}
    if "channel" in given:
        found["channel"] = reading.text(given["channel"])
    if "files" in given:
        found["destroys"] = reading.whole(given["files"])
    if "amount" in given:
        found["amount_cents"] = reading.cents(given["amount"]) or 0
    return replace(start, **found)


def run_cases(policy: Policy, cases: tuple[Case, ...]) -> tuple[Tried, ...]:
    """What the policy answers to each."""
    tried = []
    for case in cases:
        question = question_of(case.role, case.effect, case.tool, case.how)
        tried.append(Tried(case, answer(policy, question), decide(policy, question).rule))
    return tuple(tried)
