"""Cutting a long text into messages: where it may be cut, and what is put around code."""

from __future__ import annotations

import pytest

from carapax.core.channel.chunk import MORE, cut_text, joined, split_text

PARAGRAPHS = "\n\n".join(f"Paragraph {n} has a few words in it." for n in range(12))


def test_a_short_text_is_one_message_and_an_empty_one_is_none() -> None:
    assert split_text("Hello.", chars=100) == ("Hello.",)
    assert split_text("", chars=100) == () == split_text(" \n\n ", chars=100)


def test_it_is_cut_between_paragraphs() -> None:
    pieces = split_text(PARAGRAPHS, chars=120)
    assert all(piece.startswith("Paragraph") and piece.endswith("in it.") for piece in pieces)
    assert "\n\n".join(pieces) == PARAGRAPHS


def test_else_between_lines_then_sentences_then_words() -> None:
    lines = "\n".join(f"- item {n} of a long list" for n in range(20))
    assert all(piece.startswith("- item") for piece in split_text(lines, chars=100))
    sentences = "This is a sentence of some length. " * 10
    assert all(piece.endswith("length.") for piece in split_text(sentences, chars=100))
    words = "word " * 100
    assert {word for piece in split_text(words, chars=64) for word in piece.split()} == {"word"}


def test_a_code_block_is_closed_and_opened_again_with_its_language() -> None:
    code = "\n".join(f"print({n})" for n in range(40))
    first, *others = split_text(f"Here:\n\n```python title=x\n{code}\n```\n\nThat is all.", chars=120)
    assert first.startswith("Here:") and first.endswith("\n```")
    for piece in others[:-1]:
        assert piece.startswith("```python\n") and piece.endswith("\n```")
    assert others[-1].endswith("That is all.")
    printed = [line for piece in (first, *others) for line in piece.split("\n") if line.startswith("print")]
    assert printed == code.split("\n")


def test_a_code_block_that_fits_into_the_next_message_is_left_whole() -> None:
    text = "Some words before it. " * 3 + "\n\n```sh\nmake run\nmake test\n```\nand after"
    pieces = split_text(text, chars=90)
    assert any("```sh\nmake run\nmake test\n```" in piece for piece in pieces)


@pytest.mark.parametrize(
    ("fence", "inner"), [("````", "```py"), ("~~~", "```"), ("```", "~~~"), ("   ```", "code"), ("`````", "````")]
)
def test_other_fences_close_with_their_own_mark(fence: str, inner: str) -> None:
    text = f"{fence}\n" + f"{inner}\nline\n" * 30 + f"{fence}\n"
    pieces = split_text(text, chars=80)
    mark = fence.strip()
    assert len(pieces) > 2
    assert all(piece.startswith(mark) and piece.endswith(f"\n{mark}") for piece in pieces[1:-1])


def test_what_only_looks_like_a_fence_opens_nothing() -> None:
    text = "```not a fence ` because of the tick\n" + "words and words\n" * 20
    assert all(not piece.endswith("```") for piece in split_text(text, chars=80))
    indented = "    ```\n" + "words and words\n" * 20
    assert all(not piece.endswith("```") for piece in split_text(indented, chars=80))


def test_the_mark_that_closes_a_block_fits_too() -> None:
    for length in range(60, 90):
        for piece in split_text("```\n" + "x" * length * 3 + "\n```", chars=64, bytes_=64):
            assert len(piece) <= 64


def test_a_fence_that_is_never_closed_is_closed_at_the_cuts() -> None:
    pieces = split_text("```js\n" + "let a = 1\n" * 30, chars=80)
    assert all(piece.endswith("\n```") for piece in pieces[:-1])
    assert all(piece.startswith("```js\n") for piece in pieces)


def test_units_are_counted_as_the_platform_does() -> None:
    faces = "😀" * 100
    assert [len(piece) for piece in split_text(faces, chars=100)] == [100]
    assert [len(piece) for piece in split_text(faces, chars=100, utf16=True)] == [50, 50]
    assert [len(piece) for piece in split_text(faces, chars=100, bytes_=80)] == [20] * 5
    assert [len(piece) for piece in split_text("é" * 100, chars=100, bytes_=100)] == [50, 50]


@pytest.mark.parametrize(
    "sign", ["👩‍👩‍👧‍👦", "🇫🇷", "e\u0301\u0323", "👍🏽", "1\ufe0f\u20e3", "\u1112\u1161\u11ab", "नि"]
)
def test_a_sign_of_several_characters_stays_whole(sign: str) -> None:
    pieces = split_text(sign * 90, chars=67)
    assert "".join(pieces) == sign * 90
    assert all(len(piece) % len(sign) == 0 for piece in pieces)


def test_an_entity_stays_whole() -> None:
    for before in range(58, 64):
        first, second = split_text("x" * before + "&amp;" + "y" * 40, chars=64)
        assert "&amp;" in first or second.startswith("&amp;")


def test_a_sign_without_end_is_cut_all_the_same() -> None:
    pieces = split_text("e" + "\u0301" * 500, chars=64)
    assert sum(map(len, pieces)) == 501 and all(len(piece) <= 64 for piece in pieces)


def test_halves_of_a_surrogate_pair_stay_together() -> None:
    text = "\ud83d\ude00" * 60
    assert all(len(piece) % 2 == 0 for piece in split_text(text, chars=65))


def test_a_long_address_is_cut_only_because_nothing_else_is_left() -> None:
    address = "https://example.org/" + "p" * 200
    pieces = split_text(f"See {address} please", chars=100)
    assert "".join(pieces).replace(" ", "").startswith("Seehttps://example.org/")
    assert pieces[0] == f"See {address}"[:100]


def test_over_fifty_messages_the_rest_is_counted() -> None:
    pieces = split_text("word " * 5_000, chars=100)
    assert len(pieces) == 50
    whole = split_text("word " * 5_000, chars=100, most=10_000)
    assert pieces[-1] == MORE.format(count=sum(map(len, whole[49:])))
    assert split_text("word " * 5_000, chars=100, most=2, more="… {count}")[1].startswith("… ")


def test_line_ends_and_separators_of_other_kinds_are_only_characters() -> None:
    text = "a\u2028b\x0bc\r\nd " * 40
    assert "".join(part.text for part in cut_text(text, chars=64)) == text


@pytest.mark.parametrize(("chars", "bytes_"), [(63, 0), (0, 0), (-1, 0), (64, 63), (64, 1)])
def test_a_bound_that_bears_nothing_is_a_defect(chars: int, bytes_: int) -> None:
    with pytest.raises(ValueError, match="at least 64"):
        split_text("x", chars=chars, bytes_=bytes_)


def test_joined_looks_at_both_sides_only() -> None:
    assert not joined("ab", 0) and not joined("ab", 2) and not joined("ab", 1)
    assert joined("🇫🇷🇩🇪", 1) and not joined("🇫🇷🇩🇪", 2) and joined("🇫🇷🇩🇪", 3)
    assert joined("\r\n", 1)


def test_a_text_of_a_megabyte_is_cut_in_one_pass() -> None:
    text = ("Some words. " * 20 + "\n```py\n" + "x = 1\n" * 30 + "```\n") * 2_000
    assert sum(1 for _ in cut_text(text, chars=4_096, utf16=True)) > 150
