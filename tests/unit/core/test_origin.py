"""Origins: whole words only; look-alikes and parts of words never match."""

from __future__ import annotations

import pytest

from carapax.core.flow.origin import hidden_characters, in_owner_words

NAMED = [
    ("hello.py", "create hello.py that prints hello"),
    ("hello.py", "what is in hello.py?"),
    ("hello.py", "Run hello.py."),
    ("hello.py", 'open "hello.py", then stop'),
    ("src/app.py", "look at src/app.py please"),
    ("anna@example.org", "write to anna@example.org."),
    ("two words", "find two words in my files"),
    ("été.txt", "lis été.txt"),
]

NOT_NAMED = [
    ("hello.py", "create shello.py"),
    ("hello.py", "create hello.pyc"),
    ("hello.py", "create hello.py.bak"),
    ("hello.py", "create src/hello.py"),
    ("hello", "create hello.py"),
    ("hello", "run ./hello"),
    ("anna@example.org", "write to joanna@example.org"),
    ("anna@example.org", "write to anna@example.org.evil.example"),
    ("example.org", "write to anna@example.org"),
    ("pаypal", "pay paypal"),  # the second letter is Cyrillic
    ("Hello.py", "create hello.py"),
    ("", "anything"),
    ("   ", "any thing"),
]


@pytest.mark.parametrize(("value", "words"), NAMED)
def test_a_value_in_the_owners_words_is_found(value: str, words: str) -> None:
    assert in_owner_words(value, words)


@pytest.mark.parametrize(("value", "words"), NOT_NAMED)
def test_a_part_of_a_word_or_a_look_alike_is_not(value: str, words: str) -> None:
    assert not in_owner_words(value, words)


def test_hidden_characters_are_named_once_in_order() -> None:
    assert hidden_characters("a\u202eb\u200b\u202e\x1b") == ("U+202E", "U+200B", "U+001B")
    assert hidden_characters("plain\ttext\n") == ()
    assert hidden_characters("\U000e0041") == ("U+E0041",)
