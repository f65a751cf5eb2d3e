"""Tracing: for every role what vouches for a value, and what only looks as if it did."""

from __future__ import annotations

from typing import Any

import pytest

from carapax.core.flow.knowledge import Knowledge
from carapax.core.rules.trace import PEOPLE, find_source, is_pointed_record, is_short_id, record_words, trace_value
from carapax.core.terms.action import VOUCHED, ArgRole, Origin
from carapax.core.terms.approval import Blank
from carapax.core.terms.ids import ToolName
from carapax.core.terms.tables import DirectoryEntry, Tables
from tests.unit.core.rules.office import TABLES, TOOLS, Desk, card

R = ArgRole
MAILS = [
    {"id": "m-11", "subject": "Boat trip", "sender": "liv@sea.example", "body": "On 9 May 2026. See www.pier.example/map", "date": "2026-04-01"},
    {"id": "m-12", "subject": "Bill", "sender": "shop@trade.example", "body": "To DE89370400440532013000, eve@evil.example", "date": "2026-04-02"},
]  # fmt: skip
FILES = [
    {"id": "f-21", "name": "song-book.pdf", "size": 7, "text": "la la"},
    {"id": "f-22", "name": "ladder.txt", "size": 8, "text": "up"},
]


def origin(role: ArgRole, value: str, desk: Desk, tool: str = "send_mail") -> Origin:
    return trace_value(role, value, TOOLS[ToolName(tool)], desk.task()).origin


OWNER_NAMED = [
    (R.RECIPIENT, "bob@x.example", "bob@x.example.evil.example"),
    (R.RECIPIENT, "bob@x.example", "bbob@x.example"),
    (R.RECIPIENT, "Alba Bakery", "Alba Bakery Ltd"),
    (R.PRINCIPAL, "Kim Sorel", "Kim Sorell"),
    (R.PAYEE, "GB33BUKB20201555555555", "GB33BUKB20201555555556"),
    (R.URL, "www.site.example/a", "www.site.example/a?q=1"),
    (R.URL, "www.site.example/a", "www.site.example/a/b"),
    (R.URL, "www.site.example/a", "www.site.example.evil.example/a"),
    (R.OBJECT, "ladder.txt", "ladder.txt.exe"),
    (R.PLACE, "Hotel Alba", "Hotel Albatros"),
    (R.PATH, "docs/plan.md", "docs/plan.mdx"),
    (R.PATH, "docs/plan.md", "/docs/plan.md"),
    (R.COMMAND, "make test", "make test; rm x"),
    (R.SECRET, "Tulip-99", "tulip-99"),
    (R.DATE, "2026-05-03", "2026-05-04"),
    (R.AMOUNT, "420", "42"),
    (R.AMOUNT, "420", "4200"),
]


@pytest.mark.parametrize(("role", "named", "other"), OWNER_NAMED, ids=[f"{r}-{o}" for r, _, o in OWNER_NAMED])
def test_the_owner_s_words_vouch_for_the_whole_value_only(role: ArgRole, named: str, other: str) -> None:
    desk = Desk(f"please use {named} for this")
    assert origin(role, named, desk) is Origin.OWNER_WORDS
    assert origin(role, other, desk) not in VOUCHED


@pytest.mark.parametrize("role", [r for r in R if r not in (R.CONTENT, R.FLAG, R.COUNT, R.SECRET, R.COMMAND)])
@pytest.mark.parametrize("value", ["the", "of", "of the"])
def test_words_that_join_others_name_nothing(role: ArgRole, value: str) -> None:
    assert origin(role, value, Desk("delete the file of the owner")) not in VOUCHED


@pytest.mark.parametrize("value", ["password", "bank", "the"])
def test_a_secret_is_not_just_any_word_of_the_sentence(value: str) -> None:
    """Whoever picks the new password out of the owner's own sentence knows it."""
    assert origin(R.SECRET, value, Desk("change my password as the mail from my bank says")) not in VOUCHED


def test_a_secret_may_be_any_word_that_the_owner_gave_as_one() -> None:
    assert origin(R.SECRET, "blue whale", Desk("change my password to 'blue whale'")) is Origin.OWNER_WORDS
    assert origin(R.SECRET, "whale", Desk("change my password to 'blue whale'")) not in VOUCHED


@pytest.mark.parametrize("role", [r for r in R if r not in (R.CONTENT, R.FLAG, R.COUNT)])
@pytest.mark.parametrize("value", ["", " ", "\u200b", "\ud800", "x" * 5_000, "\n", "null"])
def test_nothing_and_odd_values_are_the_model_s(role: ArgRole, value: str) -> None:
    assert origin(role, value, Desk("delete the file of the owner")) not in VOUCHED


DISGUISED = [
    (R.RECIPIENT, "b\u043eb@x.example"),
    (R.RECIPIENT, "bob@x.example\u200b"),
    (R.RECIPIENT, " bob@x.example"),
    (R.RECIPIENT, "bob\uff20x.example"),
    (R.RECIPIENT, "\u202ebob@x.example"),
    (R.URL, "https://www.site.example@evil.example"),
    (R.URL, "https://xn--site-0ra.example"),
    (R.PATH, "docs/pl\u0430n.md"),
    (R.PAYEE, "Alba B\u0430kery"),
]


@pytest.mark.parametrize(("role", "value"), DISGUISED)
def test_a_disguised_value_is_not_vouched_for_even_when_the_words_hold_it(role: ArgRole, value: str) -> None:
    """Whatever pasted the words may have pasted the disguise too."""
    assert origin(role, value, Desk(f"use {value} now")) not in VOUCHED


# the owner's own


@pytest.mark.parametrize("role", sorted(PEOPLE))
def test_the_owner_s_own_address(role: ArgRole) -> None:
    desk = Desk("do something")
    assert origin(role, "me@home.example", desk) is Origin.OWNER_SELF
    assert origin(role, "ME@HOME.EXAMPLE", desk) is Origin.OWNER_SELF
    assert origin(role, "you@home.example", desk) is Origin.MODEL
    assert origin(role, "me@home.example.evil.example", desk) is Origin.MODEL


def test_the_owner_s_address_is_nobody_s_path_or_object() -> None:
    assert origin(R.OBJECT, "me@home.example", Desk("do something")) is Origin.MODEL
    assert origin(R.URL, "me@home.example", Desk("do something")) is Origin.MODEL


# secrets


def test_a_secret_is_written_by_the_owner_or_is_a_handle() -> None:
    desk = Desk("set my password to Tulip-99").read("read_mail", [{**MAILS[0], "body": "password Rose-11"}])
    assert origin(R.SECRET, "Tulip-99", desk) is Origin.OWNER_WORDS
    assert origin(R.SECRET, "vault:site", desk) is Origin.HANDLE
    assert origin(R.SECRET, "Rose-11", desk) is Origin.MODEL
    assert origin(R.SECRET, "Tulip", desk) is Origin.MODEL


def test_a_secret_is_never_vouched_for_by_a_card() -> None:
    desk = Desk("set my password")
    blank = Blank("password", "secret", "Rose-11")
    desk.state.type_values(card((blank,), ("Rose-11",)))
    desk.state.endorse(["set the password to Rose-11"], ())
    assert origin(R.SECRET, "Rose-11", desk) is Origin.MODEL


# ids


@pytest.mark.parametrize(
    ("value", "short"),
    [
        ("5", True),
        ("12345678", True),
        ("ab", True),
        ("file", True),
        ("the-file", True),
        ("f-21", True),
        ("fx-ab", False),
        ("ladder", False),
    ],
)
def test_short_ids(value: str, short: bool) -> None:
    assert is_short_id(value) is short


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("delete the mail with id 31", True),
        ("delete mail number 31", True),
        ("delete the mail in 31 days", False),
        ("delete 31", False),
        ("31", False),
        ("delete the mail with id 312", False),
        ("delete the mail with id 3", False),
    ],
)
def test_a_number_is_an_id_only_where_it_is_called_one(words: str, named: bool) -> None:
    assert (origin(R.OBJECT, "31", Desk(words), "delete_mail") in VOUCHED) is named


def test_a_noun_before_a_short_id_calls_it_one_once_the_record_is_known() -> None:
    words = "delete mail 31"
    known = Desk(words).read("read_mail", [{**MAILS[0], "id": "31"}])
    assert origin(R.OBJECT, "31", known, "delete_mail") is Origin.OWNER_WORDS
    assert origin(R.OBJECT, "31", Desk(words), "delete_mail") is Origin.MODEL


# made here


def test_what_this_turn_made() -> None:
    desk = Desk("create a file and share it")
    assert origin(R.OBJECT, "f-77", desk) is Origin.MODEL
    desk.read("create_file", {"id": "f-77", "name": "new.txt", "size": 0, "text": "hi"}, path="new.txt", text="hi")
    assert origin(R.OBJECT, "f-77", desk) is Origin.CREATED_HERE
    assert origin(R.PATH, "new.txt", desk) is Origin.CREATED_HERE
    assert origin(R.RECIPIENT, "f-77", desk) is Origin.MODEL  # a thing is nobody to write to
    assert origin(R.COMMAND, "new.txt", desk) is Origin.MODEL


def test_what_a_read_told_of_was_not_made_here() -> None:
    assert origin(R.OBJECT, "f-21", Desk("share something").read("list_drive", FILES)) is Origin.MODEL


# the directory

PEOPLE_KNOWN = (
    DirectoryEntry("Nora Quist", ("nora@quist.example",)),
    DirectoryEntry("Nora Holm", ("nora@holm.example",)),
    DirectoryEntry("Ulf Berg", ("ulf@berg.example", "ulf@old.example")),
    DirectoryEntry("May Day", ("may@day.example",)),
)


@pytest.mark.parametrize(
    ("words", "value", "found"),
    [
        ("mail Nora Quist", "nora@quist.example", True),
        ("mail Quist", "nora@quist.example", True),
        ("mail Nora", "nora@quist.example", False),  # two of them
        ("mail Nora Quist", "nora@holm.example", False),
        ("mail Nora Holm", "nora@holm.example", True),
        ("mail Ulf Berg", "ulf@berg.example", False),  # two addresses: which one is meant?
        ("mail Bergman", "ulf@berg.example", False),
        ("mail norA quisT", "NORA@quist.example", True),
        ("mail Nora Quist", "nora@quist.example.evil.example", False),
        ("mail the person", "nora@quist.example", False),
    ],
)
def test_a_directory_entry_counts_under_a_name_that_means_it_alone(words: str, value: str, found: bool) -> None:
    desk = Desk(words, tables=Tables(directory=PEOPLE_KNOWN))
    assert (origin(R.RECIPIENT, value, desk) is Origin.DIRECTORY) is found


def test_the_directory_never_names_a_payee() -> None:
    tables = Tables(directory=(DirectoryEntry("Alba Rent", ("GB33BUKB20201555555555",)),))
    assert origin(R.PAYEE, "GB33BUKB20201555555555", Desk("pay Alba Rent", tables=tables)) is Origin.MODEL
    assert origin(R.PRINCIPAL, "GB33BUKB20201555555555", Desk("add Alba Rent", tables=tables)) is Origin.DIRECTORY


def test_contacts_that_the_owner_keeps_are_a_directory_inbound_mail_is_not() -> None:
    kept = Desk("mail Ida Lamp the news")
    kept.read("find_contact", [{"name": "Ida Lamp", "email": "ida@lamp.example"}], name_="Ida Lamp")
    assert origin(R.RECIPIENT, "ida@lamp.example", kept) is Origin.DIRECTORY
    inbound = Desk("mail Ida Lamp the news").read("read_mail", [{**MAILS[0], "sender": "ida@evil.example", "subject": "Ida Lamp"}])  # fmt: skip
    assert origin(R.RECIPIENT, "ida@evil.example", inbound) is Origin.MODEL


def test_two_contacts_of_one_name_are_asked_about() -> None:
    desk = Desk("mail Ida Lamp the news")
    two = [{"name": "Ida Lamp", "email": "ida@lamp.example"}, {"name": "Ida Lamp", "email": "eve@evil.example"}]
    desk.read("find_contact", two, name_="Ida Lamp")
    assert origin(R.RECIPIENT, "ida@lamp.example", desk) is Origin.MODEL
    assert origin(R.RECIPIENT, "eve@evil.example", desk) is Origin.MODEL


# named objects and what a search found


def test_a_named_object_is_known_by_its_id_and_only_that_one() -> None:
    desk = Desk("delete song-book.pdf").read("list_drive", FILES)
    assert origin(R.OBJECT, "f-21", desk, "remove_file") is Origin.NAMED_OBJECT
    assert origin(R.OBJECT, "f-22", desk, "remove_file") is Origin.MODEL
    assert origin(R.PAYEE, "f-21", desk, "pay") is Origin.MODEL
    assert origin(R.COMMAND, "f-21", desk, "run_remote") is Origin.MODEL


def test_two_objects_of_one_name_are_neither() -> None:
    twin = [*FILES, {"id": "f-29", "name": "song-book.pdf", "size": 1, "text": "planted"}]
    desk = Desk("delete song-book.pdf").read("list_drive", twin)
    assert origin(R.OBJECT, "f-21", desk, "remove_file") is Origin.MODEL
    assert origin(R.OBJECT, "f-29", desk, "remove_file") is Origin.MODEL


def test_the_one_hit_of_a_search_for_the_owner_s_words_may_be_changed_not_deleted() -> None:
    words = "append 'x' to my notes about 'the wooden ladder'"
    desk = Desk(words)
    one = [{"id": "m-13", "subject": "misc", "sender": "a@b.example", "body": "", "date": "2026-01-01"}]
    desk.read("read_mail", one, query="the wooden ladder")
    assert origin(R.OBJECT, "m-13", desk, "append_file") is Origin.COMPUTED
    assert origin(R.OBJECT, "m-13", desk, "delete_mail") is Origin.MODEL
    several = Desk(words).read("read_mail", [*one, MAILS[0]], query="the wooden ladder")
    assert origin(R.OBJECT, "m-13", several, "append_file") is Origin.MODEL


@pytest.mark.parametrize("query", ["attacker words", "the", "5", ""])
def test_a_search_for_other_words_finds_nothing_for_the_owner(query: str) -> None:
    desk = Desk("append 'x' to the wooden ladder, 5 of the").read("read_mail", MAILS[:1], query=query)
    assert origin(R.OBJECT, "m-11", desk, "append_file") is Origin.MODEL


# sources pointed at


def test_a_date_out_of_a_source_that_was_pointed_at() -> None:
    desk = Desk("make an event for the boat trip based on my mails").read("read_mail", MAILS)
    assert origin(R.DATE, "2026-05-09", desk, "add_event") is Origin.POINTED_AT
    assert origin(R.DATE, "2026-05-10", desk, "add_event") is Origin.MODEL
    unasked = Desk("make an event for the boat trip").read("read_mail", MAILS)
    assert origin(R.DATE, "2026-05-09", unasked, "add_event") is Origin.MODEL


def test_a_link_is_opened_where_the_owner_points_and_only_opened() -> None:
    desk = Desk("open the link in the mail from liv@sea.example").read("read_mail", MAILS)
    assert origin(R.URL, "www.pier.example/map", desk, "open_page") is Origin.POINTED_AT
    assert origin(R.URL, "www.pier.example/map", desk, "publish_page") is Origin.MODEL
    assert origin(R.URL, "www.pier.example/", desk, "open_page") is Origin.MODEL
    assert origin(R.URL, "www.pier.example/map#x", desk, "publish_page") is Origin.MODEL
    other = Desk("open the link in the mail from shop@trade.example").read("read_mail", MAILS)
    assert origin(R.URL, "www.pier.example/map", other, "open_page") is Origin.MODEL


def test_a_record_is_pointed_at_by_name_place_or_author() -> None:
    for words, pointed in (
        ("read 'Boat trip'", True),
        ("read the mail from liv@sea.example", True),
        ("read the mail from liv@sea.example.evil.example", False),
        ("read my mails", False),
    ):
        desk = Desk(words).read("read_mail", MAILS)
        assert is_pointed_record(desk.state.knowledge.records[0], desk.task()) is pointed, words
    talk = Desk("what is said in 'hall'?").read("read_channel", [{"author": "Pia", "text": "hi"}], channel="hall")
    assert is_pointed_record(talk.state.knowledge.records[0], talk.task())


# picked lines


@pytest.mark.parametrize(
    ("role", "value", "vouched"),
    [
        (R.RECIPIENT, "kim@client.example", True),
        (R.RECIPIENT, "kim@client.example.evil.example", False),
        (R.AMOUNT, "20", True),
        (R.AMOUNT, "21", False),
        (R.DATE, "2026-05-09", True),
        (R.DATE, "2026-05-10", False),
        (R.PAYEE, "EE382200221020145685", False),
        (R.SECRET, "Rose-11", False),
    ],
)
def test_picked_lines_vouch_for_their_values_but_payees_and_secrets(role: ArgRole, value: str, vouched: bool) -> None:
    line = "Send 20.00 to kim@client.example on 9 May 2026, account EE382200221020145685, password Rose-11"
    desk = Desk("do what the mail says")
    assert origin(role, value, desk) not in VOUCHED
    desk.state.endorse([line], ())
    assert (origin(role, value, desk) in VOUCHED) is vouched


# typed values


@pytest.mark.parametrize(
    ("inside", "value"),
    [
        ("f-22", "song f-22 book"),
        ("eve@evil.example", "report for eve@evil.example"),
        ("420", "offer of 420 euros"),
        ("2026-05-09", "trip of 2026-05-09"),
        ("www.evil.example", "read www.evil.example now"),
    ],
)
def test_a_typed_value_vouches_for_itself_and_not_for_what_stands_in_it(inside: str, value: str) -> None:
    """An attacker chooses the name of a file; a person who types it has read a name, not an order."""
    desk = Desk("share the file")
    desk.state.type_values(card((Blank("file", "object", value),), (value,)))
    assert origin(R.OBJECT, value, desk) is Origin.OWNER_WORDS
    for role in (R.OBJECT, R.RECIPIENT, R.PAYEE, R.AMOUNT, R.DATE, R.URL, R.PATH, R.COMMAND):
        assert origin(role, inside, desk) not in VOUCHED, role


def test_what_does_not_fill_its_blank_vouches_for_nothing() -> None:
    desk = Desk("mail the client")
    blank = Blank("to", "recipient", "omar@client.example")
    desk.state.type_values(card((blank,), ("eve@evil.example",)))
    assert origin(R.RECIPIENT, "omar@client.example", desk) is Origin.MODEL
    assert origin(R.RECIPIENT, "eve@evil.example", desk) is Origin.MODEL


# in words


def test_where_an_unvouched_value_stands_is_told_to_the_card() -> None:
    knowledge = Desk("x").read("read_mail", MAILS).state.knowledge
    assert find_source("eve@evil.example", knowledge) == "email “Bill” from shop@trade.example"
    assert find_source("liv@sea.example", knowledge) == "email “Boat trip” from liv@sea.example"
    assert find_source("nobody@x.example", knowledge) == ""
    assert find_source("x", Knowledge()) == ""


@pytest.mark.parametrize(
    ("tool", "content", "arguments", "words"),
    [
        ("list_drive", FILES[:1], {}, "file “song-book.pdf”"),
        ("read_channel", [{"author": "Pia", "text": "hi"}], {"channel": "hall"}, "message from Pia"),
        ("list_drive", [{"id": "f", "name": "n" * 90}], {}, f"file “{'n' * 60}”"),
        ("list_drive", [{}], {}, "file"),
    ],
)
def test_records_in_words(tool: str, content: object, arguments: dict[str, Any], words: str) -> None:
    assert record_words(Desk("x").read(tool, content, **arguments).state.knowledge.records[0]) == words


def test_the_first_that_fits_is_told() -> None:
    tables = Tables(owner_addresses=frozenset({"nora@quist.example"}), directory=TABLES.directory)
    desk = Desk("mail Nora Quist at nora@quist.example", tables=tables)
    assert origin(R.RECIPIENT, "nora@quist.example", desk) is Origin.OWNER_SELF
    assert origin(R.RECIPIENT, "nora@quist.example", Desk("mail Nora at nora@quist.example")) is Origin.OWNER_WORDS
