"""How words point at things: superlatives, every, prefixes, sources, delegation, links, giving back, going on; tools and domains."""

from __future__ import annotations

import dataclasses

import pytest

from carapax.core.intent.words import plan_words
from carapax.core.terms.action import Effect, RecordSpec, ToolManifest
from carapax.core.terms.ids import ToolName
from carapax.core.terms.label import Integrity
from carapax.core.terms.plan import Direction, Plan, Superlative

MOST, LEAST = Direction.MOST, Direction.LEAST


def _tool(name: str, domain: str = "", **rest: object) -> ToolManifest:
    base = ToolManifest(
        ToolName(name), "", Effect.READ, (), Integrity.EXTERNAL, reversible=True, touches_workspace=False, domain=domain
    )
    return dataclasses.replace(base, **rest)  # type: ignore[arg-type]


TOOLS = (
    _tool("find_mails", "mail", domain_words=("inbox",), records=(RecordSpec("email", ("mail", "letter")),)),
    _tool("open_document", "cloud drive", domain_words=("my drive",)),
    _tool("list_bookings", "trips", words=("travel folder",), records=(RecordSpec("booking"),)),
    _tool("water_plants", words=("give the plants a drink", "arrose les plantes")),
)


def plan(text: str) -> Plan:
    return plan_words(text, TOOLS)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Which is the largest file?", Superlative(MOST, "size", "file")),
        ("open the newest invoice", Superlative(MOST, "date", "invoice")),
        ("delete the newest note", Superlative(MOST, "date", "note")),
        ("delete the oldest backup", Superlative(LEAST, "date", "backup")),
        ("book the cheapest flight", Superlative(LEAST, "price", "flight")),
        ("what is the most expensive hotel", Superlative(MOST, "price", "hotel")),
        ("the least expensive plan", Superlative(LEAST, "price", "plan")),
        ("the hotel with the highest rating", Superlative(MOST, "rating", "hotel")),
        ("take the top rated museum", Superlative(MOST, "rating", "museum")),
        ("the group with the most members", Superlative(MOST, "count", "group", counted="members")),
        ("the folder with the smallest number of photos", Superlative(LEAST, "count", "folder", counted="photos")),
        ("the author who wrote the most notes", Superlative(MOST, "count", "author", counted="notes")),
        ("when is my next appointment", Superlative(LEAST, "date", "appointment")),
        ("read my last letter", Superlative(MOST, "date", "letter")),
        ("le plus gros fichier", Superlative(MOST, "size", "fichier")),
        ("ouvre la plus récente facture", Superlative(MOST, "date", "facture")),
        ("le vol le moins cher", Superlative(LEAST, "price", "vol")),
        ("le fichier le plus récent", Superlative(MOST, "date", "fichier")),
    ],
)
def test_a_superlative_is_read(text: str, wanted: Superlative) -> None:
    assert wanted in plan(text).superlatives


@pytest.mark.parametrize(
    "text",
    [
        "the cheapest hotel under 200",
        "the best restaurant that serves fish",
        "the largest file without a name",
        "the oldest file in plans",
        "le plus gros fichier du dossier plans",
        "book the cheapest room. It must have less than four beds.",
        "the newest photo which shows a cat",
        "le vol le moins cher avec bagage",
    ],
)
def test_a_narrowed_superlative_says_so(text: str) -> None:
    (found,) = plan(text).superlatives
    assert found.filtered


@pytest.mark.parametrize(
    "text",
    ["read the file", "at least two files", "last week", "the next day", "plus de fichiers", "name the first line"],
)
def test_what_is_no_superlative(text: str) -> None:
    assert plan(text).superlatives == ()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mail all users", {"user", "users"}),
        ("greet each person", {"person", "people"}),
        ("delete every file ending in .tmp", set()),
        ("close all issues labeled bug", set()),
        ("delete all mails from Bob", set()),
        ("message all users that lunch is ready", {"user", "users"}),
        ("message all users that wrote today", set()),
        ("delete all the files in the drive", {"file", "files"}),
        ("delete all files in the folder old", set()),
        ("visit all the websites", {"website", "websites"}),
        ("tell everyone", {"people"}),
        ("tous les fichiers", {"fichier", "fichiers"}),
        ("préviens tout le monde", {"people"}),
        ("close all entries", {"entry", "entries"}),
    ],
)
def test_every_gives_the_noun_in_both_numbers(text: str, wanted: set[str]) -> None:
    assert wanted <= plan(text).every


def test_every_needs_its_word() -> None:
    assert plan("mail the users").every == frozenset()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("files starting with draft-", ("draft-",)),
        ("files whose name begins with 'my plan'", ("my plan",)),
        ("les fichiers commençant par img_", ("img_",)),
        ("delete *.log files", ("*.log",)),
        ("delete the .tmp files", ("*.tmp",)),
        ("supprime les fichiers .bak", ("*.bak",)),
        ("names that start with a capital letter", ()),
        ("read notes.txt", ()),
    ],
)
def test_prefixes_and_endings(text: str, wanted: tuple[str, ...]) -> None:
    assert plan(text).prefixes == wanted


@pytest.mark.parametrize(
    "text",
    [
        "Do what Bob's mail says",
        "follow the instructions in plan.txt",
        "Please do the tasks on my TODO list",
        "handle everything the ticket asks for",
        "Pay the dues; details are in the message",
        "fais ce que dit le mail de Paul",
        "suis les consignes du document",
        "There is a notice about fees, adjust the amount accordingly",
    ],
)
def test_delegation(text: str) -> None:
    assert plan(text).delegates


@pytest.mark.parametrize(
    "text",
    [
        "what does Bob's mail say?",
        "read the instructions",
        "do the following tasks: 1. read a.txt",
        "write 'do what it says' down",
    ],
)
def test_no_delegation(text: str) -> None:
    assert not plan(text).delegates


def test_delegation_adds_no_effect() -> None:
    assert plan("do what the letter says").effects <= {Effect.READ}


@pytest.mark.parametrize(
    "text",
    [
        "summarise the article Ben posted",
        "check the links in her message",
        "visit all websites shared in the group",
        "le lien envoyé par Paul",
    ],
)
def test_links(text: str) -> None:
    assert plan(text).links
    assert not plan("read my mails").links


def test_giving_back() -> None:
    for text in ("refund Ann", "send 20 EUR back to Ann", "pay her back", "return the money", "rembourse Paul"):
        assert plan(text).back
    assert not plan("go back to the list").back


@pytest.mark.parametrize(
    "text", ["yes", "ok do it", "Go on!", "the same for Anna", "and the second one too", "oui vas-y", "encore"]
)
def test_going_on(text: str) -> None:
    assert plan(text).again


@pytest.mark.parametrize(
    "text", ["", "yes, and delete the archive of the year 2019 as well", "what is the same?", "hello", "thanks"]
)
def test_not_going_on(text: str) -> None:
    assert not plan(text).again


def test_a_tool_is_named_by_its_words_or_its_own_name() -> None:
    assert plan("Give the plants a drink, please").tools == {"water_plants"}
    assert plan("water plants now").tools == {"water_plants"}
    assert plan("please arrose les plantes").tools == {"water_plants"}
    assert plan("give them a drink").tools == frozenset()


def test_a_denied_or_quoted_tool_is_not_named() -> None:
    assert plan("don't water plants").tools == frozenset()
    assert plan("write 'water plants' on the list").tools == frozenset()
    assert plan("do not read, but water plants").tools == {"water_plants"}


def test_domains_by_words_records_and_file_names() -> None:
    assert plan("what is in my inbox").domains == {"mail"}
    assert plan("show the letters").domains == {"mail"}
    assert plan("show my bookings").domains == {"trips"}
    assert plan("open notes.txt").domains == {"cloud drive"}
    assert plan("hello").domains == frozenset()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("make a plan based on the emails", {"mail"}),
        ("Selon le mail de Paul, quand part-on ?", {"mail"}),
        ("pay the sum in bill.pdf", set()),
        ("take the amount from the file bill.pdf", {"cloud drive"}),
        ("use the place mentioned in the letter", {"mail"}),
        ("list my mails", set()),
    ],
)
def test_sources_are_pointed_at(text: str, wanted: set[str]) -> None:
    assert plan(text).sources == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("delete all .tmp files", ("*.tmp",)),
        ("Delete all the .tmp files in the workspace.", ("*.tmp",)),
        ("In notes.txt there is a list. Delete all .tmp files. Keep the ones in docs.", ("*.tmp",)),
        ("delete all .tmp files in the cache folder", ()),
        ("in cache, delete all .tmp files", ()),
        ("delete all .tmp files except the newest", ()),
        ("supprime les fichiers .tmp du dossier cache", ()),
    ],
)
def test_an_ending_counts_only_where_nothing_narrows_it(text: str, wanted: tuple[str, ...]) -> None:
    assert plan(text).prefixes == wanted
