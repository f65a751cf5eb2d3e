"""What a search engine is to the web tools: where it lies, what it is asked, what its answer says.

Layer: adapters/tools/web/engines. Pure; the engines are values. Absent: keys. An engine that needs one names a handle of
the vault and where it may be used; what is sent holds a placeholder, which the egress proxy swaps.
Law: equal questions give equal requests, so that a lease can be bound to one before it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Protocol
from urllib.parse import urlsplit

from carapax.core.terms.egress import Binding

TITLE_CHARS = 300
SNIPPET_CHARS = 600
ADDRESS_CHARS = 2_000

_TAG = re.compile(r"<[^<>]{0,500}>")
_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


@dataclass(frozen=True, slots=True)
class Asking:
    """One request to an engine. `path` holds the query; `headers` hold the placeholder, never a key."""

    method: str
    host: str
    port: int
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def url(self) -> str:
        """Its address."""
        return f"https://{self.host}{'' if self.port == 443 else f':{self.port}'}{self.path}"


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was found; anybody may have written its texts."""

    title: str
    url: str
    host: str
    snippet: str


class Engine(Protocol):
    """A search engine. `select` is for engines that answer with a page: how its results are found in it."""

    @property
    def name(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def binding(self) -> Binding | None:
        """Where its key may be used; None when it needs none."""
        ...

    @property
    def select(self) -> Mapping[str, str] | None: ...

    def request(self, query: str, count: int, placeholder: str) -> Asking: ...

    def parse(self, answer: Any) -> tuple[Result, ...]:
        """What a decoded answer says. Raises ValueError when it is not what this engine answers."""
        ...


def make_result(title: object, url: object, snippet: object) -> Result | None:
    """A result with its texts on one line and within bounds; None when its address is not one of the web."""
    if not isinstance(url, str) or len(url) > ADDRESS_CHARS or re.search(r"[\s\x00-\x1f\x7f<>\"\\]", url):
        return None
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    return Result(_line(title, TITLE_CHARS) or host, url, host, _line(snippet, SNIPPET_CHARS))


def each(answer: Any, *path: str) -> list[dict[str, Any]]:
    """The objects in a list of an answer. Raises ValueError when it is not there; a missing last key is an empty list."""
    for at, key in enumerate(path):
        if not isinstance(answer, dict):
            raise ValueError("the answer does not have the form of a search result")
        answer = answer.get(key, [] if at == len(path) - 1 else {})
    if not isinstance(answer, list):
        raise ValueError("the answer does not have the form of a search result")
    return [one for one in answer if isinstance(one, dict)]


def _line(text: object, most: int) -> str:
    """Words on one line without markup: engines mark what they matched."""
    if not isinstance(text, str):
        return ""
    plain = unescape(_TAG.sub("", text[: 8 * most]))
    return " ".join(plain.translate(_CONTROL).split())[:most]
