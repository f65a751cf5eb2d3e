"""What `carapax policy` and `carapax trust` need of this machine: implements surfaces.cli.local.LocalPolicy.

Layer: app. Gives plain data; the words are the command line's. Absent: a running gateway, which sees a new policy by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from carapax.adapters.ledger.reader import read_entries
from carapax.adapters.tools.manifest import family_manifests
from carapax.app.explain import Asked, effect_tools, explain
from carapax.app.policy_file import PolicyFile, Reviewed
from carapax.app.policy_signature import read_key
from carapax.app.rehearse import record_of, rehearse
from carapax.core.ledger.entry import Entry
from carapax.core.policy.cases import parse_cases, run_cases
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.policy.matrix import CellChange, answers, changed_answers, rows_of, situations
from carapax.core.policy.tiers import TIERS
from carapax.core.policy.widening import table_widenings
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import Conflict, NotFound, PolicyInvalid
from carapax.core.terms.plain import plain
from carapax.core.terms.tables import Tier

DAY_MS = 86_400_000
PAGE = 1_000


class PolicyDesk:
    """The policy of one home."""

    def __init__(self, policy: PolicyFile, ledger: Path, now_ms: int) -> None:
        self._policy = policy
        self._ledger = ledger
        self._now_ms = now_ms

    def init(self, *, force: bool) -> str:
        if self._policy.path.exists() and not force:
            raise Conflict(
                f"There is a policy already: {self._policy.path}.",
                next_step="`carapax policy init --force` replaces it by the home template and keeps the old file.",
            )
        if force:
            self._policy.restart()
        else:
            self._policy.write_home()
        return str(self._policy.path)

    def check(self, file: str | None) -> list[Check]:
        try:
            policy = parse_policy(_read(file)) if file else self._policy.current()
        except PolicyInvalid as error:
            return [Check("policy", Standing.FAILED, error.what, "Correct the line." if file else error.next_step)]
        signed = "not signed yet" if file else "signed"
        found = f"{policy.name}, serial {policy.serial}, {signed}, until {policy.expires}, {policy.digest[:12]}"
        rules = [Check(rule.id, Standing.OK, rule.reason) for rule in policy.rules.values()]
        return [Check("policy", Standing.OK, found), *self.review_check(policy), *rules]

    def review_check(self, policy: Policy) -> list[Check]:
        """A warning from the day on which somebody should read it again."""
        if not self._policy.review_due(policy):
            return []
        return [Check("review", Standing.WARNING, f"to be read again since {policy.review}",
                      "Read it, write a new `review` date and serial, then `carapax policy sign`.")]  # fmt: skip

    def explain(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return explain(self._policy.current(), Asked(**asked))

    def diff(self, file: str | None) -> Mapping[str, Any]:
        base, reviewed = self._policy.compare(_read(file or str(self._policy.path)))
        return _diff_body(base, reviewed)

    def sign(self, key_file: str | None) -> Mapping[str, Any]:
        reviewed = self._policy.sign(read_key(Path(key_file)) if key_file else None)
        return {
            "path": str(self._policy.path),
            "serial": reviewed.policy.serial,
            "signed_by": list(reviewed.signed_by),
            "needs": reviewed.needs,
            "in_force": reviewed.enough,
            "wider": list(reviewed.wider),
        }

    def test(self, file: str, policy_file: str | None) -> Mapping[str, Any]:
        policy = parse_policy(_read(policy_file)) if policy_file else self._policy.current()
        tried = run_cases(policy, parse_cases(_read(file)))
        return {
            "cases": [
                {
                    "line": t.case.line, "call": t.case.effect.value, "tool": t.case.tool, "expect": t.case.expect,
                    "expect_rule": t.case.rule, "found": t.found, "rule": t.rule, "held": t.held,
                }
                for t in tried
            ]
        }  # fmt: skip

    def matrix(self, file: str | None) -> Mapping[str, Any]:
        policy = parse_policy(_read(file)) if file else self._policy.current()
        columns = situations(policy)
        rows: dict[tuple[str, str, str], dict[str, str]] = {}
        for cell, found in answers(policy, rows_of(policy, tools=effect_tools()), columns).items():
            rows.setdefault((cell.role, cell.effect, cell.tool), {})[cell.situation] = found
        listed = [{"role": r, "effect": e, "tool": t, "answers": found} for (r, e, t), found in rows.items()]
        return {"situations": list(columns), "rows": listed}

    def simulate(self, ledger: str | None, file: str | None, days: int) -> Mapping[str, Any]:
        base = self._policy.current()
        policy = parse_policy(_read(file)) if file else base
        since_ms = self._now_ms - days * DAY_MS
        place = Path(ledger) if ledger else self._ledger
        manifests = {str(m.name): m for m in family_manifests()}
        found = rehearse((e for e in _entries(place) if e.time_ms >= since_ms), policy, base, manifests)
        turns = [{"was": was, "now": now, "calls": n} for (was, now), n in sorted(found.turns.items())]
        return {
            "policy": policy.name, "serial": policy.serial, "days": days, "calls": found.calls,
            "unknown": found.unknown, "turns": turns, "first": plain(found.first),
        }  # fmt: skip

    def trust(self) -> Mapping[str, Any]:
        base = self._policy.current()
        tier = base.tables.tier
        record = record_of(_entries(self._ledger) if self._ledger.is_dir() else ())
        place = TIERS.index(tier) + 1
        body: dict[str, Any] = {"tier": tier.value, "record": plain(record), "next": None}
        if place < len(TIERS):
            body["next"] = TIERS[place].value
            body["step"] = self.trust_step(TIERS[place].value)
        return body

    def trust_step(self, tier: str) -> Mapping[str, Any]:
        base, reviewed = self._policy.compare(self._policy.with_trust(Tier(tier)))
        return _diff_body(base, reviewed) | {"tier": tier, "grants": sorted(base.grants)}

    def set_trust(self, tier: str) -> Mapping[str, Any]:
        policy = self._policy.set_trust(Tier(tier))
        return {"tier": policy.tables.tier.value, "serial": policy.serial, "path": str(self._policy.path)}


def _diff_body(base: Policy, reviewed: Reviewed) -> dict[str, Any]:
    changes = changed_answers(base, reviewed.policy, effect_tools())
    return {
        "serial": reviewed.policy.serial,
        "in_force": base.serial,
        "same": base.digest == reviewed.policy.digest,
        "changes": [_change_body(change) for change in changes],
        "wider": list(reviewed.wider),
        "narrower": list(table_widenings(reviewed.policy, base)),
        "needs": reviewed.needs,
    }


def _change_body(change: CellChange) -> dict[str, Any]:
    return {**plain(change.cell), "before": change.before, "after": change.after, "wider": change.wider}


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}.", next_step="Name a policy or case file.") from error


def _entries(ledger: Path) -> Iterator[Entry]:
    """Every entry of a ledger, in order."""
    if not ledger.is_dir():
        raise NotFound("There is no ledger here.", next_step="It is made at the first start: `carapax chat`.")
    first = 0
    while page := read_entries(ledger, first, PAGE):
        yield from page
        first = page[-1].index + 1
