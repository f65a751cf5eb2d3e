"""DuckDuckGo, by its page without scripts. It needs no key; when asked too often it answers with a riddle instead.

Layer: adapters/tools/web/engines. Pure. Its page is taken apart inside the sandbox (`program.py`) by these selectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from carapax.adapters.tools.web.engines.terms import Asking, Result, each, make_result
from carapax.core.terms.egress import Binding

SELECT = {
    "result": "div.result:not(.result--ad):not(.result--no-result)",
    "link": "a.result__a",
    "snippet": ".result__snippet",
    "blocked": ".anomaly-modal__title, #challenge-form",
}


@dataclass(frozen=True, slots=True)
class DuckDuckGo:
    name: str = "duckduckgo"
    host: str = "html.duckduckgo.com"
    binding: Binding | None = None
    select: Mapping[str, str] | None = field(default_factory=lambda: SELECT)

    def request(self, query: str, count: int, placeholder: str) -> Asking:
        """GET with the query in the address."""
        return Asking(
            "GET", self.host, 443, f"/html/?{urlencode({'q': query}, quote_via=quote)}", {"accept": "text/html"}
        )

    def parse(self, answer: Any) -> tuple[Result, ...]:
        """The results, with the addresses they lead to instead of DuckDuckGo's own counting links."""
        if isinstance(answer, dict) and answer.get("blocked") is True:
            raise ValueError("it wants a person to solve a riddle first")
        found = (
            make_result(one.get("title"), _target(one.get("url")), one.get("snippet"))
            for one in each(answer, "results")
        )
        return tuple(result for result in found if result is not None and result.host != "duckduckgo.com")


def _target(url: object) -> str:
    """Where a counting link leads: //duckduckgo.com/l/?uddg=ADDRESS."""
    if not isinstance(url, str):
        return ""
    url = f"https:{url}" if url.startswith("//") else url
    try:
        parts = urlsplit(url)
        if parts.hostname == "duckduckgo.com" and parts.path == "/l/":
            return parse_qs(parts.query, max_num_fields=20).get("uddg", [""])[0]
    except ValueError:
        return ""
    return url
