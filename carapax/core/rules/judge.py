"""The judgement: every rule's findings on one call, and the one answer they come to.

Layer: core/rules. Total, deterministic, no model. Combined with the policy's own answer, the stricter counts.
Law: another finding never makes the answer more permissive.
"""

from __future__ import annotations

import re

from carapax.core.flow.knowledge import name_phrases
from carapax.core.flow.mentions import is_generic
from carapax.core.flow.tokens import find_phrase, tokens
from carapax.core.flow.words import names, read_words
from carapax.core.rules.authority import check_amounts, check_authority, check_repeats
from carapax.core.rules.caps import check_caps
from carapax.core.rules.finding import Finding, Need
from carapax.core.rules.intent import check_intent, may_pick
from carapax.core.rules.outward import check_links, check_readers
from carapax.core.rules.task import Task
from carapax.core.rules.trace import is_pointed_record, record_words
from carapax.core.terms.action import ArgRole, CanonicalCall, FieldRole
from carapax.core.terms.approval import Blank
from carapax.core.terms.decision import Allow, Ask, Decision, Deny
from carapax.core.terms.ids import RuleId

FINE = RuleId("flow")
DELEGATED = RuleId("delegation.pick")

MAX_LINES = 60
LINE_CHARS = 500

_RULES = (check_caps, check_intent, check_authority, check_amounts, check_repeats, check_readers, check_links)


def find_objections(call: CanonicalCall, task: Task) -> tuple[Finding, ...]:
    """Everything the rules hold against this call."""
    return tuple(finding for rule in _RULES for finding in rule(call, task))


def judge(call: CanonicalCall, task: Task) -> Decision:
    """The rules' answer to one call."""
    found = find_objections(call, task)
    if not found:
        return Allow(FINE)
    worst = max(found, key=lambda finding: finding.need)
    if worst.need is Need.NEVER:
        return Deny(worst.rule, worst.reason)
    source, lines = _delegated(found, task)
    if worst.need is Need.PICK and not lines:
        return Deny(worst.rule, worst.reason)
    blanks = tuple(
        Blank(f.argument, f.role, f.value, f.source)
        for f in found
        if f.need is Need.BLANK and not (lines and _may_be_settled(f, lines, task))
    )
    reason = "It does what a text says. Pick the lines that you mean." if lines else worst.reason
    return Ask(DELEGATED if lines else worst.rule, reason, blanks=blanks, choices=lines, choices_source=source)


def _delegated(found: tuple[Finding, ...], task: Task) -> tuple[str, tuple[str, ...]]:
    """The text that the owner told the agent to obey, as lines to pick from; nothing when it would not help."""
    if not may_pick(task):
        return "", ()
    texts = [
        (record_words(record), text)
        for record in task.knowledge.records
        if is_pointed_record(record, task)
        for text in record.of(FieldRole.TEXT)
        if text.strip()
    ]
    blanks = [f for f in found if f.need is Need.BLANK]
    for source, text in texts:
        lines = split_lines(text)
        if any(_stands_in(f, lines) for f in blanks):
            return source, lines
    if texts and any(f.need is Need.PICK or f.role == ArgRole.URL.value for f in found):
        source, text = texts[0]
        return source, split_lines(text)
    return "", ()


def _may_be_settled(finding: Finding, lines: tuple[str, ...], task: Task) -> bool:
    """Whether picking lines may settle it: they hold the value or its record's name, or tell where a link is."""
    if _stands_in(finding, lines) or finding.role == ArgRole.URL.value:
        return True
    said = tokens("\n".join(lines))
    records = (task.knowledge.records[at] for at in task.knowledge.by_id.get(finding.value, ()))
    names_ = (phrase for r in records for name in r.of(FieldRole.NAME) for phrase in name_phrases(name))
    return any(not is_generic(phrase) and find_phrase(phrase, said) >= 0 for phrase in names_)


def split_lines(text: str) -> tuple[str, ...]:
    """A text as pieces that can be picked: its lines, long ones at sentence ends; at most 60 of 500 characters."""
    pieces = [
        piece.strip()
        for line in text.splitlines()
        for piece in (re.split(r"(?<=[.!?;])\s+(?=\S)", line) if len(line) > 80 else [line])
    ]
    cut = [piece[i : i + LINE_CHARS] for piece in pieces if piece for i in range(0, len(piece), LINE_CHARS)]
    return tuple(cut[:MAX_LINES])


def _stands_in(finding: Finding, lines: tuple[str, ...]) -> bool:
    """Whether a text that may be picked could vouch for the value; for a payee or a secret no text can."""
    if not lines or finding.role in (ArgRole.PAYEE.value, ArgRole.SECRET.value):
        return False
    return names(read_words("\n".join(lines)), ArgRole(finding.role), finding.value)


def combine(policy: Decision, rules: Decision) -> Decision:
    """The stricter of two answers; two questions become one card, and nothing that either asks for is lost."""
    if isinstance(policy, Deny):
        return policy
    if isinstance(rules, Deny):
        return rules
    obligations = policy.obligations | rules.obligations
    asks = [answer for answer in (policy, rules) if isinstance(answer, Ask)]
    if not asks:
        return Allow(policy.rule, obligations)
    first = next((ask for ask in reversed(asks) if ask.blanks or ask.choices), asks[0])
    picking = next((ask for ask in asks if ask.choices), first)
    return Ask(
        first.rule,
        first.reason,
        obligations,
        tuple(role for ask in asks for role in ask.typed),
        tuple(dict.fromkeys(blank for ask in asks for blank in ask.blanks)),
        picking.choices,
        picking.choices_source,
        any(ask.factor for ask in asks),
        max(ask.people for ask in asks),
    )
