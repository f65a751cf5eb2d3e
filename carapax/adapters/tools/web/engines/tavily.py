"""Tavily, by its search API. It needs a key, which the vault keeps under the handle `tavily`.

Layer: adapters/tools/web/engines. Pure. Source: Tavily API reference, "Search" (POST /search).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carapax.adapters.tools.web.engines.terms import Asking, Result, each, make_result
from carapax.core.terms.egress import Binding


@dataclass(frozen=True, slots=True)
class Tavily:
    name: str = "tavily"
    host: str = "api.tavily.com"
    binding: Binding | None = Binding("tavily", "api.tavily.com", methods=("POST",), path="/search")
    select: Mapping[str, str] | None = None

    def request(self, query: str, count: int, placeholder: str) -> Asking:
        """POST with the query in the body and the key as a bearer token."""
        asked = {"query": query, "max_results": count, "search_depth": "basic", "include_answer": False}
        headers = {
            "accept": "application/json",
            "content-type": "application/json",
            "authorization": f"Bearer {placeholder}",
        }
        body = json.dumps(asked, ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode("ascii")
        return Asking("POST", self.host, 443, "/search", headers, body)

    def parse(self, answer: Any) -> tuple[Result, ...]:
        """The results; an answer that Tavily wrote itself is neither asked for nor read."""
        found = (make_result(one.get("title"), one.get("url"), one.get("content")) for one in each(answer, "results"))
        return tuple(result for result in found if result is not None)
