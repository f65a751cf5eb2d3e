"""Who gets in: tokens, scopes, names, origins, addresses, and how often one may be wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

import pytest

from carapax.core.terms.principal import Scope
from carapax.surfaces.api.build import all_routes, required_scopes
from carapax.surfaces.api.gate import allowed_hosts, allowed_origins
from carapax.surfaces.api.rate import Failures, peer_key
from carapax.surfaces.api.routes import Route
from carapax.surfaces.api.settings import ApiSettings
from tests.fakes.gateway import Ask, FakeClock
from tests.unit.surfaces.api.served import Served, serving

CLOSED = [r for r in all_routes() if not r.public]
OPEN = [r for r in all_routes() if r.public]
CHAT, APPROVE, READ, ADMIN = Scope.CHAT, Scope.APPROVE, Scope.READ, Scope.ADMIN
# What each route must ask for, written here a second time on purpose: widening one in the table fails a test.
EXPECTED = {
    "GET /": "public",
    "POST /signin": "public",
    "POST /api/signin": "public",
    "GET /healthz": "public",
    "GET /readyz": "public",
    "GET /metrics": "read",
    "GET /openapi.json": "admin or approve or chat or read",
    "GET /v1/models": "chat",
    "POST /v1/chat/completions": "chat",
    "POST /v1/responses": "chat",
    "POST /api/turns": "chat",
    "GET /api/turns/{id}": "chat or read",
    "GET /api/turns/{id}/events": "chat or read",
    "POST /api/turns/{id}/cancel": "chat",
    "GET /api/sessions": "chat or read",
    "GET /api/sessions/{id}": "chat or read",
    "GET /api/sessions/{id}/export": "chat or read",
    "PATCH /api/sessions/{id}": "chat",
    "DELETE /api/sessions/{id}": "admin",
    "GET /api/approvals": "approve or read",
    "POST /api/approvals/{id}": "approve",
    "POST /api/undo": "admin or chat",
    "GET /api/incidents": "admin or approve or read",
    "GET /api/incident-events": "admin or approve or read",
    "GET /api/incidents/{id}": "admin or approve or read",
    "POST /api/incidents/{id}": "admin or approve",
    "POST /api/resume-all": "admin",
    "GET /api/status": "read",
    "POST /api/stop": "admin",
    "GET /api/tokens": "admin",
    "POST /api/tokens": "admin",
    "DELETE /api/tokens/{id}": "admin",
    "GET /api/channel-kinds": "admin or read",
    "GET /api/channels": "admin or read",
    "POST /api/channels": "admin",
    "POST /api/channels/{id}/test": "admin",
    "GET /api/channels/{id}/log": "admin or read",
    "DELETE /api/channels/{id}": "admin",
    "GET /api/pairings": "admin or read",
    "POST /api/pairings": "admin",
    "GET /api/accounts": "admin or read",
    "POST /api/accounts": "admin",
    "DELETE /api/accounts": "admin",
    "GET /api/dead-messages": "admin or read",
    "POST /api/dead-messages/{id}/retry": "admin",
    "DELETE /api/dead-messages/{id}": "admin",
    **{
        f"{method} /hooks/{path}": "public"
        for method in ("GET", "POST", "PUT", "DELETE")
        for path in ("{name}", "{name}/{rest}")
    },
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    with serving(ApiSettings(failures=1_000_000)) as one:
        yield one


def path_of(route: Route) -> str:
    return route.path.replace("{id}", "none")


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_every_route_asks_for_what_was_decided() -> None:
    assert required_scopes(all_routes()) == EXPECTED


@pytest.mark.parametrize("route", CLOSED, ids=named)
def test_no_token_no_route(shared: Served, route: Route) -> None:
    reply = shared.call(route.method, path_of(route), token="")
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert "token" in reply.json()["error"]["message"]


@pytest.mark.parametrize("route", CLOSED, ids=named)
@pytest.mark.parametrize("value", ["cpx_" + "b" * 43, "sk-123", "cpx_", "cpx_x y", "cpx_" + "b" * 500])
def test_wrong_token_no_route(shared: Served, route: Route, value: str) -> None:
    assert shared.call(route.method, path_of(route), token=value).status == 401


@pytest.mark.parametrize("route", CLOSED, ids=named)
def test_every_scope_but_the_routes_own_is_refused(shared: Served, route: Route) -> None:
    others = sorted(set(Scope) - route.scopes)
    if others:
        before = len(shared.gateway.inbounds)
        reply = shared.call(route.method, path_of(route), {}, token=shared.gateway.mint(*others))
        assert reply.status == 403
        assert "lacks the scope" in reply.json()["error"]["message"]
        assert len(shared.gateway.inbounds) == before


@pytest.mark.parametrize("route", [r for r in CLOSED if r.path != "/api/stop"], ids=named)
def test_each_named_scope_is_enough(shared: Served, route: Route) -> None:
    for scope in route.scopes:
        reply = shared.call(route.method, path_of(route), {}, token=shared.gateway.mint(scope))
        assert reply.status in (200, 201, 400, 404, 409)


def test_expired_and_revoked_tokens_are_refused() -> None:
    with serving() as served:
        short = served.gateway.mint(CHAT, days=1)
        assert served.call("GET", "/v1/models", token=short).status == 200
        served.clock.advance(86_400_000)
        assert served.call("GET", "/v1/models", token=short).status == 401
        assert served.call("DELETE", "/api/tokens/t1").status == 200
        assert served.call("GET", "/v1/models").status == 401


@pytest.mark.parametrize(
    "value", ["Basic Y3B4Og==", "cpx_0001", "Bearer", "Bearer  ", "Token x", "bearer cpx_\x7f1234567890"]
)
def test_other_ways_to_authorize_are_none(shared: Served, value: str) -> None:
    assert shared.call("GET", "/v1/models", token="", headers={"Authorization": value}).status == 401


def test_what_cannot_be_a_token_is_not_looked_up(shared: Served) -> None:
    shared.gateway.lookups.clear()
    shared.call("GET", "/v1/models", token="sk-123")
    shared.call("GET", "/v1/models", token="cpx_" + "b" * 500)
    assert shared.gateway.lookups == []


def test_an_unknown_path_needs_a_token_too(shared: Served) -> None:
    assert shared.call("GET", "/api/nothing", token="").status == 401
    assert shared.call("GET", "/api/nothing").status == 404
    assert shared.call("GET", "/v1/nothing").json()["error"]["type"] == "not_found_error"
    assert shared.call("PUT", "/api/status").status == 405
    assert shared.call("GET", "/api/status/").status == 404
    assert shared.call("POST", "/healthz", token="").status == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost:{port}.evil.example", "", "[::1]"],
)
@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/models", "/signin"])
def test_a_rebound_name_is_refused(shared: Served, host: str, path: str) -> None:
    reply = shared.call("GET", path, headers={"Host": host.format(port=shared.port)})
    assert reply.status in (400, 403)  # 400: not a Host at all
    if reply.status == 403:
        error = reply.json()["error"]
        assert "does not answer to" in error["message"]


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_our_own_names_are_served(shared: Served, host: str) -> None:
    assert shared.call("GET", "/healthz", headers={"Host": host.format(port=shared.port)}).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        "file://",
        "http://localhost.evil.example",
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/"])
def test_another_pages_request_is_refused(shared: Served, origin: str, path: str) -> None:
    reply = shared.call("GET", path, headers={"Origin": origin})
    assert reply.status == 403
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_our_own_pages_request_is_served(shared: Served) -> None:
    assert shared.call("GET", "/v1/models", headers={"Origin": shared.url}).status == 200


def test_a_preflight_gets_nothing(shared: Served) -> None:
    reply = shared.call(
        "OPTIONS", "/v1/models", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    )
    assert reply.status == 403
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_configured_names_and_origins_are_allowed() -> None:
    settings = ApiSettings(port=18790, hosts=("Box.example",), origins=("https://panel.example",))
    hosts = allowed_hosts(settings)
    assert {"box.example", "box.example:18790", "127.0.0.1:18790"} <= hosts
    assert "127.0.0.1" not in hosts
    origins = allowed_origins(settings, hosts)
    assert {"https://panel.example", "https://box.example", "http://127.0.0.1:18790"} <= origins
    assert "127.0.0.1" in allowed_hosts(ApiSettings(port=443, tls=True))


@pytest.mark.parametrize(
    "query",
    ["token={v}", "access_token={v}", "API_KEY={v}", "x=1&y={v}", "key=%63px_{tail}", "api%5Fkey=short", "auth=x"],
)
def test_a_token_in_the_address_is_refused_and_told_why(shared: Served, query: str) -> None:
    shared.gateway.lookups.clear()
    filled = query.format(v=shared.token, tail=shared.token[4:])
    reply = shared.call("GET", f"/v1/models?{filled}")
    assert reply.status == 400
    assert "logs" in reply.json()["error"]["message"]
    assert shared.token not in reply.text
    assert shared.gateway.lookups == []
    assert shared.call("GET", f"/api/turns/{shared.token}").status == 400


def test_wrong_tokens_are_limited_and_valid_ones_pass() -> None:
    with serving() as served:
        wrong = [served.call("GET", "/v1/models", token="cpx_" + "b" * 43).status for _ in range(12)]
        assert wrong == [401] * 10 + [429] * 2
        limited = served.call("GET", "/api/status", token="")
        assert limited.status == 429
        assert limited.headers["retry-after"] == "60"
        assert served.call("GET", "/v1/models").status == 200
        served.clock.advance(60_000)
        assert served.call("GET", "/api/status", token="").status == 401


def test_wrong_codes_are_limited_before_they_are_tried() -> None:
    with serving() as served:
        tried = [served.call("POST", "/api/signin", {"code": "AAA"}, token="").status for _ in range(10)]
        assert tried == [401] * 10
        assert served.call("POST", "/api/signin", {"code": "QX4-7RM"}, token="").status == 429
        assert served.gateway.code == "QX4-7RM"
        assert served.call("GET", "/v1/models").status == 200


def test_failures_are_counted_in_bounded_memory() -> None:
    clock = FakeClock()
    failures = Failures(clock, limit=2, window_ms=1_000, peers=3)
    for number in range(100):
        failures.add(f"10.0.0.{number}")
    assert len(failures) == 3
    for _ in range(2):
        failures.add("2001:db8::1")
    assert failures.wait_s("2001:db8::ffff") == 1
    assert failures.wait_s("2001:db8:0:1::1") == 0
    clock.advance(1_000)
    assert failures.wait_s("2001:db8::1") == 0


def test_a_mapped_address_is_its_ipv4_address() -> None:
    assert peer_key("::ffff:10.0.0.1") == "10.0.0.1"
    assert peer_key("unknown") == "unknown"


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/models", "/api/nothing", "/metrics", "/signin?token=x"])
@pytest.mark.parametrize("token", ["", None])
def test_every_answer_has_the_security_headers(shared: Served, path: str, token: str | None) -> None:
    headers = shared.call("GET", path, token=token).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "form-action 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == ("same-origin" if path.split("?")[0] in ("/", "/signin") else "no-referrer")
    assert "server" not in headers


def test_an_approval_is_not_answered_by_a_chat_only_token() -> None:
    with serving() as served:
        served.gateway.checks_scopes = False  # the surface must not rely on the gateway's own check
        served.gateway.script(Ask(), "Deleted.")
        served.chat("clean up", user="anna")
        for scopes in combinations((CHAT, READ, ADMIN), 2):
            token = served.gateway.mint(*scopes)
            assert served.call("POST", "/api/approvals/K7M2", {"answer": "yes"}, token=token).status == 403
            if CHAT in scopes:
                assert served.chat("yes K7M2", token=token, user="anna").status == 403
        assert served.gateway.answers == []


def test_a_token_gives_no_scope_that_it_lacks() -> None:
    with serving() as served:
        admin = served.gateway.mint(ADMIN, CHAT)
        wish = {"name": "n", "scopes": ["chat", "approve"], "days": 3}
        refused = served.call("POST", "/api/tokens", wish, token=admin)
        assert refused.status == 403
        assert "approve" in refused.json()["error"]["message"]
        made = served.call("POST", "/api/tokens", {**wish, "scopes": ["chat"]}, token=admin)
        assert made.status == 201
        assert re.fullmatch("cpx_.+", made.json()["value"])
        assert "hash" not in made.json()["token"]


def test_a_defect_is_no_traceback_for_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as served:

        async def broken() -> None:
            raise RuntimeError("secret inside")

        served.gateway.status = broken  # type: ignore[assignment, method-assign]
        reply = served.call("GET", "/api/status")
        assert reply.status == 500
        assert reply.json()["error"]["code"] == "error"
        assert "secret" not in reply.text and "Traceback" not in reply.text
        assert "GET /api/status failed: RuntimeError" in caplog.text
        assert "Traceback" not in caplog.text
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_route_without_scope_cannot_be_built() -> None:
    route = OPEN[0]
    with pytest.raises(ValueError, match="must either be public or name its scopes"):
        Route("GET", "/x", route.endpoint, "x")
    with pytest.raises(ValueError, match="must either be public or name its scopes"):
        Route("GET", "/x", route.endpoint, "x", scopes=frozenset({CHAT}), public=True)
