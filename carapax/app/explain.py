"""Explain: what the policy says to one call, why, and what would change it. Nothing runs.

Layer: app; serves `carapax policy explain`. Absent: the flow rules, which look at values of a session that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from carapax.adapters.tools.manifest import family_manifests
from carapax.app.imagined import imagined_task
from carapax.core.policy.capability import NETWORK
from carapax.core.policy.decide import decide
from carapax.core.policy.document import Policy
from carapax.core.policy.matrix import ANYTHING, PLAIN, RANK, question_of
from carapax.core.rules.facts import derive_facts
from carapax.core.terms.action import ArgType, Effect, Proposal, ToolManifest
from carapax.core.terms.decision import Allow, Facts, Question
from carapax.core.terms.error import Malformed, NotFound
from carapax.core.terms.ids import CallId, SessionId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, PUBLIC, Integrity, Label
from carapax.core.terms.plain import plain
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.terms.tables import Tables
from carapax.guard.canonical import canonical_call
from carapax.guard.card import summary
from carapax.guard.record import answer_word


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be explained: a tool's or effect's name, its arguments ("to=x", or one JSON object), and the session."""

    name: str
    arguments: tuple[str, ...] = ()
    effect: str = ""  # of a tool that is not installed
    tainted: bool = False
    role: str = "owner"
    channel: str = "cli"
    said: str = ""  # the owner's words, so that what they name and ask for is known


def explain(policy: Policy, asked: Asked) -> dict[str, Any]:
    """The answer, its rule, its reason, what it rests on, and what would change it. Raises NotFound, Malformed."""
    question, shown = _question(policy, asked)
    decision = decide(policy, question)
    reason = policy_reason(policy, decision.rule) if isinstance(decision, Allow) else decision.reason
    return {
        "answer": answer_word(decision),
        "rule": decision.rule,
        "reason": reason,
        "call": shown,
        "effect": question.call.manifest.effect.value,
        "role": question.principal.role.value,
        "tainted": asked.tainted,
        "facts": plain(question.facts),
        "would": [{"if": key, "answer": found} for key, found in _alternatives(policy, question)],
    }


def policy_reason(policy: Policy, rule: str) -> str:
    """The reason that a rule gives."""
    return next((known.reason for known in policy.rules.values() if known.id == rule), "")


def _question(policy: Policy, asked: Asked) -> tuple[Question, str]:
    context = Label(Integrity.EXTERNAL if asked.tainted else Integrity.USER, OWNER_ONLY)
    role = _role(asked.role)
    manifests = {str(manifest.name): manifest for manifest in family_manifests()}
    if asked.name in manifests:
        manifest = manifests[asked.name]
        task = imagined_task(policy.tables, context, asked.said, tuple(manifests.values()))
        arguments = json.dumps(_arguments(asked.arguments, manifest))
        proposal = Proposal(CallId("explain"), SessionId("explain"), TurnId("explain"), asked.name, arguments)
        call = canonical_call(proposal, manifest, task)
        facts = derive_facts(call, task, asked.channel)
        return Question(Principal(OWNER, role, frozenset(Scope), "explain"), call, context, facts), summary(call)
    effect = _effect(policy, asked, list(manifests))
    given = _arguments(asked.arguments, None)
    tool = ANYTHING if asked.name == effect.value else asked.name
    how = replace(PLAIN, place="none", network=True) if effect in NETWORK else PLAIN
    how = replace(how, tainted=asked.tainted, channel=asked.channel, recipients=furthest(policy.tables, given.values()))
    words = " ".join([asked.name, *(f"{key}={value}" for key, value in given.items())])
    return question_of(role, effect, tool, how), words


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError as error:
        raise NotFound(f"There is no role {name}.", next_step=f"Roles: {', '.join(Role)}.") from error


def _effect(policy: Policy, asked: Asked, tools: Sequence[str]) -> Effect:
    for word in (asked.effect, asked.name):
        if word in set(Effect):
            return Effect(word)
    named = [line for line in policy.capabilities if line.tools and asked.name in line.tools]
    if named and len(named[0].effects) == 1:
        return next(iter(named[0].effects))
    effects = ", ".join(Effect)
    raise NotFound(
        f"There is no tool {asked.name} here.",
        next_step=f"Tools: {', '.join(tools)}. For another, say what it does with --as, one of: {effects}.",
    )


def _arguments(words: Sequence[str], manifest: ToolManifest | None) -> dict[str, Any]:
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            given = json.loads(words[0])
        except ValueError as error:
            raise Malformed(
                "The arguments are not JSON.",
                next_step='Write them as to=anna@example.org, or as \'{"path": "a.py"}\'.',
            ) from error
        return dict(given)
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise Malformed(f"{word!r} names no argument.", next_step="Write arguments as name=value.")
        found[key] = _typed(manifest, key, value)
    return found


def _typed(manifest: ToolManifest | None, key: str, value: str) -> Any:
    kind = next((spec.type for spec in manifest.args if spec.name == key), ArgType.TEXT) if manifest else ArgType.TEXT
    if kind is ArgType.TEXT:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def furthest(tables: Tables, values: Any) -> str:
    """How far the addresses among these values are: "none", "owner", "org", "known" or "other"."""
    known = {address.casefold() for entry in tables.directory for address in entry.addresses}
    owner = {address.casefold() for address in tables.owner_addresses}
    order = ("none", "owner", "org", "known", "other")
    found = "none"
    for value in (str(v).strip().casefold() for v in values):
        if "@" not in value:
            continue
        domain = value.rpartition("@")[2]
        near = (
            "owner"
            if value in owner
            else "org"
            if domain in tables.org_domains
            else "known"
            if value in known
            else "other"
        )
        found = max(found, near, key=order.index)
    return found


def _alternatives(policy: Policy, question: Question) -> Iterator[tuple[str, str]]:
    """What, changed alone, would give a more permissive answer."""
    rank = RANK[answer_word(decide(policy, question))]
    for key, other in _others(question):
        found = answer_word(decide(policy, other))
        if RANK[found] > rank:
            yield key, found


_REACH = ("other", "known", "org")
"""Recipients, far to near, that somebody nearer could stand for."""


def _others(question: Question) -> Iterator[tuple[str, Question]]:
    facts = question.facts
    changes: Mapping[str, Facts] = {
        "inside": replace(facts, place="workspace"),
        "clear": replace(facts, hidden_text=False),
        "undoable": replace(facts, reversible=True),
        "fewer": replace(facts, destroys_count=min(1, facts.destroys_count)),
        "cheaper": replace(facts, amount_cents=0),
        "intended": replace(facts, intended=True),
    }
    for key, other in changes.items():
        if other != facts:
            yield key, replace(question, facts=other)
    # The farthest of the nearer recipients says it all.
    nearer = ("known", "org", "owner")[_REACH.index(facts.recipients) :] if facts.recipients in _REACH else ()
    for key in nearer[:1]:
        yield key, replace(question, facts=replace(facts, recipients=key))
    if question.context.integrity < Integrity.SYSTEM:
        yield "untainted", replace(question, context=Label(Integrity.USER, question.context.readers))
    if not question.context.readers.everyone:
        yield "public", replace(question, context=Label(question.context.integrity, PUBLIC))
    if question.principal.role is not Role.OWNER:
        yield "as_owner", replace(question, principal=replace(question.principal, role=Role.OWNER))


def effect_tools() -> dict[str, Effect]:
    """The effect of every tool that is installed."""
    return {str(manifest.name): manifest.effect for manifest in family_manifests()}
