"""The routes of channels, people and given-up messages: what goes through, what never leaves, who may."""

from __future__ import annotations

from typing import Any

import pytest

from carapax.core.terms.principal import Scope
from carapax.ports.channel import ChannelFailed, CredentialRefused
from tests.unit.surfaces.api.served import Served

NEW = {
    "name": "telegram",
    "kind": "telegram",
    "values": {"mode": "poll"},
    "secrets": {"token": "channel-telegram-token"},
}


def test_kinds_are_told_with_what_they_ask(served: Served) -> None:
    kinds = {kind["kind"]: kind for kind in served.call("GET", "/api/channel-kinds").json()["kinds"]}
    assert kinds["telegram"]["hook"] is True
    token, *_ = kinds["telegram"]["asks"]
    assert (token["name"], token["secret"], token["optional"]) == ("token", True, False)
    assert token["english"] and token["french"]


def test_a_channel_is_added_seen_tested_and_removed(served: Served) -> None:
    added = served.call("POST", "/api/channels", NEW)
    assert added.status == 201
    assert added.json()["channel"]["state"] == "up" and added.json()["facts"][0] == "@carapax_bot"
    assert served.gateway.answers_of["telegram"] == ({"mode": "poll"}, {"token": "channel-telegram-token"})
    (seen,) = served.call("GET", "/api/channels").json()["channels"]
    assert (seen["name"], seen["title"], seen["queued"]) == ("telegram", "Telegram", 0)
    assert served.call("POST", "/api/channels/telegram/test").json() == {"facts": list(served.gateway.facts)}
    assert served.call("GET", "/api/channels/telegram/log?limit=5").json()["lines"][0]["text"].startswith("connected")
    assert served.call("DELETE", "/api/channels/telegram").json() == {"removed": "telegram"}
    assert served.call("GET", "/api/channels").json() == {"channels": []}


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"kind": "pigeon"}, 404), ({"secrets": {}}, 400), ({"values": {"Mode": "x"}}, 400), ({"values": {"mode": 1}}, 400),
     ({"values": {"mode": "a\nb"}}, 400), ({"values": []}, 400), ({"secrets": {"token": "x" * 65}}, 413), ({"name": ""}, 400),
     ({"values": {f"a{n}": "x" for n in range(33)}}, 400), ({"token": "1234"}, 400), ({"values": {"mode": "x" * 5_000}}, 413)],
)  # fmt: skip
def test_a_wish_that_is_not_whole_is_refused_and_nothing_is_kept(
    served: Served, changed: dict[str, Any], status: int
) -> None:
    assert served.call("POST", "/api/channels", {**NEW, **changed}).status == status
    assert served.gateway.channels == {}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ChannelFailed("api.telegram.org did not answer."), "channel.failed"),
        (CredentialRefused("Telegram says no."), "channel.credential"),
    ],
)
def test_what_the_platform_says_against_it_is_told(served: Served, error: Any, code: str) -> None:
    served.gateway.refuses = error
    reply = served.call("POST", "/api/channels", NEW)
    assert (reply.status, reply.json()["error"]["code"]) == (503, code)
    assert served.gateway.channels == {}


def test_a_code_is_made_to_be_sent(served: Served) -> None:
    made = served.call("POST", "/api/pairings", {"person": "anna"})
    assert made.status == 201
    assert made.json()["code"][4] == "-" and made.json()["person"] == "anna"
    (waiting,) = served.call("GET", "/api/pairings").json()["pairings"]
    assert "hash" not in waiting and waiting["person"] == "anna"
    assert served.gateway.pairings[0].hash not in served.call("GET", "/api/pairings").text
    assert served.call("POST", "/api/pairings", {"channel": "none"}).status == 404


def test_a_code_that_the_agent_gave_makes_somebody_known(served: Served) -> None:
    code = served.gateway.ask_in("telegram", "4711", "Anna")
    accepted = served.call("POST", "/api/accounts", {"code": code.lower().replace("-", " "), "person": "anna"})
    assert accepted.status == 201 and accepted.json()["sender"] == "4711"
    assert served.call("POST", "/api/accounts", {"code": code}).status == 404
    (known,) = served.call("GET", "/api/accounts").json()["accounts"]
    assert (known["person"], known["channel"]) == ("anna", "telegram")
    assert served.call("DELETE", "/api/accounts?channel=telegram&sender=12").status == 404
    gone = served.call("DELETE", "/api/accounts?channel=telegram&sender=4711")
    assert gone.json() == {"forgotten": {"channel": "telegram", "sender": "4711"}}
    assert served.call("GET", "/api/accounts").json() == {"accounts": []}
    assert served.call("DELETE", "/api/accounts?channel=telegram").status == 400


def test_any_id_of_a_platform_can_be_forgotten(served: Served) -> None:
    sender = "@anna:example.org/é +&="
    code = served.gateway.ask_in("matrix", sender)
    served.call("POST", "/api/accounts", {"code": code})
    assert (
        served.call("DELETE", "/api/accounts?channel=matrix&sender=%40anna%3Aexample.org%2F%C3%A9%20%2B%26%3D").status
        == 200
    )
    assert served.gateway.accounts == {}


def test_given_up_messages_are_listed_without_their_text(served: Served) -> None:
    work = served.gateway.give_up("delivery", "telegram/42/private-id", "The bot was blocked.")
    other = served.gateway.give_up("delivery", "k2", "Gone.")
    listed = served.call("GET", "/api/dead-messages")
    assert [each["id"] for each in listed.json()["messages"]] == [work.short, other.short]
    assert "private" not in listed.text and listed.json()["messages"][0]["error"] == "The bot was blocked."
    assert served.call("POST", f"/api/dead-messages/{work.short}/retry").json()["state"] == "waiting"
    assert served.call("DELETE", f"/api/dead-messages/{other.short}").json()["state"] == "dead"
    assert served.call("POST", "/api/dead-messages/zzzzzzzz/retry").status == 404
    assert served.gateway.dead == {}


@pytest.mark.parametrize("scope", [Scope.CHAT, Scope.APPROVE])
def test_who_may_chat_or_approve_sees_none_of_it(served: Served, scope: Scope) -> None:
    token = served.gateway.mint(scope)
    for method, path in (
        ("GET", "/api/channels"), ("GET", "/api/channel-kinds"), ("GET", "/api/accounts"), ("GET", "/api/pairings"),
        ("GET", "/api/dead-messages"), ("POST", "/api/pairings"), ("POST", "/api/channels"), ("DELETE", "/api/channels/x"),
    ):  # fmt: skip
        assert served.call(method, path, {}, token=token).status == 403
