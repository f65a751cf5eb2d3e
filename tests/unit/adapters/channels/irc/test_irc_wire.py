"""IRC's lines: who is believed, what is refused, and what goes out."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.channels.catalogue import FOLDER, check_answers, get_manifest
from carapax.adapters.channels.irc import wire
from carapax.core.terms.channel import Received
from carapax.core.terms.error import Malformed
from tests.fakes.platforms.serving import shows

VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "irc/vectors/lines.json").read_text())


def scene(*, by_nick: bool = False, count: int = 1) -> wire.Scene:
    return wire.Scene("irc", "carapax", by_nick, 1_000, count)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["line"][:60].encode("ascii", "replace").decode())
def test_a_documented_line_is_read(vector: dict[str, Any]) -> None:
    line = wire.parse_line(vector["line"].encode())
    assert shows(wire.parse_message(line, scene(by_nick=vector["by_nick"])), vector["wanted"])


def test_an_event_is_the_messages_id_where_there_is_one() -> None:
    def event(text: str, count: int) -> str:
        heard = wire.parse_message(wire.parse_line(text.encode()), scene(count=count))
        assert isinstance(heard, Received)
        return heard.event

    with_id, without = "@account=a;msgid=7 :a!b@c PRIVMSG carapax :x", ":a!b@c PRIVMSG carapax :x"
    assert event(with_id, 1) == event(with_id, 2)
    assert event(without, 1) != event(without, 2)
    other = "@account=eve;msgid=7 :e!b@c PRIVMSG carapax :x"
    assert event(with_id, 1) != event(other, 1)  # nobody uses up another's id


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        line = wire.parse_line(raw)
        for by_nick in (True, False):
            wire.parse_message(line, scene(by_nick=by_nick))
            wire.find_sender(line, scene(by_nick=by_nick))
        line.param(9)


@given(st.text(max_size=80), st.text(max_size=60), st.text(max_size=300))
def test_no_line_raises_anything_else(tags: str, prefix: str, text: str) -> None:
    with contextlib.suppress(Malformed):
        wire.parse_message(
            wire.parse_line(f"@{tags} :{prefix}!u@h PRIVMSG carapax :{text}".encode("utf-8", "replace")), scene()
        )


@pytest.mark.parametrize("raw", [b"", b"\r\n", b":only", b"@tags", b"::: :", b":a!b@c  ", b"P-R x"])
def test_what_is_no_line_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        wire.parse_line(raw)


@given(st.text(max_size=300))
def test_what_is_written_is_lines_to_one_place(text: str) -> None:
    with contextlib.suppress(Malformed):
        for line in wire.render_text("#talk", text):
            assert line.startswith("PRIVMSG #talk :") and len(line.encode("utf-8", "replace")) <= 416
            assert not {"\r", "\n", "\0", "\x01"} & set(line)


def test_words_cannot_leave_their_place() -> None:
    assert list(wire.render_text("#talk", "hi\r\nQUIT :bye\n\n\x01DCC SEND x\x01")) == [
        "PRIVMSG #talk :hi", "PRIVMSG #talk :QUIT :bye", "PRIVMSG #talk :DCC SEND x"
    ]  # fmt: skip
    assert list(wire.render_text("anna", "\tcode")) == ["PRIVMSG anna :    code"]
    for target in ("", "a b", "#x\r\nQUIT", ":x", "a\0"):
        with pytest.raises(Malformed):
            list(wire.render_text(target, "x"))
    with pytest.raises(Malformed):
        list(wire.render_text("#talk", "ü" * 201))


def test_signing_in_is_the_word_in_base64() -> None:
    assert base64.b64decode(wire.render_plain("anna", "word")) == b"anna\0anna\0word"


def test_names_are_compared_as_servers_do() -> None:
    assert wire.fold("Anna[]\\~") == wire.fold("aNNA{}|^") == "anna{}|^"


def test_the_manifest_takes_names_alone() -> None:
    manifest = get_manifest("irc")
    check_answers(manifest, {"server": "irc.example.org", "nick": "carapax", "channels": "#a #b"}, {})
    for values in ({"nick": "1x"}, {"nick": "a b"}, {"channels": "#a,0"}, {"channels": "talk"}, {"identity": "both"}):
        with pytest.raises(Malformed):
            check_answers(manifest, {"server": "irc.example.org", "nick": "carapax"} | values, {})
