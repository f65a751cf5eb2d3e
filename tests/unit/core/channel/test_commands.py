"""Commands in a chat, in both languages, and what is said of one that was not understood."""

from __future__ import annotations

import pytest

from carapax.core.channel.commands import Command, CommandName, Flaw, Misread, read_command
from carapax.core.channel.queue import QueueMode
from carapax.core.channel.shown import render_misread

PLAIN = [name for name in CommandName if name not in (CommandName.LINK, CommandName.PAIR)]


@pytest.mark.parametrize("name", PLAIN)
def test_every_command_is_read_by_its_name(name: CommandName) -> None:
    for text in (f"/{name.value}", f" /{name.value.upper()} ", f"/{name.value}@carapax_bot", f"/{name.value}\u00a0"):
        assert read_command(text) == Command(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [("/aide", "help"), ("/arrêt", "stop"), ("/arrete", "stop"), ("/file", "queue"), ("/nouvelle", "new"), ("/annuler", "undo"),
     ("/accords", "approvals"), ("/moi", "whoami"), ("/état", "status"), ("/lier", "link"), ("/start", "help")],
)  # fmt: skip
def test_french_words_and_a_messengers_own_mean_the_same(text: str, name: str) -> None:
    assert read_command(text) == Command(CommandName(name))


@pytest.mark.parametrize(
    "text",
    ["", "hello", "stop", "/", "//", "/ help", "/etc/hosts is wrong", "/tmp/x", "/1", "see /help", "/help/me", "/-", "/h€lp"],
)  # fmt: skip
def test_a_sentence_is_no_command(text: str) -> None:
    assert read_command(text) is None


def test_codes_are_read_and_never_guessed() -> None:
    assert read_command("/link") == Command(CommandName.LINK)
    assert read_command("/link 7kq2 m9xd") == Command(CommandName.LINK, "7KQ2M9XD")
    assert read_command("/start 7KQ2-M9XD") == Command(CommandName.LINK, "7KQ2M9XD")
    assert read_command("/link 7KQ2-M9X0") == Misread(Flaw.NOT_A_CODE, "link")
    assert read_command("/pair") == Misread(Flaw.NO_CODE, "pair")
    assert read_command("/pair as anna") == Misread(Flaw.NOT_A_CODE, "pair")
    assert read_command("/pair 7KQ2-M9X") == Misread(Flaw.NOT_A_CODE, "pair")


@pytest.mark.parametrize(
    ("text", "person"),
    [("/pair 7KQ2-M9XD", ""), ("/pair 7kq2 m9xd as anna", "anna"), ("/pair 7KQ2-M9XD comme Anna Meyer", "Anna Meyer"),
     ("/associer 7KQ2-M9XD AS owner", "owner")],
)  # fmt: skip
def test_a_pairing_may_say_who_it_is(text: str, person: str) -> None:
    assert read_command(text) == Command(CommandName.PAIR, "7KQ2M9XD", person)


@pytest.mark.parametrize("mode", QueueMode)
def test_modes_are_read_in_both_languages(mode: QueueMode) -> None:
    french = {"steer": "guider", "follow-up": "suite", "collect": "grouper", "interrupt": "interrompre"}
    for word in (mode.value, mode.value.upper(), french[mode.value], mode.value.replace("-", "_")):
        assert read_command(f"/queue {word}") == Command(CommandName.QUEUE, mode.value)


def test_a_near_miss_is_asked_back() -> None:
    assert read_command("/hepl") == Misread(Flaw.UNKNOWN, "hepl", ("help",))
    assert read_command("/aproval") == Misread(Flaw.UNKNOWN, "aproval", ("approvals",))
    assert read_command("/queue stear") == Misread(Flaw.NO_MODE, "stear", ("steer",))
    assert read_command("/xyzzy") == Misread(Flaw.UNKNOWN, "xyzzy")
    assert read_command("/stop everything") == Misread(Flaw.TOO_MUCH, "stop")


def test_it_is_said_in_words() -> None:
    assert render_misread(Misread(Flaw.UNKNOWN, "hepl", ("help",)), "en") == "There is no /hepl. Did you mean /help?"
    assert "n’existe pas" in render_misread(Misread(Flaw.UNKNOWN, "xyzzy"), "fr")
    assert "steer, follow-up, collect, interrupt" in render_misread(Misread(Flaw.NO_MODE, "x"), "en")
    for flaw in Flaw:
        for language in ("en", "fr"):
            said = render_misread(Misread(flaw, "pair\u202e"), language)
            assert "\u202e" not in said and "{" not in said


def test_a_command_of_any_length_is_answered_in_bounds() -> None:
    assert read_command("/" + "x" * 5_000) is None
    found = read_command("/" + "x" * 32)
    assert isinstance(found, Misread) and len(found.word) <= 32
    assert read_command("/queue " + "y" * 5_000) == Misread(Flaw.NO_MODE, "y" * 32)
