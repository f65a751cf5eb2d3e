"""Laws of a task's plan: total, READ always in, a denial never widens, sentences stand alone, nothing but text and manifests counts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.tools.manifest import family_manifests
from carapax.core.intent.clauses import cut_sentences
from carapax.core.intent.effects import plan_effects
from carapax.core.intent.verbs import VERBS
from carapax.core.intent.words import plan_words
from carapax.core.terms.action import Effect
from tests.unit.core.intent_corpus import CORPUS

TOOLS = family_manifests()
REQUESTS = st.sampled_from([text for text, _ in CORPUS])
COMMANDS = st.sampled_from(
    [
        "send",
        "delete",
        "pay",
        "post",
        "share",
        "book",
        "write",
        "visit",
        "run",
        "change",
        "grant",
        "buy",
        "upload",
        "invite",
    ]
)
OBJECTS = st.sampled_from(
    [
        "it",
        "anything",
        "the report",
        "a mail to Bob",
        "my password",
        "the payment",
        "Ann to the group",
        "the file and the notes",
    ]
)
DENIALS = st.sampled_from(
    ["Don't", "Do not", "Never", "Please do not", "You must not", "But don't", "Under no circumstances, never"]
)
SMALL = "to the please don't and , . ? not who that 'x' me my it : could you be de à ne pas"
WORDS = st.lists(
    st.sampled_from(sorted(VERBS)[::7] + list(filter(None, SMALL.split(" ")))),
    max_size=30,
)
MODEST = settings(max_examples=80, deadline=None)


@MODEST
@given(st.text(max_size=300))
def test_any_text_has_a_plan_with_reading_in_it(text: str) -> None:
    assert Effect.READ in plan_words(text, TOOLS).effects


@MODEST
@given(WORDS)
def test_any_heap_of_its_own_words_has_a_plan(words: list[str]) -> None:
    assert Effect.READ in plan_words(" ".join(words), TOOLS).effects


@MODEST
@given(REQUESTS, DENIALS, COMMANDS, OBJECTS)
def test_a_denied_clause_never_widens(text: str, denial: str, command: str, what: str) -> None:
    base = plan_words(text, TOOLS)
    denied = plan_words(f"{text}. {denial} {command} {what}.", TOOLS)
    assert denied.effects <= base.effects
    assert denied.tools <= base.tools


@MODEST
@given(DENIALS, COMMANDS, OBJECTS)
def test_a_denial_alone_asks_for_nothing(denial: str, command: str, what: str) -> None:
    assert plan_words(f"{denial} {command} {what}", TOOLS).effects == {Effect.READ}


@MODEST
@given(REQUESTS, REQUESTS)
def test_two_requests_ask_for_no_more_than_both_and_their_topic(first: str, second: str) -> None:
    apart = plan_words(first, ()).effects | plan_words(second, ()).effects
    together = plan_words(f"{first}.\n\n{second}", ()).effects
    topical = plan_effects([*cut_sentences(first), *cut_sentences(second)])
    assert together == topical
    assert apart <= together or any(
        word in f" {first} {second} ".casefold()
        for word in ("don't", "not ", " ne ", "n'", "never", "sans", "without", "rather")
    )


@MODEST
@given(REQUESTS)
def test_equal_text_gives_an_equal_plan_whatever_was_read_before(text: str) -> None:
    before = plan_words(text, TOOLS)
    plan_words("delete everything and pay Bob", TOOLS)
    assert plan_words(text, tuple(reversed(TOOLS))) == before


@MODEST
@given(REQUESTS)
def test_case_and_spaces_at_the_ends_change_no_effect(text: str) -> None:
    assert plan_words(f"  {text}\n", ()).effects == plan_words(text, ()).effects


@MODEST
@given(REQUESTS, st.sampled_from(['"', "`"]))
def test_a_quotation_adds_nothing(text: str, mark: str) -> None:
    inner = text.replace(mark, "").replace("\n", " ")
    assert plan_words(f"Look at this: {mark}{inner}{mark}", ()).effects == {Effect.READ}


def test_work_grows_with_the_text_and_not_with_its_square() -> None:
    """Counted in calls of the one function that every word passes through, not in seconds."""
    sizes = [
        sum(len(s.words) for s in cut_sentences("send it to Ann, don't delete 'a' \"b. " * n)) for n in (100, 200, 400)
    ]
    assert sizes[1] <= 2 * sizes[0] + 10
    assert sizes[2] <= 2 * sizes[1] + 10
