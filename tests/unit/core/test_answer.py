"""What an answer makes of a card, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.core.terms.approval import Answer, Approval, ApprovalState, Blank
from carapax.core.terms.error import Conflict, Refused
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, RuleId, SessionId, TurnId
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.turn.answer import (
    Agrees,
    AnsweredWrongly,
    Code,
    CodeWrong,
    Ends,
    Falls,
    Lacking,
    NoFactor,
    PickMissing,
    PickWrong,
    Ruling,
    ValueMissing,
    ValueWrong,
    after_wrong,
    awaits_code,
    blank_name,
    fills,
    judge,
    read_picks,
    refuse_other_digest,
)
from carapax.core.turn.batch import call_of, call_titles

NOW, DEADLINE = 1_500, 2_000
OWNER = Principal(PrincipalId("owner"), Role.OWNER, frozenset(Scope), "test")
ANNA = Principal(PrincipalId("anna"), Role.APPROVER, frozenset({Scope.APPROVE}), "test")
IBAN = "DE89 3704 0044 0532 0130 00"
PAYEE = Blank("payee", "payee", IBAN, "a mail")
MAIL = Blank("to", "recipient", "anna@example.org")
YES, NO = Answer(True), Answer(False)


def card(*blanks: Blank, **fields: object) -> Approval:
    plain = Approval(
        ApprovalId("K7M2"), SessionId("s"), TurnId("t"), CallId("c"), Digest("d" * 64), "pay", (), RuleId("r"), "", "",
        1_000, DEADLINE, blanks=blanks,
    )  # fmt: skip
    return replace(plain, **fields)  # type: ignore[arg-type]


def ruled(approval: Approval, answer: Answer, code: Code = Code.UNASKED, who: Principal = OWNER) -> Ruling:
    return judge(approval, answer, who, code, NOW)


APPROVED, DENIED = Ends(ApprovalState.APPROVED), Ends(ApprovalState.DENIED)
PICKS = card(choices=("a", "b", "c"))
CODED = card(factor=True)
FULL = card(PAYEE, choices=("a", "b"), factor=True)


@pytest.mark.parametrize(
    ("approval", "answer", "code", "found"),
    [
        (card(), YES, Code.UNASKED, APPROVED),
        (card(), NO, Code.UNASKED, DENIED),
        (card(), Answer(True, code="123456"), Code.UNASKED, APPROVED),
        (card(PAYEE), Answer(True, (IBAN,)), Code.UNASKED, APPROVED),
        (card(PAYEE), Answer(True, (" DE89370400440532013000 ",)), Code.UNASKED, APPROVED),
        (card(PAYEE, MAIL), Answer(True, (IBAN, "anna@example.org")), Code.UNASKED, APPROVED),
        (PICKS, Answer(True, picked=(2, 0)), Code.UNASKED, APPROVED),
        (CODED, YES, Code.RIGHT, APPROVED),
        (FULL, Answer(True, (IBAN,), (1,)), Code.RIGHT, APPROVED),
        (FULL, NO, Code.NONE_SET, DENIED),
        (FULL, Answer(False, ("nonsense",), (9,)), Code.WRONG, DENIED),
    ],
)
def test_a_complete_answer_ends_the_card(approval: Approval, answer: Answer, code: Code, found: Ruling) -> None:
    assert ruled(approval, answer, code) == found


@pytest.mark.parametrize(
    ("approval", "answer", "code", "kind", "said"),
    [
        (card(PAYEE), YES, Code.UNASKED, ValueMissing, "A yes is not enough here: type the payee."),
        (card(PAYEE, MAIL), YES, Code.UNASKED, ValueMissing, "type the payee, recipient (to)."),
        (card(PAYEE, MAIL), Answer(True, (IBAN,)), Code.UNASKED, ValueMissing, "type the recipient (to)."),
        (card(PAYEE, MAIL), Answer(True, (IBAN, "  ")), Code.UNASKED, ValueMissing, "type the recipient (to)."),
        (card(PAYEE), Answer(True, ("DE00",)), Code.UNASKED, ValueWrong, "not the payee of this call"),
        (card(PAYEE, MAIL), Answer(True, ("anna@example.org", IBAN)), Code.UNASKED, ValueWrong, "not the payee"),
        (card(PAYEE), Answer(True, (IBAN, IBAN)), Code.UNASKED, ValueWrong, "1 values are asked, and 2 were typed"),
        (card(), Answer(True, ("x",)), Code.UNASKED, ValueWrong, "0 values are asked"),
        (PICKS, YES, Code.UNASKED, PickMissing, "pick the lines"),
        (PICKS, Answer(True, picked=(3,)), Code.UNASKED, PickWrong, "not on the card"),
        (PICKS, Answer(True, picked=(-1,)), Code.UNASKED, PickWrong, "not on the card"),
        (PICKS, Answer(True, picked=(1, 1)), Code.UNASKED, PickWrong, "picked twice"),
        (card(), Answer(True, picked=(0,)), Code.UNASKED, PickWrong, "nothing to pick"),
        (CODED, YES, Code.MISSING, CodeWrong, "one-time code is asked"),
        (CODED, YES, Code.UNASKED, CodeWrong, "one-time code is asked"),
        (CODED, YES, Code.WRONG, CodeWrong, "wrong, or was used before"),
        (FULL, Answer(True, (IBAN,)), Code.RIGHT, PickMissing, "pick the lines"),
        (FULL, Answer(True, picked=(0,)), Code.RIGHT, ValueMissing, "type the payee"),
    ],
)
def test_an_incomplete_yes_says_what_is_missing(
    approval: Approval, answer: Answer, code: Code, kind: type[Lacking], said: str
) -> None:
    found = ruled(approval, answer, code)
    assert isinstance(found, Falls)
    assert type(found.error) is kind
    assert said in found.error.what and found.error.next_step and "still waits" in found.error.kept


@pytest.mark.parametrize("code", [Code.NONE_SET, Code.LOCKED])
def test_without_a_second_factor_nobody_can_say_yes_and_no_try_is_lost(code: Code) -> None:
    with pytest.raises(NoFactor) as found:
        ruled(FULL, Answer(True, (IBAN,), (0,), "123456"), code)
    assert "carapax factor" in found.value.next_step
    assert ruled(card(), YES, code) == APPROVED


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.OWNER, Role.APPROVER)])
def test_other_roles_may_not_answer_not_even_no(role: Role) -> None:
    for answer in (YES, NO):
        with pytest.raises(Refused):
            ruled(card(), answer, who=replace(OWNER, role=role))


def test_the_scope_is_needed() -> None:
    with pytest.raises(Refused):
        ruled(card(), YES, who=replace(OWNER, scopes=frozenset(Scope) - {Scope.APPROVE}))


@pytest.mark.parametrize("state", [s for s in ApprovalState if s is not ApprovalState.WAITING])
def test_what_was_answered_is_not_answered_again(state: ApprovalState) -> None:
    with pytest.raises(Conflict, match="already"):
        ruled(card(state=state), YES)


def test_after_the_deadline_a_yes_is_too_late() -> None:
    assert judge(card(), YES, OWNER, Code.UNASKED, DEADLINE) == APPROVED
    assert judge(card(), YES, OWNER, Code.UNASKED, DEADLINE + 1) == Ends(ApprovalState.EXPIRED)


def test_four_eyes_are_two_people() -> None:
    two = card(PAYEE, people=2)
    complete = Answer(True, (IBAN,))
    assert ruled(two, complete) == Agrees(1)
    assert isinstance(ruled(two, YES), Falls)  # each of them says a complete yes
    once = replace(two, agreed=(OWNER.id,))
    with pytest.raises(Conflict, match="already said yes"):
        ruled(once, complete)
    assert ruled(once, complete, who=ANNA) == APPROVED
    assert ruled(once, NO) == DENIED  # a yes may be taken back by a no
    assert ruled(once, NO, who=ANNA) == DENIED
    assert ruled(replace(once, people=3), complete, who=ANNA) == Agrees(2)


CYRILLIC = "раypal@example.org"  # the first two letters


@pytest.mark.parametrize(
    ("role", "shown", "typed", "same"),
    [
        ("payee", IBAN, "de89 3704 0044 0532 0130 00", True),
        ("payee", IBAN, "DE89 3704 0044 0532 0130 01", False),
        ("payee", IBAN, "DE89 3704 0044 0532 0130", False),
        ("recipient", "paypal@example.org", "paypal@example.org", True),
        ("recipient", "paypal@example.org", "paypal@EXAMPLE.org", True),
        ("recipient", "paypal@example.org", CYRILLIC, False),
        ("recipient", CYRILLIC, "paypal@example.org", False),
        ("recipient", "anna@example.org", "anna@example.org\u200b", False),
        ("recipient", "anna@example.org\u200b", "anna@example.org", False),
        ("recipient", "anna@example.org\u200b", "anna@example.org\u200b", False),
        ("recipient", "\u202egro.elpmaxe@anna", "\u202egro.elpmaxe@anna", False),
        ("recipient", "anna@example.org⟨U+200B⟩", "anna@example.org⟨U+200B⟩", False),
        ("recipient", "anna@example.org", "anna", False),
        ("recipient", "", "", False),
        ("url", "https://example.org/a", "https://example.org/a?d=1", False),
        ("url", "https://example.org/a", "example.org", False),
        ("path", "notes/a.txt", "notes/a.txt", True),
        ("path", "notes/a.txt", "notes/b.txt", False),
        ("command", "rm -r old", "rm -r old", True),
        ("command", "rm -r old", "rm  -r old", False),
        ("secret", "vault/a", "vault/A", False),
        ("amount", "1284.00", "1284", True),
        ("amount", "1284.00", "1248", False),
        ("unheard-of", "x", "x", True),
        ("unheard-of", "x", "y", False),
        ("object", "Zoë", "Zoe\u0308", True),  # one letter, two encodings
    ],
)
def test_only_the_same_value_fills(role: str, shown: str, typed: str, same: bool) -> None:
    assert fills(Blank("x", role, shown), typed) is same


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["payee", "recipient", "url", "path", "object"]))
def test_filling_is_symmetric_and_hidden_characters_never_fill(one: str, other: str, role: str) -> None:
    assert fills(Blank("x", role, one), other) == fills(Blank("x", role, other), one)
    assert not fills(Blank("x", role, f"{one}\u200b"), f"{one}\u200b")


ANSWERS = st.builds(
    Answer, st.booleans(), st.lists(st.sampled_from([IBAN, "x", ""]), max_size=3).map(tuple),
    st.lists(st.integers(-1, 4), max_size=3).map(tuple),
)  # fmt: skip


@given(ANSWERS, st.sampled_from(list(Code)), st.sampled_from([card(), card(PAYEE), PICKS, CODED, FULL]))
def test_only_a_complete_yes_approves(answer: Answer, code: Code, approval: Approval) -> None:
    try:
        found = ruled(approval, answer, code)
    except NoFactor:
        return
    if found == APPROVED:
        assert answer.approve
        assert len(answer.typed) == len(approval.blanks) and all(t == IBAN for t in answer.typed)
        assert bool(answer.picked) == bool(approval.choices)
        assert code is Code.RIGHT or not approval.factor
    elif not answer.approve:
        assert found == DENIED


def test_a_code_is_looked_at_only_when_it_is_all_that_is_left() -> None:
    complete = Answer(True, (IBAN,), (0,), "123456")
    assert awaits_code(FULL, complete, OWNER, NOW)
    for approval, answer, who, now_ms in (
        (FULL, replace(complete, typed=("x",)), OWNER, NOW),
        (FULL, replace(complete, approve=False), OWNER, NOW),
        (FULL, complete, OWNER, DEADLINE + 1),
        (replace(FULL, state=ApprovalState.DENIED), complete, OWNER, NOW),
        (replace(FULL, people=2, agreed=(OWNER.id,)), complete, OWNER, NOW),
        (card(), YES, OWNER, NOW),
    ):
        assert not awaits_code(approval, answer, who, now_ms)


def test_an_answer_is_bound_to_the_call_that_was_seen() -> None:
    refuse_other_digest(card(), "d" * 64)
    refuse_other_digest(card(), "")
    for other in ("d" * 63, "e" * 64, "é", "\ud800"):
        with pytest.raises(Conflict, match="another call"):
            refuse_other_digest(card(), other)


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("1", (0,)), ("1,3-4", (0, 2, 3)), (" 2 - 3 , 1 ", (1, 2, 0)), ("1,1", (0, 0)),
        ("0", None), ("", None), ("3-1", None), ("1-", None), ("a", None), ("1;2", None), ("1-2000", None),
        ("1-999,1-999", None), ("١", None),
    ],
)  # fmt: skip
def test_picked_lines_are_read(text: str, picked: tuple[int, ...] | None) -> None:
    assert read_picks(text) == picked


def test_words() -> None:
    assert blank_name(PAYEE) == "payee"
    assert blank_name(Blank("send_to", "recipient", "x")) == "recipient (send to)"


def test_each_wrong_answer_says_what_is_left_and_the_third_ends_it() -> None:
    told = [after_wrong(card(), ValueMissing("No.", next_step="Type it."), n) for n in (1, 2, 3, 4)]
    assert [t.next_step for t in told[:2]] == ["Type it. 2 tries left.", "Type it. 1 try left."]
    assert [type(t) for t in told] == [ValueMissing, ValueMissing, AnsweredWrongly, AnsweredWrongly]
    assert "K7M2 was refused. No." in told[2].what


def test_a_batch_is_read_back_call_by_call() -> None:
    assert call_of("2. path", 2) == (1, "path")
    assert call_of("3. path", 2) == (0, "3. path")
    assert call_of("2. path", 1) == (0, "2. path")
    assert call_of("path", 2) == (0, "path")
    assert call_titles("a; b", "x {}\ny {}", 1) == ("a; b",)
    assert call_titles("a; b", "x {}\ny {}", 2) == ("a", "b")
    assert call_titles("a; pay; b", "x {}\ny {}", 2) == ("x", "y")  # a title that holds the joint shifts nothing
    assert call_titles("a", "", 2) == ("", "")
