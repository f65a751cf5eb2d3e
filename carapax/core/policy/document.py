"""The policy document: TOML around Cedar rules, with serial, dates and budgets, under an Ed25519 signature.

Layer: core/policy. Owns parsing and checking; signatures are checked by whoever holds keys, over the exact bytes.
Absent: reading files and the present time (`app` passes both in).
Format: docs/formats/policy.md. Law: a document parses whole or not at all; every rule has a unique `@id`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cedarpy

from carapax.core.policy.schema import SCHEMA
from carapax.core.terms.action import ArgRole
from carapax.core.terms.decision import Obligation
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.ids import Digest, RuleId
from carapax.core.terms.limit import Budget, Budgets
from carapax.core.terms.tables import Tables

FORMAT = "carapax-policy/1"
MAX_BYTES = 262_144
"""A policy document over 256 KiB is refused."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule's annotations say, by its id."""

    id: RuleId
    permits: bool
    reason: str
    obligations: frozenset[Obligation]
    typed: tuple[ArgRole, ...]


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


def parse_policy(document: bytes) -> Policy:
    """Check a document whole. Raises PolicyInvalid, naming the first thing that is wrong."""
    if len(document) > MAX_BYTES:
        raise PolicyInvalid(f"The policy document has {len(document)} bytes; {MAX_BYTES} is the most.")
    try:
        fields = tomllib.loads(document.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyInvalid(f"The policy document is not valid TOML: {error}.") from error
    _refuse_unknown(
        fields, {"format", "name", "serial", "issued", "expires", "approval_minutes", "budgets", "rules"}, ""
    )
    if fields.get("format") != FORMAT:
        raise PolicyInvalid(f'The policy document must say format = "{FORMAT}".')
    source = _field(fields, "rules", str)
    handle, schema, rules = _parse_rules(source)
    return Policy(
        name=_field(fields, "name", str),
        serial=_positive(fields, "serial"),
        issued=_field(fields, "issued", datetime.date),
        expires=_field(fields, "expires", datetime.date),
        budgets=_parse_budgets(_field(fields, "budgets", dict)),
        approval_ms=_positive(fields, "approval_minutes") * 60_000,
        rules=rules,
        digest=Digest(hashlib.sha256(document).hexdigest()),
        source=source,
        handle=handle,
        schema=schema,
    )


def _parse_rules(source: str) -> tuple[cedarpy.PolicySet, cedarpy.Schema, dict[str, Rule]]:
    try:
        schema = cedarpy.Schema.from_str(SCHEMA)
        handle = cedarpy.PolicySet.from_str(source)
        listed = json.loads(cedarpy.policies_to_json_str(source))
    except ValueError as error:
        raise PolicyInvalid(f"The rules do not parse as Cedar: {error}.") from error
    checked = cedarpy.validate_policies(source, schema)
    if not checked.validation_passed:
        raise PolicyInvalid(f"The rules do not fit the schema: {checked.errors[0]}.")
    if listed.get("templates") or not listed.get("staticPolicies"):
        raise PolicyInvalid("The policy needs at least one rule, and no templates.")
    rules = {number: _parse_rule(number, body) for number, body in listed["staticPolicies"].items()}
    ids = [rule.id for rule in rules.values()]
    twice = next((i for i in ids if ids.count(i) > 1), None)
    if twice is not None:
        raise PolicyInvalid(f"Two rules carry the id {twice!r}.")
    return handle, schema, rules


def _parse_rule(number: str, body: Mapping[str, Any]) -> Rule:
    notes = body.get("annotations", {})
    _refuse_unknown(notes, {"id", "reason", "obligation", "typed"}, f"rule {notes.get('id', number)}: ")
    if not notes.get("id"):
        raise PolicyInvalid(f"Rule {number} has no @id.")
    try:
        obligations = frozenset(Obligation(word) for word in _words(notes.get("obligation")))
        typed = tuple(ArgRole(word) for word in _words(notes.get("typed")))
    except ValueError as error:
        raise PolicyInvalid(f"Rule {notes['id']}: {error}.") from error
    return Rule(RuleId(notes["id"]), body["effect"] == "permit", notes.get("reason") or "", obligations, typed)


def _words(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()


def _parse_budgets(fields: Mapping[str, Any]) -> Budgets:
    _refuse_unknown(fields, {"turn", "session", "day"}, "budgets.")
    return Budgets(*(_parse_budget(_field(fields, span, dict), span) for span in ("turn", "session", "day")))


def _parse_budget(fields: Mapping[str, Any], span: str) -> Budget:
    _refuse_unknown(fields, {"tokens", "usd_micro", "tool_calls", "wall_ms"}, f"budgets.{span}.")
    for name in fields:
        _positive(fields, name)
    return Budget(**fields)


def _field(fields: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    value = fields.get(name)
    if not isinstance(value, kind) or (kind is datetime.date and isinstance(value, datetime.datetime)):
        raise PolicyInvalid(f"The policy document needs {name} ({kind.__name__}).")
    return value


def _positive(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PolicyInvalid(f"{name} must be a whole number of at least 1.")
    return value


def _refuse_unknown(fields: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(fields) - known)
    if unknown:
        raise PolicyInvalid(f"{where}{unknown[0]} is not known here; known: {', '.join(sorted(known))}.")
