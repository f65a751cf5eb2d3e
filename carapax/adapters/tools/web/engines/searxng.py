"""SearXNG on a machine of the operator's choice. It needs no key; its JSON format has to be switched on there.

Layer: adapters/tools/web/engines. Pure. Source: SearXNG documentation, "Search API" (GET /search, format=json).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from carapax.adapters.tools.web.engines.terms import Asking, Result, each, make_result
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import SettingsInvalid

_NEXT = "Set search_address to the https address of your SearXNG, like https://search.example.org."


@dataclass(frozen=True, slots=True)
class SearxNg:
    host: str
    port: int = 443
    folder: str = ""  # what stands before /search, without a slash at its end
    name: str = "searxng"
    binding: Binding | None = None
    select: Mapping[str, str] | None = None

    def request(self, query: str, count: int, placeholder: str) -> Asking:
        """GET with the query in the address; how many it answers is its own setting."""
        asked = urlencode({"q": query, "format": "json", "safesearch": "1"}, quote_via=quote)
        return Asking("GET", self.host, self.port, f"{self.folder}/search?{asked}", {"accept": "application/json"})

    def parse(self, answer: Any) -> tuple[Result, ...]:
        """The results, in its order."""
        found = (make_result(one.get("title"), one.get("url"), one.get("content")) for one in each(answer, "results"))
        return tuple(result for result in found if result is not None)


def at_address(address: str) -> SearxNg:
    """The SearXNG at an address of the settings. Raises SettingsInvalid."""
    try:
        parts = urlsplit(address.strip())
        port = parts.port or 443
    except ValueError as error:
        raise SettingsInvalid(f"{address!r} is not an address.", next_step=_NEXT) from error
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme != "https" or not parts.hostname or not plain:
        raise SettingsInvalid(f"{address!r} is not a plain https address.", next_step=_NEXT)
    return SearxNg(parts.hostname, port, parts.path.rstrip("/"))
