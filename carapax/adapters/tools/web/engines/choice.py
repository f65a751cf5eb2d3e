"""Which engine the settings mean, and what the policy and the vault have to say for it to work.

Layer: adapters/tools/web/engines. Pure. `egress_rules` are lines for the policy's section `egress`, as data.
"""

from __future__ import annotations

from typing import Any

from carapax.adapters.tools.web.engines.brave import Brave
from carapax.adapters.tools.web.engines.duckduckgo import DuckDuckGo
from carapax.adapters.tools.web.engines.searxng import at_address
from carapax.adapters.tools.web.engines.tavily import Tavily
from carapax.adapters.tools.web.engines.terms import Engine
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import SettingsInvalid

DEFAULT = "duckduckgo"
NAMES = ("brave", "duckduckgo", "searxng", "tavily")

BINDINGS: tuple[Binding, ...] = tuple(engine.binding for engine in (Brave(), Tavily()) if engine.binding is not None)
"""Where the keys of search engines may be used: for the vault."""


def find_engine(name: str = DEFAULT, address: str = "") -> Engine:
    """The engine of the settings `search_engine` and `search_address`. Raises SettingsInvalid."""
    match name or DEFAULT:
        case "brave":
            return Brave()
        case "duckduckgo":
            return DuckDuckGo()
        case "searxng":
            return at_address(address)
        case "tavily":
            return Tavily()
    raise SettingsInvalid(
        f"{name!r} is not a search engine.", next_step=f"Set search_engine to one of: {', '.join(NAMES)}."
    )


def egress_rules(engine: Engine) -> dict[str, dict[str, Any]]:
    """The policy's lines that let `web_search` ask this engine, and nothing else there."""
    asked = engine.request("x", 1, "")
    return {
        f"search-{engine.name}": {
            "hosts": [asked.host],
            "ports": [asked.port],
            "methods": [asked.method],
            "paths": [asked.path.partition("?")[0]],
            "tools": ["web_search"],
            "answer": "allow",
            "because": f"Searching the web with {engine.name}.",
        }
    }
