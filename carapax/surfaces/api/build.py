"""The application: the route table behind the gate.

Layer: surfaces/api. Each route is checked for its scope, its body read and parsed, and its errors rendered, here and
nowhere else. Law: no endpoint runs for a token that lacks the route's scope.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from carapax.core.terms.error import CarapaxError, NotFound, Refused
from carapax.core.terms.principal import Principal, Scope
from carapax.ports.clock import Clock
from carapax.ports.gateway import Gateway
from carapax.surfaces.api.body import parse_form, parse_json, read_body
from carapax.surfaces.api.call import Call, Shared
from carapax.surfaces.api.gate import PEER, PRINCIPAL, Gate
from carapax.surfaces.api.hooks import Door
from carapax.surfaces.api.rate import Failures
from carapax.surfaces.api.refusal import json_answer, render_refusal
from carapax.surfaces.api.routes import ROUTES, Route
from carapax.surfaces.api.settings import ApiSettings
from carapax.surfaces.api.shape import parse_query, parse_shape
from carapax.surfaces.api.threads import Threads

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SMALL_BYTES = 65_536


def build_api(gateway: Gateway, settings: ApiSettings, clock: Clock) -> Starlette:
    """The HTTP surface of that gateway."""
    door = Door(gateway, settings, clock)
    shared = Shared(gateway, settings, clock, _failures(clock, settings), Threads(settings.threads), door)
    routes = all_routes()
    app = Starlette(
        routes=[StarletteRoute(_pattern(r), _serve(r, shared), methods=[r.method]) for r in routes],
        middleware=[
            Middleware(
                Gate,
                gateway=gateway,
                settings=settings,
                failures=_failures(clock, settings),
                public=frozenset((r.method, r.path) for r in routes if r.public and not r.door),
            )
        ],
        exception_handlers={HTTPException: _no_route},
    )
    app.router.redirect_slashes = False
    return app


def _pattern(route: Route) -> str:
    return route.path.replace("{rest}", "{rest:path}") if route.door else route.path


def _failures(clock: Clock, settings: ApiSettings) -> Failures:
    return Failures(clock, settings.failures, settings.window_ms, settings.peers)


def all_routes() -> tuple[Route, ...]:
    """The route table with the document that describes it."""
    document: dict[str, Any] = {}

    async def openapi_json(call: Call) -> Response:
        if not document:
            from carapax.surfaces.api.document import openapi  # reads every term's types: only when asked

            document.update(openapi(routes))
        return json_answer(document)

    every = frozenset(Scope)
    routes = (*ROUTES, Route("GET", "/openapi.json", openapi_json, "This document.", every))
    return routes


def _serve(route: Route, shared: Shared) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await route.endpoint(await _call(route, shared, request))
        except CarapaxError as error:
            return render_refusal(request.scope["path"], error)

    return endpoint


async def _call(route: Route, shared: Shared, request: Request) -> Call:
    scope = request.scope
    principal: Principal | None = None if route.public else scope[PRINCIPAL]
    if principal is not None and not principal.scopes & route.scopes:
        raise Refused(f"this token lacks the scope {_either(route.scopes)}")
    identifier = request.path_params.get("id", "")
    if "{id}" in route.path and not _ID.fullmatch(identifier):
        raise NotFound("there is nothing with that id")
    scheme = "https" if shared.settings.tls else "http"
    return Call(
        shared=shared,
        principal=principal,
        peer=scope[PEER],
        address=f"{scheme}://{request.headers['host']}",
        id=identifier,
        query=parse_query(route.query, request.query_params) if route.query else {},
        body=await _body(route, shared.settings, request),
        key=request.headers.get("idempotency-key", ""),
        raw=request if route.door else None,
    )


def _either(scopes: frozenset[Scope]) -> str:
    return " or ".join(sorted(s.value for s in scopes))


async def _body(route: Route, settings: ApiSettings, request: Request) -> dict[str, Any]:
    shape = route.body or route.form
    if route.free is None and shape is None:
        return {}
    large = route.free is not None or route.path == "/api/turns"
    limit = settings.body_bytes if large else _SMALL_BYTES
    raw = await read_body(request.scope, request.receive, limit, settings)
    if shape is None:
        return parse_json(raw, settings.json_depth)
    value = parse_form(raw) if route.form is not None else parse_json(raw, settings.json_depth)
    return parse_shape(shape.fields, value)


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = "this path has no such method" if status == 405 else "there is nothing at this path"
    refusal = render_refusal(
        request.scope["path"], NotFound(what, next_step="GET /openapi.json lists every route."), status
    )
    if isinstance(error, HTTPException) and error.headers:
        refusal.headers.update(error.headers)
    return refusal


def required_scopes(routes: Sequence[Route]) -> dict[str, str]:
    """Each route with who may use it, as words: the table that the documentation shows."""
    return {f"{r.method} {r.path}": "public" if r.public else _either(r.scopes) for r in routes}
