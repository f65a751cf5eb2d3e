"""Our own routes, through the socket."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import BudgetSpent, Conflict, LedgerUnavailable, Refused, StoreUnavailable
from carapax.core.terms.principal import Scope
from carapax.surfaces.api.metrics import render_metrics
from tests.fakes.gateway import Ask, Hold
from tests.unit.surfaces.api.served import Served


@pytest.fixture
def turn(served: Served) -> Iterator[str]:
    reply = served.call("POST", "/api/turns", {"text": "hello", "channel": "cli"})
    yield reply.lines()[0]["turn"]


def test_a_turn_is_a_line_per_event(served: Served) -> None:
    reply = served.call("POST", "/api/turns", {"text": "hé", "conversation": "c", "key": "k", "channel": "cli"})
    assert reply.headers["content-type"] == "application/x-ndjson"
    lines = reply.lines()
    assert [line["event"] for line in lines] == ["TurnStarted", "TextDelta", "TextDelta", "TurnEnded"]
    assert lines[-1]["reply"] == "You said: hé"
    assert lines[-1]["state"] == "done"
    inbound = served.gateway.inbounds[0]
    assert (inbound.text, inbound.conversation, inbound.key, inbound.channel) == ("hé", "c", "k", "cli")
    again = served.call("POST", "/api/turns", {"text": "hé", "conversation": "c", "key": "k"})
    assert again.lines()[0]["turn"] == lines[0]["turn"]
    assert len(served.gateway.inbounds) == 1


def test_events_are_flushed_as_they_come_and_leaving_does_not_end_the_turn(served: Served) -> None:
    hold = Hold()
    served.gateway.script("one", hold, "two")
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    body = json.dumps({"text": "x"})
    connection.request("POST", "/api/turns", body, {"Authorization": f"Bearer {served.token}"})
    answer = connection.getresponse()
    first, second = json.loads(answer.readline()), json.loads(answer.readline())
    assert (first["event"], second["text"]) == ("TurnStarted", "one")
    assert not hold.gate.is_set()
    answer.close()
    connection.close()
    running = served.call("GET", f"/api/turns/{first['turn']}").json()
    assert running["state"] == "running"
    hold.open()
    assert served.call("GET", f"/api/turns/{first['turn']}/events").lines()[-1]["reply"] == "onetwo"
    assert served.call("GET", f"/api/turns/{first['turn']}").json()["reply"] == "onetwo"


def test_an_ended_turn_is_followed_by_its_end_alone(served: Served, turn: str) -> None:
    assert [e["event"] for e in served.call("GET", f"/api/turns/{turn}/events").lines()] == ["TurnEnded"]


def test_a_running_turn_is_cancelled(served: Served, turn: str) -> None:
    assert served.call("POST", f"/api/turns/{turn}/cancel").status == 409
    served.gateway.script(Ask(), "Deleted.")
    asked = served.chat("clean up").json()["carapax"]["turn"]
    assert served.call("POST", f"/api/turns/{asked}/cancel").status == 200
    assert served.call("GET", f"/api/turns/{asked}").json()["state"] == "stopped"


def test_sessions_are_listed_shown_named_exported_and_deleted(served: Served, turn: str) -> None:
    for text in ("second", "third"):
        served.call("POST", "/api/turns", {"text": text})
    listed = served.call("GET", "/api/sessions?limit=2").json()["sessions"]
    assert [s["name"] for s in listed] == ["third", "second"]
    found = served.call("GET", "/api/sessions?query=HELLO").json()["sessions"]
    assert len(found) == 1
    path = f"/api/sessions/{found[0]['id']}"
    assert served.call("PATCH", path, {"name": "greeting"}).status == 200
    shown = served.call("GET", path).json()
    assert shown["session"]["name"] == "greeting"
    assert [t["text"] for t in shown["turns"]] == ["hello"]
    parts = served.call("GET", f"{path}/export").lines()
    assert [(p["kind"], p["text"]) for p in parts] == [("user", "hello"), ("reply", "You said: hello")]
    more = served.call("POST", "/api/turns", {"text": "again", "session": found[0]["id"]}).lines()
    assert (more[0]["session"], more[0]["number"]) == (found[0]["id"], 2)
    assert served.call("DELETE", path).status == 200
    gone = served.call("GET", path)
    assert gone.status == 404
    assert set(gone.json()["error"]) == {"code", "message", "kept", "next_step"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/sessions?limit=0", None),
        ("GET", "/api/sessions?limit=many", None),
        ("GET", "/api/sessions?lmit=3", None),
        ("GET", "/api/approvals?state=old", None),
        ("PATCH", "/api/sessions/x", {"name": ""}),
        ("PATCH", "/api/sessions/x", {"name": "a\nb"}),
        ("PATCH", "/api/sessions/x", {"name": "a" * 201}),
        ("POST", "/api/approvals/K7M2", {"answer": "maybe"}),
        ("POST", "/api/approvals/K7M2", {}),
        ("POST", "/api/tokens", {"name": "n", "scopes": [], "days": 3}),
        ("POST", "/api/tokens", {"name": "n", "scopes": ["root"], "days": 3}),
        ("POST", "/api/tokens", {"name": "n", "scopes": ["chat"], "days": 0}),
        ("POST", "/api/turns", {"text": "x", "session": "a", "conversation": "b"}),
        ("POST", "/api/turns", {"text": "x", "channel": "mail"}),
    ],
)
def test_wrong_values_are_refused(served: Served, method: str, path: str, body: object) -> None:
    reply = served.call(method, path, body)
    assert reply.status in (400, 413)
    assert reply.json()["error"]["next_step"]


@pytest.mark.parametrize("identifier", ["a" * 65, "a%20b", "..%2f..", "%00", "é"])
def test_what_cannot_be_an_id_is_not_looked_up(served: Served, identifier: str) -> None:
    async def looked_up(*_: object) -> object:
        raise AssertionError("it was looked up")

    served.gateway.get_session = looked_up  # type: ignore[assignment, method-assign]
    quoted = identifier.encode("ascii", "ignore").decode() or "%C3%A9"
    assert served.call("GET", f"/api/sessions/{quoted}").status == 404


def test_approvals_are_listed_and_answered(served: Served) -> None:
    served.gateway.script(Ask(), "Deleted.")
    turn = served.chat("clean up").json()["carapax"]["turn"]
    waiting = served.call("GET", "/api/approvals").json()["approvals"]
    assert [a["id"] for a in waiting] == ["K7M2"]
    assert waiting[0]["lines"][0]["value"] == "old/"
    assert served.call("POST", "/api/approvals/K7M2", {"answer": "no"}).json()["state"] == "denied"
    assert served.call("GET", f"/api/turns/{turn}/events").lines()[-1]["reply"] == "I did not do it."
    assert served.call("GET", "/api/approvals").json() == {"approvals": []}
    assert len(served.call("GET", "/api/approvals?state=all").json()["approvals"]) == 1
    assert served.call("POST", "/api/approvals/K7M2", {"answer": "yes"}).status == 409
    assert served.call("POST", "/api/approvals/ZZZZ", {"answer": "yes"}).status == 404


def test_undo(served: Served, turn: str) -> None:
    undone = served.call("POST", "/api/undo", {"turn": turn}).json()
    assert (undone["number"], undone["restored"][0]["path"]) == (1, "hello.py")
    assert served.call("POST", "/api/undo", {}).status == 200
    assert served.gateway.undone == [(None, turn), (None, None)]


def test_tokens_are_made_listed_and_revoked_without_their_hash(served: Served) -> None:
    made = served.call("POST", "/api/tokens", {"name": "phone", "scopes": ["chat"]}).json()
    assert served.call("GET", "/v1/models", token=made["value"]).status == 200
    listed = served.call("GET", "/api/tokens").json()["tokens"]
    assert [t["name"] for t in listed] == ["test", "phone"]
    assert all("hash" not in t for t in listed)
    assert served.call("DELETE", f"/api/tokens/{made['token']['id']}").status == 200
    assert served.call("GET", "/v1/models", token=made["value"]).status == 401


def test_the_sign_in_code_gives_a_token_once(served: Served) -> None:
    made = served.call("POST", "/api/signin", {"code": " qx4-7rm "}, token="")
    assert made.status == 201
    assert served.call("GET", "/v1/models", token=made.json()["value"]).status == 200
    again = served.call("POST", "/api/signin", {"code": "QX4-7RM"}, token="")
    assert again.status == 401
    assert "token create" in again.json()["error"]["next_step"]


def test_health_readiness_status_metrics_stop(served: Served) -> None:
    assert served.call("GET", "/healthz", token="").json() == {"status": "ok", "version": "0.1.0"}
    assert served.call("GET", "/readyz", token="").json() == {"ready": True, "failed": []}
    served.gateway.failed = [Check("store", Standing.FAILED, "disk full", "Free some space.")]
    failed = served.call("GET", "/readyz", token="")
    assert failed.status == 503
    assert failed.json()["failed"][0]["next_step"] == "Free some space."
    assert served.call("GET", "/api/status").json()["version"] == "0.1.0"
    text = served.call("GET", "/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "carapax_turns_total 0\n" in text.text
    assert served.call("POST", "/api/stop").json() == {"stopping": True}
    assert served.gateway.stopped.is_set()


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (StoreUnavailable("no store"), 503, "server_error"),
        (LedgerUnavailable("no ledger"), 503, "server_error"),
        (Conflict("this session is busy with too many messages"), 409, "conflict_error"),
        (BudgetSpent("the day's budget is used up"), 429, "rate_limit_error"),
    ],
)
def test_what_is_missing_is_said(served: Served, error: Exception, status: int, kind: str) -> None:
    async def failing(*_: object) -> object:
        raise error

    served.gateway.submit = failing  # type: ignore[assignment, method-assign]
    reply = served.call("POST", "/api/turns", {"text": "x"})
    assert reply.status == status
    assert reply.json()["error"]["message"] == str(error)
    on_v1 = served.chat("x")
    assert on_v1.status == status
    assert on_v1.json()["error"]["type"] == kind


def test_a_gateway_that_hides_approvals_from_a_token_still_takes_its_words(served: Served) -> None:
    async def refusing(*_: object) -> object:
        raise Refused("no scope")

    served.gateway.list_approvals = refusing  # type: ignore[assignment, method-assign]
    assert served.chat("no problem").json()["choices"][0]["message"]["content"] == "You said: no problem"
    served.gateway.script(Ask())
    served.chat("clean up", user="anna")
    assert served.chat("hurry", user="anna").status == 409


def test_an_error_in_a_running_stream_is_its_last_line(served: Served) -> None:
    submit = served.gateway.submit

    async def breaking(*given: object) -> object:
        events = await submit(*given)  # type: ignore[arg-type]

        async def some() -> object:
            yield await anext(events)
            raise StoreUnavailable("the disk is full")

        return some()

    served.gateway.submit = breaking  # type: ignore[assignment, method-assign]
    assert served.call("POST", "/api/turns", {"text": "x"}).lines()[-1] == {
        "event": "Notice",
        "code": "store.unavailable",
        "text": "the disk is full",
        "next_step": "Run `carapax doctor`.",
    }
    streamed = served.chat("x", stream=True)
    assert "the disk is full" in streamed.text and streamed.text.endswith("data: [DONE]\n\n")
    assert served.chat("x").status == 503


def test_another_owners_things_are_not_found(served: Served, turn: str) -> None:
    other = served.gateway.mint(*Scope, owner="anna")
    assert served.call("GET", f"/api/turns/{turn}", token=other).status == 404
    body = {"input": "x", "previous_response_id": f"resp_{turn}"}
    assert served.call("POST", "/v1/responses", body, token=other).status == 404


def test_metrics_are_grouped_typed_and_never_broken() -> None:
    text = render_metrics(
        {
            'b{x="1"}': 1.5,
            "a_total": 3.0,
            'b{x="2"}': float("inf"),
            "c": float("nan"),
            "bad name": 1.0,
            'evil{x="\n"}': 1.0,
        }
    )
    assert text == (
        '# TYPE a_total counter\na_total 3\n# TYPE b gauge\nb{x="1"} 1.5\nb{x="2"} +Inf\n# TYPE c gauge\nc NaN\n'
    )
