"""OpenAI's request bodies → one wish: the new message, the history that came along, what the client wants back.

Layer: surfaces/api; pure. Lenient where real clients are (unknown fields, sampling settings), strict where ignoring
would mislead: tools of the client, several choices, log probabilities, forced formats, images and sound are refused.
Source: OpenAI API reference, chat completions and responses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from carapax.core.terms.conversation import PartKind
from carapax.core.terms.error import Malformed, TooLarge

_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_OWN_TOOLS = "Tools run inside Carapax, under its policy: send the request without tools."
_KEY_BYTES = 512


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants: `text` is new, `seed` is history it holds itself."""

    text: str
    seed: tuple[tuple[PartKind, str], ...] = ()
    instructions: str = ""
    conversation: str = ""
    previous: str = ""  # the response that this one continues
    stream: bool = False
    usage: bool = False  # a last chunk with the usage


def parse_chat(body: dict[str, Any], text_bytes: int) -> Wish:
    """The body of POST /v1/chat/completions. Raises Malformed, TooLarge over `text_bytes` of one message."""
    _refuse_unserved(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Malformed('"messages" must be a list with at least one message')
    wish = _gather(messages, text_bytes)
    options = body.get("stream_options")
    conversation = _key(body, "user")
    return replace(
        wish,
        seed=() if conversation else wish.seed,  # the server has it
        conversation=conversation,
        stream=_flag(body, "stream"),
        usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def parse_responses(body: dict[str, Any], text_bytes: int) -> Wish:
    """The body of POST /v1/responses. Raises Malformed, TooLarge over `text_bytes` of one message."""
    _refuse_unserved(body)
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list) or not items:
        raise Malformed('"input" must be a text or a list with at least one message')
    previous, conversation = _previous(body), _conversation(body)
    if previous and conversation:
        raise Malformed("previous_response_id and conversation exclude each other")
    wish = _gather([i for i in items if not _is_reasoning(i)], text_bytes)
    own = body.get("instructions")
    if own is not None and not isinstance(own, str):
        raise Malformed('"instructions" must be a text')
    instructions = "\n\n".join(text for text in (_bounded(own or "", text_bytes), wish.instructions) if text)
    text, seed = wish.text, wish.seed
    if previous or conversation:  # the server has the history: whatever comes is new
        text, seed = _bounded("\n\n".join([t for kind, t in seed if kind is PartKind.USER] + [text]), text_bytes), ()
    return Wish(text, seed, instructions, conversation, previous, stream=_flag(body, "stream"))


def _is_reasoning(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning"


def _refuse_unserved(body: dict[str, Any]) -> None:
    if body.get("tools") or body.get("functions"):
        raise Malformed("tools of the client are not accepted", next_step=_OWN_TOOLS)
    if body.get("n") not in (None, 1):
        raise Malformed('"n" must be 1: a turn is done once', next_step="Send the request again for another answer.")
    if body.get("logprobs") or body.get("top_logprobs"):
        raise Malformed("log probabilities are not given", next_step="Send the request without logprobs.")
    shape = body.get("response_format")
    text = body.get("text")
    shape = text.get("format") if shape is None and isinstance(text, dict) else shape
    if isinstance(shape, dict) and shape.get("type") not in (None, "text"):
        raise Malformed("an answer in a forced format is not given", next_step="Ask for the format in the message.")
    modalities = body.get("modalities")
    if isinstance(modalities, list) and any(m != "text" for m in modalities):
        raise Malformed("answers are text only", next_step="Send the request without other modalities.")


def _gather(messages: list[Any], text_bytes: int) -> Wish:
    instructions: list[str] = []
    spoken: list[tuple[PartKind, str]] = []
    for position, message in enumerate(messages):
        role, text = _parse_message(message, position, text_bytes)
        if role in ("system", "developer"):
            instructions.append(text)
        elif text:
            spoken.append((PartKind.USER if role == "user" else PartKind.REPLY, text))
    newest = next((i for i in range(len(spoken) - 1, -1, -1) if spoken[i][0] is PartKind.USER), None)
    if newest is None or not spoken[newest][1].strip():
        raise Malformed("the message is empty", next_step="Send a message of the role user with some text.")
    return Wish(spoken[newest][1], tuple(spoken[:newest]), "\n\n".join(t for t in instructions if t))


def _parse_message(message: Any, position: int, text_bytes: int) -> tuple[str, str]:
    if not isinstance(message, dict) or message.get("type", "message") != "message":
        kind = str(message.get("type"))[:60] if isinstance(message, dict) else type(message).__name__
        raise Malformed(f"message {position + 1} is not a message ({kind})", next_step=_OWN_TOOLS)
    role = message.get("role")
    if role in ("tool", "function") or message.get("tool_calls") or message.get("function_call"):
        raise Malformed(f"message {position + 1} is about a tool of the client", next_step=_OWN_TOOLS)
    if role not in ("system", "developer", "user", "assistant"):
        raise Malformed(f'message {position + 1} has no known role; use "user", "assistant" or "system"')
    return role, _bounded(_content(message.get("content"), position), text_bytes)


def _content(content: Any, position: int) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Malformed(f"the content of message {position + 1} must be a text or a list of parts")
    return "\n".join(_part(part, position) for part in content)


def _part(part: Any, position: int) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "refusal":
        return str(part.get("refusal") or "")
    if kind not in _TEXT_PARTS:
        raise Malformed(
            f"message {position + 1} holds a part that is not text ({str(kind)[:60]})",
            next_step="Put images, sound and files into the workspace and name them in the message.",
        )
    text = part.get("text")
    if not isinstance(text, str):
        raise Malformed(f"a text part of message {position + 1} has no text")
    return text


def _bounded(text: str, text_bytes: int) -> str:
    if len(text) * 4 > text_bytes and len(text.encode("utf-8")) > text_bytes:
        raise TooLarge(f"the message is larger than {text_bytes // 1024} KiB")
    return text


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value not in (None, True, False):
        raise Malformed(f'"{name}" must be true or false')
    return bool(value)


def _key(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value.encode("utf-8")) > _KEY_BYTES:
        raise Malformed(f'"{name}" must be a text of at most {_KEY_BYTES} bytes')
    return value


def _previous(body: dict[str, Any]) -> str:
    value = _key(body, "previous_response_id")
    if value and not value.startswith("resp_"):
        raise Malformed('"previous_response_id" is not the id of an answer of this gateway')
    return value.removeprefix("resp_")


def _conversation(body: dict[str, Any]) -> str:
    value = body.get("conversation")
    if isinstance(value, dict):
        return _key(value, "id")
    return _key(body, "conversation")
