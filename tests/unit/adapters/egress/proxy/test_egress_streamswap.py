"""A placeholder in a stream: the secret is put in wherever the stream was cut, and nothing else changes."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.egress.proxy.line import WAIT_MS, make_scrubber, make_swap
from carapax.adapters.egress.proxy.streamswap import WINDOW_BYTES, StreamSwap
from carapax.adapters.egress.scrub import Scrubber
from carapax.adapters.egress.swap import Misplaced
from carapax.ports.egress import Wrap

WORD = b"placeholder-0123456789abcdef"
VALUE = b"the:Secret+value/of 7"


def run(pieces: list[bytes], word: bytes = WORD, value: bytes = VALUE) -> bytes:
    swap = StreamSwap(word, value)
    return b"".join(swap.feed(piece) for piece in pieces) + swap.flush()


def cut(text: bytes, at: list[int]) -> list[bytes]:
    marks = [0, *sorted(point % (len(text) + 1) for point in at), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(marks)]


def in_base64(before: bytes, word: bytes, after: bytes) -> bytes:
    return base64.b64encode(before + word + after)


PLAIN = st.binary(max_size=12)
PART = st.one_of(
    st.just("word"),
    st.tuples(PLAIN, PLAIN),
    st.sampled_from([b"AUTH PLAIN ", b"\r\n", b" ", b"<auth>", b"</auth>", b"=", b"place", b"cGxh", b"A", b"AB+/"]),
    st.binary(max_size=20),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PART, max_size=8), st.lists(st.integers(min_value=0, max_value=4000), max_size=12))
def test_the_cuts_never_matter(parts: list[bytes | str | tuple[bytes, bytes]], at: list[int]) -> None:
    text = b""
    for part in parts:
        match part:
            case "word":
                text += WORD
            case (before, after):
                text += b" " + in_base64(bytes(before), WORD, bytes(after)) + b"\r\n"
            case bytes():
                text += part
    try:
        whole = run([text])
    except Misplaced:
        with pytest.raises(Misplaced):
            run(cut(text, at))
        return
    assert run(cut(text, at)) == whole


@settings(max_examples=200, deadline=None)
@given(PLAIN, PLAIN, st.binary(min_size=1, max_size=40), st.lists(st.integers(min_value=0, max_value=4000), max_size=9))
def test_what_is_decoded_is_what_was_meant(before: bytes, after: bytes, value: bytes, at: list[int]) -> None:
    text = b"AUTH " + in_base64(before, WORD, after) + b"\r\n" + WORD + b"."
    wanted = b"AUTH " + in_base64(before, value, after) + b"\r\n" + value + b"."
    assert run(cut(text, at), value=value) == wanted


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(min_value=0, max_value=300), max_size=9))
def test_without_a_placeholder_nothing_changes(text: bytes, at: list[int]) -> None:
    assert run(cut(text, at)) == text


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_only_what_could_become_a_placeholder_waits(text: bytes) -> None:
    swap = StreamSwap(WORD, VALUE)
    passed = swap.feed(text)
    held = text[len(passed) :]
    assert text == passed + held
    assert len(held) <= len(WORD) * 4 // 3 + 2
    if re.search(rb"[^A-Za-z0-9+/=-]\Z", text):  # a line's end holds nothing up
        assert held == b""


def test_a_line_that_is_over_is_never_held() -> None:
    swap = StreamSwap(WORD, VALUE)
    for line in (b"NOOP\r\n", b"a1 LOGIN plac\r\n", b"cGxhY2Vob2xkZXIt\r\n", b"<auth>cGxh</auth>", b"p\n", b"{}"):
        assert swap.feed(line) == line
        assert not swap.holds


def test_what_is_held_goes_on_as_it_is_when_nothing_follows() -> None:
    swap = StreamSwap(WORD, VALUE)
    assert swap.feed(b"x placehol") == b"x "
    assert swap.holds
    assert swap.flush() == b"placehol"
    assert (swap.holds, swap.flush()) == (False, b"")
    assert swap.feed(b"der\n") == b"der\n"
    assert 0 < WAIT_MS <= 500


def test_base64_without_its_padding_stays_without() -> None:
    for before in (b"", b"a", b"ab"):
        bare = in_base64(before, WORD, b"").rstrip(b"=")
        padded = (len(bare) % 4) == 0
        wanted = in_base64(before, VALUE, b"")
        assert run([bare + b"\n"]) == (wanted if padded else wanted.rstrip(b"=")) + b"\n"


def test_two_placeholders_in_one_word_of_base64_are_both_filled() -> None:
    text = base64.b64encode(b"n,," + WORD + b"\x01" + WORD) + b"\n"
    assert run([text]) == base64.b64encode(b"n,," + VALUE + b"\x01" + VALUE) + b"\n"


def test_a_word_that_is_no_base64_is_refused() -> None:
    whole = base64.b64encode(b"ab" + WORD)
    assert len(whole) % 4 == 0 and not whole.endswith(b"=")
    with pytest.raises(Misplaced, match="no base64"):
        run([b"AUTH " + whole + b"A\r\n"])


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(base64.b64encode(b"\0me\0" + WORD)),
        b"x" + base64.b64encode(b"\0me\0" + WORD),
        base64.urlsafe_b64encode(b"\xff\xfe\xfd" + WORD).replace(b"_", b"-"),
        base64.b32encode(WORD),
        WORD.hex().encode(),
        WORD[::-1],
        WORD.upper(),
        WORD.replace(b"-", b"%2D"),
        b"\\u0070" + WORD[1:],
        WORD[:12] + b"\r\n" + WORD[12:],
    ],
)
def test_in_another_disguise_it_is_worth_nothing(text: bytes) -> None:
    swap = StreamSwap(WORD, VALUE)
    out = swap.feed(text + b"\r\n") + swap.flush()
    for form in (VALUE, VALUE[::-1], base64.b64encode(VALUE)[:-4], VALUE.hex().encode()):
        assert form not in out


FORMS = [
    lambda word: word,
    lambda word: in_base64(b"\0me\0", word, b""),
    lambda word: in_base64(b"", word, b"xx"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inside", [0, 1, 5, 11, 20, 27, 28, 40])
@pytest.mark.parametrize("step", [1, 100])
def test_over_the_windows_end_it_is_an_error_and_does_not_go_out(
    form: Callable[[bytes], bytes], inside: int, step: int
) -> None:
    text, filler = b" " + form(WORD) + b"\r\n", b"-" * (WINDOW_BYTES - inside)
    swap = StreamSwap(WORD, VALUE)
    out = bytearray(swap.feed(filler))
    if inside >= len(text):
        assert swap.feed(text) == b" " + form(VALUE) + b"\r\n"
        return
    with pytest.raises(Misplaced, match="behind the first"):
        for at in range(0, len(text), step):
            out += swap.feed(text[at : at + step])
    assert VALUE not in out


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(min_value=0, max_value=300), max_size=9))
def test_behind_the_window_nothing_waits(text: bytes, at: list[int]) -> None:
    swap = StreamSwap(WORD, VALUE)
    assert swap.feed(b"-" * WINDOW_BYTES) == b"-" * WINDOW_BYTES
    for piece in cut(text, at):
        assert swap.feed(piece) == piece
        assert not swap.holds


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.binary(min_size=6, max_size=12), min_size=1, max_size=3), st.lists(st.binary(max_size=30), max_size=8)
)
def test_several_values_are_scrubbed_wherever_they_are_cut(values: list[bytes], chunks: list[bytes]) -> None:
    values = [value.replace(b"*", b"-") for value in values]
    whole = b"".join(chunk + values[at % len(values)] for at, chunk in enumerate(chunks))
    scrubber = Scrubber(*values)
    clean = b"".join(scrubber.feed(whole[at : at + 7]) for at in range(0, len(whole), 7)) + scrubber.flush()
    assert len(clean) == len(whole)
    assert not any(value in clean for value in values)
    assert bool(scrubber.hits) == (clean != whole)


def test_a_short_secret_is_put_in_but_not_scrubbed_as_it_would_be_found_by_chance() -> None:
    assert make_scrubber(b"abc").feed(b"abc alphabet") == b"abc alphabet"
    assert make_scrubber(b"abcdef").feed(b"abcdef.") == b"******."


def test_without_a_word_a_stream_passes() -> None:
    swap = make_swap(Wrap.STREAM, b"", b"", "mail.example", 993, tls=True)
    assert swap.feed(b"placeholder-\x00\xff") == b"placeholder-\x00\xff"
    assert (swap.holds, swap.flush()) == (False, b"")


def test_nothing_is_shown_of_what_it_holds() -> None:
    swap = StreamSwap(WORD, VALUE)
    assert repr(swap) == "StreamSwap()"
    assert "ecret" not in repr(make_scrubber(VALUE))
