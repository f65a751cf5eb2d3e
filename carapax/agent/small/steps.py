"""Steps: the one JSON object a small model answers with, a tool call or a reply.

Layer: agent/small; pure. Owns the schema of a step, its parsing (also of fenced JSON and of plain text, for models
that are not constrained) and the reply's text as it streams out of the JSON.
Laws: `parse_step` is total: what is not a call of a named tool is a reply; the pieces of ReplyText joined are the reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carapax.core.terms.action import ArgSpec, ArgType, ToolManifest

THEN = "then"  # the key of what is left to do: a small model that says it does not forget the second half of a request
ANSWER = "answer"  # its value when nothing is left
_OURS = {"tool", THEN, "reply"}
_TYPES = {ArgType.TEXT: "string", ArgType.INTEGER: "integer", ArgType.BOOLEAN: "boolean"}
_THEN_LETTERS = 80
_FENCED = re.compile(r"```(?:json)?\s*(\{.*?\})\s*```", re.DOTALL)
_OPENING = re.compile(r'\s*\{\s*"reply"\s*:\s*"')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Call:
    """A step that wishes a tool: unchecked, as the model wrote it."""

    tool: str
    arguments: Mapping[str, Any]
    then: str = ""  # what the model says is left to do after it


@dataclass(frozen=True, slots=True)
class Reply:
    text: str


def step_schema(tools: Sequence[ToolManifest], *, may_reply: bool = True) -> dict[str, Any]:
    """The JSON Schema of one step: a call of one of these tools, or a reply."""
    choices = [_call_schema(tool) for tool in tools]
    if may_reply or not choices:
        choices.append(_object({"reply": {"type": "string"}}, ["reply"]))
    return choices[0] if len(choices) == 1 else {"oneOf": choices}


def render_call(tool: str, arguments: Mapping[str, Any], then: str = "") -> str:
    """A call as the model is shown it."""
    rest = {THEN: then} if then else {}
    return json.dumps({"tool": tool, **arguments, **rest}, ensure_ascii=False)


def render_reply(text: str) -> str:
    """A reply as the model is shown it."""
    return json.dumps({"reply": text}, ensure_ascii=False)


def parse_step(text: str, names: frozenset[str]) -> Call | Reply:
    """What the model answered. Constrained models give bare JSON; others may fence it or just talk."""
    for candidate in (text.strip(), *_FENCED.findall(text)):
        try:
            value = json.loads(candidate, strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            step = _step(value, names)
            if step is not None:
                return step
    return Reply(_cut_reply(text))


class ReplyText:
    """The text of `{"reply": "…"}`, unescaped piece by piece while it is written."""

    def __init__(self) -> None:
        self._raw = ""
        self._at = -1  # position in `_raw` of the next character of the reply; -1: not begun, -2: ended or no reply

    def feed(self, piece: str) -> str:
        """What this piece adds to the reply's text, possibly nothing."""
        self._raw += piece
        if self._at == -1:
            opening = _OPENING.match(self._raw)
            if opening is None:
                return ""
            self._at = opening.end()
        out: list[str] = []
        while 0 <= self._at < len(self._raw):
            letter, width = _unescape(self._raw, self._at)
            if width == 0:
                break
            self._at = self._at + width if width > 0 else -2
            out.append(letter)
        return "".join(out)


def _unescape(raw: str, at: int) -> tuple[str, int]:
    """The character at a place in a JSON string and its width; 0: more is needed, -1: the string ends here."""
    if raw[at] == '"':
        return "", -1
    if raw[at] != "\\":
        return raw[at], 1
    kind = raw[at + 1 : at + 2]
    if kind != "u":
        return (_ESCAPES.get(kind, kind), 2) if kind else ("", 0)
    first = raw[at + 2 : at + 6]
    if len(first) < 4:
        return "", 0
    if first[:1] not in "dD" or first[1:2] not in "89abAB":
        return _decode(f'"\\u{first}"'), 6
    if len(raw) < at + 12:  # the second half of a pair is still to come
        return "", 0
    return _decode(f'"{raw[at : at + 12]}"'), 12


def _decode(quoted: str) -> str:
    try:
        return str(json.loads(quoted)).encode("utf-8", "replace").decode("utf-8")
    except ValueError:
        return "\ufffd"


def _call_schema(tool: ToolManifest) -> dict[str, Any]:
    properties: dict[str, Any] = {"tool": {"const": tool.name}}
    properties.update({_shown(arg): _arg_schema(arg) for arg in tool.args})
    properties[THEN] = {"type": "string", "maxLength": _THEN_LETTERS}
    return _object(properties, ["tool", *(_shown(arg) for arg in tool.args if arg.required), THEN])


def _shown(arg: ArgSpec) -> str:
    return f"{arg.name}_" if arg.name in _OURS else arg.name


def _arg_schema(arg: ArgSpec) -> dict[str, Any]:
    return {"type": "string", "enum": list(arg.choices)} if arg.choices else {"type": _TYPES[arg.type]}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _step(value: dict[str, Any], names: frozenset[str]) -> Call | Reply | None:
    if isinstance(value.get("reply"), str):
        return Reply(value["reply"])
    name = value.get("tool", value.get("name"))
    if name not in names:
        return None
    inner = value.get("arguments", value.get("parameters"))
    arguments = inner if isinstance(inner, dict) else {k: v for k, v in value.items() if k not in ("name", *_OURS)}
    own = {k[:-1] if k[:-1] in _OURS else k: v for k, v in arguments.items()}
    return Call(name, own, str(value.get(THEN, "")))


def _cut_reply(text: str) -> str:
    """The words of a reply whose JSON was cut, or plain text as it is."""
    if _OPENING.match(text):
        return ReplyText().feed(text)
    return text.strip()
