"""The prompt: bounded, honest about what is left out, and never an orphan call or result."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carapax.agent.prompt import INSTRUCTIONS, RESULT_CHARS, UNKNOWN_OUTCOME, Window, build_prompt, parts_until
from carapax.core.terms.conversation import Part, PartKind
from carapax.core.terms.ids import CallId, SessionId, TurnId
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label
from carapax.ports.provider import Prompt, Speaker

LABEL = Label(Integrity.USER, OWNER_ONLY)


def part(seq: int, turn: int, kind: PartKind, text: str, call: str = "") -> Part:
    tool = "read_file" if call else ""
    return Part(SessionId("s"), TurnId(f"t{turn}"), seq, kind, text, LABEL, 0, tool, CallId(call) if call else None)


def talk(turns: int, *, size: int = 10, first_seq: int = 1) -> list[Part]:
    return [
        part(first_seq + 2 * n + k, n, kind, f"{kind.value} {n} " + "x" * size)
        for n in range(turns)
        for k, kind in enumerate((PartKind.USER, PartKind.REPLY))
    ]


def size_of(prompt: Prompt) -> int:
    return sum(len(m.text) + sum(len(w.arguments_json) for w in m.wishes) for m in prompt.messages)


def test_a_short_history_stands_whole() -> None:
    prompt = build_prompt(talk(3), (), Window())
    assert [m.speaker for m in prompt.messages] == [Speaker.USER, Speaker.ASSISTANT] * 3
    assert prompt.instructions == INSTRUCTIONS


def test_what_is_left_out_is_said_with_its_newest_requests() -> None:
    prompt = build_prompt(talk(50, size=400), (), Window(chars=2_000))
    note = prompt.messages[0].text
    assert note.startswith("[Carapax: ")
    shown = len(prompt.messages) - 2
    assert f"{100 - shown} earlier parts" in note
    assert "- user " in note


def test_parts_that_were_not_even_read_are_counted() -> None:
    prompt = build_prompt(talk(2, first_seq=4_001), (), Window())
    assert "4000 earlier parts" in prompt.messages[0].text


@given(st.integers(1, 80), st.integers(0, 3_000), st.integers(0, 5_000))
def test_the_prompt_does_not_grow_with_the_history(turns: int, size: int, before: int) -> None:
    window = Window(chars=8_000)
    prompt = build_prompt(talk(turns, size=size, first_seq=before + 1), (), window)
    assert size_of(prompt) <= window.chars + 2 * size + 2_000
    assert f"{PartKind.USER.value} {turns - 1} " in prompt.messages[-2].text


def test_a_call_without_an_outcome_gets_one_that_says_so() -> None:
    parts = [part(1, 1, PartKind.USER, "go"), part(2, 1, PartKind.CALL, "{}", "c1")]
    messages = build_prompt(parts, (), Window()).messages
    assert [m.speaker for m in messages] == [Speaker.USER, Speaker.ASSISTANT, Speaker.TOOL]
    assert messages[2].text == UNKNOWN_OUTCOME
    assert messages[2].answers == messages[1].wishes[0].id


def test_a_result_without_its_call_is_not_shown() -> None:
    parts = [part(7, 1, PartKind.RESULT, "orphan", "c0"), part(8, 1, PartKind.USER, "go")]
    assert [m.text for m in build_prompt(parts, (), Window()).messages][-1] == "go"


def test_old_results_are_cut_and_say_so_the_newest_turns_are_whole() -> None:
    long = "y" * (RESULT_CHARS + 100)
    parts = [
        *(
            part(1, 1, PartKind.USER, "a"),
            part(2, 1, PartKind.CALL, "{}", "c1"),
            part(3, 1, PartKind.RESULT, long, "c1"),
        ),
        *(
            part(4, 2, PartKind.USER, "b"),
            part(5, 2, PartKind.CALL, "{}", "c2"),
            part(6, 2, PartKind.RESULT, long, "c2"),
        ),
    ]
    old, new = (m.text for m in build_prompt(parts, (), Window()).messages if m.speaker is Speaker.TOOL)
    assert old.endswith("[… 100 more characters, not shown here]")
    assert new == long


def test_a_notice_is_carapaxs_own_voice() -> None:
    parts = [part(1, 1, PartKind.USER, "go"), part(2, 1, PartKind.NOTICE, "The day's budget is used up.")]
    assert build_prompt(parts, (), Window()).messages[-1].text == "[Carapax: The day's budget is used up.]"


def test_messages_that_wait_behind_a_turn_are_not_shown_to_it() -> None:
    parts = [
        part(1, 1, PartKind.USER, "first"),
        part(2, 2, PartKind.USER, "second"),
        part(3, 1, PartKind.REPLY, "answer to first"),
        part(4, 3, PartKind.USER, "third"),
    ]
    assert [p.text for p in parts_until(parts, TurnId("t1"))] == ["first", "answer to first"]
    shown = build_prompt(parts_until(parts, TurnId("t2")), (), Window()).messages
    assert [m.text for m in shown] == ["first", "answer to first", "second"]


def test_a_message_that_an_earlier_turn_took_up_stands_before_its_answer() -> None:
    parts = [
        part(1, 1, PartKind.USER, "first"),
        part(2, 2, PartKind.USER, "and this"),
        part(3, 1, PartKind.REPLY, "answer to both"),
        part(4, 3, PartKind.USER, "third"),
    ]
    shown = build_prompt(parts, (), Window()).messages
    assert [m.text for m in shown] == ["first", "and this", "answer to both", "third"]
    assert [m.text for m in build_prompt(parts[:3], (), Window()).messages] == ["first", "answer to both", "and this"]
