"""What a model, a tool or a file says cannot drive the terminal. Here the attack is the input."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import carapax.surfaces.cli as cli
from carapax.surfaces.cli.neutral import neutralise, one_line
from carapax.surfaces.cli.terminal import Pen, Speech
from tests.unit.surfaces.cli.stage import SCRIPTS, FakeLocal, call, staged

ATTACKS = [
    "\x1b]0;owned\x07",  # window title
    "\x1b]52;c;cm0gLXJmIC8=\x07",  # clipboard
    "\x1b[2J\x1b[1;1H",  # clear and move
    "\x9b2J\x9d0;owned\x9c",  # the same with 8-bit controls
    "\x1bP$q\x1b\\",  # device control
    "\x1b]8;;http://evil.example\x1b\\bank.example\x1b]8;;\x1b\\",  # a link that lies
    "yes\rno ",  # overwriting
    "a\x08\x08b\x7f",
    "\u202egnp.exe",  # bidirectional override
    "a\u2066b\u2069",
    "\u200bhid\u2060den\ufeff",
    "\U000e0041\U000e0042",  # tags
    "\u2028next",
    "\udc9b2J",  # an undecodable byte
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_survives(attack: str) -> None:
    for shown in (neutralise(attack), one_line(attack), neutralise(attack, strict=True)):
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown.replace("\n", ""))


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_nothing_left_controls_the_terminal(text: str) -> None:
    for char in neutralise(text):
        assert char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
    assert "\n" not in one_line(text)


@given(st.lists(st.text(max_size=8), max_size=12))
def test_pieces_are_as_harmless_as_the_whole(pieces: list[str]) -> None:
    assert "\x1b" not in "".join(neutralise(piece) for piece in pieces)


def test_ordinary_text_stays() -> None:
    text = "Élan 漢字 👩‍💻 fi\tx\nsecond — “quoted”"
    assert neutralise(text) == text


def test_what_a_person_approves_shows_joiners_too() -> None:
    assert neutralise("a\u200db", strict=True) == "a<U+200D>b"


def test_a_whole_turn_of_attacks(home: Path) -> None:
    with staged(home) as stage:
        SCRIPTS["attack"](stage.fake)
        ran = call(FakeLocal(home), "ask", "go")
    for text in (ran.out, ran.err):
        assert not any(c in text for c in "\x1b\x07\x9b\u202e\u2066\U000e0041")
    assert "\\x1b]0;own" in ran.out
    # A line feed in a summary must not make a second step.
    assert sum(line.startswith("  ✓") for line in ran.err.splitlines()) == 1


def test_attacks_in_lists_and_records(home: Path) -> None:
    with staged(home) as stage:
        call(FakeLocal(home), "ask", "\x1b]0;title\x07 hello")
        shown = call(FakeLocal(home), "sessions")
        assert "hello" in shown.out
        assert "\x1b" not in shown.out
        session = next(iter(stage.fake.sessions))
        assert "\x1b" not in call(FakeLocal(home), "sessions", "show", session).out
        assert "\x1b" not in call(FakeLocal(home), "sessions", "export", session).out
    assert "\x1b" not in call(FakeLocal(home), "ledger", "show").out


def test_only_the_pen_writes() -> None:
    allowed = {"terminal.py", "run.py", "machine.py"}  # the version; bytes into a pipe
    files = sorted(Path(cli.__file__).parent.glob("*.py"))
    assert len(files) >= 15
    for file in files:
        source = file.read_text("utf-8")
        if file.name not in allowed:
            assert "print(" not in source.replace("_print(", ""), file.name
            assert ".write(" not in source.replace("os.write(", ""), file.name


class _Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.lists(st.text(alphabet="ab ✓\n漢", max_size=30), max_size=6), st.integers(20, 60))
@settings(deadline=None)
def test_speech_never_reaches_where_steps_are(pieces: list[str], width: int) -> None:
    """A reply padded so that the terminal's own wrapping would put a mark in the steps' column."""
    stream = _Tty()
    speech = Speech(Pen(stream, {"COLUMNS": str(width), "TERM": "xterm"}), "it")
    for piece in pieces:
        speech.say(piece)
    speech.end()
    lines = stream.getvalue().split("\n")
    for number, line in enumerate(lines):
        assert sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) <= width
        assert line == "" or line.startswith("it   " if number == 0 else "     ")
