"""Every way a model service can fail, through the real model library, ends as one clear ProviderFailed."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from carapax.adapters.providers.catalogue import ModelSettings, choose_model
from carapax.adapters.providers.remote.adapter import RemoteLimits
from carapax.adapters.providers.remote.wire import AnswerBounds
from tests.fakes.model_server import Drop, Endless, ModelServer, Raw, Says, Script, Silence, Stall, Status
from tests.unit.adapters.providers.remote.asking import KEY, QUICK, WIRES, Asked, ask, choice_for

pytestmark = pytest.mark.parametrize("wire", WIRES)


def failed(wire: str, *script: Script, limits: RemoteLimits = QUICK, requests: int = 1) -> Asked:
    with ModelServer(*script, last_repeats=True) as server:
        asked = ask(choice_for(server, wire), limits=limits)
    assert asked.failure is not None
    assert KEY not in repr(asked.failure) + asked.failure.what + asked.failure.next_step
    assert asked.failure.kept and asked.failure.next_step
    assert len(server.requests) == requests
    return asked


def test_a_refused_key_names_the_command_that_sets_it(wire: str) -> None:
    for code in (401, 403):
        failure = failed(wire, Status(code)).failure
        assert failure and "key was refused" in failure.what and "carapax model" in failure.next_step
        assert not failure.retriable


def test_an_unknown_model_is_named(wire: str) -> None:
    failure = failed(wire, Status(404)).failure
    assert failure and "'m1'" in failure.what and not failure.retriable


def test_too_many_requests_waits_as_long_as_asked_and_no_more_than_twice(wire: str) -> None:
    asked = failed(wire, Status(429, headers={"retry-after": "7"}), requests=3)
    assert asked.pauses == [7.0, 7.0]
    assert asked.failure and asked.failure.retriable and asked.failure.retry_after_ms == 7000


def test_a_longer_wait_than_the_bound_is_passed_on(wire: str) -> None:
    asked = failed(wire, Status(429, headers={"retry-after": "21"}))
    assert asked.pauses == []
    assert asked.failure and asked.failure.retry_after_ms == 21_000


@pytest.mark.parametrize("said", ["-5", "nan", "inf", "1e999", "soon", "99999999999999999999"])
def test_a_senseless_wait_is_no_wait(wire: str, said: str) -> None:
    asked = failed(wire, Status(429, headers={"retry-after": said}), requests=3)
    assert asked.pauses == [0.5, 1.0]
    assert asked.failure and asked.failure.retry_after_ms == 0


def test_a_server_error_is_tried_again_with_growing_pauses(wire: str) -> None:
    for code in (500, 503, 529):
        asked = failed(wire, Status(code), requests=3)
        assert asked.pauses == [0.5, 1.0]
        assert asked.failure and asked.failure.retriable and str(code) in asked.failure.what


def test_a_second_try_may_succeed(wire: str) -> None:
    with ModelServer(Status(500), Status(429), Says(["at last"])) as server:
        asked = ask(choice_for(server, wire))
    assert asked.completion.text == "at last" and len(asked.pauses) == 2


def test_a_pause_beyond_the_whole_answers_time_is_not_begun(wire: str) -> None:
    limits = replace(QUICK, whole_ms=6_000)
    assert failed(wire, Status(429, headers={"retry-after": "7"}), limits=limits).pauses == []


def test_a_rejected_request_quotes_the_service_printable_and_short(wire: str) -> None:
    body = b'{"error": {"message": "too long \\u001b[31m' + b"y" * 1000 + b'"}}'
    failure = failed(wire, Status(400, body)).failure
    assert failure and "too long" in failure.what and "\x1b" not in failure.what and len(failure.what) < 300


def test_silence_ends_at_the_first_byte_limit(wire: str) -> None:
    failure = failed(wire, Silence(), limits=replace(QUICK, first_ms=300)).failure
    assert failure and "first byte" in failure.what and failure.retriable


def test_a_stall_ends_at_the_limit_between_pieces(wire: str) -> None:
    asked = failed(wire, Stall(["begun"]), limits=replace(QUICK, between_ms=300))
    assert asked.text == "begun"
    assert asked.failure and "between two pieces" in asked.failure.what


def test_a_never_ending_stream_ends_at_the_whole_limit(wire: str) -> None:
    failure = failed(wire, Endless(pause_s=0.02), limits=replace(QUICK, whole_ms=600)).failure
    assert failure and "whole answer" in failure.what


def test_comments_alone_are_no_answer(wire: str) -> None:
    pings = Raw(b": ping\n\n" * 1000 + b"event: ping\ndata: {}\n\n")
    assert failed(wire, pings).failure


def test_huge_text_is_cut_off(wire: str) -> None:
    asked = failed(wire, Endless(piece="x" * 60_000))
    assert asked.failure and "1048576 bytes" in asked.failure.what and not asked.failure.retriable
    assert len(asked.text) <= 1 << 20


def test_a_drop_before_any_text_is_tried_again_and_after_text_is_not(wire: str) -> None:
    assert len(failed(wire, Drop(), requests=3).pauses) == 2
    with ModelServer(Drop(), Says(["whole"])) as server:
        assert ask(choice_for(server, wire)).completion.text == "whole"
    asked = failed(wire, Drop(["half an ans"], pause_s=0.2))
    assert asked.text == "half an ans" and asked.pauses == []


JUNK = {
    "bytes": Raw(b"\x00\xff\xfe junk"),
    "bytes as data": Raw(b"data: \x00\xff\n\n"),
    "half a JSON": Raw(b'data: {"id": "x", "choi'),
    "half a JSON in a whole event": Raw(b'data: {"id": "x", "choi\n\n'),
    "nothing": Raw(b""),
    "a page": Raw(b"<html>hello</html>", "text/html"),
    "a list": Raw(b"data: [1, 2]\n\ndata: [DONE]\n\n"),
    "no choices": Raw(b"data: {}\n\ndata: [DONE]\n\n"),
    "choices of the wrong type": Raw(b'data: {"id": "1", "choices": "x"}\n\ndata: [DONE]\n\n'),
    "everything of the wrong type": Raw(
        b'data: {"id": 5, "choices": [{"index": "a", "delta": {"content": {"x": 1}, "tool_calls": [{"index": 0, '
        b'"id": 7, "function": {"name": 3, "arguments": {"a": 1}}}]}, "finish_reason": 9}], "usage": "lots"}\n\n'
    ),
    "a wrong message start": Raw(
        b'event: message_start\ndata: {"type": "message_start", "message": {"usage": "x"}}\n\n'
    ),
    "a wrong delta": Raw(
        b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": "x", '
        b'"delta": {"type": "text_delta", "text": 5}}\n\n'
    ),
    "deep": Raw(b"data: " + b"[" * 100_000 + b"\n\n"),
}


@pytest.mark.parametrize("junk", JUNK)
def test_junk_is_an_answer_that_cannot_be_read(wire: str, junk: str) -> None:
    failure = failed(wire, JUNK[junk]).failure
    assert failure and "cannot be read" in failure.what


def test_an_answer_that_stops_without_its_end_is_not_taken_for_whole(wire: str) -> None:
    if wire == "openai":
        begun = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"The balance is 1"}}]}\n\n'
    else:
        begun = (
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
            b'"role":"assistant","model":"x","content":[],"usage":{"input_tokens":1,"output_tokens":0}}}\n\n'
            b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
            b'"content_block":{"type":"text","text":"The balance is 1"}}\n\n'
        )
    asked = failed(wire, Raw(begun))
    assert asked.text == "The balance is 1"


def test_an_error_inside_the_stream_is_the_same_error(wire: str) -> None:
    body = (
        b'data: {"error": {"message": "slow down", "code": 429}}\n\n'
        if wire == "openai"
        else b'event: error\ndata: {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}\n\n'
    )
    asked = failed(wire, Raw(body), requests=3)
    assert asked.failure and "429" in asked.failure.what


def test_a_thousand_tool_calls_are_refused(wire: str) -> None:
    wishes = [(f"id{n}", "read_file", "{}") for n in range(1000)]
    failure = failed(wire, Says([], wishes)).failure
    assert failure and "more than 64 tools" in failure.what


def test_arguments_over_the_bound_are_refused(wire: str) -> None:
    limits = replace(QUICK, answer=AnswerBounds(argument_bytes=1000))
    failure = failed(wire, Says([], [("i", "t", '"' + "x" * 1000 + '"')]), limits=limits).failure
    assert failure and "longer than 1000 bytes" in failure.what


def test_two_calls_with_one_id_are_refused(wire: str) -> None:
    failure = failed(wire, Says([], [("i", "t", "{}"), ("i", "u", "{}")])).failure
    assert failure and "same id" in failure.what


def test_a_withheld_answer_says_so(wire: str) -> None:
    finish = "content_filter" if wire == "openai" else "refusal"
    failure = failed(wire, Says([], finish=finish)).failure
    assert failure and "filter" in failure.what


def test_a_redirect_is_refused(wire: str) -> None:
    with ModelServer() as elsewhere:
        target = Status(307, headers={"location": elsewhere.openai_url})
        failure = failed(wire, target).failure
        assert failure and "redirect" in failure.what
        assert elsewhere.requests == []


def test_a_refused_connection_names_the_address(wire: str) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        choice = choose_model(ModelSettings(provider=wire, model="m1", base_url=address), {})
        asked = ask(choice)
    assert asked.failure and address in asked.failure.what and asked.failure.retriable
    assert len(asked.pauses) == 2


def test_a_missing_key_is_said_before_anything_is_sent(wire: str) -> None:
    with ModelServer(Says(["no"])) as server:
        asked = ask(choice_for(server, wire), key="")
    assert asked.failure and "no key" in asked.failure.what and "carapax model" in asked.failure.next_step
    assert server.requests == []
