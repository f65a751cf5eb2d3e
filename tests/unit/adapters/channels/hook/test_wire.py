"""The webhook's JSON: every vector, whatever else may come, and the headers."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.hook import wire
from carapax.core.terms.channel import Button, Heard, OutFile, Outgoing, Place, Received
from carapax.core.terms.error import Malformed

VECTORS = sorted((Path(wire.__file__).parent / "vectors").glob("*.json"))
MAC = bytes(range(32))


def parse(body: Any) -> Heard:
    return wire.parse_message(json.dumps(body).encode(), "hook", "req-1")


def field_of(heard: Heard, name: str) -> Any:
    if name in ("chat", "thread", "private"):
        return getattr(heard.place, name)
    if isinstance(heard, Received) and name in ("sender", "name", "bot"):
        return getattr(heard.sender, {"sender": "id"}.get(name, name))
    return getattr(heard, name)


def test_the_vectors_are_there() -> None:
    assert len(VECTORS) >= 18


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_says_what_it_should(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    if vector["heard"] is None:
        with pytest.raises(Malformed):
            parse(vector["body"])
    else:
        heard = parse(vector["body"])
        assert {name: field_of(heard, name) for name in vector["heard"]} == vector["heard"]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_with_anything_in_its_place_is_malformed_or_says_something(path: Path) -> None:
    body = json.loads(path.read_text("utf-8"))["body"]
    for key in body:
        for value in (None, "x", "", -1, 1 << 70, True, [], {}, 1.5, "\ud800", "\u2028", "a" * 5_000):
            with contextlib.suppress(Malformed):
                parse({**body, key: value})


json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=3)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(wire.FIELDS)), json_values))
def test_json_is_read_or_malformed(body: dict[str, Any]) -> None:
    with contextlib.suppress(Malformed):
        heard = parse(body)
        assert heard.place.chat and heard.event == "m:req-1"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_bytes_are_read_or_malformed(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        wire.parse_message(raw, "hook", "r")
    with contextlib.suppress(Malformed):
        wire.parse_sent(raw)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_headers_are_read_or_malformed(text: str) -> None:
    for parse_it in (wire.parse_id, wire.parse_time, wire.parse_signatures):
        with contextlib.suppress(Malformed):
            parse_it(text)


def test_the_v1_signatures_are_found_among_others() -> None:
    good = wire.render_signature(MAC)
    assert wire.parse_signatures(good) == [MAC]
    other = "v1," + base64.b64encode(bytes(32)).decode()
    assert wire.parse_signatures(f"v1a,xyz {other} v2,abc v1,?? {good}") == [bytes(32), MAC]
    assert len(wire.parse_signatures(" ".join([good] * 50))) == wire.MAX_SIGNATURES
    for bad in ("", "v1", "v1,", good.replace("v1,", "v1a,"), "v1," + base64.b64encode(b"short").decode(), good[3:]):
        with pytest.raises(Malformed):
            wire.parse_signatures(bad)


@pytest.mark.parametrize(
    "header", ["", "12", "-1790000000", "1790000000.5", "²" * 10, "17900000000000", " 1790000000", "1e10"]
)
def test_a_time_is_in_seconds(header: str) -> None:
    with pytest.raises(Malformed):
        wire.parse_time(header)


@pytest.mark.parametrize("header", ["", "a b", "a\n", "é", "x" * 257, "carapax_0123"])
def test_an_id_is_printable_and_not_ours(header: str) -> None:
    with pytest.raises(Malformed):
        wire.parse_id(header)


def test_what_is_signed_is_the_documented_text() -> None:
    assert wire.render_signed("msg_1", 1790000000, b'{"a": 1}') == b'msg_1.1790000000.{"a": 1}'


def test_a_message_holds_everything_that_goes_out() -> None:
    file = OutFile("a.bin", "application/octet-stream", b"\x00\xff")
    outgoing = Outgoing(
        Place("hook", "team", "t1", False), "x", key="k", reply_to="5", buttons=(Button("Yes", "y"),), files=(file,)
    )
    assert wire.render_message(outgoing, "carapax_1") == {
        "type": "message", "id": "carapax_1", "chat": "team", "thread": "t1", "private": False, "text": "x", "reply_to": "5",
        "buttons": [{"label": "Yes", "data": "y"}],
        "files": [{"name": "a.bin", "type": "application/octet-stream", "content": "AP8="}],
    }  # fmt: skip
    for data in ("", "é" * 33):
        with pytest.raises(Malformed):
            wire.render_message(Outgoing(Place("hook", "a"), "x", key="k", buttons=(Button("Yes", data),)), "1")


def test_the_receivers_own_id_is_taken() -> None:
    assert wire.parse_sent(b"") == wire.parse_sent(b"{}") == "" and wire.parse_sent(b'{"message": "77"}') == "77"
