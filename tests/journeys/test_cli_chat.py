"""The chat in a real terminal (a pseudo-terminal), against the real HTTP surface over the fake gateway."""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.fakes.gateway import Hold
from tests.unit.surfaces.cli.stage import SCRIPTS, FakeLocal, call, staged

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "you  "
Talk = Callable[..., pexpect.spawn]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def talk(home: Path) -> Iterator[Talk]:
    running: list[pexpect.spawn] = []

    def spawn(script: str, *argv: str, width: int = 100, encoding: str = "utf-8", **env: str) -> pexpect.spawn:
        environment = {"PATH": os.environ["PATH"], "LANG": "en_US.UTF-8", "TERM": "xterm", "HOME": str(home), **env}
        child = pexpect.spawn(
            sys.executable, ["-m", "tests.unit.surfaces.cli.stage", str(home), script, *argv],
            cwd=str(ROOT), env=environment, encoding=encoding, timeout=10, dimensions=(40, width),
        )  # fmt: skip
        running.append(child)
        return child

    yield spawn
    for child in running:
        child.close(force=True)


def _end(child: pexpect.spawn) -> str:
    child.expect(pexpect.EOF)
    return str(child.before)


def _leave(child: pexpect.spawn) -> None:
    # Only at the prompt: a Ctrl-D typed while a turn runs is lost when the line editor takes the terminal.
    child.expect("(you|vous) +$")
    child.sendeof()


def test_a_first_conversation(talk: Talk, home: Path) -> None:
    child = talk("hello", "chat")
    child.expect("Carapax 0.1.0")
    child.expect("Ctrl-D leaves.")
    child.expect(PROMPT)
    child.sendline("create hello.py that prints hello and run it")
    child.expect_exact("\x1b[32m✓\x1b[0m write   hello.py (15 B)")
    child.expect("#12")
    child.expect_exact("✓\x1b[0m shell   python3 hello.py → hello")
    child.expect("#14   sandbox, 38 ms")
    child.expect("it   hello.py is written and prints hello.\r\n")
    _leave(child)
    assert "gateway ended" in (said := _end(child))
    assert "exit 0" in said
    history = home / "cli_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "create hello.py" in history.read_text()


def test_an_approval_is_answered_at_the_terminal(talk: Talk) -> None:
    child = talk("ask", "chat")
    child.expect(PROMPT)
    child.sendline("clean up")
    child.expect("waits   delete 12 files")
    child.expect("you named it in this message")
    child.expect(r"\[y\] yes   \[n\] no   \[d\] show all of it ▸ ")
    child.sendline("d")
    child.expect("digest d{64}")
    child.expect("▸ ")
    child.sendline("perhaps")
    child.expect("▸ ")
    child.sendline("y")
    child.expect("it   Deleted.")
    child.expect(PROMPT)
    child.sendline("/quit")
    assert "exit 0" in _end(child)


def test_a_no_is_told(talk: Talk) -> None:
    child = talk("ask", "chat")
    child.expect(PROMPT)
    child.sendline("clean up")
    child.expect("▸ ")
    child.sendline("n")
    child.expect("You said no; it was not done.")
    child.expect("it   I did not do it.")
    _leave(child)
    assert "exit 0" in _end(child)


def test_a_key_typed_before_the_card_is_no_answer(talk: Talk) -> None:
    child = talk("ask", "chat")
    child.expect(PROMPT)
    child.send("clean up\ny\ny\n")
    child.expect("show all of it ▸ ")
    child.sendline("n")
    child.expect("You said no")
    _leave(child)
    _end(child)


def test_an_approval_that_expires_is_told_while_the_question_is_open(talk: Talk) -> None:
    child = talk("expire", "chat")
    child.expect(PROMPT)
    child.sendline("clean up")
    child.expect("Nobody answered in time; it was not done.")
    _leave(child)
    assert "exit 0" in _end(child)


def test_leaving_at_the_card_keeps_the_gateway_and_says_how_to_answer(talk: Talk) -> None:
    child = talk("ask", "chat")
    child.expect(PROMPT)
    child.sendline("clean up")
    child.expect("▸ ")
    child.sendeof()
    child.expect("carapax approvals yes K7M2")
    child.expect("left running because an approval waits")
    said = _end(child)
    assert "gateway kept" in said
    assert "exit 4" in said


def test_ctrl_c_stops_the_turn_and_not_the_chat(talk: Talk) -> None:
    child = talk("hold", "chat")
    child.expect(PROMPT)
    child.sendline("work")
    child.expect("it   Working.")
    child.sendintr()
    child.expect("Stopping the turn.")
    child.expect(PROMPT)
    child.sendline("hello")
    child.expect("it   You said: hello")
    child.expect(PROMPT)
    child.sendintr()
    child.expect("Ctrl-C again or Ctrl-D leaves.")
    child.expect(PROMPT)
    child.sendintr()
    said = _end(child)
    assert "exit 130" in said
    assert "gateway ended" in said


def test_a_second_ctrl_c_leaves_a_turn_that_does_not_stop(home: Path, tmp_path: Path) -> None:
    """The gateway takes no cancel: the chat must not hang on it."""
    with staged(home) as stage:

        async def deaf(*_: object) -> None: ...

        stage.fake.cancel = deaf  # type: ignore[method-assign]
        gate = Hold()
        stage.fake.script("Working. ", gate)
        child = pexpect.spawn(
            sys.executable, ["-m", "tests.unit.surfaces.cli.stage", str(home), "echo", "ask", "work"],
            cwd=str(ROOT), env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm"}, encoding="utf-8", timeout=20,
        )  # fmt: skip
        child.expect("Working.")
        child.sendintr()
        child.expect("Stopping the turn.")
        child.sendintr()
        assert "exit 130" in _end(child)
        child.close(force=True)
        gate.open()


def test_the_terminal_goes_away(talk: Talk, home: Path) -> None:
    child = talk("echo", "chat")
    child.expect(PROMPT)
    child.kill(signal.SIGTERM)
    assert "gateway ended" in (said := _end(child))
    assert "exit 130" in said


def test_commands_of_the_chat(talk: Talk) -> None:
    child = talk("echo", "chat", "--keep", NO_COLOR="1")
    for line, expected in [
        ("/help", "/undo \\[N\\]"),
        ("/frob", "There is no /frob."),
        ("/name before", "After the first message"),
        ("first words", "You said: first words"),
        ("/name tax return", "now called tax return"),
        ("/sessions", "▸ 000001 .* tax return"),
        ("/new", "A new session begins"),
        ("second", "You said: second"),
        ("/sessions", "▸ 000002"),
        ("/session tax return", "Now in session 000001"),
        ("/changes", "You said: what did you just change"),
        ("/undo", "turn 2 taken back"),
        ("undo", "turn 2 taken back"),
        ("Annule.", "turn 2 taken back"),
        ("/undo 1", "turn 1 taken back"),
        ("/undo 9", "There is no turn 9"),
        ("/model", "1  embedded"),
        ("/status", "version"),
        ("/approvals", "Nothing waits for you."),
        ("one \\\ntwo", "You said: one \r\n     two"),
    ]:
        child.expect(PROMPT)
        child.sendline(line)
        child.expect(expected)
    child.sendline("/quit")
    said = _end(child)
    assert "gateway kept" in said


def test_no_secret_reaches_the_history(talk: Talk, home: Path) -> None:
    child = talk("echo", "chat")
    for line in ("plain words", "my key is sk-abcdefghijklmnopqrst", "password: hunter2", " starts with a space",
                 "token \\\nghp_abcdefghijklmnopqrstuvwx"):  # fmt: skip
        child.expect(PROMPT)
        child.sendline(line)
        child.expect("You said")
    _leave(child)
    _end(child)
    kept = (home / "cli_history").read_text()
    assert "plain words" in kept
    for word in ("sk-abc", "hunter2", "space", "ghp_"):
        assert word not in kept


def test_history_is_there_the_next_time(talk: Talk) -> None:
    child = talk("echo", "chat")
    child.expect(PROMPT)
    child.sendline("remember these words")
    child.expect("You said")
    _leave(child)
    _end(child)
    child = talk("echo", "chat")
    child.expect(PROMPT)
    child.send("\x1b[A")
    child.expect("remember these words")
    child.sendline("")
    child.expect("You said: remember these words")
    _leave(child)
    _end(child)


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_they_are_not_wanted(talk: Talk, env: dict[str, str]) -> None:
    child = talk("hello", "ask", "go", **env)
    child.expect("No gateway is running")
    _end(child)
    child = talk("hello", "chat", **env)
    child.expect("leaves.")
    child.expect(PROMPT)
    child.sendline("go")
    child.expect("prints hello.")
    assert "\x1b[3" not in child.before
    _leave(child)
    _end(child)


def test_attacks_reach_the_terminal_as_text(talk: Talk) -> None:
    child = talk("attack", "chat", NO_COLOR="1")
    child.expect(PROMPT)
    child.sendline("go")
    child.expect("ok\r\n")
    said = child.before
    assert "\x1b]0" not in said
    assert "\x9b" not in said
    assert "\u202e" not in said
    assert "\\x1b]0;owned\\x07" in said
    assert "<U+202E>" in said
    _leave(child)
    _end(child)


def test_french(talk: Talk) -> None:
    child = talk("ask", "chat", LANG="fr_FR.UTF-8")
    child.expect("Ctrl-D quitte.")
    child.expect("vous ")
    child.sendline("nettoie")
    child.expect("attend +delete 12 files")
    child.expect(r"\[o\] oui")
    child.sendline("o")
    child.expect("lui  Deleted.")
    child.expect("vous ")
    child.sendline("annule")
    child.expect("tour 1 repris")
    _leave(child)
    _end(child)


def test_a_latin_1_terminal(talk: Talk) -> None:
    child = talk("hello", "chat", encoding="latin-1", LANG="fr_FR.ISO-8859-1", NO_COLOR="1")
    child.expect("vous ")
    child.sendline("go")
    child.expect(re.escape("+ write   hello.py (15 B)"))
    child.expect("règle|bac à sable, 38 ms")
    _leave(child)
    _end(child)


def test_a_narrow_terminal(talk: Talk) -> None:
    child = talk("hello", "chat", width=40, NO_COLOR="1")
    child.expect(PROMPT)
    child.sendline("go")
    child.expect("prints[ \r\n]*hello.\r\n")
    for line in re.sub(r"\x1b\[\?2004[hl]\r?", "", child.before).split("\r\n")[1:]:
        assert len(line) <= 40, line
    _leave(child)
    _end(child)


def test_a_gateway_that_does_not_start(home: Path) -> None:
    local = FakeLocal(home)
    local.fails_to_start = "address 127.0.0.1:18790 is taken"
    ran = call(local, "chat")
    assert ran.code == 1
    assert "The gateway did not start: address 127.0.0.1:18790 is taken" in ran.err


def test_a_gateway_that_runs_already_is_used_and_left(home: Path) -> None:
    local = FakeLocal(home)
    with staged(home) as stage:
        ran = call(local, "chat", stdin=b"hello\nundo\n")
        assert not stage.fake.stopped.is_set()
        assert stage.fake.undone == [("S" + "1".rjust(25, "0"), None)]
    assert ran.code == 0
    assert local.calls == []
    assert "it   You said: hello\n" in ran.out


def test_a_chat_without_a_terminal_asks_nobody(home: Path) -> None:
    with staged(home) as stage:
        SCRIPTS["ask"](stage.fake)
        ran = call(FakeLocal(home), "chat", stdin=b"clean up\ny\n")
        assert stage.fake.answers == []
    assert ran.code == 4
    assert "carapax approvals yes K7M2" in ran.err


def test_the_one_question_of_the_first_start(talk: Talk) -> None:
    child = talk("echo", "model", "--choose", "--provider")
    child.expect("Which model should Carapax use")
    child.expect("2  openai")
    child.expect("number ▸ ")
    child.sendline("7")
    child.expect("number ▸ ")
    child.sendline("3")
    child.expect("address .* ▸ ")
    child.sendline("http://127.0.0.1:9/v1")
    child.expect("compatible\r\n")
    assert "exit 0" in _end(child)


def test_a_key_is_asked_without_showing_it(talk: Talk) -> None:
    child = talk("echo", "model", "openai")
    child.expect("access key")
    child.sendline("sk-secret-words")
    said = _end(child)
    assert "sk-secret" not in said
    assert "Saved." in said
