"""The web tools behind the tool port: asked through the egress port, read inside the sandbox.

Layer: adapters/tools/web. Absent: any socket, any look-up of a name, any judgement of an address (the egress proxy's),
and any parsing of markup in the gateway: what anybody may have written is taken apart by `program.py` in the sandbox.
Laws: a way that was opened is closed; nothing is started when no way could be opened.
"""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from carapax.adapters.tools.manifest import load_manifests
from carapax.adapters.tools.web import asking, wire
from carapax.adapters.tools.web.engines.duckduckgo import DuckDuckGo
from carapax.adapters.tools.web.engines.terms import Engine
from carapax.core.flow import hidden, markup, origin, unseen
from carapax.core.terms.action import Outcome, Receipt, ToolManifest
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Lease, Way, lease_digest
from carapax.core.terms.error import Malformed, NotFound
from carapax.core.terms.tier import Provenance
from carapax.ports.egress import Exit
from carapax.ports.sandbox import Job, Mount, Sandbox

READING_MS = 15_000
MEMORY_BYTES = 512 << 20
# By its version: the packages it is shown are built for this one.
PYTHON = (f"python{sys.version_info.major}.{sys.version_info.minor}", "-I", "-S", "-c")


class WebTools:
    """Implements ports.tool.Tool for the family "web". `engine` is the operator's choice (`engines/choice`)."""

    def __init__(self, sandbox: Sandbox, way_out: Exit, engine: Engine | None = None) -> None:
        package = Path(__file__).parent
        self._sandbox, self._exit = sandbox, way_out
        self._engine: Engine = engine or DuckDuckGo()
        self._manifests = load_manifests(package)
        self._program = (package / "program.py").read_text(encoding="utf-8")
        self._library = os.path.realpath(sysconfig.get_path("platlib"))
        self._modules = [_source(module) for module in (origin, markup, unseen, hidden)]

    def manifests(self) -> Sequence[ToolManifest]:
        return self._manifests

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        """Raises AuthorityInvalid, Refused, EgressUnavailable and SandboxUnavailable."""
        call = authorized.call
        try:
            match call.manifest.name:
                case "web_fetch":
                    text, content, cut = await self._fetch(authorized)
                case "web_search":
                    text, content, cut = await self._search(authorized)
                case other:
                    raise NotFound(f"There is no tool {other} in the family web.")
        except (asking.Failed, Malformed) as error:
            said = error.what if isinstance(error, Malformed) else str(error)
            return Receipt(call.call, Outcome.FAILED, said)
        return Receipt(call.call, Outcome.DONE, text, truncated=cut, content=content)

    # pages

    async def _fetch(self, authorized: AuthorizedCall) -> tuple[str, Any, bool]:
        call = authorized.call
        asked = wire.read_target(str(call.value("url") or ""))
        part = wire.bounded(call.value("part"), 1, 1_000, 1)
        async with self._way(authorized) as way, self._client(way) as client:
            answer = await asking.fetch(client, asked)
        media = wire.find_media(answer.content_type, answer.body)
        charset, url = wire.find_charset(answer.content_type), answer.target.url
        order = wire.render_order(media, answer.body, self._modules, charset=charset, url=url, part=part)
        page = wire.parse_page(await self._read(authorized, order))
        if part > max(page.parts, 1):
            raise Malformed(f"That page has {page.parts} {'part' if page.parts == 1 else 'parts'}, no part {part}.")
        text = wire.render_page(page, answer.target, asked, part, cut=answer.cut)
        return text, wire.page_record(page, answer.target), answer.cut or page.cut or page.parts > 1

    # searching

    async def _search(self, authorized: AuthorizedCall) -> tuple[str, Any, bool]:
        call, engine = authorized.call, self._engine
        query = str(call.value("query") or "").strip()
        count = wire.bounded(call.value("count"), 1, wire.MOST_RESULTS, wire.COUNT)
        if not query:
            raise Malformed("A search needs words to look for.")
        async with self._way(authorized, self._leases(query, count)) as way, self._client(way) as client:
            answer = await asking.ask(client, engine.request(query, count, self._placeholder(way)))
        if engine.select is None:
            found = wire.parse_json(answer.body)
        else:
            charset = wire.find_charset(answer.content_type)
            order = wire.render_order("results", answer.body, self._modules, charset=charset, select=engine.select)
            found = await self._read(authorized, order)
        try:
            results = engine.parse(found)[:count]
        except ValueError as error:
            raise Malformed(f"{engine.name} gave no results: {error}. Try again later, or ask less often.") from error
        text = wire.render_results(engine.name, query, results)
        return text, wire.result_records(engine.name, results), False

    def _leases(self, query: str, count: int) -> tuple[Lease, ...]:
        """One use of the engine's key, for exactly this request."""
        binding = self._engine.binding
        if binding is None:
            return ()
        sent = self._engine.request(query, count, "")
        return (Lease(binding.handle, lease_digest(sent.method, sent.host, sent.port, sent.path, sent.body)),)

    def _placeholder(self, way: Way) -> str:
        binding = self._engine.binding
        if binding is None:
            return ""
        placeholder = dict(way.placeholders).get(binding.handle, "")
        if not placeholder:
            raise Malformed(f"{self._engine.name} needs a key. Add it with `carapax vault set {binding.handle}`.")
        return placeholder

    # both

    @asynccontextmanager
    async def _way(self, authorized: AuthorizedCall, leases: Sequence[Lease] = ()) -> AsyncIterator[Way]:
        way = await self._exit.open_way(authorized, leases=leases)
        try:
            yield way
        finally:
            await asyncio.shield(self._exit.close_way(way))

    @asynccontextmanager
    async def _client(self, way: Way) -> AsyncIterator[Any]:
        client = self._exit.client(way, timeout_ms=asking.FETCH_MS)
        try:
            yield client
        finally:
            await client.aclose()

    async def _read(self, authorized: AuthorizedCall, order: bytes) -> Any:
        job = Job(
            argv=(*PYTHON, self._program, self._library),
            stdin=order,
            mount=Mount.NONE,
            timeout_ms=READING_MS,
            output_bytes=authorized.call.manifest.output_bytes,
            memory_bytes=MEMORY_BYTES,
            provenance=Provenance.OURS,
            library=True,
        )
        return wire.parse_run(await self._sandbox.run(authorized, job))


def _source(module: ModuleType) -> tuple[str, str]:
    return module.__name__, Path(str(module.__file__)).read_text(encoding="utf-8")
