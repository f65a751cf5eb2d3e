"""Widening: in what a document allows more than another, said in sentences. Who signs what follows from it.

Layer: core/policy. Looks at answers (`matrix`), at every capability line, at raw rules, and at every table.
Law: when nothing is named here, no question gets a more permissive answer, and no table permits more.
A change that cannot be shown to be narrower counts as wider.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import cedarpy

from carapax.core.policy.breaker_section import raised
from carapax.core.policy.capability import PERMITS, Capability, Verdict, covers
from carapax.core.policy.channel_section import channel_widenings
from carapax.core.policy.document import Policy
from carapax.core.policy.egress_wider import allowance_widenings, egress_widenings
from carapax.core.policy.tiers import TIERS
from carapax.core.policy.wall_section import wall_widenings
from carapax.core.terms.label import Integrity
from carapax.core.terms.tables import DataClass

_LEAVES = {"deny": 0, "ask": 1, "allow": 2}


def widenings(old: Policy, new: Policy) -> tuple[str, ...]:
    """Every way in which `new` allows more than `old`; empty when it does not."""
    return (*_tier(old, new), *_capabilities(old, new), *_raw(old, new), *table_widenings(old, new))


def table_widenings(old: Policy, new: Policy) -> tuple[str, ...]:
    """The same, of what is no rule: people, caps, data, models, approvals, signing, budgets, the way out."""
    return (
        *_caps(old, new), *_people(old, new), *_data(old, new), *_models(old, new), *_approvals(old, new),
        *_signing(old, new), *_budgets(old, new), *raised(old.breaker, new.breaker),
        *wall_widenings(old.walls, new.walls), *channel_widenings(old.channels, new.channels),
        *egress_widenings(old.egress, new.egress), *allowance_widenings(old.allowance, new.allowance),
    )  # fmt: skip


def _tier(old: Policy, new: Policy) -> Iterator[str]:
    before, after = old.tables.tier, new.tables.tier
    if TIERS.index(after) > TIERS.index(before):
        yield f"trust rises from {before} to {after}"


def _capabilities(old: Policy, new: Policy) -> Iterator[str]:
    before, after = _effective(old), _effective(new)
    for line in (line for line in after if line.verdict in PERMITS):
        if not any(_permits_as_much(known, line) for known in before):
            yield f"{line.name} {'is allowed' if line.verdict is Verdict.ALLOW else 'may be asked for'} and was not before"
    for line in (line for line in before if line.verdict not in PERMITS):
        if not any(_forbids_as_much(known, line) for known in after):
            yield f"{line.name} no longer {'refuses' if line.verdict is Verdict.DENY else 'wants a yes for'} all it did"


def _effective(policy: Policy) -> list[Capability]:
    # Grants count whatever the tier is, so that raising the tier later is the only step that is left to judge.
    granted = [line for line in policy.capabilities if line.name in policy.grants]
    return [*policy.capabilities, *(replace(line, verdict=Verdict.ALLOW, typed=()) for line in granted)]


def _permits_as_much(wide: Capability, narrow: Capability) -> bool:
    if wide.verdict not in PERMITS or (narrow.verdict is Verdict.ALLOW and wide.verdict is not Verdict.ALLOW):
        return False
    types_as_much = wide.verdict is Verdict.ALLOW or set(wide.typed) <= set(narrow.typed)
    return types_as_much and covers(wide, narrow)


def _forbids_as_much(wide: Capability, narrow: Capability) -> bool:
    if wide.verdict in PERMITS or (narrow.verdict is Verdict.DENY and wide.verdict is not Verdict.DENY):
        return False
    return covers(wide, narrow)


def _raw(old: Policy, new: Policy) -> Iterator[str]:
    before, after = _bodies(old), _bodies(new)
    for rule_id, (effect, body) in after.items():
        if effect == "permit" and body not in [known for _, known in before.values()]:
            yield f"the rule {rule_id} permits something new"
    for rule_id, (effect, body) in before.items():
        if effect == "forbid" and body not in [known for _, known in after.values()]:
            yield f"the rule {rule_id} no longer forbids what it did"


def _bodies(policy: Policy) -> dict[str, tuple[str, str]]:
    if not policy.raw_rules.strip():
        return {}
    found = {}
    for body in json.loads(cedarpy.policies_to_json_str(policy.raw_rules))["staticPolicies"].values():
        notes: dict[str, Any] = body.pop("annotations")
        typed = sorted((notes.get("typed") or "").replace(",", " ").split())
        found[notes["id"]] = (body["effect"], json.dumps([body, typed], sort_keys=True))
    return found


def _caps(old: Policy, new: Policy) -> Iterator[str]:
    before, after = old.tables.caps, new.tables.caps
    if before.currency != after.currency:
        yield f"amounts are counted in {after.currency} instead of {before.currency}"
    for key in (
        "payment_each_cents",
        "payment_day_cents",
        "messages_per_minute",
        "files_per_minute",
        "actions_per_task",
    ):
        low, high = getattr(before, key), getattr(after, key)
        if _rises(low, high):
            yield f"caps.{key.removesuffix('_cents')} rises from {_amount(key, low)} to {_amount(key, high)}"


def _rises(before: int | None, after: int | None) -> bool:
    return before is not None and (after is None or after > before)


def _amount(key: str, value: int | None) -> str:
    if value is None:
        return "no bound"
    return f"{value / 100:.2f}" if key.endswith("_cents") else f"{value:,}"


def _people(old: Policy, new: Policy) -> Iterator[str]:
    yield from _added("owner", old.tables.owner_addresses, new.tables.owner_addresses)
    yield from _added("organisation", old.tables.org_domains, new.tables.org_domains)
    before = {(entry.name, address) for entry in old.tables.directory for address in entry.addresses}
    after = {(entry.name, address) for entry in new.tables.directory for address in entry.addresses}
    yield from (f"directory gains {address} for {name}" for name, address in sorted(after - before))
    for principal, role in new.roles.items():
        if old.roles.get(principal) is not role:
            yield f"{principal} has the role {role}"
    for sink, readers in old.sinks.items():
        gone = readers - new.sinks.get(sink, frozenset())
        if gone:
            yield f"sinks.{sink} no longer counts {', '.join(sorted(gone))} among its readers"
    for sink in sorted(set(new.sinks) - set(old.sinks)):
        yield f"sinks.{sink} declares its readers itself"


def _added(key: str, before: frozenset[str], after: frozenset[str]) -> Iterator[str]:
    yield from (f"{key} gains {value}" for value in sorted(after - before))


def _data(old: Policy, new: Policy) -> Iterator[str]:
    after = {known.name: known for known in new.tables.classes}
    for known in old.tables.classes:
        yield from _less_careful(known, after.get(known.name))
    places = {(place.glob, place.data_class): place.integrity for place in new.tables.places}
    before = {(place.glob, place.data_class): place.integrity for place in old.tables.places}
    for glob, name in before:
        if (glob, name) not in places:
            yield f"files under {glob} no longer count as {name}"
    for (glob, name), integrity in places.items():
        if _trusts_more(before.get((glob, name)), integrity):
            writer = "whoever wrote them" if integrity is None else integrity.name.lower()
            yield f"files under {glob} count as written by {writer}"


def _trusts_more(before: Integrity | None, after: Integrity | None) -> bool:
    """None says nothing of a writer, so leaving it or coming to it may be either; only external is surely less."""
    if after == before or after is Integrity.EXTERNAL:
        return False
    return before is None or after is None or after > before


def _less_careful(before: DataClass, after: DataClass | None) -> Iterator[str]:
    if after is None:
        yield f"data.{before.name} is no longer watched for"
        return
    if _LEAVES[after.leaves] > _LEAVES[before.leaves]:
        yield f"data.{before.name} may leave: {after.leaves} instead of {before.leaves}"
    if set(before.builtin) - set(after.builtin) or set(before.patterns) - set(after.patterns):
        yield f"data.{before.name} is recognised by less"


def _models(old: Policy, new: Policy) -> Iterator[str]:
    before = {clearance.models: clearance.classes for clearance in old.tables.clearances}
    for clearance in new.tables.clearances:
        known = before.get(clearance.models, frozenset())
        gained = frozenset() if "*" in known else clearance.classes - known
        if gained:
            shown = "everything" if "*" in gained else ", ".join(sorted(gained))
            yield f"models {clearance.models} may be shown {shown}"
    # A class that some row names is only for models whose row names it; one that none names is for all.
    freed = _named(old) - _named(new)
    if freed:
        yield f"no line under models keeps {'any class' if '*' in freed else ', '.join(sorted(freed))} to itself any more"


def _named(policy: Policy) -> frozenset[str]:
    return frozenset().union(*(clearance.classes for clearance in policy.tables.clearances))


def _approvals(old: Policy, new: Policy) -> Iterator[str]:
    yield from _added("approvals.roles", _words(old.approvers), _words(new.approvers))
    if new.approval_ms > old.approval_ms:
        yield f"approvals may be answered for {new.approval_ms // 60_000} minutes"
    for key, before, after in (
        ("four_eyes", old.tables.four_eyes, new.tables.four_eyes),
        ("second_factor", old.tables.second_factor, new.tables.second_factor),
    ):
        yield from (f"approvals.{key} no longer names {effect}" for effect in sorted(before - after))


def _words(values: Iterable[str]) -> frozenset[str]:
    return frozenset(str(value) for value in values)


def _signing(old: Policy, new: Policy) -> Iterator[str]:
    if new.expires > old.expires:
        yield f"it lasts until {new.expires} instead of {old.expires}"
    if new.widening_needs < old.widening_needs:
        yield f"widening needs {new.widening_needs} signature instead of {old.widening_needs}"
    for name, key in new.signers.items():
        if old.signers.get(name) != key:
            yield f"{name} may sign with a new key" if name in old.signers else f"{name} may sign"


def _budgets(old: Policy, new: Policy) -> Iterator[str]:
    for span in ("turn", "session", "day"):
        before, after = getattr(old.budgets, span), getattr(new.budgets, span)
        for kind in ("tokens", "usd_micro", "tool_calls", "wall_ms"):
            low, high = getattr(before, kind), getattr(after, kind)
            if _rises(low, high):
                yield f"budgets.{span}.{kind} rises from {low:,} to {_amount('', high)}"
