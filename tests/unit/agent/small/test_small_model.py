"""SmallModel over a scripted inner provider: one step at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from carapax.agent.small import SmallModel
from carapax.agent.small.language import Language
from carapax.agent.small.model import CALLS_A_TURN, STEP_TOKENS
from carapax.core.terms.action import ArgRole, ArgSpec, ArgType, Effect, ToolManifest
from carapax.core.terms.ids import ToolName
from carapax.core.terms.label import Integrity
from carapax.ports.provider import Completion, Message, Prompt, ProviderFacts, Speaker, TextChunk, Wish

PATH = ArgSpec("path", ArgRole.PATH, ArgType.TEXT, "")
READ = ToolManifest(ToolName("read_file"), "Read a file.", Effect.READ, (PATH,), Integrity.EXTERNAL, True, False)


class Scripted:
    """Says what it was given, in pieces of three letters; remembers what it was asked."""

    def __init__(self, *texts: str, cut: bool = False) -> None:
        self.texts, self.cut = list(texts), cut
        self.asked: list[Prompt] = []
        self.warmed: list[Prompt] = []
        self.closed_streams = 0

    def facts(self) -> ProviderFacts:
        return ProviderFacts("scripted", "s", True, 8192, "", True)

    async def stream(self, prompt: Prompt) -> AsyncIterator[TextChunk | Completion]:
        self.asked.append(prompt)
        text = self.texts.pop(0)
        try:
            for at in range(0, len(text), 3):
                yield TextChunk(text[at : at + 3])
            yield Completion(text, (), 10, 5, 0, cut=self.cut)
        finally:
            self.closed_streams += 1

    async def warm(self, prompt: Prompt) -> None:
        self.warmed.append(prompt)

    async def close(self) -> None:
        pass


def ask(
    inner: Scripted, *messages: Message, tools: tuple[ToolManifest, ...] = (READ,), model: SmallModel | None = None
) -> list[object]:
    async def whole() -> list[object]:
        return [
            answer async for answer in (model or SmallModel(inner)).stream(Prompt("long prose", messages, tools, 400))
        ]

    return asyncio.run(whole())


def said(text: str) -> Message:
    return Message(Speaker.USER, text)


def test_a_call_becomes_a_wish_and_nothing_is_said() -> None:
    inner = Scripted('{"tool": "read_file", "path": "a.txt", "then": "answer"}')
    [end] = ask(inner, said("read a.txt"))
    assert isinstance(end, Completion)
    assert [(w.tool, json.loads(w.arguments_json)) for w in end.wishes] == [("read_file", {"path": "a.txt"})]
    assert end.text == ""
    assert (end.prompt_tokens, end.output_tokens) == (10, 5)


def test_a_reply_streams_as_it_is_written() -> None:
    *pieces, end = ask(Scripted('{"reply": "It says \\"hi\\"."}'), said("what is in a.txt"))
    assert isinstance(end, Completion)
    assert len(pieces) > 2
    assert "".join(p.text for p in pieces if isinstance(p, TextChunk)) == end.text == 'It says "hi".'


def test_plain_words_of_an_unconstrained_model_are_a_reply() -> None:
    pieces = ask(Scripted("Hello there"), said("hi"))
    assert pieces == [TextChunk("Hello there"), Completion("Hello there", (), 10, 5, 0)]


def test_the_inner_prompt_is_the_profile_with_a_schema() -> None:
    inner = Scripted('{"reply": "x"}', '{"reply": "x"}')
    ask(inner, said("what is in a.txt"))
    ask(inner, said("qu'y a-t-il dans a.txt ?"))
    english, french = inner.asked
    assert "long prose" not in english.instructions
    assert "Reply in English" in english.instructions
    assert "français" in french.instructions
    assert english.messages[-1].text == "what is in a.txt"
    assert english.tools == ()
    assert english.schema is not None
    assert english.max_output_tokens == 400 < STEP_TOKENS


def test_the_gateways_own_notes_do_not_decide_the_language() -> None:
    inner = Scripted('{"reply": "x"}')
    ask(inner, said("lis le fichier a.txt"), said("[Carapax: the turn was interrupted and is done]"))
    assert "français" in inner.asked[0].instructions


def test_the_same_call_twice_in_a_row_must_become_an_answer() -> None:
    inner = Scripted('{"tool": "read_file", "path": "a"}', '{"reply": "It is empty."}')
    wish = Wish("1", "read_file", '{"path":"a"}')
    *_, end = ask(
        inner,
        said("read a"),
        Message(Speaker.ASSISTANT, "", (wish,)),
        Message(Speaker.TOOL, "", answers="1", tool="read_file"),
    )
    assert isinstance(end, Completion)
    assert end.text == "It is empty."
    assert end.wishes == ()
    assert end.output_tokens == 10
    assert inner.asked[1].schema is not None
    assert inner.asked[1].schema["required"] == ["reply"]


def test_after_an_edit_that_guessed_it_must_look() -> None:
    inner = Scripted('{"tool": "read_file", "path": "a", "then": "edit a"}')
    wish = Wish("1", "edit_file", '{"path":"a"}')
    failed = Message(
        Speaker.TOOL,
        "The text was not found in a. Nothing was changed. Read the file first.",
        answers="1",
        tool="edit_file",
    )
    ask(inner, said("fix a"), Message(Speaker.ASSISTANT, "", (wish,)), failed)
    assert inner.asked[0].schema is not None
    assert inner.asked[0].schema["properties"]["tool"] == {"const": "read_file"}


def test_after_many_calls_it_must_answer() -> None:
    inner = Scripted('{"reply": "enough"}')
    steps = [
        Message(Speaker.ASSISTANT, "", (Wish(str(n), "read_file", json.dumps({"path": str(n)})),))
        for n in range(CALLS_A_TURN)
    ]
    ask(inner, said("read all"), *steps)
    assert inner.asked[0].schema is not None
    assert inner.asked[0].schema["required"] == ["reply"]


def test_what_is_left_to_do_is_said_again_with_the_result() -> None:
    inner = Scripted('{"tool": "read_file", "path": "a", "then": "write b"}', '{"reply": "x"}')
    model = SmallModel(inner)
    [end] = ask(inner, said("read a, write b"), model=model)
    assert isinstance(end, Completion)
    ask(
        inner,
        said("read a, write b"),
        Message(Speaker.ASSISTANT, "", end.wishes),
        Message(Speaker.TOOL, "A", answers=end.wishes[0].id, tool="read_file"),
        model=model,
    )
    assert inner.asked[1].messages[-1].text.endswith("Now: write b")


def test_wishes_have_ids_of_their_own() -> None:
    inner = Scripted(*['{"tool": "read_file", "path": "a"}'] * 2)
    ends = [ask(inner, said("read a"))[-1] for _ in range(2)]
    assert len({end.wishes[0].id for end in ends if isinstance(end, Completion)}) == 2


def test_an_empty_reply_is_not_passed_on() -> None:
    *_, end = ask(Scripted('{"reply": ""}'), said("bonjour le monde"))
    assert isinstance(end, Completion)
    assert end.text.startswith("Je n'ai pas pu")


def test_a_cut_reply_says_so() -> None:
    *_, end = ask(Scripted('{"reply": "It was a long', cut=True), said("tell me a story"))
    assert end == Completion("It was a long", (), 10, 5, 0, cut=True)


def test_a_call_that_is_cut_is_not_shown_as_json() -> None:
    *_, end = ask(Scripted('{"tool": "write_file", "content": "and on and on', cut=True), said("write a novel"))
    assert isinstance(end, Completion)
    assert end.text.startswith("That is too long")
    assert end.wishes == ()


def test_prompts_with_a_schema_or_without_tools_pass_through() -> None:
    inner = Scripted("free words")
    assert ask(inner, said("hi"), tools=())[-1] == Completion("free words", (), 10, 5, 0)
    assert inner.asked[0].instructions == "long prose"


def test_closing_early_closes_the_inner_stream() -> None:
    inner = Scripted('{"reply": "a long story that nobody wants"}')

    async def whole() -> None:
        stream = SmallModel(inner).stream(Prompt("", (said("hi"),), (READ,)))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(whole())
    assert inner.closed_streams == 1


def test_the_fixed_part_is_read_ahead_once() -> None:
    inner = Scripted(*['{"reply": "x"}'] * 3)
    model = SmallModel(inner, warm=inner.warm)
    asyncio.run(model.warm((READ,), Language.ENGLISH))
    for words in ("what is it", "what was it", "qu'est-ce que c'est"):
        ask(inner, said(words), model=model)
    assert len(inner.warmed) == 2
    assert inner.asked[0].messages[: len(inner.warmed[0].messages)] == inner.warmed[0].messages
