"""Laws of the channel room: cutting loses nothing, codes are read as they are spelled, words become answers only in form."""

from __future__ import annotations

import string
import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from carapax.core.channel.answer_words import Answered, read_answer
from carapax.core.channel.chunk import LEAST_CHARS, cut_text, joined, split_text
from carapax.core.channel.commands import Command, Misread, read_command
from carapax.core.channel.loops import MOST_ANSWERS, WINDOW_MS, Exchange, decide_bot
from carapax.core.channel.pairing import (
    ALPHABET,
    CODES,
    MOST_TRIES,
    Matched,
    Offer,
    Silent,
    decide_code,
    hash_code,
    read_code,
    show_code,
    spell_code,
)
from carapax.core.channel.people import NAME_CHARS, display, shown_name
from carapax.core.channel.queue import Arrival, QueueMode, decide_arrival
from carapax.core.channel.shown import quoted, read_pressed
from carapax.core.flow.origin import hidden_characters
from carapax.core.terms.channel import Person

WORDS = st.sampled_from(
    ["word", "a", " ", "  ", "\n", "\n\n", ". ", "Ends. ", "```", "```py\n", "\n```\n", "~~~\n", "é", "e\u0301", "👩‍👩‍👧", "🇫🇷",
     "&amp;", "&#x1f600;", "x" * 90, "漢字", "\u1112\u1161\u11ab", "\t", "https://example.org/" + "p" * 70]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=120).map("".join)
MARKDOWN = st.lists(
    st.one_of(
        st.text(string.ascii_letters + " .", max_size=200),
        st.tuples(st.sampled_from(["py", "", "c++"]), st.lists(st.text(string.ascii_letters + "  ", max_size=50), max_size=12)).map(
            lambda block: f"```{block[0]}\n" + "".join(f"{line}\n" for line in block[1]) + "```"
        ),
    ),
    max_size=8,
).map("\n\n".join)  # fmt: skip
BOUNDS = st.integers(LEAST_CHARS, 400)


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def black(text: str) -> str:
    return "".join(text.split())


@given(TEXTS, BOUNDS, st.booleans(), st.sampled_from([0, 64, 200]))
@example("\ud83d\ude00" * 100, 64, True, 64)
@settings(deadline=None)
def test_the_slices_are_the_text_and_every_piece_fits(text: str, chars: int, units: bool, bytes_: int) -> None:
    slices = cut_text(text, chars=chars, bytes_=bytes_, utf16=units)
    assert "".join(part.text for part in slices) == text
    for part in slices:
        assert (utf16(part.shown) if units else len(part.shown)) <= chars
        assert not bytes_ or len(part.shown.encode("utf-8", "surrogatepass")) <= bytes_


@given(TEXTS, BOUNDS)
@settings(deadline=None)
def test_without_code_every_black_sign_arrives_in_order(text: str, chars: int) -> None:
    plain = text.replace("```", "").replace("~~~", "")
    assert black("".join(split_text(plain, chars=chars, most=10_000))) == black(plain)


@given(MARKDOWN, BOUNDS)
@settings(deadline=None)
def test_no_code_block_is_open_at_the_end_of_a_piece(text: str, chars: int) -> None:
    pieces = split_text(text, chars=chars, most=10_000)
    for piece in pieces:
        assert sum(line.startswith("```") for line in piece.split("\n")) % 2 == 0, piece
    fences = [line for piece in pieces for line in piece.split("\n") if line.startswith("```")]
    words = [line for piece in pieces for line in piece.split("\n") if not line.startswith("```")]
    given_words = [line for line in text.split("\n") if not line.startswith("```")]
    assert black("".join(words)) == black("".join(given_words))
    assert {f for f in fences} <= {line for line in text.split("\n") if line.startswith("```")} | {"```"}


SIGNS = ["👩‍👩‍👧", "🇫🇷", "e\u0301", "👍🏽", "\u1112\u1161\u11ab", "z"]


@given(st.lists(st.sampled_from(SIGNS), min_size=40, max_size=200).map("".join), BOUNDS)
@settings(deadline=None)
def test_no_cut_stands_inside_what_reads_as_one_sign(text: str, chars: int) -> None:
    at = 0
    for part in cut_text(text, chars=chars, utf16=True)[:-1]:
        at += len(part.text)
        assert not joined(text, at)


@given(st.text(max_size=5_000), st.integers(1, 5))
@settings(deadline=None)
def test_the_number_of_pieces_is_bounded_and_the_rest_is_named(text: str, most: int) -> None:
    whole = split_text(text, chars=64, most=10_000)
    pieces = split_text(text, chars=64, most=most)
    assert len(pieces) <= most and all(len(piece) <= 64 for piece in pieces)
    if len(whole) > most:
        assert pieces[:-1] == whole[: most - 1]
        assert f"{sum(map(len, whole[most - 1 :])):,}" in pieces[-1]


@given(st.integers(0, CODES - 1), st.lists(st.sampled_from(" -\u00a0\u2011"), max_size=6), st.booleans())
@settings(deadline=None)
def test_a_code_is_read_as_it_is_spelled(number: int, gaps: list[str], lower: bool) -> None:
    code = spell_code(number)
    written = show_code(code)
    for place, gap in enumerate(gaps):
        written = written[: place + 1] + gap + written[place + 1 :]
    assert read_code(written.lower() if lower else written) == code


@given(st.text(max_size=20))
@settings(deadline=None)
def test_what_is_read_as_a_code_is_made_of_its_alphabet(text: str) -> None:
    found = read_code(text)
    assert found is None or (len(found) == 8 and set(found) <= set(ALPHABET))


@given(st.lists(st.integers(0, CODES - 1), max_size=5, unique=True), st.integers(0, CODES - 1), st.integers(0, 10))
@settings(deadline=None)
def test_only_a_code_that_is_offered_matches_and_never_after_the_tries(
    offered: list[int], number: int, tries: int
) -> None:
    offers = [Offer(hash_code(spell_code(n)), "", 100) for n in offered]
    found = decide_code(spell_code(number), offers, channel="telegram", tried_ms=[50] * tries, now_ms=60)
    if tries >= MOST_TRIES:
        assert found == Silent()
    else:
        assert (found == Matched(offered.index(number))) if number in offered else not isinstance(found, Matched)


@given(st.text(max_size=60), st.booleans())
@settings(deadline=None)
def test_a_shown_name_holds_nothing_that_could_imitate(name: str, bot: bool) -> None:
    shown = shown_name(name)
    assert len(shown) <= NAME_CHARS
    assert not hidden_characters(shown) and not set(shown) & set('"()[]{}<>«»“”⟨⟩\n✓✔☑')
    assert all(unicodedata.category(c)[0] in "LMN" or c in " .,'’-_@+&…" for c in shown)
    line = display(Person("4711", name, bot))
    assert "id 4711" in line and line.count('"') in (0, 2)


@given(st.text(max_size=80), st.booleans())
@settings(deadline=None)
def test_quoted_text_shows_everything_and_cannot_leave_its_span(text: str, markup: bool) -> None:
    shown = quoted(text, markup=markup, most=10_000)
    assert not hidden_characters(shown) and "\n" not in shown
    assert not markup or shown.count("`") in (0, 2)


@given(st.text(max_size=120))
@settings(deadline=None)
def test_random_words_are_no_answer_and_no_command_fails(text: str) -> None:
    found = read_answer(text, ids=("K7M2Q",), alone="K7M2Q")
    assert found is None or found.card
    assert isinstance(read_command(text), Command | Misread | None)
    assert read_pressed(text) is None or text.startswith(("yes ", "no "))


@given(
    st.sampled_from(["yes", "no", "ok", "oui", "non"]), st.text(string.ascii_letters + " ,.", min_size=4, max_size=80)
)
@settings(deadline=None)
def test_a_sentence_without_the_code_is_never_an_answer(word: str, rest: str) -> None:
    said = f"{word} {rest}"
    found = read_answer(said, ids=("K7M2Q",), alone="K7M2Q")
    if black(rest).strip(".,"):
        assert found is None
    else:
        assert found in (None, Answered(word in ("yes", "oui"), "K7M2Q"))


@given(st.sampled_from(QueueMode), st.booleans(), st.integers(0, 60), st.integers(0, 30))
@settings(deadline=None)
def test_arrivals_are_decided_for_every_state(mode: QueueMode, running: bool, waiting: int, cap: int) -> None:
    found = decide_arrival(mode, running=running, waiting=waiting, cap=cap)
    assert (found is Arrival.SHED) == (waiting >= max(1, cap))
    assert (found is Arrival.START) == (not running and waiting == 0)


@given(st.lists(st.integers(0, 60_000), max_size=60))
@settings(deadline=None)
def test_a_bot_is_answered_three_times_in_ten_minutes_at_most(waits: list[int]) -> None:
    history: list[Exchange] = []
    now = 0
    for number, wait in enumerate(waits):
        now += wait
        answered = decide_bot(history, said=f"{number}", paired=True, addressed=True, now_ms=now)
        history.append(Exchange(now, "b", f"{number}", answered))
    for each in history:
        within = [e for e in history if e.answered and 0 <= e.at_ms - each.at_ms < WINDOW_MS]
        assert len(within) <= MOST_ANSWERS
