"""Capabilities, tiers, grants and the matrix: what each word of a line means."""

from __future__ import annotations

import pytest

from carapax.core.policy.cases import parse_cases, run_cases
from carapax.core.policy.decide import decide
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.policy.matrix import RANK, changed_answers, situations
from carapax.core.terms.action import ArgRole, Effect, Origin
from carapax.core.terms.decision import Allow, Ask, Deny
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.label import OWNER_ONLY, PUBLIC, Integrity, Label
from carapax.core.terms.principal import Role
from tests.unit.core.questions import home, lines_policy, question

TAINTED = Label(Integrity.EXTERNAL, OWNER_ONLY)


def policy(lines: str, *, trust: str = "assist", more: str = "") -> Policy:
    return parse_policy(lines_policy(lines, trust=trust, more=more))


def word(found: Policy, effect: Effect = Effect.COMMUNICATE, **how: object) -> str:
    answer = decide(found, question(effect, **how))  # type: ignore[arg-type]
    return {Allow: "allow", Ask: "ask", Deny: "deny"}[type(answer)]


def test_a_key_alone_is_an_effect_or_else_a_tool() -> None:
    found = policy("communicate: allow\nsend_fax: ask\n")
    assert word(found) == "allow"
    assert word(found, Effect.PUBLISH, tool="send_fax") == "ask"
    assert word(found, Effect.PUBLISH) == "deny"


def test_a_line_is_the_owners_unless_it_names_roles() -> None:
    found = policy("communicate: {roles: [member, owner], answer: allow}\n")
    assert [word(found, role=role) for role in (Role.OWNER, Role.MEMBER, Role.GUEST)] == ["allow", "allow", "deny"]
    assert word(policy("communicate: allow\n"), role=Role.MEMBER) == "deny"


@pytest.mark.parametrize(
    ("recipients", "allowed"),
    [
        ("owner", ["none", "owner"]),
        ("org", ["none", "owner", "org"]),
        ("known", ["none", "owner", "org", "known"]),
        ("named", ["none", "owner", "org", "known"]),
        ("any", ["none", "owner", "org", "known", "other"]),
    ],
)
def test_recipients_reach_as_far_as_the_word_says(recipients: str, allowed: list[str]) -> None:
    found = policy(f"communicate: {{recipients: {recipients}, answer: allow}}\n")
    reach = ("none", "owner", "org", "known", "other")
    assert [where for where in reach if word(found, recipients=where) == "allow"] == allowed
    named = word(found, recipients="other", origin=Origin.OWNER_WORDS)
    assert named == ("allow" if recipients in ("named", "any") else "deny")


CONDITIONS = [
    ("only: workspace", {}, {"place": "none"}),
    ("only: workspace", {}, {"network": True}),
    ("only: local", {"place": "none"}, {"place": "outside"}),
    ("only: outside", {"place": "outside"}, {}),
    ("channels: [cli]", {}, {"channel": "mail"}),
    ("tools: [a, b]", {"tool": "b"}, {"tool": "c"}),
    ("undoable: true", {}, {"reversible": False}),
    ("undoable: false", {"reversible": False}, {}),
    ("tainted: false", {}, {"context": TAINTED}),
    ("tainted: true", {"context": TAINTED}, {}),
    ("private: false", {"context": Label(Integrity.USER, PUBLIC)}, {"context": Label(Integrity.USER, OWNER_ONLY)}),
    ("hidden_text: false", {}, {"hidden": True}),
    ("intended: true", {}, {"intended": False}),
    ("owner_named: true", {"origin": Origin.OWNER_WORDS}, {"origin": Origin.UNTRUSTED}),
    ("at_most_files: 3", {"destroys": 3}, {"destroys": 4}),
    ("at_most: 49.90", {"amount_cents": 4990}, {"amount_cents": 4991}),
]


@pytest.mark.parametrize(("condition", "fits", "fits_not"), CONDITIONS)
def test_every_condition_bounds_its_line(condition: str, fits: dict[str, object], fits_not: dict[str, object]) -> None:
    found = policy(f"money: {{{condition}, answer: allow}}\n")
    assert word(found, Effect.MONEY, **fits) == "allow"
    assert word(found, Effect.MONEY, **fits_not) == "deny"


def test_the_four_answers() -> None:
    found = policy(
        "a: {effects: [all], answer: allow}\n"
        "b: {effects: [money], answer: ask}\n"
        "c: {effects: [publish], tainted: true, answer: ask-always}\n"
        "d: {effects: [network], only: outside, answer: deny}\n"
    )
    assert word(found, Effect.MONEY) == "allow"
    assert word(found, Effect.PUBLISH) == "allow"
    assert word(found, Effect.PUBLISH, context=TAINTED) == "ask"
    assert word(found, Effect.PUBLISH, place="outside") == "deny"


def test_texts_of_a_line_cannot_leave_their_quotes() -> None:
    reason = 'x") permit (principal, action, resource); //\\'
    found = policy(
        f"money: {{answer: deny, because: '{reason}'}}\npublish: {{tools: ['a\"b', \"c\\nd\"], answer: allow}}\n"
    )
    assert [rule.reason for rule in found.rules.values()] == [reason, ""]
    assert word(found, Effect.READ) == "deny"
    assert word(found, Effect.PUBLISH, tool='a"b') == "allow"
    assert word(found, Effect.PUBLISH, tool="c\nd") == "allow"


def test_an_ask_may_want_typed_values() -> None:
    answer = decide(policy("money: {answer: ask, typed: [payee, amount]}\n"), question(Effect.MONEY))
    assert isinstance(answer, Ask)
    assert answer.typed == (ArgRole.PAYEE, ArgRole.AMOUNT)


# tiers
ALL = "all: {effects: [all], answer: allow}\n"


def test_observe_reads_and_changes_nothing() -> None:
    found = policy(ALL, trust="observe")
    assert {e for e in Effect if word(found, e) == "allow"} == {Effect.READ, Effect.FETCH}
    answer = decide(found, question(Effect.CODE))
    assert isinstance(answer, Deny)
    assert answer.rule == "trust.observe"


def test_draft_prepares_and_never_sends_pays_shares_or_deletes() -> None:
    found = policy(ALL, trust="draft")
    kept = {Effect.READ, Effect.FETCH, Effect.SELF_ADD, Effect.SELF_MODIFY, Effect.CODE}
    assert {e for e in Effect if word(found, e) == "allow"} == kept
    answer = decide(found, question(Effect.CODE, destroys=1))
    assert isinstance(answer, Deny)
    assert answer.rule == "trust.draft"


def test_grants_count_under_act_only_and_keep_their_conditions() -> None:
    lines = "mail: {effects: [communicate], recipients: known, typed: [recipient], answer: ask}\n"
    for trust, expected in (("assist", "ask"), ("act", "allow")):
        found = policy(lines, trust=trust, more="grants: [mail]\n")
        assert word(found, recipients="known") == expected
        assert word(found, recipients="other") == "deny"
    assert word(policy(lines, trust="act"), recipients="known") == "ask"
    answer = decide(found, question(Effect.COMMUNICATE))
    assert isinstance(answer, Allow)
    assert answer.rule == "grant.mail"


def test_a_grant_does_not_pass_what_always_asks() -> None:
    lines = (
        "mail: {effects: [communicate], answer: ask}\nhidden: {effects: [all], hidden_text: true, answer: ask-always}\n"
    )
    found = policy(lines, trust="act", more="grants: [mail]\n")
    assert [word(found), word(found, hidden=True)] == ["allow", "ask"]


# the matrix
def test_the_columns_stand_on_both_sides_of_every_bound() -> None:
    names = list(
        situations(policy("destroy: {at_most_files: 7, answer: allow}\nmoney: {at_most: 20, answer: allow}\n"))
    )
    assert names[-4:] == ["7 files", "8 files", "20.00", "20.01"]
    assert "5 files" in situations(policy("read: allow\n"))


def test_a_change_of_policy_is_a_change_of_answers() -> None:
    changes = changed_answers(policy("destroy: {at_most_files: 5, answer: allow}\n"),
                              policy("destroy: {at_most_files: 6, answer: allow}\n"))  # fmt: skip
    assert [(c.cell.situation, c.before, c.after, c.wider) for c in changes] == [("6 files", "deny", "allow", True)]
    assert changed_answers(home(), home()) == ()
    assert RANK["allow"] > RANK["ask"] > RANK["deny"]


def test_tools_that_a_line_names_have_rows_of_their_own() -> None:
    changes = changed_answers(
        policy("read: allow\n"), policy("read: allow\nsend_fax: ask\n"), {"send_fax": Effect.PUBLISH}
    )
    assert {(c.cell.effect, c.cell.tool) for c in changes} == {("publish", "send_fax")}
    guessed = changed_answers(policy("read: allow\n"), policy("read: allow\nsend_fax: ask\n"))
    assert {c.cell.effect for c in guessed} == {"communicate"}


# cases
CASES = b"""
cases:
  - {call: read, expect: allow, rule: workspace.read}
  - {call: destroy, given: {files: 6, tainted: true}, expect: ask}
  - {call: read, given: {role: guest}, expect: allow}
  - {call: money, given: {amount: 5, recipients: known, channel: mail, place: outside, tool: pay}, expect: deny}
"""


def test_cases_are_run_and_each_says_whether_it_held() -> None:
    tried = run_cases(home(), parse_cases(CASES))
    assert [t.held for t in tried] == [True, True, False, True]
    assert [t.found for t in tried] == ["allow", "ask", "deny", "deny"]
    assert [t.case.line for t in tried] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cases: 3", "cases: this must be a list"),
        ("case: []", "case: this key is not known here; write one of cases"),
        ("cases: [{call: fly, expect: allow}]", "cases[1].call: `fly` is not known here"),
        ("cases: [{call: read}]", "cases[1]: expect is missing"),
        ("cases: [{call: read, expect: allow, given: {mood: x}}]", "cases[1].given.mood: this key is not known"),
    ],
)
def test_a_broken_case_is_named(text: str, words: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        parse_cases(text.encode())
    assert words in caught.value.what
