"""The web tools over canned answers and a sandbox without walls: what a test asks, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from carapax.adapters.tools.web.adapter import WebTools
from carapax.adapters.tools.web.engines.terms import Engine
from carapax.core.terms.action import Receipt
from carapax.ports.sandbox import Sandbox
from tests.fakes.exit import Answers, CannedExit, Says
from tests.fakes.sandbox import UnwalledSandbox
from tests.unit.adapters.tools.conftest import sealed

URL = "https://www.example.org/shells"
VECTORS = Path(__file__).parents[5] / "carapax/adapters/tools/web/vectors"


def vector(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


class Web:
    """One browser's worth of canned world."""

    def __init__(
        self,
        answers: Answers | Mapping[str, Says],
        *,
        engine: Engine | None = None,
        handles: Mapping[str, str] | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.exit = CannedExit(answers, handles=handles)
        self.sandbox = sandbox or UnwalledSandbox(Path("/"))
        self.tool = WebTools(self.sandbox, self.exit, engine)

    def do(self, name: str, **arguments: str | int | bool) -> Receipt:
        return asyncio.run(self.tool.perform(sealed(self.tool, name, arguments)))

    def fetch(self, url: str = URL, **arguments: int) -> Receipt:
        return self.do("web_fetch", url=url, **arguments)

    def asked(self) -> list[str]:
        return [str(request.url) for request in self.exit.requests]


def page(body: bytes | str, content_type: str = "text/html; charset=utf-8", **more: object) -> Web:
    """A web of one page."""
    data = body.encode() if isinstance(body, str) else body
    return Web({URL: Says(data, content_type=content_type, **more)})  # type: ignore[arg-type]
