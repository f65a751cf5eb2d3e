"""Policy laws: total, deterministic, and a further `forbid` never widens an answer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.core.policy.decide import decide
from carapax.core.policy.document import parse_policy
from carapax.core.policy.home import RULES, home_policy
from carapax.core.terms.action import Effect, Origin
from carapax.core.terms.decision import Allow, Ask, Question
from carapax.core.terms.label import OWNER_ONLY, PUBLIC, Integrity, Label
from carapax.core.terms.principal import Role
from tests.unit.core.questions import DAY, home, question

QUESTIONS = st.builds(
    question,
    st.sampled_from(Effect),
    place=st.sampled_from(["workspace", "outside", "none", "", "ünknown"]),
    destroys=st.integers(0, 10_000),
    network=st.booleans(),
    hidden=st.booleans(),
    reversible=st.booleans(),
    role=st.sampled_from(Role),
    context=st.builds(Label, st.sampled_from(Integrity), st.sampled_from([PUBLIC, OWNER_ONLY])),
    origin=st.sampled_from(Origin),
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
RANK = {Allow: 2, Ask: 1}


@given(QUESTIONS)
@settings(max_examples=150, deadline=None)
def test_every_question_has_one_answer(asked: Question) -> None:
    assert decide(HOME, asked) == decide(HOME, asked)


@given(QUESTIONS, FORBIDS)
@settings(max_examples=80, deadline=None)
def test_a_further_forbid_never_widens(asked: Question, forbid: str) -> None:
    document = home_policy(1, DAY).decode().replace(RULES, f'{RULES}\n@id("extra")\n{forbid}\n')
    stricter = parse_policy(document.encode())
    assert RANK.get(type(decide(stricter, asked)), 0) <= RANK.get(type(decide(HOME, asked)), 0)


@given(QUESTIONS)
@settings(max_examples=150, deadline=None)
def test_only_the_owner_gets_anything(asked: Question) -> None:
    if asked.principal.role is not Role.OWNER:
        assert type(decide(HOME, asked)) not in (Allow, Ask)
