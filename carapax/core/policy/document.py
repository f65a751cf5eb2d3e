"""The policy document: one strict YAML file that a person reads, compiled to Cedar rules and typed tables.

Layer: core/policy. Owns parsing and checking; signatures are checked by whoever holds keys, over the exact bytes.
Absent: reading files and the present time (`app` passes both in).
Format: docs/formats/policy.md. Law: a document parses whole or not at all; every rule has a unique id.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cedarpy

from carapax.core.breaker.limits import DEFAULT, Limits
from carapax.core.policy import reading, sections
from carapax.core.policy.breaker_section import read_breaker
from carapax.core.policy.capability import Capability, Verdict, read_capabilities, rule_text
from carapax.core.policy.channel_section import ChannelRule, read_channels
from carapax.core.policy.egress import EgressRule
from carapax.core.policy.egress_section import read_allowance, read_egress
from carapax.core.policy.schema import SCHEMA
from carapax.core.policy.tiers import tier_rules
from carapax.core.policy.tree import MAX_BYTES, Node, fault, parse_tree
from carapax.core.policy.wall_section import read_walls
from carapax.core.terms.action import ArgRole, Effect
from carapax.core.terms.decision import Obligation
from carapax.core.terms.egress import Allowance
from carapax.core.terms.ids import Digest, RuleId
from carapax.core.terms.limit import Budgets
from carapax.core.terms.principal import Role
from carapax.core.terms.tables import Tables, Tier
from carapax.core.terms.tier import Provenance, WallTier

__all__ = ["FORMAT", "KEYS", "MAX_BYTES", "REQUIRED", "Policy", "Rule", "parse_policy"]

FORMAT = "carapax-policy/2"

REQUIRED = ("format", "name", "serial", "issued", "expires", "trust", "capabilities", "approvals", "budgets")
KEYS = (
    "format", "name", "purpose", "use_cases", "serial", "issued", "expires", "review", "signers", "widening_needs",
    "trust", "owner", "organisation", "roles", "data", "directory", "capabilities", "grants", "egress", "egress_limits",
    "sinks", "caps",
    "models", "approvals", "channels", "breaker", "walls", "budgets", "rules",
)  # fmt: skip
"""The keys of a document, in the order in which the template shows them."""

NEVER = "permit (principal, action, resource) when { false };"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule's annotations say, by its id."""

    id: RuleId
    permits: bool
    reason: str
    obligations: frozenset[Obligation]
    typed: tuple[ArgRole, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One compiled rule, and the calls outside of which it says nothing; None is any tool."""

    text: str
    effects: frozenset[Effect]
    tools: frozenset[str] | None = None

    def fits(self, effect: Effect, tool: str) -> bool:
        """Whether the rule can apply. A rule that cannot is left out, because Cedar evaluates every rule it is given."""
        return effect in self.effects and (self.tools is None or tool in self.tools)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rules ready to be asked, and what their annotations say by Cedar's number."""

    handle: cedarpy.PolicySet
    rules: Mapping[str, Rule]


MAX_CHOSEN = 10_000
"""Pairs of effect and tool whose rules are kept ready."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy, ready to answer. Make it with `parse_policy`."""

    name: str
    serial: int
    issued: datetime.date
    expires: datetime.date
    budgets: Budgets
    approval_ms: int  # how long a person has to answer
    rules: Mapping[str, Rule]  # by Cedar's own policy number: "policy0"
    digest: Digest
    source: str  # the Cedar text
    handle: cedarpy.PolicySet
    schema: cedarpy.Schema
    tables: Tables = Tables()
    purpose: str = ""
    use_cases: tuple[str, ...] = ()
    review: datetime.date | None = None  # when somebody should read it again
    signers: Mapping[str, str] = field(
        default_factory=dict
    )  # name → Ed25519 public key, base64; this machine's is implied
    widening_needs: int = 1  # signatures of different signers that a wider document needs
    roles: Mapping[str, Role] = field(default_factory=dict)  # principal → role
    approvers: frozenset[Role] = frozenset({Role.OWNER})
    sinks: Mapping[str, frozenset[str]] = field(default_factory=dict)  # tool or channel → who reads what it sends
    capabilities: tuple[Capability, ...] = ()
    grants: frozenset[str] = frozenset()
    breaker: Limits = DEFAULT  # how much is too much
    walls: Mapping[Provenance, WallTier] = field(default_factory=dict)  # whose code gets a stronger tier than built in
    channels: Mapping[str, ChannelRule] = field(default_factory=dict)  # strangers and groups, by channel
    raw_rules: str = ""  # the expert's own Cedar
    egress: tuple[EgressRule, ...] = ()  # where tools may go; none is nowhere
    allowance: Allowance = Allowance()  # of one run's way out
    parts: tuple[Part, ...] = ()
    chosen: dict[tuple[str, str], Chosen] = field(default_factory=dict, compare=False, repr=False)

    def rules_for(self, effect: Effect, tool: str) -> Chosen:
        """The rules that can say anything about this effect of this tool; made once for each pair."""
        found = self.chosen.get((effect.value, tool))
        if found is not None:
            return found
        named = any(part.tools is not None and tool in part.tools for part in self.parts)
        key = (effect.value, tool if named else "")
        if key not in self.chosen:
            texts = [part.text for part in self.parts if part.fits(effect, tool)]
            self.chosen[key] = _chosen("\n\n".join([*texts, self.raw_rules]), self.rules)
        if len(self.chosen) < MAX_CHOSEN:
            self.chosen[effect.value, tool] = self.chosen[key]
        return self.chosen[key]


def parse_policy(document: bytes) -> Policy:
    """Check a document whole. Raises PolicyInvalid: line, key, and what to write instead."""
    tree = parse_tree(document)
    _check_format(tree)
    given = reading.fields(tree, KEYS, REQUIRED)
    capabilities = read_capabilities(given["capabilities"])
    tier = reading.member(given["trust"], Tier)
    grants = _grants(given.get("grants"), capabilities)
    raw = _raw(given.get("rules"))
    parts = _parts(tier, capabilities, grants)
    handle, schema, rules = _compile([part.text for part in parts], raw, given)
    issued, expires = _dates(given)
    signers, needs = sections.read_signers(given.get("signers"), given.get("widening_needs"))
    approvals = sections.read_approvals(given["approvals"])
    return Policy(
        name=reading.name(given["name"]),
        serial=reading.whole(given["serial"], 1),
        issued=issued,
        expires=expires,
        budgets=sections.read_budgets(given["budgets"]),
        approval_ms=approvals.minutes * 60_000,
        rules=rules,
        digest=Digest(hashlib.sha256(document).hexdigest()),
        source="\n\n".join([*(part.text for part in parts), raw]),
        handle=handle,
        schema=schema,
        tables=sections.read_tables(given, tier, approvals),
        signers=signers,
        widening_needs=needs,
        roles=sections.read_roles(given.get("roles")),
        approvers=approvals.roles,
        sinks=sections.read_sinks(given.get("sinks")),
        capabilities=capabilities,
        grants=grants,
        breaker=read_breaker(given.get("breaker")),
        raw_rules=raw,
        parts=parts,
        **_optional(given),
    )


def _optional(given: Mapping[str, Node]) -> dict[str, Any]:
    """The sections that stand for themselves and may be left out."""
    return {
        "purpose": reading.text(given["purpose"]) if "purpose" in given else "",
        "use_cases": reading.texts(given["use_cases"]) if "use_cases" in given else (),
        "review": reading.date(given["review"]) if "review" in given else None,
        "egress": read_egress(given.get("egress")),
        "allowance": read_allowance(given.get("egress_limits")),
        "walls": read_walls(given.get("walls")),
        "channels": read_channels(given.get("channels")),
    }


def _parts(tier: Tier, capabilities: tuple[Capability, ...], grants: frozenset[str]) -> tuple[Part, ...]:
    lines = [Part(rule_text(line), line.effects, line.tools) for line in capabilities]
    return (*lines, *(Part(text, frozenset(Effect)) for text in tier_rules(tier, capabilities, grants)))


def _chosen(source: str, rules: Mapping[str, Rule]) -> Chosen:
    by_id = {rule.id: rule for rule in rules.values()}
    listed = json.loads(cedarpy.policies_to_json_str(source)).get("staticPolicies", {})
    found = {number: by_id[body["annotations"]["id"]] for number, body in listed.items()}
    return Chosen(cedarpy.PolicySet.from_str(source), found)


def _raw(node: Node | None) -> str:
    return "" if node is None or node.text == "" else reading.text(node, MAX_BYTES)


def _dates(given: Mapping[str, Node]) -> tuple[datetime.date, datetime.date]:
    issued, expires = reading.date(given["issued"]), reading.date(given["expires"])
    if expires < issued:
        raise fault(given["expires"], "it ends before it begins", "write a later date")
    return issued, expires


def _check_format(tree: Node) -> None:
    found = (tree.fields or {}).get("format")
    if found is None or found.text != FORMAT:
        raise fault(found or tree, "this format is not known here", f"the document must say `format: {FORMAT}`")


def _grants(node: Node | None, capabilities: tuple[Capability, ...]) -> frozenset[str]:
    if node is None:
        return frozenset()
    asking = [line.name for line in capabilities if line.verdict is Verdict.ASK]
    if not asking and reading.items(node):
        raise fault(node, "no capability asks, so there is nothing to grant", "write []")
    return frozenset(reading.word(item, asking) for item in reading.items(node))


def _compile(
    parts: list[str], raw: str, given: Mapping[str, Node]
) -> tuple[cedarpy.PolicySet, cedarpy.Schema, dict[str, Rule]]:
    at = given.get("rules", given["capabilities"])
    source = "\n\n".join([*parts, raw]).strip() or f'@id("none")\n{NEVER}'
    try:
        schema = cedarpy.Schema.from_str(SCHEMA)
        handle = cedarpy.PolicySet.from_str(source)
        listed = json.loads(cedarpy.policies_to_json_str(source))
        checked = cedarpy.validate_policies(source, schema)
    except (ValueError, RecursionError) as error:
        raise fault(at, f"the rules do not parse as Cedar ({error})", "correct the rule") from error
    if not checked.validation_passed:
        raise fault(at, f"the rules do not fit the schema ({checked.errors[0]})", "correct the rule")
    if listed.get("templates"):
        raise fault(at, "templates are not accepted", "write the rule out")
    rules = {number: _parse_rule(at, number, body) for number, body in listed.get("staticPolicies", {}).items()}
    _refuse_same_ids(at, rules)
    return handle, schema, rules


def _refuse_same_ids(at: Node, rules: Mapping[str, Rule]) -> None:
    seen: set[str] = set()
    for rule in rules.values():
        if rule.id in seen:
            raise fault(at, f"two rules carry the id {rule.id!r}", "rename one of them")
        seen.add(rule.id)


def _parse_rule(at: Node, number: str, body: Mapping[str, Any]) -> Rule:
    notes = body.get("annotations", {})
    known = ("id", "reason", "obligation", "typed")
    unknown = next((note for note in sorted(notes) if note not in known), None)
    if unknown is not None:
        raise fault(at, f"rule {notes.get('id', number)} has the unknown note @{unknown}", "write @id, @reason, "
                    "@obligation or @typed")  # fmt: skip
    if not notes.get("id"):
        raise fault(at, f"rule {number} has no @id", 'write @id("a name of its own") above it')
    try:
        obligations = frozenset(Obligation(word) for word in _words(notes.get("obligation")))
        typed = tuple(ArgRole(word) for word in _words(notes.get("typed")))
    except ValueError as error:
        raise fault(at, f"rule {notes['id']}: {error}", "use a word that docs/formats/policy.md lists") from error
    return Rule(RuleId(notes["id"]), body["effect"] == "permit", notes.get("reason") or "", obligations, typed)


def _words(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()
