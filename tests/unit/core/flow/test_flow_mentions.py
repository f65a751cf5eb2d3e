"""Mentions: a record is named by its own whole name, the longest first, and never by chance."""

from __future__ import annotations

import pytest

from carapax.core.flow.knowledge import Knowledge
from carapax.core.flow.mentions import GENERIC, Mentions, find_mentions, is_generic
from carapax.core.flow.words import read_words
from carapax.core.terms.ids import ToolName
from tests.unit.core.rules.office import TOOLS


def mentions(words: str, *names: str) -> Mentions:
    known = Knowledge()
    files = [{"id": f"f{at}", "name": name, "size": 1, "text": ""} for at, name in enumerate(names)]
    known.learn(TOOLS[ToolName("list_drive")], {}, files)
    return find_mentions(read_words(words), known)


def unique(words: str, *names: str) -> set[str]:
    return {name for _, name in mentions(words, *names).unique}


@pytest.mark.parametrize(
    ("words", "name", "named"),
    [
        ("delete ladder.txt", "ladder.txt", True),
        ("delete the ladder", "ladder.txt", True),
        ("delete LADDER.TXT now", "ladder.txt", True),
        ("delete ladders", "ladder.txt", False),
        ("delete ladder_old", "ladder.txt", True),  # "ladder old": the name stands there as a word
        ("delete the red ladder book", "red ladder", True),
        ("delete the ladder, red", "red ladder", False),
        ("delete red. Ladder stays", "red ladder", True),  # punctuation does not part words
        ("delete the file", "file", False),
        ("delete the plan", "plan", False),
        ("delete 2026", "2026", False),
        ("delete x", "x", False),
        ("delete", "ladder.txt", False),
        ("", "ladder.txt", False),
        ("delete ladder.txt", "", False),
    ],
)
def test_one_record_by_its_name(words: str, name: str, named: bool) -> None:
    assert (unique(words, name) == {"f0"}) is named


def test_two_of_one_name_are_named_but_neither_is_meant() -> None:
    found = mentions("delete ladder.txt", "ladder.txt", "ladder.txt")
    assert found.named == {("file", "f0"), ("file", "f1")}
    assert found.unique == frozenset()


def test_the_same_record_twice_is_one() -> None:
    known = Knowledge()
    for _ in range(2):
        known.learn(TOOLS[ToolName("list_drive")], {}, [{"id": "f0", "name": "ladder.txt", "size": 1, "text": ""}])
    assert find_mentions(read_words("delete ladder.txt"), known).unique == {("file", "f0")}


def test_a_name_of_two_kinds_means_one_of_each() -> None:
    known = Knowledge()
    known.learn(TOOLS[ToolName("list_drive")], {}, [{"id": "f0", "name": "Garden", "size": 1, "text": ""}])
    known.learn(TOOLS[ToolName("list_channels")], {}, ["Garden"])
    found = find_mentions(read_words("look into garden"), known)
    assert found.unique == {("file", "f0"), ("channel", "Garden")}


def test_a_stem_that_two_files_share_is_ambiguous() -> None:
    assert unique("delete the ladder", "ladder.txt", "ladder.pdf") == set()
    assert unique("delete ladder.pdf", "ladder.txt", "ladder.pdf") == {"f1"}


@pytest.mark.parametrize(
    ("words", "names", "meant"),
    [
        ("delete red ladder", ("ladder", "red ladder"), {"f1"}),
        ("delete red ladder and ladder", ("ladder", "red ladder"), {"f0", "f1"}),
        ("delete 'notes on the red ladder'", ("red ladder",), set()),
        ("delete 'red ladder'", ("red ladder",), {"f0"}),
        ("delete 'red ladder' and 'notes on the red ladder'", ("red ladder",), {"f0"}),
        ("delete 'notes on the red ladder'", ("red ladder", "notes on the red ladder"), {"f1"}),
        ("delete ladder and lamp", ("ladder", "lamp"), {"f0", "f1"}),
    ],
)
def test_the_longest_name_and_the_whole_quotation_count(words: str, names: tuple[str, ...], meant: set[str]) -> None:
    assert unique(words, *names) == meant


def test_a_planted_short_name_does_not_catch_a_longer_one() -> None:
    """Somebody shares a file called "ladder" with the owner, who has asked for another one."""
    assert unique("delete red ladder.txt", "red ladder.txt", "ladder", "red", "txt") == {"f0"}


def test_more_records_only_ever_make_it_ambiguous() -> None:
    before = unique("delete red ladder", "red ladder")
    assert unique("delete red ladder", "red ladder", "lamp", "delete the") == before
    assert unique("delete red ladder", "red ladder", "red ladder") == set()


@pytest.mark.parametrize(
    ("phrase", "generic"),
    [
        (("the",), True),
        (("the", "file"), True),
        (("12",), True),
        (("x",), True),
        ((), True),
        (("ladder",), False),
        (("the", "ladder"), False),
        (("fichier",), True),
    ],
)
def test_words_that_name_nothing(phrase: tuple[str, ...], generic: bool) -> None:
    assert is_generic(phrase) is generic


@pytest.mark.parametrize("word", sorted(GENERIC))
def test_a_record_called_like_a_common_word_is_never_named(word: str) -> None:
    assert unique(f"please {word} it", word) == set()
