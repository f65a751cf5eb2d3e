"""The OpenAPI document, made from the route table and the terms themselves.

Layer: surfaces/api; pure. Absent: anything written twice. Bodies come from the shapes that parse them, answers from
the dataclasses that `plain` renders. Source: OpenAPI 3.1, JSON Schema 2020-12.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Union

import carapax
from carapax.core.terms import event as events
from carapax.core.terms.approval import Approval
from carapax.core.terms.check import Check
from carapax.core.terms.conversation import Session, Turn
from carapax.core.terms.incident import Incident
from carapax.core.terms.work import Work
from carapax.ports.gateway import ChannelKind, ChannelState, LogLine
from carapax.ports.store import Account, Pairing, Token
from carapax.surfaces.api.routes import Route
from carapax.surfaces.api.shape import Shape, field_schema, shape_schema

_ERRORS = {
    400: "malformed", 401: "no valid token", 403: "scope, host or origin", 404: "not found", 409: "conflict",
    413: "too large", 429: "too many failures", 503: "something Carapax needs is missing or failing",
}  # fmt: skip
_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    bytes: {"type": "string"},
    type(None): {"type": "null"},
}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}


class Schemas:
    """JSON Schemas of terms, each under its name once."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of what `plain` makes of a value of that type."""
        kind = getattr(kind, "__supertype__", kind)
        if kind in _SCALARS:
            return dict(_SCALARS[kind])
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if origin in (tuple, frozenset, list):
            return {"type": "array", "items": self.of(args[0])}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(a) for a in args]}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"type": "string", "enum": [m.name.lower() if isinstance(m.value, int) else m.value for m in kind]}
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return self._term(kind)
        return {"type": "object"}

    def _term(self, kind: type) -> dict[str, Any]:
        if kind.__name__ not in self.found:
            self.found[kind.__name__] = {}  # a term may hold itself
            hints = typing.get_type_hints(kind)
            fields = [f.name for f in dataclasses.fields(kind)]
            self.found[kind.__name__] = _object({name: self.of(hints[name]) for name in fields})
        return {"$ref": f"#/components/schemas/{kind.__name__}"}

    def event(self) -> dict[str, Any]:
        """Any event, told apart by its field `event`."""
        kinds = typing.get_args(events.Event)
        return {"oneOf": [{"allOf": [_object({"event": {"const": k.__name__}}), self.of(k)]} for k in kinds]}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _without(schemas: Schemas, kind: type, *hidden: str) -> dict[str, Any]:
    """A term's schema without what is never shown of it."""
    made = schemas.of(kind)
    for name in hidden:
        schemas.found[kind.__name__]["properties"].pop(name)
        schemas.found[kind.__name__]["required"].remove(name)
    return made


def _named(schemas: Schemas) -> dict[str, dict[str, Any]]:
    token = _without(schemas, Token, "hash")
    pairing = _without(schemas, Pairing, "hash")
    dead = _without(schemas, Work, "body", "key")
    schemas.found["Work"]["properties"]["id"] = _TEXT
    schemas.found["Work"]["required"].append("id")

    def many(kind: type) -> dict[str, Any]:
        return {"type": "array", "items": schemas.of(kind)}

    error = _object(dict.fromkeys(("code", "message", "kept", "next_step"), _TEXT))
    return {
        "Answer": {"type": "object"},
        "Page": _TEXT,
        "Health": _object({"status": _TEXT, "version": _TEXT}),
        "Readiness": _object({"ready": {"type": "boolean"}, "failed": many(Check)}),
        "Sessions": _object({"sessions": many(Session)}),
        "SessionTurns": _object({"session": schemas.of(Session), "turns": many(Turn)}),
        "Approvals": _object({"approvals": many(Approval)}),
        "Incidents": _object({"incidents": many(Incident)}),
        "Tokens": _object({"tokens": {"type": "array", "items": token}}),
        "MintedToken": _object({"token": token, "value": _TEXT}),
        "Kinds": _object({"kinds": many(ChannelKind)}),
        "Channels": _object({"channels": many(ChannelState)}),
        "AddedChannel": _object({"channel": schemas.of(ChannelState), "facts": _TEXTS}),
        "Facts": _object({"facts": _TEXTS}),
        "LogLines": _object({"lines": many(LogLine)}),
        "Pairings": _object({"pairings": {"type": "array", "items": pairing}}),
        "Accounts": _object({"accounts": many(Account)}),
        "DeadMessage": dead,
        "DeadMessages": _object({"messages": {"type": "array", "items": dead}}),
        "Event": schemas.event(),
        "Error": _object({"error": error}),
        "OpenAIError": _object({"error": _object(dict.fromkeys(("message", "type", "code"), _TEXT))}),
    }


def openapi(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of those routes."""
    schemas = Schemas()
    named = _named(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Carapax",
            "version": carapax.__version__,
            "description": "A self-hosted AI agent that acts, inside a shell that holds.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted((schemas.found | named).items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "cpx_…"}},
        },
    }


def _operation(route: Route, schemas: Schemas, named: Mapping[str, Any]) -> dict[str, Any]:
    gives = _ref(route.gives) if isinstance(route.gives, str) and route.gives in named else schemas.of(route.gives)
    error = _ref("OpenAIError" if route.path.startswith("/v1/") else "Error")
    answers: dict[str, Any] = {
        str(status): {"description": text, "content": {"application/json": {"schema": error}}}
        for status, text in _ERRORS.items()
    }
    answers[str(route.status)] = {"description": "done", "content": {m: {"schema": gives} for m in route.media}}
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.endpoint.__name__}",
        "summary": route.summary,
        "security": [] if route.public else [{"token": sorted(s.value for s in route.scopes)}],
        "parameters": _parameters(route),
        "responses": dict(sorted(answers.items())),
    }
    body = _body(route)
    return {**operation, "requestBody": body} if body else operation


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameters(route: Route) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in ("id", "name", "rest")
        if f"{{{name}}}" in route.path
    ]
    query = [{"name": f.name, "in": "query", "required": f.required, "schema": field_schema(f)} for f in route.query]
    return path + query


def _body(route: Route) -> dict[str, Any] | None:
    if route.free is not None:
        return _content("application/json", _free_schema(route.free))
    if route.form is not None:
        return _content("application/x-www-form-urlencoded", shape_schema(route.form))
    return _content("application/json", shape_schema(route.body)) if route.body is not None else None


def _content(media: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {media: {"schema": schema}}}


def _free_schema(shape: Shape) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {f.name: {"description": f.about} for f in shape.fields},
        "required": [f.name for f in shape.fields if f.required],
        "additionalProperties": True,
    }
