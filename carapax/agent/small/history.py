"""What a small model is shown of a session: the last turns, short results, within a bounded length.

Layer: agent/small; pure. Lengths are in estimated tokens: each costs 20 to 40 ms to read, and the whole has to fit
beside the fixed part. Estimated, because only the model's process can count them.
Laws: the newest turn is always shown; the bounds hold whatever the text is; older turns are dropped whole, several
at a time, so that what is kept stays the same text for some turns and its saved state is reused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from carapax.agent.small.examples import render_result
from carapax.agent.small.steps import render_call, render_reply
from carapax.ports.provider import Message, Speaker, Wish

RESULT_TOKENS = 800  # of a result of this turn
REQUEST_TOKENS = 1_100
NOW_TOKENS = 2_000  # of this turn
PAST_RESULT_TOKENS = 150
PAST_TEXT_TOKENS = 400
PAST_TOKENS = 1_300  # of the turns before
_TURNS_DROPPED = 3
_MESSAGE_TOKENS = 6  # its frame


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
    past = [[_show(m, PAST_RESULT_TOKENS, PAST_TEXT_TOKENS, left) for m in turn] for turn in turns[:-1]]
    now = [_show(m, RESULT_TOKENS, REQUEST_TOKENS, left) for turn in turns[-1:] for m in turn]
    while past and _tokens(m for turn in past for m in turn) > PAST_TOKENS:
        past = past[_TURNS_DROPPED:]
    while len(now) > 3 and _tokens(now) > NOW_TOKENS:
        now = [now[0], *now[3:]]
    return (*(m for turn in past for m in turn), *now)


def wishes_of_turn(messages: Sequence[Message]) -> list[Wish]:
    """The calls made since the person last spoke, oldest first."""
    turns = split_turns(messages)
    return [wish for message in (turns[-1] if turns else []) for wish in message.wishes]


def estimate_tokens(text: str) -> float:
    """About how many tokens a text is, rather too many: this model's tokens are single digits, pieces of words, signs."""
    return sum(_weight(letter) for letter in text)


def cut(text: str, tokens: int) -> str:
    """The text within a length: its beginning and its end, with what is missing named."""
    if len(text) <= tokens or estimate_tokens(text) <= tokens:
        return text
    head = _fitting(text, tokens * 0.75)
    tail = _fitting(reversed(text), tokens * 0.25)
    return f"{text[:head]}\n[… {len(text) - head - tail} characters left out …]\n{text[-tail:]}"


def _fitting(letters: Iterable[str], tokens: float) -> int:
    count = 0
    for letter in letters:
        tokens -= _weight(letter)
        if tokens < 0:
            break
        count += 1
    return max(1, count)


def _weight(letter: str) -> float:
    if not letter.isascii():
        return 1.0 if letter < "\u0250" else 2.0
    if letter.islower() or letter == " ":
        return 0.3
    if letter.isupper():
        return 0.6
    return 1.0 if letter.isdigit() else 0.75


def _tokens(messages: Iterable[Message]) -> float:
    return sum(estimate_tokens(message.text) + _MESSAGE_TOKENS for message in messages)


def _show(message: Message, result_tokens: int, text_tokens: int, left: Mapping[str, str]) -> Message:
    match message.speaker:
        case Speaker.USER:
            return Message(Speaker.USER, cut(message.text, text_tokens))
        case Speaker.TOOL:
            return Message(
                Speaker.USER,
                render_result(message.tool, cut(message.text, result_tokens), left.get(message.answers, "")),
            )
        case Speaker.ASSISTANT:
            calls = [cut(_call(wish, left.get(wish.id, "")), text_tokens) for wish in message.wishes]
            said = [] if calls else [render_reply(cut(message.text, text_tokens))]
            return Message(Speaker.ASSISTANT, "\n".join([*said, *calls]))


def _call(wish: Wish, then: str) -> str:
    try:
        arguments = json.loads(wish.arguments_json)
    except ValueError:
        arguments = {}
    return render_call(wish.tool, arguments if isinstance(arguments, dict) else {}, then)
