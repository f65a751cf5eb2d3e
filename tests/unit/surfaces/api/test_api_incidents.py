"""The routes of incidents over HTTP: listed, shown, decided, followed; and lifting the stop of everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from carapax.core.terms.conversation import TurnState
from carapax.core.terms.event import Contained, TurnEnded
from carapax.core.terms.ids import CallId, SessionId, TurnId
from carapax.core.terms.incident import Act, HaltedProcess, Incident, IncidentState
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Scope
from carapax.core.terms.signal import SignalKind
from carapax.surfaces.api.telling import Telling
from tests.unit.surfaces.api.served import Served, serving

ONE = Incident(
    number=7,
    rule="breaker.canary",
    session=SessionId("s"),
    call=CallId("c"),
    signal=SignalKind.CANARY_USED,
    detail="vault/aws-backup -> files.example",
    count=1,
    limit=0,
    sentence="a planted secret was used (canary vault/aws-backup) towards files.example.",
    how="shell (#41) did it",
    opened_ms=1_800_000_000_000,
    state=IncidentState.FROZEN,
    processes=(HaltedProcess(12, 1, ("curl", "x"), ("/workspace/a",)),),
)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as one:
        one.gateway.incidents[7] = ONE
        yield one


def test_they_are_listed_and_shown(served: Served) -> None:
    listed = served.call("GET", "/api/incidents")
    assert (listed.status, [i["number"] for i in listed.json()["incidents"]]) == (200, [7])
    one = served.call("GET", "/api/incidents/7").json()
    assert (one["state"], one["processes"][0]["command"]) == ("frozen", ["curl", "x"])


@pytest.mark.parametrize("act", list(Act))
def test_a_decision_reaches_the_gateway(served: Served, act: Act) -> None:
    reply = served.call("POST", "/api/incidents/7", {"act": act.value})
    assert reply.status == 200
    assert served.gateway.decided == [(7, act)]
    assert reply.json()["state"] in ("resumed", "killed", "kept")


@pytest.mark.parametrize("number", ["8", "x", "-1", "1e3", "9" * 30, "%E0%A5%AD", "%2e%2e"])
def test_another_number_is_not_found(served: Served, number: str) -> None:
    for method, body in (("GET", None), ("POST", {"act": "resume"})):
        assert served.call(method, f"/api/incidents/{number}", body).status in (400, 404)
    assert served.gateway.decided == []


@pytest.mark.parametrize("body", [{}, {"act": "free"}, {"act": "resume", "number": 1}, {"act": ["resume"]}])
def test_another_decision_is_malformed(served: Served, body: dict[str, object]) -> None:
    assert served.call("POST", "/api/incidents/7", body).status == 400
    assert served.gateway.decided == []


@pytest.mark.parametrize("scope", [Scope.CHAT, Scope.READ])
def test_who_may_only_chat_or_read_decides_nothing(served: Served, scope: Scope) -> None:
    token = served.gateway.mint(scope)
    assert served.call("POST", "/api/incidents/7", {"act": "resume"}, token=token).status == 403
    assert served.call("POST", "/api/resume-all", token=token).status == 403
    assert served.gateway.decided == []


def test_the_stop_of_everything_is_lifted_once(served: Served) -> None:
    served.gateway.everything_stopped = True
    assert served.call("POST", "/api/resume-all").json() == {"resumed": True}
    assert served.call("POST", "/api/resume-all").status == 409


def test_they_are_followed_line_by_line(served: Served) -> None:
    told = served.call("GET", "/api/incident-events").lines()
    assert [(t["event"], t["incident"]["number"]) for t in told] == [("Contained", 7)]


def test_a_chat_client_that_knows_only_text_is_told() -> None:
    telling = Telling(reply_here=False)
    said = telling.feed(Contained(ONE), 0)
    assert "This session is frozen (incident 7)" in said
    assert ONE.sentence in said and "shell (#41) did it" in said
    assert "`carapax incident show 7`" in said
    telling.feed(TurnEnded(SessionId("s"), TurnId("t"), TurnState.DONE, "", Usage()), 0)


def test_control_characters_of_a_detail_are_escaped_and_all_is_called_everything() -> None:
    said = Telling(reply_here=False).feed(Contained(replace(ONE, session=None, sentence="a\x1b[2Jb.")), 0)
    assert "\x1b" not in said
    assert said.startswith("Everything is frozen")
