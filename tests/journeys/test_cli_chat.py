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
    child.expect(r"\[y\] yes   \[n\] no   \[d\] show the exact message ▸ ")
    child.sendline("d")
    child.expect("d{64}")
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
    child.expect("The answer was no; it was not done.")
    child.expect("it   I did not do it.")
    _leave(child)
    assert "exit 0" in _end(child)


def test_a_key_typed_before_the_card_is_no_answer(talk: Talk) -> None:
    child = talk("ask", "chat")
    child.expect(PROMPT)
    child.send("clean up\ny\ny\n")
    child.expect("show the exact message ▸ ")
    child.sendline("n")
    child.expect("The answer was no")
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
    child.expect("carapax approve K7M2")
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
    assert "carapax approve K7M2" in ran.err


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


# an approval where a yes is not enough
def _at_card(talk: Talk, script: str, prompt: str) -> pexpect.spawn:
    child = talk(script, "chat")
    child.expect(PROMPT)
    child.sendline("go")
    child.expect(prompt)
    return child


def test_a_value_that_was_never_named_is_typed(talk: Talk) -> None:
    child = _at_card(talk, "bill", "payee ▸ ")
    assert "not named by you: type it to continue" in child.before
    assert "[y] yes" not in child.before
    for key, said in (("", ""), ("y", "A yes is not enough here"), ("d", "exactly   pay_invoice")):
        child.sendline(key)
        child.expect(said)
        child.expect("payee ▸ ")
    child.sendline("de89370400440532013000")
    child.expect("one-time code ▸ ")
    child.sendline("123456")
    child.expect("Done as agreed.")
    _leave(child)
    assert "exit 0" in _end(child)


def test_three_wrong_answers_end_the_card(talk: Talk) -> None:
    child = _at_card(talk, "bill", "payee ▸ ")
    for left in ("2 tries left", "1 try left", "Too many wrong answers: K7M2 was refused."):
        child.sendline("DE00")
        child.expect("one-time code ▸ ")
        child.sendline("123456")
        child.expect(left)
    child.expect("I did not do it.")
    _leave(child)
    _end(child)


def test_a_no_is_possible_at_every_question(talk: Talk) -> None:
    child = _at_card(talk, "bill", "payee ▸ ")
    child.sendline("DE89 3704 0044 0532 0130 00")
    child.expect("one-time code ▸ ")
    child.sendline("n")
    child.expect("The answer was no; it was not done.")
    _leave(child)
    _end(child)


def test_without_a_second_factor_the_card_says_how_to_set_one_up(talk: Talk) -> None:
    child = _at_card(talk, "unset", "payee ▸ ")
    assert "None yet: carapax factor set" in child.before
    child.sendline("DE89 3704 0044 0532 0130 00")
    child.expect("nobody can say yes to this")
    child.expect("one-time code ▸ ")
    child.sendline("123456")
    child.expect("Set one up with `carapax factor set`")
    child.expect("payee ▸ ")
    child.sendline("n")
    child.expect("The answer was no")
    _leave(child)
    _end(child)


def test_lines_are_picked_and_a_bare_enter_is_no(talk: Talk) -> None:
    child = _at_card(talk, "listed", "Enter takes none ▸ ")
    assert "2  Delete the old minutes" in child.before
    child.sendline("1,9")
    child.expect("Lines 1 to 3, each once.")
    child.expect("▸ ")
    child.sendline("1,3")
    child.expect("Done as agreed.")
    _leave(child)
    _end(child)
    child = _at_card(talk, "listed", "Enter takes none ▸ ")
    child.sendline("")
    child.expect("The answer was no; it was not done.")
    _leave(child)
    _end(child)


def test_the_first_of_two_people_is_told_that_it_waits(talk: Talk) -> None:
    child = _at_card(talk, "two", "Enter takes none ▸ ")
    child.sendline("1")
    child.expect("1 of 2 people agreed: waits for another person.")
    child.sendintr()
    child.expect("Stopping the turn")
    _leave(child)
    _end(child)


def test_a_card_in_french(talk: Talk) -> None:
    child = talk("bill", "chat", LANG="fr_FR.UTF-8")
    child.expect("vous ")
    child.sendline("va")
    child.expect("vous ne l'avez pas nommé : tapez-le pour continuer")
    child.expect("payee ▸ ")
    child.sendline("x")
    child.expect("code à usage unique ▸ ")
    child.sendline("1")
    child.expect("Ce qui a été tapé n'est pas la valeur de cet appel.")
    child.expect("Essais restants : 2.")
    child.expect("payee ▸ ")
    child.sendline("non")
    child.expect("La réponse fut non")
    _leave(child)
    _end(child)


def test_a_card_is_answered_from_another_terminal_and_what_is_missing_is_asked_there(home: Path, talk: Talk) -> None:
    with staged(home) as stage:
        SCRIPTS["bill"](stage.fake)
        assert call(FakeLocal(home), "ask", "go").code == 4
        child = talk("echo", "approve", "k7m2", "--code", "123456")
        child.expect("not named by you: type it to continue")
        child.expect("payee ▸ ")
        child.sendline("DE89 3704 0044 0532 0130 00")
        child.expect("Done as agreed.")
        assert "exit 0" in _end(child)
        assert stage.fake.answers == [("K7M2", True)]


def test_leaving_that_question_leaves_the_card_open(home: Path, talk: Talk) -> None:
    with staged(home) as stage:
        SCRIPTS["bill"](stage.fake)
        call(FakeLocal(home), "ask", "go")
        child = talk("echo", "approve", "K7M2")
        child.expect("payee ▸ ")
        child.sendeof()
        child.expect("carapax approve K7M2 --type PAYEE --code 123456")
        assert "exit 4" in _end(child)
        assert stage.fake.answers == []
