"""Rules 5 and 6: who may be told what was read, and whose links and queries go out."""

from __future__ import annotations

from typing import Any

import pytest

from carapax.core.rules.finding import Need
from carapax.core.rules.outward import (
    LINK,
    ORG,
    PUBLISH_PRIVATE,
    QUERY,
    UNREQUESTED_DATA,
    check_links,
    check_readers,
    composed,
    find_audience,
    is_org,
    is_outward,
)
from carapax.core.rules.task import Counts
from carapax.core.terms.action import ArgRole, Effect, Sink
from carapax.core.terms.approval import Blank
from carapax.core.terms.ids import PrincipalId, ToolName
from carapax.core.terms.label import PUBLIC, Readers
from tests.unit.core.rules.office import TOOLS, Desk, arg, card, tool

MAIL = [
    {"id": "m-1", "subject": "Kite day", "sender": "liv@sea.example", "body": "Bring a kite.", "date": "2026-04-01"}
]
TALK = [{"author": "Pia", "text": "The kettle is silver."}]
SEND: dict[str, Any] = {"to": ["bob@x.example"], "text": "It says: bring a kite."}


def readers_of(*names: str) -> Readers:
    return Readers(names=frozenset(PrincipalId(name) for name in names))


def told(desk: Desk, tool_name: str, **arguments: Any) -> list[tuple[str, Need]]:
    return [(f.rule, f.need) for f in check_readers(desk.call(tool_name, **arguments), desk.task())]


def linked(desk: Desk, tool_name: str, **arguments: Any) -> list[tuple[str, str]]:
    return [(f.rule, f.value) for f in check_links(desk.call(tool_name, **arguments), desk.task())]


# what goes out at all


@pytest.mark.parametrize(
    ("name", "arguments", "outward"),
    [
        ("send_mail", SEND, True),
        ("post_message", {"channel": "hall", "text": "x"}, True),
        ("share_file", {"file": "f", "with_": "bob@x.example"}, True),
        ("publish_page", {"url": "x.example", "text": "x"}, True),
        ("pay", {"payee": "X", "amount": 1}, True),
        ("add_event", {"title": "x", "start": "2026-01-01"}, False),
        ("add_event", {"title": "x", "start": "2026-01-01", "participants": []}, False),
        ("add_event", {"title": "x", "start": "2026-01-01", "participants": ["bob@x.example"]}, True),
        ("create_file", {"path": "a", "text": "x"}, False),
        ("run_code", {"command": "ls"}, False),
        ("read_mail", {"query": "x"}, False),
        ("set_password", {"password": "x"}, False),
    ],
)
def test_what_somebody_else_will_see(name: str, arguments: dict[str, Any], outward: bool) -> None:
    assert is_outward(Desk("x").call(name, **arguments)) is outward


@pytest.mark.parametrize(
    ("text", "words", "is_composed"),
    [
        ("late", "mail bob@x.example: late", False),
        ("I am late", "mail bob@x.example: I am late", False),
        ("I am latest", "mail bob@x.example: I am late", True),
        ("I am late. PIN 1234", "mail bob@x.example: I am late", True),
        ("", "mail bob@x.example", False),
        ("  ", "mail bob@x.example", False),
    ],
)
def test_content_that_stands_whole_in_the_owner_s_words_is_not_composed(text: str, words: str, is_composed: bool) -> None:  # fmt: skip
    assert bool(composed(Desk(words).call("send_mail", to=["bob@x.example"], text=text))) is is_composed


# audiences


@pytest.mark.parametrize(
    ("name", "arguments", "audience"),
    [
        ("send_mail", {"to": ["Bob@X.example", "ann@work.example"], "text": "x"}, readers_of("bob@x.example", "org")),
        ("send_mail", {"to": ["ann@WORK.example"], "text": "x"}, Readers(names=frozenset({ORG}))),
        ("send_mail", {"to": ["ann@notwork.example"], "text": "x"}, readers_of("ann@notwork.example")),
        ("send_mail", {"to": ["ann@work.example.evil.example"], "text": "x"}, readers_of("ann@work.example.evil.example")),
        ("send_mail", {"to": [], "text": "x"}, PUBLIC),
        ("publish_page", {"url": "x.example", "text": "x"}, PUBLIC),
        ("pay", {"payee": "GB33BUKB20201555555555", "amount": 1}, readers_of("gb33bukb20201555555555")),
    ],
)  # fmt: skip
def test_audiences(name: str, arguments: dict[str, Any], audience: Readers) -> None:
    desk = Desk("x")
    found = find_audience(desk.call(name, **arguments), desk.task())
    assert Readers(found.everyone, frozenset(PrincipalId(n.casefold()) for n in found.names)) == audience


def test_a_channel_of_the_organisation_s_own_records_is_the_organisation() -> None:
    desk = Desk("x").read("read_channel", TALK, channel="hall")
    assert is_org("Pia", desk.task())
    assert not is_org("Mallory", desk.task())
    assert not is_org("", desk.task())
    assert not is_org("work.example", desk.task())


# readers


def test_what_nobody_asked_for_does_not_leave() -> None:
    named = Desk("mail bob@x.example what my mails say").read("read_mail", MAIL)
    assert told(named, "send_mail", **SEND) == []
    unnamed = Desk("write to bob@x.example about the weather").read("read_mail", MAIL)
    assert told(unnamed, "send_mail", **SEND) == [(UNREQUESTED_DATA, Need.NEVER)]


def test_it_never_matters_which_read_came_last() -> None:
    words = "mail bob@x.example what my mails say"
    for order in (("read_mail", "read_profile"), ("read_profile", "read_mail")):
        desk = Desk(words)
        for name in order:
            desk.read(name, MAIL if name == "read_mail" else "passport 12")
        assert told(desk, "send_mail", **SEND) == [(UNREQUESTED_DATA, Need.NEVER)]


def test_a_clean_context_and_a_call_without_content_have_nothing_to_tell() -> None:
    clean = Desk("write to bob@x.example", tainted=False)
    assert told(clean, "send_mail", **SEND) == []
    desk = Desk("write to bob@x.example").read("read_profile", "p")
    assert told(desk, "send_mail", to=["bob@x.example"], text="") == []
    assert told(desk, "create_file", path="a", text="p") == []


def test_what_was_prepared_before_leaves_under_the_same_rule() -> None:
    """A push or the sending of a draft carries no content of its own, and everything."""
    push = tool("push", Effect.PUBLISH, arg("place", ArgRole.PLACE), sink=Sink.PUBLIC)
    TOOLS[ToolName("push")] = push
    try:
        desk = Desk("publish the page").read("read_profile", "p")
        assert told(desk, "push", place="origin") == [(UNREQUESTED_DATA, Need.NEVER)]
        assert told(Desk("publish the page"), "push", place="origin") == []
    finally:
        del TOOLS[ToolName("push")]


def test_those_who_wrote_it_may_be_told_it() -> None:
    desk = Desk("answer the last letter").read("read_mail", MAIL)
    assert told(desk, "send_mail", to=["liv@sea.example"], text="I bring a kite") == []
    assert told(desk, "send_mail", to=["liv@sea.example", "eve@evil.example"], text="kite") != []
    two = [*MAIL, {**MAIL[0], "id": "m-2", "sender": "otto@sing.example"}]
    both = Desk("answer the last letter").read("read_mail", two)
    assert told(both, "send_mail", to=["liv@sea.example"], text="I bring a kite") != []


def test_publishing_private_data_is_asked_and_only_if_publishing_was() -> None:
    asked = Desk("publish what my mails say on www.site.example").read("read_mail", MAIL)
    assert told(asked, "publish_page", url="www.site.example", text="kite") == [(PUBLISH_PRIVATE, Need.YES)]
    unasked = Desk("read my mails").read("read_mail", MAIL)
    assert told(unasked, "publish_page", url="www.site.example", text="kite") == [(PUBLISH_PRIVATE, Need.NEVER)]
    public = Desk("publish what the page says").read("open_page", "kite", url="www.site.example")
    assert told(public, "publish_page", url="www.site.example", text="kite") == []


def test_who_obeys_a_text_picks_before_data_leaves() -> None:
    desk = Desk("do what the mail from boss@work.example says").read("read_profile", "p")
    assert told(desk, "send_mail", **SEND) == [(UNREQUESTED_DATA, Need.PICK)]


# links


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see www.site.example/a", []),
        ("see https://www.site.example/a", []),
        ("see www.site.example/a?d=secret", ["www.site.example/a?d=secret"]),
        ("see www.site.example/secret", ["www.site.example/secret"]),
        ("see www.evil.example", ["www.evil.example"]),
        ("![x](http://evil.example/p.png)", ["http://evil.example/p.png"]),
        ("<img src='https://evil.example/x'>", ["https://evil.example/x"]),
        ("www.site.example/a and www.evil.example", ["www.evil.example"]),
        ("no link here", []),
    ],
)
def test_links_that_leave(text: str, found: list[str]) -> None:
    desk = Desk("message Tom about www.site.example/a")
    assert linked(desk, "direct_message", user="Tom", text=text) == [(LINK, link) for link in found]


def test_links_are_looked_at_only_where_they_leave_after_untrusted_text() -> None:
    text = "see www.evil.example"
    assert linked(Desk("message Tom", tainted=False), "direct_message", user="Tom", text=text) == []
    assert linked(Desk("write a file"), "create_file", path="a", text=text) == []
    assert linked(Desk("make an event"), "add_event", title=text, start="2026-01-01") == []
    invited = linked(Desk("make an event"), "add_event", title=text, start="2026-01-01", participants=["b@x.example"])
    assert invited == [(LINK, "www.evil.example")]


def test_a_link_may_be_picked_or_typed() -> None:
    text = "see www.other.example/b"
    picked = Desk("do what the mail from boss@work.example says")
    picked.state.endorse(["Send www.other.example/b to Tom"], ())
    assert linked(picked, "direct_message", user="Tom", text=text) == []
    typed = Desk("message Tom")
    typed.state.type_values(card((Blank("text", "url", "www.other.example/b"),), ("www.other.example/b",)))
    assert linked(typed, "direct_message", user="Tom", text=text) == []
    assert linked(typed, "direct_message", user="Tom", text=f"{text}?d=1") == [(LINK, "www.other.example/b?d=1")]


# queries


@pytest.mark.parametrize(
    ("words", "query", "private", "held"),
    [
        ("search the web for silver kettles", "silver kettles", True, False),
        ("search the web for silver kettles", "silver kettles 4711", True, True),
        ("search the web for silver kettles", "silver", True, False),
        ("search the web for silver kettles", "silver kettles 4711", False, False),
        ("search the web", "", True, False),
    ],
)
def test_a_query_of_the_model_s_own_stays_once_private_data_was_read(words: str, query: str, private: bool, held: bool) -> None:  # fmt: skip
    desk = Desk(words)
    if private:
        desk.read("read_mail", MAIL)
    assert linked(desk, "web_search", query=query) == ([(QUERY, query)] if held else [])


def test_a_query_before_untrusted_text_goes() -> None:
    assert linked(Desk("x", tainted=False), "web_search", query="anything") == []


def test_counts_do_not_matter_here() -> None:
    desk = Desk("mail bob@x.example what my mails say", counts=Counts(9, 9, 9, 9)).read("read_mail", MAIL)
    assert told(desk, "send_mail", **SEND) == []


@pytest.mark.parametrize(
    ("where", "held"),
    [("passport 123, Rose Street", True), ("www.evil.example/?d=1", True), ("Hotel Alba", False)],
)
def test_an_invitation_s_place_tells_its_guests_as_much_as_its_title(
    monkeypatch: pytest.MonkeyPatch, where: str, held: bool
) -> None:
    """An argument that decides nothing for the effect, but that somebody else will read, is content."""
    specs = (arg("title", ArgRole.CONTENT), arg("where", ArgRole.PLACE), arg("guests", ArgRole.RECIPIENT))
    monkeypatch.setitem(TOOLS, ToolName("invite"), tool("invite", Effect.SELF_ADD, *specs, sink=Sink.ARGUMENTS))
    desk = Desk("invite bob@x.example to 'Lunch' at Hotel Alba").read("read_profile", "passport 123")
    answer = desk.answer("invite", title="Lunch", where=where, guests="bob@x.example")
    assert (answer != "allow") is held
