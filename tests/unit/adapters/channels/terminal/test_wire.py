"""Lines of a terminal: what each is, and that nothing but Malformed is raised."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.terminal import wire
from carapax.adapters.channels.terminal.wire import Line
from carapax.core.terms.channel import Button
from carapax.core.terms.error import Malformed

VECTORS = Path(wire.__file__).parent / "vectors"


def test_every_vector_is_read_or_refused() -> None:
    paths = sorted(VECTORS.glob("*"))
    assert len(paths) >= 5
    for path in paths:
        if path.name.startswith("refused"):
            with pytest.raises(Malformed):
                wire.parse_line(path.read_bytes())
        else:
            assert wire.parse_line(path.read_bytes()) is not None


def test_a_typed_line_and_a_said_one() -> None:
    typed = wire.parse_line(b"What is on my list?\r\n")
    assert typed == wire.Said("", "What is on my list?") and wire.is_plain(typed)
    said = wire.parse_line((VECTORS / "said.json").read_bytes())
    assert said == wire.Said("1", "What is on my list?\nAnd tomorrow?") and not wire.is_plain(said)
    press = wire.parse_line((VECTORS / "press.json").read_bytes())
    assert press is not None and (press.press, press.message) == ("yes:1", "0123456789abcdef0123456789abcdef")
    assert wire.parse_line(b"  \r\n") is None and wire.parse_line(b'{"hello": true}\n') is wire.HELLO


@pytest.mark.parametrize(
    "raw",
    [b"{", b"{}", b'{"id": 5, "text": "x"}', b'{"id": "a b", "text": "x"}', b'{"id": "a", "text": 5}', b'{"id": "a", "text": " "}',
     b'{"id": "a", "press": "' + b"x" * 65 + b'"}', b"{" + b"x" * wire.LINE_BYTES, b'{"hello": 1}'],
)  # fmt: skip
def test_what_is_no_line_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        wire.parse_line(raw)


_KEYS = st.sampled_from(["id", "text", "press", "message", "hello"])
_OBJECTS = st.dictionaries(_KEYS, st.none() | st.booleans() | st.text(max_size=70) | st.integers())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | _OBJECTS.map(lambda value: json.dumps(value).encode()))
def test_anything_is_a_line_or_malformed(raw: bytes) -> None:
    with suppress(Malformed):
        wire.parse_line(raw)
    lines, shown, last = wire.parse_lines(raw)
    assert isinstance(lines, list) and isinstance(shown, int) and isinstance(last, int)


_LINES = st.builds(
    Line,
    st.integers(0, 99),
    st.text(max_size=9),
    st.text(max_size=40),
    st.tuples(st.builds(Button, st.text(max_size=5), st.text(max_size=5))),
)


@settings(max_examples=200, deadline=None)
@given(_LINES)
def test_a_line_of_json_is_one_line(line: Line) -> None:
    raw = wire.render_line(line, bare=False)
    assert raw.count(b"\n") == 1 and raw.endswith(b"\n")
    assert json.loads(raw)["text"] == line.text


@settings(max_examples=200, deadline=None)
@given(_LINES)
def test_a_bare_line_moves_no_cursor(line: Line) -> None:
    raw = wire.render_line(line, bare=True).decode()
    assert all(letter in "\n\t\u200d" or letter.isprintable() for letter in raw)


def test_escape_sequences_are_gone() -> None:
    nasty = "\x1b]0;owned\x07\x1b[2J\x9b31mred\rover\x08\x00\u202e"
    raw = wire.render_line(Line(1, "i", nasty, (Button("\x1b[1mYes", "y"),)), bare=True)
    assert raw.decode() == "]0;owned[2J31mredover\n  [[1mYes] y\n"


@settings(max_examples=100, deadline=None)
@given(st.lists(_LINES, max_size=4))
def test_what_is_kept_is_read_again(lines: list[Line]) -> None:
    assert wire.parse_lines(wire.render_lines(lines, 3, 7)) == (lines, 3, 7)


def test_small_words() -> None:
    assert json.loads(wire.render_taken("1", "m")) == {"type": "taken", "id": "1", "message": "m"}
    assert json.loads(wire.render_refused("1", "no", bare=False))["type"] == "refused"
    assert wire.render_refused("", "no", bare=True) == b"! no\n" and json.loads(wire.render_typing()) == {
        "type": "typing"
    }
    assert wire.event_of("0", "a") != wire.event_of("1", "a")
