"""What a small model is shown of a session: the last turns, short results, within a bounded length.

Layer: agent/small; pure. Lengths are in characters (about 3.3 to a token), because every token costs 20 to 40 ms to read.
Laws: the newest turn is always shown; older ones are dropped whole, several at a time, so that what is
kept stays the same text for some turns and its saved state is reused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from carapax.agent.small.examples import render_result
from carapax.agent.small.steps import render_call, render_reply
from carapax.ports.provider import Message, Speaker, Wish

RESULT_LETTERS = 3_000  # of a result of this turn
PAST_RESULT_LETTERS = 500
PAST_TEXT_LETTERS = 1_500
REQUEST_LETTERS = 6_000
HISTORY_LETTERS = 9_000
_TURNS_DROPPED = 3


def split_turns(messages: Sequence[Message]) -> list[list[Message]]:
    """The messages grouped so that each group begins with a person's message."""
    turns: list[list[Message]] = []
    for message in messages:
        if message.speaker is Speaker.USER or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def show_history(messages: Sequence[Message], left: Mapping[str, str]) -> tuple[Message, ...]:
    """The messages a small model is shown, as steps in JSON; `left`: by wish, what it said was still to do."""
    turns = split_turns(messages)
    past = [[_show(m, PAST_RESULT_LETTERS, PAST_TEXT_LETTERS, left) for m in turn] for turn in turns[:-1]]
    now = [_show(m, RESULT_LETTERS, REQUEST_LETTERS, left) for turn in turns[-1:] for m in turn]
    while past and _letters(past) > HISTORY_LETTERS:
        past = past[_TURNS_DROPPED:]
    return (*(m for turn in past for m in turn), *_fit(now))


def wishes_of_turn(messages: Sequence[Message]) -> list[Wish]:
    """The calls made since the person last spoke, oldest first."""
    turns = split_turns(messages)
    return [wish for message in (turns[-1] if turns else []) for wish in message.wishes]


def cut(text: str, letters: int) -> str:
    """The text within a length: its beginning and its end, with what is missing named."""
    if len(text) <= letters:
        return text
    head, tail = letters * 3 // 4, letters // 4
    return f"{text[:head]}\n[… {len(text) - head - tail} characters left out …]\n{text[-tail:]}"


def _fit(now: list[Message]) -> list[Message]:
    """A long turn: its request and its newest steps."""
    while len(now) > 3 and _letters([now]) > HISTORY_LETTERS:
        now = [now[0], *now[3:]]
    return now


def _letters(turns: Sequence[Sequence[Message]]) -> int:
    return sum(len(message.text) + 20 for turn in turns for message in turn)


def _show(message: Message, result_letters: int, text_letters: int, left: Mapping[str, str]) -> Message:
    match message.speaker:
        case Speaker.USER:
            return Message(Speaker.USER, cut(message.text, text_letters))
        case Speaker.TOOL:
            return Message(
                Speaker.USER,
                render_result(message.tool, cut(message.text, result_letters), left.get(message.answers, "")),
            )
        case Speaker.ASSISTANT:
            calls = [cut(_call(wish, left.get(wish.id, "")), text_letters) for wish in message.wishes]
            said = [] if calls else [render_reply(cut(message.text, text_letters))]
            return Message(Speaker.ASSISTANT, "\n".join([*said, *calls]))


def _call(wish: Wish, then: str) -> str:
    try:
        arguments = json.loads(wish.arguments_json)
    except ValueError:
        arguments = {}
    return render_call(wish.tool, arguments if isinstance(arguments, dict) else {}, then)
