"""Matrix's JSON: documented payloads, what is refused, and what goes out."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.channels.catalogue import FOLDER, check_answers, get_manifest
from carapax.adapters.channels.matrix import attachment, markup, wire
from carapax.core.terms.channel import Evidence, OutFile, Received
from carapax.core.terms.error import Malformed
from carapax.ports.channel import SendRefused
from tests.fakes.platforms.serving import shows

ME = "@agent:example.org"
SCENE = wire.Scene("matrix", "!room:example.org", ME, private=False, names={"@anna:example.org": "Anna"})
EVENTS: list[dict[str, Any]] = json.loads((FOLDER / "matrix/vectors/events.json").read_text())
SYNC = (FOLDER / "matrix/vectors/sync.json").read_bytes()
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
WORDS = st.sampled_from(
    [
        "m.room.message",
        "m.room.member",
        "m.room.redaction",
        "m.replace",
        "m.thread",
        "m.text",
        "m.file",
        "$1",
        "@anna:example.org",
        "!r:x",
    ]
)
KEYS = st.sampled_from(
    [
        "type",
        "event_id",
        "sender",
        "content",
        "body",
        "msgtype",
        "m.relates_to",
        "m.new_content",
        "rel_type",
        "file",
        "url",
        "info",
        "hashes",
        "key",
        "m.mentions",
        "user_ids",
        "membership",
        "state_key",
        "redacts",
        "rooms",
        "join",
        "timeline",
        "events",
        "limited",
        "prev_batch",
        "next_batch",
        "invite",
        "unsigned",
    ]
)
JSON = st.recursive(
    SCALAR | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=24
)


@pytest.mark.parametrize("vector", EVENTS, ids=lambda vector: vector["name"])
def test_a_documented_event_is_read(vector: dict[str, Any]) -> None:
    if vector["wanted"] == "Malformed":
        with pytest.raises(Malformed):
            wire.parse_event(vector["event"], SCENE)
    else:
        assert shows(wire.parse_event(vector["event"], SCENE), vector["wanted"])


def test_a_sync_is_read_whole() -> None:
    batch = wire.parse_sync(SYNC, ME)
    assert (batch.next, batch.key_count, batch.fallback) == ("s72_1", 20, True)
    assert batch.changed == ("@anna:example.org",) and batch.left == ("!old:example.org",)
    (line,) = batch.rooms
    assert (line.room, line.limited, line.prev, len(line.events)) == ("!room:example.org", True, "p1", 1)
    assert [(invite.room, invite.direct) for invite in batch.invites] == [
        ("!direct:example.org", True), ("!poison:example.org", False)
    ]  # fmt: skip


def test_in_private_everything_is_addressed_and_the_evidence_is_kept() -> None:
    scene = wire.Scene("matrix", "!r:example.org", ME, private=True, names={})
    heard = wire.parse_event(EVENTS[0]["event"], scene, Evidence.NONE)
    assert isinstance(heard, Received)
    assert heard.addressed and heard.place.private and heard.evidence is Evidence.NONE and heard.sender.name == ""


@given(st.binary(max_size=200) | JSON.map(lambda made: json.dumps(made).encode()))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    for parse in (lambda: wire.parse_sync(raw, ME), lambda: wire.parse_page(raw), lambda: wire.parse_members(raw)):
        with contextlib.suppress(Malformed):
            parse()
    wire.error_words(raw)


@given(st.dictionaries(KEYS, JSON, max_size=8))
def test_no_event_raises_anything_else(event: dict[str, Any]) -> None:
    for parse in (
        lambda: wire.parse_event(event, SCENE),
        lambda: wire.parse_quoted(event),
        lambda: wire.find_join([event], ME),
        lambda: wire.parse_ref(json.dumps(event)),
    ):
        with contextlib.suppress(Malformed):
            parse()


@given(st.text(max_size=300))
def test_html_lets_no_tag_of_the_text_through(text: str) -> None:
    html = markup.render_html(text)
    for tag in ("<strong>", "</strong>", "<em>", "</em>", "<code>", "</code>", "<pre>", "</pre>", "<br>"):
        html = html.replace(tag, "")
    html = html.replace("</code>", "")
    left = [part for part in html.split("<")[1:] if not part.startswith('code class="language-')]
    assert left == []


@pytest.mark.parametrize(
    "text, html",
    [
        ("plain words, 2 * 3 * 4 and a_b_c", ""),
        ("**bold** and *thin* and _thin_", "<strong>bold</strong> and <em>thin</em> and <em>thin</em>"),
        ("`a < b`", "<code>a &lt; b</code>"),
        ("see [here](https://example.org/x)", "see here (https://example.org/x)"),
        ("[here](javascript:alert)", ""),
        ("```py\nif a<b:\n  *x*\n```", '<pre><code class="language-py">if a&lt;b:\n  *x*\n</code></pre>'),
        ("```\nopen", "<pre><code>open\n</code></pre>"),
        ("**<b>**", "<strong>&lt;b&gt;</strong>"),
    ],
)
def test_markdown_becomes_html(text: str, html: str) -> None:
    assert markup.render_html(text) == html


def test_what_goes_out_notifies_nobody_and_fits() -> None:
    content = wire.render_text("@room **x** @anna:example.org", thread="$t", reply_to="$r")
    assert content["m.mentions"] == {} and content["body"] == "@room **x** @anna:example.org"
    assert content["m.relates_to"]["is_falling_back"] is False
    assert wire.render_relation("$t", "")["m.relates_to"]["is_falling_back"] is True
    assert wire.render_relation("", "") == {}
    edit = wire.render_edit("$1", "y" * 900)
    assert edit["m.mentions"] == {} == edit["m.new_content"]["m.mentions"] and len(edit["body"]) < 510
    assert "formatted_body" not in wire.render_text("&" * 15_990 + "**x**")


def test_files_are_sealed_and_opened_and_nothing_else() -> None:
    sealed, keys = attachment.seal(b"secret" * 100)
    assert b"secret" not in sealed
    file = wire.render_file(OutFile("a.png", "image/png", b"secret" * 100), sealed=keys | {"url": "mxc://x/y"})
    event = {"type": "m.room.message", "event_id": "$1", "sender": "@anna:example.org", "content": file}
    heard = wire.parse_event(event, SCENE)
    assert isinstance(heard, Received)
    server, ident, opener = wire.parse_ref(heard.files[0].ref)
    assert (server, ident) == ("x", "y")
    assert attachment.unseal(sealed, opener) == b"secret" * 100
    with pytest.raises(SendRefused):
        attachment.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), opener)
    for broken in ({"k": "", "iv": "", "sha": ""}, opener | {"k": "%%%"}, opener | {"iv": "AAAA"}):
        with pytest.raises(Malformed):
            attachment.unseal(sealed, broken)


def test_where_the_agent_came_is_found() -> None:
    def member(user: str, membership: str, before: str = "") -> dict[str, Any]:
        unsigned = {"prev_content": {"membership": before}} if before else {}
        return {"type": "m.room.member", "state_key": user, "content": {"membership": membership}, "unsigned": unsigned}

    events = [member("@x:y", "join"), member(ME, "invite"), {"type": "m.room.message"}, member(ME, "join", "invite")]
    assert wire.find_join(events, ME) == 4 and wire.find_join(events, ME, "invite") == 2
    assert wire.find_join([member(ME, "join", "join")], ME) is None  # another name
    assert wire.find_join([], ME) is None


def test_the_manifest_takes_addresses_of_servers_alone() -> None:
    manifest = get_manifest("matrix")
    check_answers(manifest, {"server": "https://matrix.example.org"}, {"token": "h"})
    for bad in ("http://matrix.example.org", "https://a@b.example.org", "https://x.example.org/path", "matrix"):
        with pytest.raises(Malformed):
            check_answers(manifest, {"server": bad}, {"token": "h"})
