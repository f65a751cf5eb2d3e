"""XMPP's stream and stanzas: what is refused, who is believed, and what goes out."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.channels.catalogue import FOLDER, check_answers, get_manifest
from carapax.adapters.channels.xmpp import wire
from carapax.adapters.channels.xmpp.stream import STANZA_BYTES, StreamParser
from carapax.core.terms.channel import Received
from carapax.core.terms.error import Malformed, TooLarge
from tests.fakes.platforms.serving import shows

ME, ROOM = "agent@example.org", "talk@rooms.example.org"
OPEN = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
SCENE = wire.Scene(
    "xmpp", ME, "carapax",
    {ROOM: {"anna": wire.Occupant("anna", "anna@example.org"), "ghost": wire.Occupant("ghost", "")}},
)  # fmt: skip
VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "xmpp/vectors/messages.json").read_text())


def stanza(text: str) -> Element:
    (found,) = opened().feed(text.encode())
    return found


def opened() -> StreamParser:
    parser = StreamParser()
    assert parser.feed(OPEN) == []
    return parser


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_documented_message_is_read(vector: dict[str, Any]) -> None:
    wanted = vector["wanted"]
    if isinstance(wanted, str):
        with pytest.raises({"Malformed": Malformed, "Hidden": wire.Hidden}[wanted]):
            wire.parse_message(stanza(vector["xml"]), SCENE)
    else:
        assert shows(wire.parse_message(stanza(vector["xml"]), SCENE), wanted)


def test_an_event_is_its_senders_and_the_same_again() -> None:
    text = "<message from='{}/x' type='chat' id='{}'><body>hi</body></message>"

    def event(sender: str, ident: str) -> str:
        heard = wire.parse_message(stanza(text.format(sender, ident)), SCENE)
        assert heard is not None
        return heard.event

    assert event("anna@example.org", "1") == event("anna@example.org", "1")
    assert len({event("anna@example.org", "1"), event("eve@example.org", "1"), event("anna@example.org", "2")}) == 3
    assert event("anna@example.org", "") == event("anna@example.org", "")


def test_an_id_of_another_server_is_not_believed() -> None:
    def message(by: str) -> Received:
        sid = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='S'/>"
        text = f"<message from='{ROOM}/anna' type='groupchat' id='own'><body>x</body>{sid}</message>"
        heard = wire.parse_message(stanza(text), SCENE)
        assert isinstance(heard, Received)
        return heard

    assert message(ROOM).message == "S" and message("evil@example.org").message == "own"


# the stream


@pytest.mark.parametrize(
    "attack",
    [
        b"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;&a;'>]><stream>&b;",
        b"<?xml version='1.0'?><!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>",
        OPEN + b"<!-- nothing --><message/>",
        OPEN + b"<?php x?>",
        OPEN + b"<message>&undefined;</message>",
        OPEN + b"<message><body></message>",
        OPEN + b"\xff\xfe",
    ],
)
def test_xml_that_xmpp_forbids_ends_the_stream(attack: bytes) -> None:
    with pytest.raises(Malformed):
        StreamParser().feed(attack)


def test_a_stanza_is_bounded_in_size_depth_and_parts() -> None:
    attacks = [
        b"<message><body>" + b"x" * (STANZA_BYTES + 20_000),
        b"<message a='" + b"x" * (STANZA_BYTES + 20_000),
        b"<a>" * 40,
        b"<message>" + b"<a/>" * 6_000,
        b"<a " + b" ".join(b"a%d='1'" % n for n in range(60)) + b"/>",
    ]
    for attack in attacks:
        with pytest.raises(TooLarge):
            opened().feed(attack)
    parser = opened()
    for _ in range(100):  # the bound is on each, not on all
        assert len(parser.feed(b"<message><body>" + b"x" * 10_000 + b"</body></message>" + b" " * 1_000)) == 1


def test_stanzas_come_whole_whatever_the_pieces() -> None:
    parser, found = opened(), list[Element]()
    for byte in "<message id='1'><body>grüße &amp; mehr</body></message> <presence/></stream:stream>".encode():
        found += parser.feed(bytes([byte]))
    assert [part.tag for part in found] == ["{jabber:client}message", "{jabber:client}presence"]
    assert found[0].findtext("{jabber:client}body") == "grüße & mehr" and parser.closed


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        opened().feed(raw)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
ATTRS = st.dictionaries(
    st.sampled_from(["from", "to", "type", "id", "by", "for", "start", "end", "jid", "code", "nick"]), WORDS, max_size=5
)
TAGS = st.sampled_from([
    *(f"{{jabber:client}}{name}" for name in ("message", "body", "error")), f"{wire.MUC_USER}x", f"{wire.MUC_USER}item",
    f"{wire.SID}stanza-id", f"{wire.DELAY}delay", f"{wire.OOB}x", f"{wire.OOB}url", f"{wire.REPLY}reply",
    f"{wire.FALLBACK}fallback", f"{wire.FALLBACK}body", f"{wire.CORRECT}replace", f"{wire.RETRACT}retract",
])  # fmt: skip


def tree(tag: str, attributes: dict[str, str], text: str, inner: list[Element]) -> Element:
    made = Element(tag, attributes)
    made.text = text
    made.extend(inner)
    return made


TREES = st.recursive(
    st.builds(tree, TAGS, ATTRS, WORDS, st.just([])),
    lambda inner: st.builds(tree, TAGS, ATTRS, WORDS, st.lists(inner, max_size=4)),
    max_leaves=8,
)


@given(
    TREES, st.sampled_from(["chat", "groupchat", "normal"]), st.sampled_from(["anna@example.org/x", f"{ROOM}/anna", ""])
)
def test_no_stanza_raises_anything_else(found: Element, kind: str, sender: str) -> None:
    found.set("type", kind)
    found.set("from", sender)
    for parse in (
        lambda: wire.parse_message(found, SCENE),
        lambda: wire.parse_presence(found),
        lambda: wire.parse_slot(found),
        lambda: wire.error_words(found),
    ):
        with contextlib.suppress(Malformed):
            parse()


# what goes out


@given(st.text(max_size=200), st.text(max_size=40), st.text(max_size=40))
def test_what_is_written_is_one_stanza_with_these_words(text: str, ident: str, place: str) -> None:
    raw = wire.render_message(place, ident, room=False, text=text or "x", reply_to=ident, replaces=ident)
    found = stanza(raw.encode("utf-8", "replace").decode())
    kept = wire._ILLEGAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    assert (found.findtext("{jabber:client}body") or "") == kept or not text
    assert len(found) == 5 - 2 * (not ident)


def test_words_cannot_leave_their_place() -> None:
    evil = "</body></message><message to='eve@example.org'><body>secret' \" & <"
    for raw in (
        wire.render_message(evil, evil, room=True, text=evil, reply_to=evil, replaces=evil, url=evil),
        wire.render_reaction(evil, evil, evil, evil, room=True),
        wire.render_state(evil, evil, room=False),
        wire.render_join(evil, evil),
    ):
        assert fromstring(raw) is not None  # one element
    assert len(opened().feed(wire.render_message("a@b", "1", room=False, text=evil).encode())) == 1


def test_a_rooms_presence_is_read() -> None:
    def presence(kind: str, item: str, *codes: str) -> wire.Presence | None:
        statuses = "".join(f"<status code='{code}'/>" for code in codes)
        inner = f"<x xmlns='http://jabber.org/protocol/muc#user'><item {item}/>{statuses}</x>"
        return wire.parse_presence(stanza(f"<presence from='{ROOM}/anna' {kind}>{inner}</presence>"))

    here = presence("", "jid='Anna@example.org/phone'", "110")
    assert here and here.here and here.own and here.occupant == wire.Occupant("anna", "anna@example.org")
    gone = presence("type='unavailable'", "jid='anna@example.org/x'")
    assert gone and not gone.here and not gone.renamed
    renamed = presence("type='unavailable'", "nick='annika' jid='anna@example.org/x'", "303")
    assert renamed and renamed.renamed == "annika"
    hidden = presence("", "")
    assert hidden and hidden.occupant.address == ""
    assert wire.parse_presence(stanza("<presence from='anna@example.org/x'/>")) is None


def test_the_manifest_takes_addresses_alone() -> None:
    manifest = get_manifest("xmpp")
    check_answers(manifest, {"address": ME, "server": "example.org"}, {"password": "h"})
    for address in ("agent", "a b@example.org", "a@b/c", "<a>@example.org", "a'@example.org"):
        with pytest.raises(Malformed):
            check_answers(manifest, {"address": address, "server": "example.org"}, {"password": "h"})
