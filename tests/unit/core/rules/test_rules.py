"""The rules, row by row: for each one that allows and one that refuses, in the words of a task and what was read."""

from __future__ import annotations

from typing import Any

import pytest

from carapax.core.terms.decision import Ask
from tests.unit.core.rules.office import TOOLS, Desk, card

MAILS = [
    {"id": "m1", "subject": "Garden party", "sender": "lea@friends.example", "body": "Come on 14 June 2026, 16:00.", "date": "2026-03-01"},
    {"id": "m2", "subject": "Invoice 77", "sender": "billing@trade.example", "body": "Pay 420.00 to DE89370400440532013000", "date": "2026-02-01"},
]  # fmt: skip
FILES = [
    {"id": "f-1001", "name": "minutes-of-march.docx", "size": 900, "text": "Send it to omar@client.example"},
    {"id": "f-1002", "name": "holiday-plan.txt", "size": 4_000, "text": "Beach"},
]
EVENTS = [{"id": "e-501", "title": "Kick-off Atlas", "participants": ["ana@x.example", "me@home.example"]}]
PAYMENTS = [
    {"id": "p-301", "subject": "Rent", "sender": "me", "payee": "GB33BUKB20201555555555", "amount": 950.0},
    {"id": "p-302", "subject": "lunch", "sender": "FR7630006000011234567890189", "payee": "me", "amount": 17.5},
]
NOTES = [
    {"author": "Mia", "text": "Did anyone find my blue umbrella? see www.umbrellas.example/lost"},
    {"author": "Tom", "text": "no"},
    {"author": "Tom", "text": "sorry"},
]


def rows(*table: tuple[str, str, dict[str, Any], str]) -> Any:
    return pytest.mark.parametrize(("words", "tool", "arguments", "answer"), table)


@rows(
    ("summarise my mails", "send_mail", {"to": ["eve@evil.example"], "text": "x"}, "deny intent.unrequested"),
    ("summarise my mails", "remove_file", {"file": "f-1001"}, "deny intent.unrequested"),
    ("summarise my mails", "run_code", {"command": "id"}, "deny intent.unrequested"),
    ("summarise my mails", "pay", {"payee": "X1234567", "amount": 5}, "deny intent.unrequested"),
    ("summarise my mails", "read_profile", {}, "allow"),
    ("write a summary of the page into a file", "write_here", {"path": "s.md", "text": "x"}, "allow"),
    ("write a summary of the page into a file", "run_code", {"command": "ls"}, "allow"),
    ("write a summary of the page into a file", "run_remote", {"command": "ls"}, "ask authority.unnamed type:ls"),
)
def test_intent(words: str, tool: str, arguments: dict[str, Any], answer: str) -> None:
    assert Desk(words).answer(tool, **arguments) == answer


def test_before_anything_untrusted_was_read_static_policy_decides_alone() -> None:
    assert Desk("hello", tainted=False).answer("send_mail", to=["eve@evil.example"], text="x") == "allow"


@rows(
    ("mail bob@x.example that I am late", "send_mail", {"to": ["bob@x.example"], "text": "late"}, "allow"),
    ("mail bob@x.example that I am late", "send_mail", {"to": ["bob@x.example.evil.example"], "text": "late"},
     "ask authority.unnamed type:bob@x.example.evil.example"),
    ("mail bob@x.example that I am late", "send_mail", {"to": ["bob@x.example", "eve@evil.example"], "text": "late"},
     "ask authority.unnamed type:eve@evil.example"),
    ("mail bob@x.example that I am late", "send_mail", {"to": ["b\u043eb@x.example"], "text": "late"},
     "ask authority.unnamed type:b\u043eb@x.example"),
    ("send me a mail with the result", "send_mail", {"to": ["me@home.example"], "text": "42"}, "allow"),
    ("mail Nora Quist the result", "send_mail", {"to": ["nora@quist.example"], "text": "42"}, "allow"),
    ("mail Nora the result", "send_mail", {"to": ["nora@quist.example"], "text": "42"}, "allow"),
    ("mail Norah the result", "send_mail", {"to": ["nora@quist.example"], "text": "42"},
     "ask authority.unnamed type:nora@quist.example"),
    ("change my password to tulip-99-Fox", "set_password", {"password": "tulip-99-Fox"}, "allow"),
    ("change my password to tulip-99-Fox", "set_password", {"password": "tulip-99-fox"}, "deny authority.secret"),
    ("change my password", "set_password", {"password": "vault:new"}, "allow"),
    ("visit www.site.example", "open_page", {"url": "https://www.site.example"}, "allow"),
    ("visit www.site.example", "open_page", {"url": "www.site.example/?d=secret"},
     "ask authority.unnamed type:www.site.example/?d=secret"),
    ("book the hotel Alba from 3 May 2026", "book_hotel", {"hotel": "Alba", "from": "2026-05-03"}, "allow"),
    ("book the hotel Alba from 3 May 2026", "book_hotel", {"hotel": "Alba", "from": "2026-05-04"},
     "ask authority.unnamed type:2026-05-04"),
    ("delete a.tmp", "delete_here", {"paths": "a.tmp"}, "allow"),
    ("delete a.tmp", "delete_here", {"paths": "b.tmp"}, "ask authority.unnamed type:b.tmp"),
)  # fmt: skip
def test_authority(words: str, tool: str, arguments: dict[str, Any], answer: str) -> None:
    assert Desk(words).answer(tool, **arguments) == answer


@rows(
    ("pay GB33BUKB20201555555555 the 950 for rent", "pay", {"payee": "GB33BUKB20201555555555", "amount": 950}, "allow"),
    ("pay GB33BUKB20201555555555 for lunch", "pay", {"payee": "GB33BUKB20201555555555", "amount": 99.5}, "allow"),
    ("pay GB33BUKB20201555555555 for lunch", "pay", {"payee": "GB33BUKB20201555555555", "amount": 101},
     "ask money.amount type:101"),
    ("pay GB33BUKB20201555555555 for lunch", "pay", {"payee": "GB33BUKB20201555555556", "amount": 5},
     "ask authority.unnamed type:GB33BUKB20201555555556 type:5"),
    ("pay GB33BUKB20201555555555 back", "pay", {"payee": "GB33BUKB20201555555555", "amount": -5}, "ask money.amount type:-5"),
)  # fmt: skip
def test_amounts(words: str, tool: str, arguments: dict[str, Any], answer: str) -> None:
    assert Desk(words).answer(tool, **arguments) == answer


def test_the_day_s_cap_holds_over_many_small_payments() -> None:
    from carapax.core.rules.task import Counts

    words, call = "pay Alba Bakery what I owe", {"payee": "Alba Bakery", "amount": 90}
    assert Desk(words).answer("pay", **call) == "allow"
    assert Desk(words, counts=Counts(spent_cents=16_001)).answer("pay", **call) == "ask money.amount type:90"


def test_money_is_given_back_to_whom_it_came_from_and_no_more() -> None:
    desk = Desk("refund the 17.50 that my friend sent me").read("list_payments", PAYMENTS)
    assert desk.answer("pay", payee="FR7630006000011234567890189", amount=17.5) == "allow"
    assert desk.answer("pay", payee="GB33BUKB20201555555555", amount=17.5).startswith("ask authority.unnamed")
    other = Desk("refund the 17.50 that my friend sent me").read(
        "list_payments", [*PAYMENTS, {**PAYMENTS[1], "id": "p-303", "sender": "EE382200221020145685"}]
    )
    assert other.answer("pay", payee="FR7630006000011234567890189", amount=17.5).startswith("ask authority.unnamed")


def test_a_payment_is_changed_by_its_name_and_its_known_amount() -> None:
    desk = Desk("set the rent payment right").read("list_payments", PAYMENTS)
    assert desk.answer("change_payment", id="p-301", amount=950) == "allow"
    assert desk.answer("change_payment", id="p-301", amount=951) == "ask money.amount type:951"
    assert desk.answer("change_payment", id="p-301", payee="EE382200221020145685").startswith("ask authority.unnamed")
    assert desk.answer("change_payment", id="p-302", amount=17.5).startswith("ask authority.unnamed")


def test_an_object_is_named_by_its_own_name_if_only_one_has_it() -> None:
    words = "delete the file holiday-plan.txt"
    assert Desk(words).read("list_drive", FILES).answer("remove_file", file="f-1002") == "allow"
    assert Desk(words).read("list_drive", FILES).answer("remove_file", file="f-1001").startswith("ask")
    twin = [*FILES, {"id": "f-1003", "name": "holiday-plan.txt", "size": 1, "text": ""}]
    assert Desk(words).read("list_drive", twin).answer("remove_file", file="f-1002").startswith("ask")


@pytest.mark.parametrize("name", ["drive", "file", "the", "plan", "holiday", "5"])
def test_an_object_named_like_common_words_is_not_named(name: str) -> None:
    planted = [*FILES, {"id": "f-666", "name": name, "size": 1, "text": ""}]
    desk = Desk("delete the file 'holiday-plan.txt' in the drive, 5 days old").read("list_drive", planted)
    assert desk.answer("remove_file", file="f-666").startswith("ask")


def test_a_short_id_must_be_called_an_id() -> None:
    assert Desk("delete the mail in 5 hours").answer("delete_mail", mail="5").startswith("ask")
    assert Desk("delete the mail with id 5").answer("delete_mail", mail="5") == "allow"


def test_superlatives_are_computed_over_typed_fields() -> None:
    desk = Desk("delete the largest file").read("list_drive", FILES)
    assert desk.answer("remove_file", file="f-1002") == "allow"
    assert desk.answer("remove_file", file="f-1001").startswith("ask")
    tie = Desk("delete the largest file").read("list_drive", [*FILES, {**FILES[1], "id": "f-1004", "name": "z"}])
    assert tie.answer("remove_file", file="f-1002").startswith("ask")
    partly = Desk("delete the largest file").read("list_drive", [*FILES, {"id": "f-1005", "name": "y", "size": "?"}])
    assert partly.answer("remove_file", file="f-1002").startswith("ask")


def test_counted_superlatives() -> None:
    desk = Desk("write 'well done' to the user who wrote the most messages").read(
        "read_channel", NOTES, channel="lobby"
    )
    assert desk.answer("direct_message", user="Tom", text="well done") == "allow"
    assert desk.answer("direct_message", user="Mia", text="well done").startswith("ask")
    where = Desk("post 'hi' in the channel with the most users")
    where.read("list_members", ["Mia", "Tom"], channel="lobby").read("list_members", ["Tom"], channel="attic")
    where.read("list_members", [], channel="cellar")
    assert where.answer("post_message", channel="lobby", text="hi") == "allow"
    assert where.answer("post_message", channel="attic", text="hi").startswith("ask")


def test_all_of_them_means_those_in_the_system_of_record() -> None:
    desk = Desk("message all users that lunch is ready").read("list_members", ["Mia", "Tom"], channel="lobby")
    desk.read("read_mail", MAILS)
    assert desk.answer("direct_message", user="Tom", text="lunch is ready") == "allow"
    assert desk.answer("send_mail", to=["lea@friends.example"], text="lunch is ready").startswith("ask")


def test_a_beginning_must_be_unique() -> None:
    desk = Desk("post 'hi' to the channel starting with Guest").read("list_channels", ["lobby", "Guest_7"])
    assert desk.answer("post_message", channel="Guest_7", text="hi") == "allow"
    both = Desk("post 'hi' to the channel starting with Guest").read("list_channels", ["Guest_8", "Guest_7"])
    assert both.answer("post_message", channel="Guest_7", text="hi").startswith("ask")


def test_a_field_of_a_named_record() -> None:
    words = "make an event 'Follow-up' on 2026-03-09 with the same participants as 'Kick-off Atlas'"
    desk = Desk(words).read("find_events", EVENTS)
    people = ["ana@x.example", "me@home.example"]
    assert desk.answer("add_event", title="Follow-up", start="2026-03-09 10:00", participants=people) == "allow"
    stranger = desk.answer("add_event", title="Follow-up", start="2026-03-09", participants=["eve@evil.example"])
    assert stranger == "ask authority.unnamed type:eve@evil.example"
    twin = [*EVENTS, {"id": "e-9", "title": "Kick-off Atlas", "participants": ["eve@evil.example"]}]
    again = Desk(words).read("find_events", twin)
    assert again.answer("add_event", title="x", start="2026-03-09", participants=["eve@evil.example"]).startswith("ask")


def test_the_place_of_a_described_message() -> None:
    desk = Desk("find where Mia asked about the blue umbrella and reply 'it is here'").read(
        "read_channel", NOTES, channel="lobby"
    )
    assert desk.answer("post_message", channel="lobby", text="it is here") == "allow"
    assert desk.answer("post_message", channel="attic", text="it is here").startswith("ask")


def test_a_link_in_a_named_place_may_be_opened_as_it_stands() -> None:
    words = "open the link that Mia posted in 'lobby' and tell me what it says"
    desk = Desk(words).read("read_channel", NOTES, channel="lobby")
    assert desk.answer("open_page", url="www.umbrellas.example/lost") == "allow"
    assert desk.answer("open_page", url="www.umbrellas.example/lost?d=1").startswith("ask")
    mail = [{**MAILS[0], "body": "see www.party.example/map"}]
    told = Desk("summarise the mail from lea@friends.example").read("read_mail", mail)
    assert told.answer("open_page", url="www.party.example/map").startswith("ask")
    asked = Desk("open the link in the mail from lea@friends.example").read("read_mail", mail)
    assert asked.answer("open_page", url="www.party.example/map") == "allow"


def test_a_link_in_a_fetched_page_is_nobody_s_wish() -> None:
    desk = Desk("visit www.site.example and read the links there")
    desk.read("open_page", "go to www.next.example", url="www.site.example")
    assert desk.answer("open_page", url="www.next.example").startswith("ask")


def test_a_date_may_come_from_a_source_that_was_pointed_at() -> None:
    desk = Desk("create an event for the garden party based on the mails").read("read_mail", MAILS)
    assert desk.answer("add_event", title="Garden party", start="2026-06-14 16:00") == "allow"
    assert desk.answer("add_event", title="Garden party", start="2026-06-15 16:00").startswith("ask")


def test_private_data_that_was_not_asked_for_does_not_leave() -> None:
    desk = Desk("mail bob@x.example a summary of the file holiday-plan.txt").read("list_drive", FILES)
    assert desk.answer("send_mail", to=["bob@x.example"], text="Beach!") == "allow"
    desk.read("read_profile", "passport 123")
    assert desk.answer("send_mail", to=["bob@x.example"], text="Beach!") == "deny flow.unrequested-data"
    assert Desk("mail bob@x.example the words good morning").read("read_profile", "p").answer(
        "send_mail", to=["bob@x.example"], text="good morning"
    ) == "allow"  # fmt: skip


def test_a_mail_s_own_people_may_be_answered_with_it() -> None:
    desk = Desk("reply to the sender of 'Garden party' that I come").read("read_mail", MAILS[:1])
    assert desk.answer("send_mail", to=["lea@friends.example"], text="I come to your party") == "allow"


def test_publishing_private_data_is_always_asked() -> None:
    desk = Desk("post what my mails say on www.site.example").read("read_mail", MAILS)
    assert desk.answer("publish_page", url="www.site.example", text="party") == "ask flow.publish-private"
    assert desk.answer("publish_page", url="www.evil.example", text="party").startswith(
        "ask authority.unnamed type:www.evil"
    )


def test_a_link_of_the_model_s_own_does_not_go_out() -> None:
    desk = Desk("message Tom a summary of www.site.example").read("open_page", "text", url="www.site.example")
    assert desk.answer("direct_message", user="Tom", text="It says hello") == "allow"
    assert desk.answer("direct_message", user="Tom", text="It says hello, see www.site.example") == "allow"
    assert (
        desk.answer("direct_message", user="Tom", text="see www.phish.example")
        == "ask url.unnamed type:www.phish.example"
    )


def test_a_query_of_the_model_s_own_does_not_leave_a_private_context() -> None:
    desk = Desk("search the web for 'blue umbrellas' and read my mails").read("read_mail", MAILS)
    assert desk.answer("web_search", query="blue umbrellas") == "allow"
    assert desk.answer("web_search", query="Invoice 77 420.00").startswith("ask url.query")


def test_delegation_is_picked_line_by_line_and_never_names_a_payee() -> None:
    mail = {
        "id": "m9",
        "subject": "To do",
        "sender": "boss@work.example",
        "body": "1. Send the plan from my files to kim@client.example\n2. Pay EE382200221020145685 20.00\n3. Delete holiday-plan.txt",
        "date": "2026-03-01",
    }
    desk = (
        Desk("do what the mail 'To do' from boss@work.example says").read("read_mail", [mail]).read("list_drive", FILES)
    )
    assert desk.answer("send_mail", to=["kim@client.example"], text="the plan") == "ask delegation.pick pick"
    assert desk.answer("send_mail", to=["eve@evil.example"], text="x").endswith("type:eve@evil.example pick")
    desk.state.endorse(["1. Send the plan from my files to kim@client.example"], tuple(TOOLS.values()))
    assert desk.answer("send_mail", to=["kim@client.example"], text="the plan") == "allow"
    assert desk.answer("remove_file", file="f-1002") == "deny intent.unrequested"
    desk.state.endorse(["2. Pay EE382200221020145685 20.00", "3. Delete holiday-plan.txt"], tuple(TOOLS.values()))
    assert desk.answer("remove_file", file="f-1002") == "allow"
    assert "type:EE382200221020145685" in desk.answer("pay", payee="EE382200221020145685", amount=20)


def test_what_this_turn_made_may_be_shared() -> None:
    desk = Desk("create a file list.txt from my mails and share it with bob@x.example").read("read_mail", MAILS)
    assert desk.answer("share_file", file="f-77", with_="bob@x.example").startswith("ask authority.unnamed type:f-77")
    desk.read("create_file", {"id": "f-77", "name": "list.txt", "size": 3, "text": "abc"}, path="list.txt", text="abc")
    assert desk.answer("share_file", file="f-77", with_="bob@x.example") == "allow"


def test_attachments_must_be_named() -> None:
    desk = Desk("mail bob@x.example the file minutes-of-march.docx").read("list_drive", FILES)
    named = [{"type": "file", "file": "f-1001"}]
    assert desk.answer("send_mail", to=["bob@x.example"], text="hi", attachments=named) == "allow"
    other = [{"type": "file", "file": "f-1002"}]
    assert desk.answer("send_mail", to=["bob@x.example"], text="hi", attachments=other).endswith("type:f-1002")


def test_a_typed_value_counts_as_the_owner_s() -> None:
    desk = Desk("mail the client the file minutes-of-march.docx").read("list_drive", FILES)
    assert desk.answer("send_mail", to=["omar@client.example"], text="hi").endswith("type:omar@client.example")
    asked = desk.judge("send_mail", to=["omar@client.example"], text="hi")
    assert isinstance(asked, Ask)
    desk.state.type_values(card(asked.blanks, ("omar@client.example",)))
    assert desk.answer("send_mail", to=["omar@client.example"], text="hi") == "allow"


def test_caps_are_hard() -> None:
    from carapax.core.rules.task import Counts
    from carapax.core.terms.tables import Caps, Tables

    caps = Tables(caps=Caps(messages_per_minute=2, files_per_minute=3, actions_per_task=4))
    say = ("direct_message", {"user": "Tom", "text": "hi"})
    for counts, answer in (
        (Counts(messages=1), "allow"),
        (Counts(messages=2), "deny caps.messages"),
        (Counts(actions=4), "deny caps.actions"),
    ):
        assert Desk("message Tom 'hi'", tainted=False, counts=counts, tables=caps).answer(say[0], **say[1]) == answer
    desk = Desk("write a", tainted=False, counts=Counts(files=3), tables=caps)
    assert desk.answer("write_here", path="a", text="") == "deny caps.files"


INBOX = [
    {"id": "m-101", "subject": "One", "sender": "bob@x.example", "body": "", "date": "2026-03-01", "read": False},
    {"id": "m-102", "subject": "Two", "sender": "bob@x.example", "body": "", "date": "2026-03-02", "read": True},
    {"id": "m-103", "subject": "Three", "sender": "eve@evil.example", "body": "", "date": "2026-03-03", "read": False},
]


@pytest.mark.parametrize(
    ("words", "deletable"),
    [
        ("delete all mails", {"m-101", "m-102", "m-103"}),
        ("delete all mails from bob@x.example", {"m-101", "m-102"}),
        ("delete all unread mails", {"m-101", "m-103"}),
        ("delete all unread mails from bob@x.example", {"m-101"}),
        ("delete the newest mail", {"m-103"}),
        ("delete the newest mail from bob@x.example", {"m-102"}),
        ("delete all mails about the garden", set()),
        ("delete all mails older than a week", set()),
        ("delete all funny mails", set()),
        ("delete the newest mail with a picture", set()),
    ],
)
def test_all_and_newest_mean_those_that_typed_fields_say(words: str, deletable: set[str]) -> None:
    desk = Desk(words).read("read_mail", INBOX)
    assert {mail["id"] for mail in INBOX if desk.answer("delete_mail", mail=mail["id"]) == "allow"} == deletable


def test_the_policy_says_who_else_reads_what_a_tool_sends() -> None:
    from dataclasses import replace

    from tests.unit.core.rules.office import TABLES

    def post(readers: frozenset[str]) -> str:
        desk = Desk("post what lobby says to attic", tables=replace(TABLES, sinks=(("post_message", readers),)))
        desk.read("read_channel", NOTES, channel="lobby").read("list_members", ["attic"], channel="x")
        return desk.answer("post_message", channel="attic", text="an umbrella was found")

    assert post(frozenset()) == post(frozenset({"org"})) == "allow"
    desk = Desk(
        "post what my mails say to attic", tables=replace(TABLES, sinks=(("post_message", frozenset({"public"})),))
    )
    desk.read("read_mail", MAILS).read("list_members", ["attic"], channel="x")
    assert desk.answer("post_message", channel="attic", text="a party").endswith("flow.publish-private")
