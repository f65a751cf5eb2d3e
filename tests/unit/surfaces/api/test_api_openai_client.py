"""OpenAI's own client, pointed at the gateway."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from carapax.core.terms.approval import ArgumentLine
from carapax.core.terms.conversation import PartKind
from carapax.core.terms.principal import Scope
from tests.fakes.gateway import Ask, Hold, Stop
from tests.unit.surfaces.api.served import Served


def connect(served: Served, token: str) -> openai.OpenAI:
    return openai.OpenAI(api_key=token, base_url=f"{served.url}/v1", max_retries=0, timeout=20)


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with connect(served, served.token) as one:
        yield one


def test_plain_chat(served: Served, client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hé"}], temperature=0)
    assert done.choices[0].message.content == "You said: hé"
    assert done.choices[0].finish_reason == "stop"
    assert done.model == "carapax"
    assert done.usage is not None and done.usage.total_tokens == 42
    assert served.gateway.inbounds[0].channel == "api"
    assert done.carapax["state"] == "done"  # type: ignore[attr-defined]


def test_streamed_chat_with_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="carapax",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content] == [
        "You said: ",
        "hi",
    ]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 42
    assert all(c.usage is None for c in chunks[:-1])
    assert len({c.id for c in chunks}) == 1


def test_streamed_chat_without_usage_has_none(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(model="carapax", messages=[{"role": "user", "content": "hi"}], stream=True)
    )
    assert all(c.usage is None and c.choices for c in chunks)


def test_the_clients_own_stream_accumulator_takes_it(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="carapax", messages=[{"role": "user", "content": "hi"}]) as stream:
        assert stream.get_final_completion().choices[0].message.content == "You said: hi"


def test_user_names_a_conversation_and_only_the_last_message_is_new(served: Served, client: openai.OpenAI) -> None:
    system = {"role": "system", "content": "Be brief."}
    client.chat.completions.create(model="c", user="anna", messages=[system, {"role": "user", "content": "one"}])  # type: ignore[list-item]
    client.chat.completions.create(
        model="c",
        user="anna",
        messages=[
            system,  # type: ignore[list-item]
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "You said: one"},
            {"role": "user", "content": "two"},
        ],
    )
    first, second = served.gateway.inbounds
    assert (first.conversation, first.text, first.seed) == ("anna", "Be brief.\n\none", ())
    assert (second.conversation, second.text, second.seed) == ("anna", "two", ())
    assert len(served.gateway.sessions) == 1


def test_changed_instructions_are_handed_on_again(served: Served) -> None:
    for system in ("Be brief.", "Be brief.", "Be long."):
        messages = [{"role": "developer", "content": system}, {"role": "user", "content": "x"}]
        assert served.call("POST", "/v1/chat/completions", {"messages": messages, "user": "anna"}).status == 200
    assert [i.text for i in served.gateway.inbounds] == ["Be brief.\n\nx", "x", "Be long.\n\nx"]


def test_a_stateless_client_brings_its_history(served: Served, client: openai.OpenAI) -> None:
    client.chat.completions.create(
        model="c",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": "two"},
        ],
    )
    inbound = served.gateway.inbounds[0]
    assert inbound.text == "two"
    assert inbound.conversation == ""
    assert inbound.seed == ((PartKind.USER, "Be brief."), (PartKind.USER, "a\nb"), (PartKind.REPLY, "ok"))


def test_responses_continue_a_session(served: Served, client: openai.OpenAI) -> None:
    first = client.responses.create(model="carapax", input="one", instructions="Be brief.")
    second = client.responses.create(model="carapax", input="two", previous_response_id=first.id)
    third = client.responses.create(
        model="carapax",
        previous_response_id=second.id,
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "three"}]},
            {"role": "user", "content": "four"},
        ],
    )
    assert first.output_text == "You said: one"
    assert second.output_text == "You said: two"
    assert third.output_text == "You said: three\n\nfour"
    assert second.previous_response_id == first.id
    assert first.usage is not None and first.usage.total_tokens == 42
    assert len(served.gateway.sessions) == 1


def test_responses_take_a_conversation(served: Served, client: openai.OpenAI) -> None:
    client.responses.create(model="carapax", input="one", conversation="trip")
    client.responses.create(model="carapax", input="two", conversation={"id": "trip"})
    assert [i.conversation for i in served.gateway.inbounds] == ["trip", "trip"]
    assert len(served.gateway.sessions) == 1


def test_responses_stream_in_the_documented_order(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="carapax", input="hi", stream=True))
    assert [e.type for e in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [e.sequence_number for e in events] == list(range(10))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "You said: hi"
    assert last.response.status == "completed"


def test_the_responses_accumulator_takes_it(client: openai.OpenAI) -> None:
    with client.responses.stream(model="carapax", input="hi") as stream:
        assert stream.get_final_response().output_text == "You said: hi"


def test_models(client: openai.OpenAI) -> None:
    assert [m.id for m in client.models.list()] == ["carapax"]


def test_a_turn_that_needs_approval_asks_at_once_and_goes_on_when_answered(
    served: Served, client: openai.OpenAI
) -> None:
    lines = (ArgumentLine("path", "old/", "you named it in this message"),)
    served.gateway.script("Looking. ", Ask("delete 12 files", lines, taint="1 mail from outside"), "Deleted.")
    asked = client.chat.completions.create(model="c", user="anna", messages=[{"role": "user", "content": "clean up"}])
    text = asked.choices[0].message.content or ""
    for said in (
        '"delete 12 files"',
        'path: "old/"  (you named it in this message)',
        "rule files.delete-many: deletes more than 10 files",
        "1 mail from outside",
        "Until 2027-01-15 08:01:00 UTC (1 min 0 s left)",
        "`carapax approve K7M2`",
        "reply `yes K7M2` here",
    ):
        assert said in text
    extra = asked.carapax  # type: ignore[attr-defined]
    assert extra["approval"]["id"] == "K7M2" and extra["state"] == "waiting"

    other = client.chat.completions.create(model="c", user="anna", messages=[{"role": "user", "content": "hurry"}])
    waits = other.choices[0].message.content or ""
    assert "waits" in waits and "your new message was not taken" in waits and "carapax approve K7M2" in waits
    assert len(served.gateway.inbounds) == 1

    done = client.chat.completions.create(model="c", user="anna", messages=[{"role": "user", "content": " Yes k7m2 "}])
    assert done.choices[0].message.content == "Looking. Deleted."
    assert served.gateway.answers == [("K7M2", True)]
    assert len(served.gateway.inbounds) == 1

    again = client.chat.completions.create(model="c", user="anna", messages=[{"role": "user", "content": "no K7M2"}])
    assert "already approved" in (again.choices[0].message.content or "")
    assert served.gateway.answers == [("K7M2", True)]


@pytest.mark.parametrize(("word", "yes"), [("oui", True), ("NON", False), ("no", False), ("yes", True)])
def test_both_languages_answer(served: Served, client: openai.OpenAI, word: str, yes: bool) -> None:
    served.gateway.script(Ask(), "Deleted.")
    client.responses.create(model="c", input="clean up", conversation="x")
    done = client.responses.create(model="c", input=f"{word} K7M2", conversation="x")
    assert done.output_text == ("Deleted." if yes else "I did not do it.")
    assert served.gateway.answers == [("K7M2", yes)]


@pytest.mark.parametrize("text", ["yes K7M2 please", "yes", "yes XXXX", "well, yes K7M2", "yes K7M2\nand more"])
def test_only_the_exact_words_answer(served: Served, text: str) -> None:
    served.gateway.script(Ask(), "Deleted.")
    served.chat("clean up", user="anna")
    answer = served.chat(text, user="anna")
    assert answer.status == 200
    assert "was not taken" in answer.json()["choices"][0]["message"]["content"]
    assert served.gateway.answers == []


def test_an_unanswered_ask_is_refused_after_its_deadline(served: Served, client: openai.OpenAI) -> None:
    served.gateway.script(Ask(lives_ms=50), "Deleted.")
    text = "".join(
        c.choices[0].delta.content or ""
        for c in client.chat.completions.create(
            model="c", messages=[{"role": "user", "content": "clean up"}], stream=True
        )
    )
    assert "This waits for your answer" in text
    assert "Nobody answered K7M2 in time, so it was refused." in text
    assert text.endswith("I did not do it.")


def test_a_stream_shows_the_ask_and_stays_open_until_it_is_answered(served: Served, client: openai.OpenAI) -> None:
    served.gateway.script(Ask(), "Deleted.")
    seen = ""
    for chunk in client.chat.completions.create(
        model="c", messages=[{"role": "user", "content": "clean up"}], stream=True
    ):
        piece = chunk.choices[0].delta.content or ""
        if "reply `yes K7M2` here" in piece:
            assert served.call("POST", "/api/approvals/K7M2", {"answer": "yes"}).status == 200
        seen += piece
    assert seen.endswith("K7M2 was approved.\n\nDeleted.")


def test_an_answer_may_be_streamed(served: Served, client: openai.OpenAI) -> None:
    served.gateway.script(Ask(), "Deleted.")
    client.chat.completions.create(model="c", messages=[{"role": "user", "content": "clean up"}])
    events = list(client.responses.create(model="c", input="yes K7M2", stream=True))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text.endswith("Deleted.")


def test_a_chat_only_token_is_not_told_to_answer_here(served: Served) -> None:
    served.gateway.script(Ask(), "Deleted.")
    chat_only = served.gateway.mint(Scope.CHAT)
    with connect(served, chat_only) as client:
        asked = client.chat.completions.create(model="c", user="a", messages=[{"role": "user", "content": "clean up"}])
        text = asked.choices[0].message.content or ""
        assert "carapax approve K7M2" in text
        assert "here" not in text
        with pytest.raises(openai.PermissionDeniedError, match="may not answer approvals"):
            client.chat.completions.create(model="c", user="a", messages=[{"role": "user", "content": "yes K7M2"}])
    assert served.gateway.answers == []


def test_a_stopped_turn_says_why(served: Served, client: openai.OpenAI) -> None:
    served.gateway.script("Half. ", Stop())
    done = client.chat.completions.create(model="c", messages=[{"role": "user", "content": "x"}])
    assert done.choices[0].message.content == (
        "Half. \n\nthe turn's budget of 100 tokens is used up. Raise it with `carapax budget`."
    )
    assert done.choices[0].finish_reason == "length"
    assert done.carapax["code"] == "budget.spent"  # type: ignore[attr-defined]


def test_errors_reach_the_client_as_its_own_kinds(served: Served, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Tools run inside Carapax"):
        client.chat.completions.create(
            model="c",
            messages=[{"role": "user", "content": "x"}],
            tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
        )
    with connect(served, "cpx_wrongwrongwrong") as stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="c", input="x", previous_response_id="resp_gone")


def test_a_stream_that_is_left_does_not_end_its_turn(served: Served, client: openai.OpenAI) -> None:
    hold = Hold()
    served.gateway.script("first ", hold, "second")
    stream = client.chat.completions.create(model="c", messages=[{"role": "user", "content": "x"}], stream=True)
    next(iter(stream))
    stream.close()
    hold.open()
    turn = next(iter(served.gateway.turns))
    lines = served.call("GET", f"/api/turns/{turn}/events").lines()
    assert lines[-1]["reply"] == "first second"


def test_the_idempotency_key_is_handed_on(served: Served) -> None:
    body = {"messages": [{"role": "user", "content": "once"}], "user": "anna"}
    for _ in range(2):
        served.call("POST", "/v1/chat/completions", body, headers={"Idempotency-Key": "k1"})
    assert [i.key for i in served.gateway.inbounds] == ["k1"]
