"""The document and the documentation say what is served, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.routing import Route as StarletteRoute

from carapax.surfaces.api.build import all_routes, build_api, required_scopes
from carapax.surfaces.api.document import openapi
from carapax.surfaces.api.settings import ApiSettings
from tests.fakes.gateway import FakeClock, FakeGateway
from tests.unit.surfaces.api.served import Served

DOCS = Path(__file__).resolve().parents[4] / "docs" / "http.md"


def served_operations() -> set[str]:
    app = build_api(FakeGateway(), ApiSettings(), FakeClock())
    found = set()
    for route in app.routes:
        assert isinstance(route, StarletteRoute)
        found |= {f"{m} {route.path.replace(':path', '')}" for m in route.methods or () if m != "HEAD"}
    return found


def test_every_served_route_is_in_the_document_and_the_other_way_round() -> None:
    document = openapi(all_routes())
    described = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert described == served_operations()
    assert len(described) >= 26


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(v) for v in value.values()), set())
    return set().union(*(references(v) for v in value)) if isinstance(value, list) else set()


def test_the_document_is_whole() -> None:
    document = openapi(all_routes())
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= names
    operations = [op for item in document["paths"].values() for op in item.values()]
    assert len({op["operationId"] for op in operations}) == len(operations)
    assert all(op["summary"] and op["responses"] for op in operations)
    for kind, hidden in (("Token", "hash"), ("Pairing", "hash"), ("Work", "body"), ("Work", "key")):
        assert hidden not in document["components"]["schemas"][kind]["properties"]
    assert [p["name"] for p in document["paths"]["/hooks/{name}/{rest}"]["post"]["parameters"]] == ["name", "rest"]
    approval = document["components"]["schemas"]["Approval"]
    assert set(approval["properties"]) >= {"id", "title", "lines", "deadline_ms", "state"}
    assert approval["properties"]["state"]["enum"] == ["waiting", "approved", "denied", "expired"]
    turn = document["paths"]["/api/turns"]["post"]
    assert turn["security"] == [{"token": ["chat"]}]
    assert turn["requestBody"]["content"]["application/json"]["schema"]["required"] == ["text"]


def test_the_document_is_served_to_any_token_only(served: Served) -> None:
    reply = served.call("GET", "/openapi.json")
    assert reply.json() == json.loads(json.dumps(openapi(all_routes())))
    assert served.call("GET", "/openapi.json", token="").status == 401


def test_the_documentation_names_every_route_with_its_scope() -> None:
    rows = [line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("| `")]
    told = {row.split("|")[1].strip().strip("`"): row.split("|")[2].strip() for row in rows}
    assert told == required_scopes(all_routes())
