"""The laws of naming: forms are stable, more words never un-name, a changed character is another value, nothing raises."""

from __future__ import annotations

from datetime import date

from hypothesis import assume, given
from hypothesis import strategies as st

from carapax.core.flow.canon import amounts_of, canonical, canonical_amount, disguise, find_addresses, find_links
from carapax.core.flow.words import names, names_amount, names_date, read_words
from carapax.core.terms.action import ArgRole

ROLES = st.sampled_from(ArgRole)
ODD = st.sampled_from(
    list("@.:/?#%&=+-_~'\"`()[]<>\\ \n\t,;$€0123456789aAkKsSxnhtp\u200b\u202e\u0301\u212aſßİа。＠\ud800")
)
TEXTS = st.one_of(st.text(max_size=40), st.text(ODD, max_size=40))
VALUES = st.sampled_from(
    [
        (ArgRole.RECIPIENT, "anna.smith@example.org"),
        (ArgRole.RECIPIENT, "+33612345678"),
        (ArgRole.RECIPIENT, "Alice Martin"),
        (ArgRole.PAYEE, "GB29NWBK60161331926819"),
        (ArgRole.URL, "https://www.example.org/path?x=1"),
        (ArgRole.URL, "example.org/path"),
        (ArgRole.PATH, "docs/report.txt"),
        (ArgRole.OBJECT, "Lunch with Bob"),
        (ArgRole.PLACE, "#general"),
        (ArgRole.SECRET, "Hunter2!x"),
        (ArgRole.COMMAND, "make -C build test"),
    ]
)
CONFUSABLE = dict(
    zip("aceopxyihskmnrtABEHKMOPTXdl0135.-/@ ", "асеорхуіһѕκмпгтАВЕНКМОРТХԁӏΟІЗ５。‐⁄＠\u2003", strict=True)
)


@given(ROLES, TEXTS)
def test_a_form_is_its_own_form(role: ArgRole, value: str) -> None:
    kind, form = canonical(role, value)
    assert canonical(role, form) == (kind, form)


@given(VALUES)
def test_a_value_names_itself_in_a_sentence(value: tuple[ArgRole, str]) -> None:
    role, text = value
    assert names(read_words(f"please use {text} for this"), role, text)


@given(VALUES, TEXTS, TEXTS)
def test_more_lines_never_un_name(value: tuple[ArgRole, str], before: str, after: str) -> None:
    role, text = value
    assert names(read_words(f"{before}\nplease use {text} for this\n{after}"), role, text)


@given(TEXTS, TEXTS, ROLES)
def test_naming_is_monotone_in_lines(one: str, other: str, role: ArgRole) -> None:
    assume(role is not ArgRole.DATE)  # a time of day in the other line narrows the times of a date
    for value in one.split():
        if names(read_words(one), role, value):
            assert names(read_words(one + "\n" + other), role, value)


@given(VALUES, st.data())
def test_a_value_with_one_confusable_character_is_not_named(value: tuple[ArgRole, str], data: st.DataObject) -> None:
    role, text = value
    places = [i for i, c in enumerate(text) if c in CONFUSABLE]
    at = data.draw(st.sampled_from(places))
    changed = text[:at] + CONFUSABLE[text[at]] + text[at + 1 :]
    words = read_words(f"please use {text} for this")
    assert not names(words, role, changed)
    assert not names(read_words(f"please use {changed} for this"), role, text)


@given(VALUES, st.sampled_from("\u200b\u200d\u202e\u00ad\u2060\ufeff\U000e0041\x00"), st.data())
def test_a_value_with_a_hidden_character_is_not_named(
    value: tuple[ArgRole, str], hidden: str, data: st.DataObject
) -> None:
    role, text = value
    at = data.draw(st.integers(0, len(text)))
    assert not names(read_words(f"please use {text} for this"), role, text[:at] + hidden + text[at:])


@given(VALUES, st.text("abcdefgxyz0123456789", min_size=1, max_size=4))
def test_a_longer_value_is_another_one(value: tuple[ArgRole, str], more: str) -> None:
    role, text = value
    words = read_words(f"please use {text} for this")
    assert not names(words, role, text + more)
    assert not names(words, role, more + text)
    assert not names(read_words(f"please use {more}{text} for this"), role, text)


@given(TEXTS, TEXTS, ROLES)
def test_nothing_raises(text: str, value: str, role: ArgRole) -> None:
    words = read_words(text)
    names(words, role, value)
    names_date(words, value, date(2024, 5, 19))
    disguise(value)
    find_links(text)
    find_addresses(text)


@given(st.integers(0, 10**9), st.sampled_from([",", ".", " ", "'"]))
def test_an_amount_survives_its_writing(cents: int, sep: str) -> None:
    point = "," if sep in ". " else "."
    written = f"{cents // 100:,}".replace(",", sep) + f"{point}{cents % 100:02d}"
    assert canonical_amount(written) == cents
    assert amounts_of(f"pay {written} now") == {cents}
    assert names_amount(read_words(f"pay {written} now"), cents)


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%B %d, %Y", "%d %b %Y"]))
def test_a_written_date_is_stated_and_its_neighbours_are_not(when: date, pattern: str) -> None:
    words = read_words(f"book it for {when.strftime(pattern)} please")
    assert names_date(words, when.isoformat())
    assert not names_date(words, when.replace(year=when.year + 1, day=min(when.day, 28)).isoformat())
