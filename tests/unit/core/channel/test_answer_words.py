"""Words that answer a card, and words that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carapax.core.channel.answer_words import Answered, fill, read_answer
from carapax.core.terms.approval import Answer, Blank
from tests.unit.core.channel.cards import CARD

ID = "K7M2Q"
IBAN = "DE89 3704 0044 0532 0130 00"
PAYEE = Blank("payee", "payee", IBAN, "invoice-0812.pdf")


def read(text: str, *, alone: bool = False, ids: tuple[str, ...] = (ID,)) -> Answered | None:
    return read_answer(text, ids=ids, alone=ids[0] if alone else "")


@pytest.mark.parametrize(
    "text",
    ["yes K7M2Q", "Yes k7m2q", "oui K7M2Q", "OUI  K7M2Q.", "ok K7M2Q", "yes, K7M2Q!", "“yes” K7M2Q", "yes\u00a0K7M2Q",
     "D’accord K7M2Q", "y k7m2q", "yes `K7M2Q`", "yes\nK7M2Q", "approve (K7M2Q)"],
)  # fmt: skip
def test_a_yes_with_the_code_is_a_yes(text: str) -> None:
    assert read(text) == Answered(True, ID)


@pytest.mark.parametrize(
    "text", ["no K7M2Q", "non k7m2q", "No, K7M2Q: it is the wrong file, and not today", "deny K7M2Q", "n K7M2Q"]
)
def test_a_no_with_the_code_is_a_no_whatever_follows(text: str) -> None:
    assert read(text) == Answered(False, ID)


@pytest.mark.parametrize(
    ("text", "approve"), [("yes", True), ("Oui.", True), ("no", False), (" Non ! ", False), ("YES\u202f!", True)]
)
def test_a_bare_word_counts_only_for_the_one_card_that_was_shown_last(text: str, approve: bool) -> None:
    assert read(text, alone=True) == Answered(approve, ID)
    assert read(text) is None


@pytest.mark.parametrize("text", ["ok", "y", "n", "okay", "d'accord", "approve", "refuse", "sure", "👍", "yeah", "yep"])
def test_other_bare_words_are_talk(text: str) -> None:
    assert read(text, alone=True) is None


@pytest.mark.parametrize(
    "text",
    ["yes please do it", "yes, but change the title first", "no problem, go on", "ok great", "yes great", "oui bien sûr",
     "I said yes K7M2Q", "the code K7M2Q", "K7M2Q", "K7M2Q yes", "yesK7M2Q", "yes, and K7M2Q", "not K7M2Q", "", " ", "?",
     "yes\u200b K7M2Q", "уes K7M2Q", "non-stop K7M2Q", "yes KM2", "yes ABCDE", "no wonder", "no matter"],
)  # fmt: skip
@pytest.mark.parametrize("alone", [True, False])
def test_a_sentence_is_never_an_answer(text: str, alone: bool) -> None:
    assert read(text, alone=alone) is None


def test_a_code_that_no_card_has_is_said_to_be_one_when_it_cannot_be_a_word() -> None:
    assert read("yes Q2X9A") == Answered(True, "Q2X9A")
    assert read("yes Q2X9A", ids=()) == Answered(True, "Q2X9A")
    assert read("yes SHARP") is None
    assert read("yes sharp", ids=("SHARP",)) == Answered(True, "SHARP")


def test_values_are_taken_line_by_line_as_they_were_typed() -> None:
    assert read(f"ok K7M2Q {IBAN}") == Answered(True, ID, (IBAN,))
    assert read("yes K7M2Q\nanna@example.org\n\n  12.50 EUR ") == Answered(True, ID, ("anna@example.org", "12.50 EUR"))
    assert read("yes K7M2Q “anna@example.org”") == Answered(True, ID, ("anna@example.org",))
    assert read("yes K7M2Q m\u0430x@example.org\u200b") == Answered(True, ID, ("m\u0430x@example.org\u200b",))
    assert read("no K7M2Q anna@example.org") == Answered(False, ID)


@pytest.mark.parametrize(
    ("text", "values"),
    [("yes K7M2Q code 123456", ()), ("yes K7M2Q, code: 123 456.", ()), ("oui K7M2Q\ncode 123456", ()),
     ("ok K7M2Q anna@example.org code 123456", ("anna@example.org",)),
     ("ok K7M2Q anna@example.org\none-time code 123456", ("anna@example.org",))],
)  # fmt: skip
def test_the_one_time_code_stands_at_the_end(text: str, values: tuple[str, ...]) -> None:
    assert read(text) == Answered(True, ID, values, "123456")


def test_a_code_alone_or_with_a_bare_yes_is_for_the_one_card_that_was_shown_last() -> None:
    assert read("code 123456", alone=True) == Answered(True, ID, (), "123456")
    assert read("yes code 123456", alone=True) == Answered(True, ID, (), "123456")
    assert read("code 123456") is None and read("yes code 123456") is None
    assert read("code 12345", alone=True) is None
    assert read("123456", alone=True) is None
    assert read("no code 123456", alone=True) is None
    assert read("postcode 123456", alone=True) is None


def test_what_is_too_long_to_be_an_answer_is_none() -> None:
    assert read("yes K7M2Q " + "x" * 20_000) is None
    assert read("yes K7M2Q" + "\nx" * 201) is None


def test_the_card_says_what_the_words_fill() -> None:
    plain, blank = CARD, replace(CARD, blanks=(PAYEE,))
    listed = replace(CARD, choices=("a", "b", "c", "d"))
    assert fill(Answered(True, ID), plain) == Answer(True)
    assert fill(Answered(False, ID, ("x",), "1"), plain) == Answer(False)
    assert fill(Answered(True, ID, (IBAN,), "123456"), blank) == Answer(True, (IBAN,), (), "123456")
    assert fill(Answered(True, ID, ("1,3-4",)), listed) == Answer(True, (), (0, 2, 3))
    assert fill(Answered(True, ID, ("1,3-4",)), blank) == Answer(True, ("1,3-4",))
    both = replace(listed, blanks=(PAYEE,))
    assert fill(Answered(True, ID, ("2", IBAN)), both) == Answer(True, (IBAN,), (1,))
    assert fill(Answered(True, ID, ("please",)), plain) == Answer(True, ("please",))


def test_a_full_stop_is_left_out_only_when_the_value_has_none() -> None:
    mail = replace(CARD, blanks=(Blank("to", "recipient", "anna@example.org"),))
    name = replace(CARD, blanks=(Blank("name", "name", "Acme Inc."),))
    assert fill(Answered(True, ID, ("anna@example.org.",)), mail).typed == ("anna@example.org",)
    assert fill(Answered(True, ID, ("Acme Inc.",)), name).typed == ("Acme Inc.",)
    assert fill(Answered(True, ID, ("otto@example.org.",)), mail).typed == ("otto@example.org.",)
    assert fill(Answered(True, ID, ("anna@example.org", "more.")), mail).typed == ("anna@example.org", "more.")
