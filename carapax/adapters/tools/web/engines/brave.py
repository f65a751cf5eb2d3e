"""Brave Search, by its web search API. It needs a key, which the vault keeps under the handle `brave-search`.

Layer: adapters/tools/web/engines. Pure. Source: Brave Search API, "Web Search" (GET /res/v1/web/search).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from carapax.adapters.tools.web.engines.terms import Asking, Result, each, make_result
from carapax.core.terms.egress import Binding

_PATH = "/res/v1/web/search"


@dataclass(frozen=True, slots=True)
class Brave:
    name: str = "brave"
    host: str = "api.search.brave.com"
    binding: Binding | None = Binding(
        "brave-search", "api.search.brave.com", methods=("GET",), path=_PATH, header="x-subscription-token", prefix=""
    )
    select: Mapping[str, str] | None = None

    def request(self, query: str, count: int, placeholder: str) -> Asking:
        """GET with the query in the address and the key in a header of its own."""
        asked = urlencode({"q": query, "count": str(count), "text_decorations": "false"}, quote_via=quote)
        headers = {"accept": "application/json", "x-subscription-token": placeholder}
        return Asking("GET", self.host, 443, f"{_PATH}?{asked}", headers)

    def parse(self, answer: Any) -> tuple[Result, ...]:
        """web.results of the answer."""
        found = (
            make_result(one.get("title"), one.get("url"), one.get("description"))
            for one in each(answer, "web", "results")
        )
        return tuple(result for result in found if result is not None)
