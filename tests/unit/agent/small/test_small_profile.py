"""The fixed part, the examples, the languages and the shown history."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.agent.small.examples import Example, load_examples, parse_example
from carapax.agent.small.history import (
    NOW_TOKENS,
    PAST_TOKENS,
    RESULT_TOKENS,
    cut,
    estimate_tokens,
    show_history,
    split_turns,
    wishes_of_turn,
)
from carapax.agent.small.language import Language, find_language
from carapax.agent.small.profile import fixed_part, offered_tools
from carapax.agent.small.steps import Call, Reply, parse_step
from carapax.core.terms.action import ArgRole, ArgSpec, ArgType, Effect, ToolManifest
from carapax.core.terms.ids import ToolName
from carapax.core.terms.label import Integrity
from carapax.ports.provider import Message, Speaker, Wish


def manifest(name: str, *args: tuple[str, bool]) -> ToolManifest:
    specs = tuple(ArgSpec(arg, ArgRole.CONTENT, ArgType.TEXT, "", required=required) for arg, required in args)
    return ToolManifest(ToolName(name), f"Does {name}. And more.", Effect.READ, specs, Integrity.EXTERNAL, True, False)


READ = manifest("read_file", ("path", True), ("offset", False))
LIST = manifest("list_files", ("path", False))


def said(text: str) -> Message:
    return Message(Speaker.USER, text)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("what is in notes.txt", "en"),
        ("create hello.py that prints hello and run it", "en"),
        ("how much disk is free", "en"),
        ("find the word X in my files", "en"),
        ("what did you just change?", "en"),
        ("tell me a joke", "en"),
        ("qu'est-ce qu'il y a dans notes.txt", "fr"),
        ("crée bonjour.py qui affiche bonjour et lance-le", "fr"),
        ("combien d'espace disque reste-t-il ?", "fr"),
        ("cherche le mot X dans mes fichiers", "fr"),
        ("qu'est-ce que tu viens de changer ?", "fr"),
        ("raconte-moi une blague", "fr"),
        ("renomme a.txt en b.txt", "fr"),
        ("supprime vieux.txt", "fr"),
        ("delete ghost.txt", "en"),
        ("", "en"),
        ("12345", "en"),
    ],
)
def test_the_language_of_a_request(text: str, language: str) -> None:
    assert find_language([text]).value == language


def test_words_that_show_no_language_follow_the_ones_before() -> None:
    assert find_language(["ok", "lis le fichier"]) is Language.FRENCH
    assert find_language(["README.md", "show the file"]) is Language.ENGLISH


@pytest.mark.parametrize("language", list(Language))
def test_every_example_is_well_formed(language: Language) -> None:
    bank = load_examples(language)
    assert len(bank) >= 18
    names = frozenset(name for example in bank for name in example.tools)
    for example in bank:
        assert example.messages[0].speaker is Speaker.USER
        last = parse_step(example.messages[-1].text, names)
        assert isinstance(last, Reply)
        assert find_language([last.text]) is language or len(last.text.split()) < 6, last.text
        for message in example.messages[1:-1]:
            if message.speaker is Speaker.ASSISTANT:
                assert isinstance(parse_step(message.text, names), Call)


def test_both_banks_teach_the_same_tools() -> None:
    english, french = (sorted(sorted(e.tools) for e in load_examples(language)) for language in Language)
    assert english == french


def test_an_unknown_line_of_an_example_is_refused() -> None:
    with pytest.raises(ValueError, match="not a line"):
        parse_example(["says: what"])
    assert parse_example(["user: hi", "reply: hello"]).tools == frozenset()


def test_only_examples_whose_tools_are_offered_are_shown() -> None:
    fixed = fixed_part(Language.ENGLISH, offered_tools([READ]))
    shown = "\n".join(message.text for message in fixed.messages)
    assert "Result of read_file" in shown
    assert "run_command" not in shown
    assert "- read_file(path): Does read_file" in fixed.instructions
    assert "offset" not in fixed.instructions


def test_the_system_prompt_is_short() -> None:
    tools = [manifest(f"tool_{n}", ("path", True), ("content", True)) for n in range(12)]
    for language in Language:
        assert len(fixed_part(language, tools).instructions) < 600 * 3


def test_asking_is_left_out_because_a_reply_asks_as_well() -> None:
    assert offered_tools([manifest("ask_user", ("question", True)), LIST]) == (LIST,)


def test_finding_a_value_is_left_out_because_reading_the_file_does_it_in_one_choice_less() -> None:
    assert offered_tools([manifest("read_value", ("path", True), ("question", True)), LIST]) == (LIST,)


def test_examples_and_measured_requests_share_no_file_names() -> None:
    bench = Path(__file__).parents[4] / "bench" / "small_model" / "requests.py"
    names = re.compile(r"\b[a-zé]+\.(?:py|txt|md|sh|ini|toml|csv|doc|pdf|mp3|tmp|log)\b")
    measured = set(names.findall(bench.read_text("utf-8")))
    taught = {n for lang in Language for e in load_examples(lang) for m in e.messages for n in names.findall(m.text)}
    assert len(measured) > 20
    assert len(taught) > 10
    assert not measured & taught


# history


def call(number: int, tool: str = "read_file", arguments: str = '{"path": "a"}') -> Message:
    return Message(Speaker.ASSISTANT, "", (Wish(str(number), tool, arguments),))


def result(number: int, text: str) -> Message:
    return Message(Speaker.TOOL, text, answers=str(number), tool="read_file")


def test_calls_and_results_are_shown_as_steps() -> None:
    shown = show_history(
        [said("read a"), call(1), result(1, "A"), Message(Speaker.ASSISTANT, "It says A.")], {"1": "write b"}
    )
    assert [message.text for message in shown] == [
        "read a",
        '{"tool": "read_file", "path": "a", "then": "write b"}',
        "Result of read_file:\nA\nNow: write b",
        '{"reply": "It says A."}',
    ]


@given(st.text(alphabet="aé7 \n.漢", min_size=0, max_size=400), st.integers(4, 60))
def test_a_cut_text_is_within_its_length(text: str, tokens: int) -> None:
    shown = cut(text, tokens)
    assert shown == text or (estimate_tokens(shown) <= tokens + 35 and "characters left out" in shown)


@pytest.mark.parametrize("letter", ["x", "7", "漢", "\n"])
def test_long_results_are_cut_and_say_so(letter: str) -> None:
    shown = show_history([said("read"), call(1), result(1, letter * 50_000)], {})
    assert estimate_tokens(shown[-1].text) < RESULT_TOKENS + 50
    assert "characters left out" in shown[-1].text


def test_old_turns_are_dropped_in_blocks_and_the_newest_stays() -> None:
    turns = [m for n in range(40) for m in (said(f"question {n} " + "x" * 700), Message(Speaker.ASSISTANT, "yes"))]
    shown = show_history([*turns, said("now")], {})
    assert shown[-1].text == "now"
    assert sum(estimate_tokens(m.text) for m in shown) <= PAST_TOKENS + 10
    starts = [show_history([*turns[: 2 * n], said("now")], {})[0].text for n in range(30, 34)]
    assert len(set(starts)) <= 2  # stable for some turns, so that the saved state is reused


def test_a_turn_with_many_results_keeps_its_request_and_the_newest() -> None:
    steps = [m for n in range(30) for m in (call(n), result(n, f"{n}" + "x" * 900))]
    shown = show_history([said("do it"), *steps], {})
    assert shown[0].text == "do it"
    assert shown[-1].text.startswith("Result of read_file:\n29")
    assert sum(estimate_tokens(m.text) for m in shown) <= NOW_TOKENS


def test_arguments_that_are_no_object_are_shown_empty() -> None:
    shown = show_history([said("x"), call(1, arguments="[1]"), call(2, arguments="{")], {})
    assert [m.text for m in shown[1:]] == ['{"tool": "read_file"}'] * 2


def test_turns_and_their_wishes() -> None:
    messages = [said("a"), call(1), result(1, "A"), said("b"), call(2)]
    assert [len(turn) for turn in split_turns(messages)] == [3, 2]
    assert [wish.id for wish in wishes_of_turn(messages)] == ["2"]
    assert wishes_of_turn([]) == []


def test_an_example_is_a_value() -> None:
    assert parse_example(["user: a", "reply: b"]) == Example(
        frozenset(), parse_example(["user: a", "reply: b"]).messages
    )
