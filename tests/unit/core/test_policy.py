"""Policy: what a document must be, and that an error in it can only refuse."""

from __future__ import annotations

import datetime

import pytest

from carapax.core.policy.decide import DEFAULT, ERROR, decide
from carapax.core.policy.document import parse_policy
from carapax.core.policy.home import RULES, home_policy
from carapax.core.terms.action import ArgRole, Effect
from carapax.core.terms.decision import Allow, Ask, Deny, Obligation
from carapax.core.terms.error import PolicyInvalid
from tests.unit.core.questions import DAY, home, question

HOME = home_policy(3, DAY).decode()


def with_rules(rules: str) -> bytes:
    return HOME.replace(RULES, rules).encode()


def test_the_home_policy_parses_and_carries_its_dates_and_budgets() -> None:
    policy = parse_policy(HOME.encode())
    assert (policy.name, policy.serial, policy.issued) == ("home", 3, DAY)
    assert policy.expires == DAY + datetime.timedelta(days=730)
    assert policy.approval_ms == 15 * 60_000
    assert policy.budgets.turn.tool_calls == 40
    assert policy.budgets.session.wall_ms is None
    assert all(rule.reason for rule in policy.rules.values())


BROKEN = [
    ("not TOML", b"= ="),
    ("not UTF-8", b"\xff\xfe"),
    ("too large", b"#" * 300_000),
    ("unknown field", HOME.replace("serial", "extra = 1\nserial").encode()),
    ("another format", HOME.replace("carapax-policy/1", "carapax-policy/2").encode()),
    ("serial zero", HOME.replace("serial = 3", "serial = 0").encode()),
    ("serial text", HOME.replace("serial = 3", 'serial = "3"').encode()),
    ("serial boolean", HOME.replace("serial = 3", "serial = true").encode()),
    ("no date", HOME.replace("issued = 2026-11-21", "").encode()),
    ("a time for a date", HOME.replace("issued = 2026-11-21", "issued = 2026-11-21T01:00:00Z").encode()),
    ("unknown budget", HOME.replace("tool_calls = 40", "toolcalls = 40").encode()),
    ("negative budget", HOME.replace("tool_calls = 40", "tool_calls = -1").encode()),
    ("no rules", with_rules("")),
    ("not Cedar", with_rules("permit everything;")),
    ("no id", with_rules("permit (principal, action, resource);")),
    ("unknown annotation", with_rules('@id("a") @note("b") permit (principal, action, resource);')),
    ("unknown obligation", with_rules('@id("a") @obligation("pray") permit (principal, action, resource);')),
    ("unknown role", with_rules('@id("a") @typed("soul") permit (principal, action, resource);')),
    ("same id twice", with_rules('@id("a") permit (principal, action, resource);' * 2)),
    ("unknown fact", with_rules('@id("a") permit (principal, action, resource) when { context.mood == "good" };')),
    ("wrong type", with_rules('@id("a") permit (principal, action, resource) when { context.destroys == "5" };')),
    ("unknown action", with_rules('@id("a") permit (principal, action == Action::"fly", resource);')),
    ("a template", with_rules('@id("a") permit (principal == ?principal, action, resource);')),
]


@pytest.mark.parametrize(("what", "document"), BROKEN, ids=[what for what, _ in BROKEN])
def test_a_broken_document_is_refused_whole(what: str, document: bytes) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        parse_policy(document)
    assert caught.value.what.endswith(".")


def test_a_forbid_that_fails_while_it_is_evaluated_denies() -> None:
    # Cedar skips such a rule and would answer Allow: an integer overflow is not visible to the schema.
    rules = (
        '@id("all") permit (principal, action, resource);'
        '@id("never") forbid (principal, action, resource) when { context.destroys + 9223372036854775807 > 0 };'
    )
    answer = decide(parse_policy(with_rules(rules)), question(Effect.READ, destroys=1))
    assert isinstance(answer, Deny)
    assert answer.rule == ERROR


def test_a_question_outside_the_schema_denies() -> None:
    asked = question(Effect.READ, destroys=2**70)
    answer = decide(home(), asked)
    assert answer == Deny(ERROR, answer.reason) if isinstance(answer, Deny) else False


def test_a_rule_that_mentions_approval_asks_and_names_what_must_be_typed() -> None:
    rules = (
        '@id("pay") @reason("Money.") @typed("payee") permit (principal, action, resource) when { context.approved };'
    )
    answer = decide(parse_policy(with_rules(rules)), question(Effect.MONEY))
    assert answer == Ask(answer.rule, "Money.", frozenset(), (ArgRole.PAYEE,)) if isinstance(answer, Ask) else False


def test_a_forbid_beats_any_permit_and_gives_its_reason() -> None:
    rules = (
        '@id("all") permit (principal, action, resource);'
        '@id("no") @reason("Never.") forbid (principal, action, resource) when { context.tainted };'
    )
    policy = parse_policy(with_rules(rules))
    from carapax.core.terms.label import OWNER_ONLY, Integrity, Label

    tainted = question(Effect.READ, context=Label(Integrity.EXTERNAL, OWNER_ONLY))
    assert decide(policy, tainted) == Deny(decide(policy, tainted).rule, "Never.")
    assert isinstance(decide(policy, question(Effect.READ)), Allow)


def test_nothing_is_allowed_that_no_rule_names() -> None:
    policy = parse_policy(with_rules('@id("a") permit (principal, action == Action::"read", resource);'))
    assert decide(policy, question(Effect.CODE)) == Deny(DEFAULT, "No rule allows this.")


def test_changes_in_the_workspace_oblige_to_keep_versions() -> None:
    for effect in (Effect.SELF_ADD, Effect.SELF_MODIFY, Effect.DESTROY, Effect.CODE):
        answer = decide(home(), question(effect, destroys=1))
        assert isinstance(answer, Allow)
        assert answer.obligations == {Obligation.KEEP_VERSIONS}
