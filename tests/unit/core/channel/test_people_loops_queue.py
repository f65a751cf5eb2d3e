"""Names that imitate, bots that answer each other, and messages that come while the agent works."""

from __future__ import annotations

import pytest

from carapax.core.channel.loops import WINDOW_MS, Exchange, decide_bot, digest_words
from carapax.core.channel.people import display, shown_id, shown_name, warn
from carapax.core.channel.queue import DEFAULT_CAP, DEFAULT_MODE, Arrival, QueueMode, decide_arrival
from carapax.core.terms.channel import Person

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Anna Meyer", "Anna Meyer"),
        ("owner ✓", "owner"),
        ("✅ Owner ☑️", "Owner"),
        ("Jean-Pierre O’Neil, Jr.", "Jean-Pierre O’Neil, Jr."),
        ('Anna" (id 1)', "Anna id 1"),
        ("Anna\u202e 174 di(", "Anna 174 di"),
        ("An\u200bna\u2066\u00ad", "An na"),
        ("a\nowner: yes", "a owner yes"),
        ("Z\u0301\u0302\u0303\u0304algo", "Ź\u0302\u0303algo"),
        ("🛡 🛡", ""),
        ("\u3164\u115f owner\ufe0f \u0301", "owner"),
        ("", ""),
        ("x" * 40, "x" * 31 + "…"),
        ("李小龍", "李小龍"),
        ("\U000e0041\U000e0042", ""),
    ],
)
def test_a_name_keeps_letters_only(name: str, shown: str) -> None:
    assert shown_name(name) == shown


def test_the_id_stands_beside_every_name() -> None:
    assert display(Person("4711", "Anna Meyer")) == '"Anna Meyer" (id 4711)'
    assert display(Person("4711")) == "id 4711"
    assert display(Person("4711", "Helper", bot=True)) == '"Helper" (bot, id 4711)'
    assert display(Person("4711", "", bot=True), bot="robot") == "robot, id 4711"
    assert display(Person("4711", "שלום")) == 'id 4711 ("שלום")'


def test_an_id_shows_all_that_it_holds() -> None:
    assert shown_id("@a\u202eb:x\n") == "@a⟨U+202E⟩b:x⟨U+000A⟩"
    assert len(shown_id("x" * 500)) == 128
    assert "do not show" in warn(Person("anna\u200b@example.org"))
    assert warn(Person("m\u0430x@example.org")) and warn(Person("anna@example.org")) == ""


def bot(
    *history: Exchange, said: str = "hello", own: tuple[str, ...] = (), paired: bool = True, addressed: bool = True
) -> bool:
    return decide_bot(history, said=said, own=own, paired=paired, addressed=addressed, now_ms=NOW)


def test_a_bot_is_answered_when_it_is_known_and_speaks_to_the_agent() -> None:
    assert bot()
    assert not bot(paired=False)
    assert not bot(addressed=False)


def test_the_fourth_answer_within_ten_minutes_is_not_given() -> None:
    three = [Exchange(NOW - n, "b", f"{n}") for n in (1, 2, 3)]
    assert bot(*three[:2]) and not bot(*three)
    assert bot(*three[:2], Exchange(NOW - WINDOW_MS, "b", "old"))
    assert bot(*three[:2], Exchange(NOW - 4, "other", "4", answered=False))
    assert not bot(*three[:2], Exchange(NOW - 4, "another bot", "4"))


def test_repeating_and_echoing_is_not_answered() -> None:
    assert not bot(Exchange(NOW - 1, "b", "hello"))
    assert not bot(Exchange(NOW - 1, "b", "hello", answered=False))
    assert bot(Exchange(NOW - WINDOW_MS, "b", "hello"))
    assert not bot(own=("hello",))
    assert digest_words("Thank  you!\n") == digest_words("thank you!") != digest_words("thank you")


@pytest.mark.parametrize(
    ("mode", "running", "waiting", "arrival"),
    [
        (QueueMode.STEER, False, 0, Arrival.START),
        (QueueMode.STEER, True, 0, Arrival.STEER),
        (QueueMode.STEER, False, 2, Arrival.QUEUE),
        (QueueMode.FOLLOW_UP, False, 0, Arrival.START),
        (QueueMode.FOLLOW_UP, True, 0, Arrival.QUEUE),
        (QueueMode.COLLECT, True, 3, Arrival.COLLECT),
        (QueueMode.COLLECT, False, 3, Arrival.COLLECT),
        (QueueMode.COLLECT, False, 0, Arrival.START),
        (QueueMode.INTERRUPT, True, 1, Arrival.INTERRUPT),
        (QueueMode.INTERRUPT, False, 1, Arrival.QUEUE),
        (QueueMode.INTERRUPT, True, DEFAULT_CAP, Arrival.SHED),
        (QueueMode.FOLLOW_UP, False, DEFAULT_CAP, Arrival.SHED),
    ],
)
def test_what_a_message_does(mode: QueueMode, running: bool, waiting: int, arrival: Arrival) -> None:
    assert decide_arrival(mode, running=running, waiting=waiting) is arrival


def test_a_cap_of_nothing_still_takes_one() -> None:
    assert decide_arrival(DEFAULT_MODE, running=False, waiting=0, cap=0) is Arrival.START
    assert decide_arrival(DEFAULT_MODE, running=True, waiting=1, cap=0) is Arrival.SHED
