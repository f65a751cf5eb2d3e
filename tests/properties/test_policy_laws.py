"""Policy laws: total, deterministic; a further `forbid` and a lower tier never widen an answer; what widens is named."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from carapax.core.policy.decide import decide
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.policy.tree import parse_tree
from carapax.core.policy.widening import widenings
from carapax.core.terms.action import Effect, Origin
from carapax.core.terms.decision import Allow, Ask, Question
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.label import OWNER_ONLY, PUBLIC, Integrity, Label
from carapax.core.terms.principal import Role
from carapax.core.terms.tables import Tier
from tests.unit.core.questions import DAY, home, lines_policy, question

QUESTIONS = st.builds(
    question,
    st.sampled_from(Effect),
    place=st.sampled_from(["workspace", "outside", "none", "", "ünknown"]),
    destroys=st.integers(0, 10_000) | st.integers(3, 8),
    network=st.booleans(),
    hidden=st.booleans(),
    reversible=st.booleans(),
    role=st.sampled_from(Role),
    context=st.builds(Label, st.sampled_from(Integrity), st.sampled_from([PUBLIC, OWNER_ONLY])),
    origin=st.sampled_from(Origin),
    tool=st.sampled_from(["tool", "send_mail"]),
    recipients=st.sampled_from(["none", "owner", "org", "known", "other", "?"]),
    amount_cents=st.sampled_from([0, 500, 501, 10**9]),
    channel=st.sampled_from(["cli", "mail"]),
    intended=st.booleans(),
)
FORBIDS = st.sampled_from(
    [
        "forbid (principal, action, resource) when { context.tainted };",
        'forbid (principal, action == Action::"code", resource);',
        "forbid (principal, action, resource) when { context.destroys > 3 && !context.approved };",
        "forbid (principal, action, resource) unless { context.owner_named };",
    ]
)
HOME = home()
HOME_TEXT = home_policy(1, DAY).decode()


def rank(policy: Policy, asked: Question) -> int:
    return {Allow: 2, Ask: 1}.get(type(decide(policy, asked)), 0)


@given(QUESTIONS)
@settings(max_examples=150, deadline=None)
def test_every_question_has_one_answer(asked: Question) -> None:
    assert decide(HOME, asked) == decide(HOME, asked)


@given(QUESTIONS, FORBIDS)
@settings(max_examples=60, deadline=None)
def test_a_further_forbid_never_widens(asked: Question, forbid: str) -> None:
    stricter = parse_policy(f'{HOME_TEXT}rules: |\n  @id("extra") {forbid}\n'.encode())
    assert rank(stricter, asked) <= rank(HOME, asked)


@given(QUESTIONS)
@settings(max_examples=150, deadline=None)
def test_only_the_owner_gets_anything(asked: Question) -> None:
    if asked.principal.role is not Role.OWNER:
        assert rank(HOME, asked) == 0


WIDE = (
    "all: {effects: [all], recipients: known, answer: allow}\n"
    "rest: {effects: [all], answer: ask}\nmuch: {effects: [destroy], at_most_files: 5, answer: ask}\n"
)
TIERS = [parse_policy(lines_policy(WIDE, trust=tier.value, more="grants: [rest]\n")) for tier in Tier]
HOME_TIERS = [parse_policy(HOME_TEXT.replace("trust: assist", f"trust: {tier.value}").encode()) for tier in Tier]


@given(QUESTIONS, st.sampled_from([TIERS, HOME_TIERS]))
@settings(max_examples=200, deadline=None)
def test_a_lower_tier_never_widens(asked: Question, tiers: list[Policy]) -> None:
    ranks = [rank(policy, asked) for policy in tiers]
    assert ranks == sorted(ranks)


LINES = st.builds(
    lambda answer, effects, conditions: f"{{effects: [{', '.join(effects)}], {conditions}answer: {answer}}}",
    st.sampled_from(["allow", "ask", "ask-always", "deny"]),
    st.lists(st.sampled_from(["read", "destroy", "communicate", "money", "network"]), min_size=1, max_size=3),
    st.sampled_from(
        ["", "tainted: true, ", "tainted: false, ", "only: workspace, ", "only: local, ", "tools: [send_mail], ",
         "channels: [cli], ", "owner_named: true, ", "hidden_text: true, ", "undoable: true, "]
    ),
)  # fmt: skip
BOUNDED = st.builds(
    lambda answer, bound: f"{{effects: [destroy, communicate, money], {bound}, answer: {answer}}}",
    st.sampled_from(["allow", "ask"]),
    st.sampled_from(["at_most_files: 4", "at_most_files: 5", "at_most: 5", "recipients: org", "recipients: named"]),
)
DOCUMENTS = st.lists(LINES | BOUNDED, min_size=1, max_size=4).map(
    lambda lines: parse_policy(lines_policy("".join(f"line{n}: {text}\n" for n, text in enumerate(lines))))
)


@given(DOCUMENTS, DOCUMENTS, st.lists(QUESTIONS, min_size=5, max_size=5))
@settings(max_examples=150, deadline=None)
def test_no_answer_is_wider_where_no_widening_is_named(old: Policy, new: Policy, asked: list[Question]) -> None:
    if widenings(old, new):
        return
    for question_ in asked:
        assert rank(new, question_) <= rank(old, question_)


@given(DOCUMENTS, st.lists(QUESTIONS, min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_leaving_out_rules_that_cannot_apply_changes_no_answer(policy: Policy, asked: list[Question]) -> None:
    whole = replace(policy, parts=(), raw_rules=policy.source, chosen={})
    for question_ in asked:
        assert decide(whole, question_) == decide(policy, question_)


YAMLISH = st.text(alphabet="ab:[]{},-&*!|>#'\"%@\n\t ~?<0123\\x\ud7ff\x00", max_size=200)


@given(st.binary(max_size=300) | YAMLISH.map(lambda text: text.encode()))
@settings(max_examples=400, deadline=None)
@example(b"\xef\xbb\xbfa: 1")
@example(b"\xff\xfe\x00")
@example(b"? ")
@example(b'a: "\\x"')
@example(b"a: \xe2\x80\xa8b")
def test_any_bytes_parse_or_are_refused(document: bytes) -> None:
    for read in (parse_tree, parse_policy):
        try:
            read(document)
        except PolicyInvalid as error:
            assert error.what.endswith(".")


SPOTS = st.integers(0, len(HOME_TEXT))


@given(SPOTS, st.text(alphabet=":[]{},-&*!|>#'\"%\n\t ~?\\a1", min_size=1, max_size=4), st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_a_template_with_a_slip_parses_or_is_refused(spot: int, slip: str, gone: int) -> None:
    document = HOME_TEXT[:spot] + slip + HOME_TEXT[spot + gone :]
    try:
        parse_policy(document.encode())
    except PolicyInvalid as error:
        assert error.what.endswith(".")
