"""Strict YAML: a document's text becomes a tree in which every value knows its line and its key.

Layer: core/policy. Owns what of YAML is accepted: maps, lists and scalars. A scalar stays the text that stands there:
what it means is decided by the key it stands under (`reading`), so `no`, `on`, `1e3` and `010` mean nothing by themselves.
Absent: anchors, aliases, tags, merge keys, several documents, keys given twice, nesting over 8: each is an error.
Source: YAML 1.2.2; the events of PyYAML, because its composed nodes forget anchors and implicit tags.
Law: whatever the bytes, the only exception is PolicyInvalid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carapax.core.terms.error import PolicyInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 262_144
"""A policy document over 256 KiB is refused."""

MAX_DEPTH = 8
"""Maps and lists inside each other; a policy needs five."""

MAX_NODES = 20_000
"""Values in one document."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value: exactly one of `text`, `items`, `fields` is not None. `key` is its way from the top: "caps.currency"."""

    line: int
    key: str
    text: str | None = None
    quoted: bool = False  # it stood in quotes or in a block, so it is text even where it looks like a word of ours
    items: tuple[Node, ...] | None = None
    fields: dict[str, Node] | None = None


def fault(node: Node, what: str, remedy: str) -> PolicyInvalid:
    """The error at a value: line, key, what is wrong, and what to write instead."""
    where = f"line {node.line}, {node.key}" if node.key else f"line {node.line}"
    return PolicyInvalid(f"{where}: {what}; {remedy}.")


def parse_tree(document: bytes) -> Node:
    """The document as one map. Raises PolicyInvalid."""
    if len(document) > MAX_BYTES:
        raise PolicyInvalid(f"The policy document has {len(document)} bytes; {MAX_BYTES} is the most.")
    import yaml  # not at the top: it takes 25 ms, and whoever reads no policy needs none of it

    try:
        events = yaml.parse(document.decode("utf-8"), Loader=yaml.SafeLoader)
        node = _Builder(events).document()
    except UnicodeDecodeError as error:
        line = document[: error.start].count(b"\n") + 1
        raise PolicyInvalid(f"line {line}: this is not UTF-8 text; save the file as UTF-8.") from error
    except yaml.MarkedYAMLError as error:
        raise PolicyInvalid(_syntax(error)) from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise PolicyInvalid("The policy document is not YAML; it holds characters that YAML forbids.") from error
    if node.fields is None:
        raise fault(node, "the document is not a map of keys", "begin with `format: carapax-policy/2`")
    return node


def _syntax(error: Any) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    return f"line {line}: this is not YAML ({error.problem or error.context}); correct the line, two spaces a level."


class _Builder:
    """From events to nodes, refusing what is not accepted."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._nodes = 0

    def document(self) -> Node:
        self._next("StreamStart")
        start = next(self._events)
        if type(start).__name__ == "StreamEndEvent":
            raise PolicyInvalid("line 1: the document is empty; `carapax policy init` writes one.")
        if start.version or start.tags:
            raise fault(_at(start, ""), "directives (%) are not accepted", "take the line away")
        node = self._value(next(self._events), "", 0)
        self._next("DocumentEnd")
        after = next(self._events)
        if type(after).__name__ != "StreamEndEvent":
            raise fault(_at(after, ""), "a second document begins here", "keep one document in the file")
        return node

    def _next(self, kind: str) -> None:
        event = next(self._events)
        if type(event).__name__ != f"{kind}Event":
            raise fault(_at(event, ""), "the document does not end here", "keep one document in the file")

    def _value(self, event: Any, key: str, depth: int) -> Node:
        self._refuse(event, key, depth)
        kind = type(event).__name__
        if kind == "ScalarEvent":
            if any("\ud800" <= char <= "\udfff" for char in event.value):
                raise fault(_at(event, key), "half a character stands here (a surrogate)", "write the whole character")
            return Node(event.start_mark.line + 1, key, text=event.value, quoted=event.style is not None)
        if kind == "SequenceStartEvent":
            return self._list(event, key, depth)
        return self._map(event, key, depth)

    def _refuse(self, event: Any, key: str, depth: int) -> None:
        here = _at(event, key)
        self._nodes += 1
        if type(event).__name__ == "AliasEvent" or event.anchor:
            raise fault(
                here, "anchors (&) and aliases (*) are not accepted", "write the value out, or put it in quotes"
            )
        if event.tag:
            raise fault(here, f"tags ({event.tag}) are not accepted", "write the plain value")
        if depth > MAX_DEPTH:
            raise fault(here, f"it lies more than {MAX_DEPTH} levels deep", "write it flatter")
        if self._nodes > MAX_NODES:
            raise fault(here, f"the document has more than {MAX_NODES} values", "shorten it")

    def _list(self, event: Any, key: str, depth: int) -> Node:
        items: list[Node] = []
        while type(inner := next(self._events)).__name__ != "SequenceEndEvent":
            items.append(self._value(inner, f"{key}[{len(items) + 1}]", depth + 1))
        return Node(event.start_mark.line + 1, key, items=tuple(items))

    def _map(self, event: Any, key: str, depth: int) -> Node:
        fields: dict[str, Node] = {}
        while type(inner := next(self._events)).__name__ != "MappingEndEvent":
            name = self._name(inner, key, depth)
            below = f"{key}.{name}" if key else name
            if name in fields:
                raise fault(
                    _at(inner, below), f"it is given twice, first in line {fields[name].line}", "keep one of the two"
                )
            fields[name] = self._value(next(self._events), below, depth + 1)
        return Node(event.start_mark.line + 1, key, fields=fields)

    def _name(self, event: Any, key: str, depth: int) -> str:
        self._refuse(event, key, depth)
        if type(event).__name__ != "ScalarEvent":
            raise fault(_at(event, key), "a key must be one word", "write `key: value`")
        if event.value == "<<":
            raise fault(_at(event, key), "merge keys (<<) are not accepted", "write the values out")
        return str(event.value)


def _at(event: Any, key: str) -> Node:
    return Node(event.start_mark.line + 1, key, text="")
