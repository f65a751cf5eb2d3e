"""What the owner's words name: exact values, whole words, stated amounts and dates; never a look-alike or a part."""

from __future__ import annotations

from datetime import date

import pytest

from carapax.core.flow.canon import Kind
from carapax.core.flow.days import MAX_SPEAKING, Day
from carapax.core.flow.words import names, names_amount, names_date, read_words
from carapax.core.terms.action import ArgRole

R, U, P, OBJ, F = ArgRole.RECIPIENT, ArgRole.URL, ArgRole.PAYEE, ArgRole.OBJECT, ArgRole.PATH
PLACE, SECRET, COMMAND = ArgRole.PLACE, ArgRole.SECRET, ArgRole.COMMAND

NAMED = [
    (R, "anna@example.org", "write to Anna@Example.org, please"),
    (R, "mailto:anna@example.org", "write to <anna@example.org>."),
    (R, "anna@example.org", "anna@example.org's last mail"),
    (R, "anna@example.org", "cc bob@example.org,anna@example.org"),
    (R, "Alice", "ask alice about it"),
    (R, "Alice", "read Alice's mail"),
    (R, "Alice", "le fichier d'Alice"),
    (R, "Alice", "send @alice a note"),
    (R, "Alice Martin", "pay “Alice\nMartin” back"),
    (R, "O'Brien", "call O’Brien"),
    (R, "+33612345678", "call 0033 6 12 34 56 78"),
    (P, "GB29NWBK60161331926819", "pay GB29 NWBK 6016 1331 9268 19 now"),
    (P, "US122000000121212121212", "pay to US122000000121212121212."),
    (PLACE, "general", "post in #general"),
    (PLACE, "#general", "post in #general, now"),
    (PLACE, "www.example.org", "post on www.example.org"),
    (OBJ, "a.b", "drop a.b"),
    (OBJ, "Lunch with Bob", "move 'lunch with Bob' to noon"),
    (OBJ, "13", "the mail with the id 13"),
    (U, "https://example.org", "look at example.org."),
    (U, "http://example.org/", "look at example.org"),
    (U, "example.org", "look at http://example.org"),
    (U, "https://example.org/a?b=1", "look at (https://example.org/a?b=1)"),
    (U, "https://www.example.org", "is www.example.org up?"),
    (F, "hello.py", "run hello.py."),
    (F, "./docs//a.txt", "open docs/a.txt"),
    (F, "docs", "list docs/"),
    (F, "old report.txt", 'delete "old report.txt"'),
    (SECRET, "Hunter2!", "the password is Hunter2!"),
    (COMMAND, "rm -rf build", "run `rm -rf build` now"),
    (COMMAND, "make test", "run make test."),
    (COMMAND, "make test", "don't skip make test, it's needed"),
    (ArgRole.AMOUNT, "1284.00", "pay 1,284.00 EUR"),
    (ArgRole.DATE, "2024-05-19", "on May 19"),
]

NOT_NAMED = [
    (R, "anna@example.org", "write to joanna@example.org"),
    (R, "anna@example.org", "write to anna@example.org.evil.example"),
    (R, "anna@example.org.evil.example", "write to anna@example.org"),
    (R, "anna+x@example.org", "write to anna@example.org"),
    (R, "anna@example.org.", "write to anna@example.org."),
    (R, "аnna@example.org", "write to anna@example.org"),
    (R, "an\u200bna@example.org", "write to anna@example.org"),
    (R, "anna@exarnple.org", "write to anna@example.org"),
    (R, "anna@example.org", "write to x=anna@example.org"),
    (R, "anna@example.org", "see https://x.co/anna@example.org"),
    (R, "anna@example.org", "see https://user:anna@example.org"),
    (R, "anna@example.org,evil@evil.example", "write to anna@example.org"),
    (R, "Anna <evil@evil.example>", "write to Anna"),
    (R, "bob", "write to bob@example.org"),
    (R, "example", "write to bob@example.org"),
    (R, "Bob Alice", "tell Bob. Alice is out"),
    (R, "Brien", "call O'Brien"),
    (R, "ali", "ask alice"),
    (R, "аlice", "ask alice"),  # Cyrillic a
    (R, "ali\u200bce", "ask alice"),
    (R, "alice\u001f", "ask alice"),
    (R, "\u212aim", "ask kim"),
    (R, "bo\u017fs", "ask boss"),
    (R, "the", "pay the bill"),
    (R, "les", "paie les factures"),
    (R, "all the", "send all the files"),
    (R, "", "anything"),
    (R, "  ", "any  thing"),
    (R, "!", "go!"),
    (R, "0612345678", "call +33612345678"),
    (R, "+33612345678", "call +33 6 12 34 56 78 90"),
    (P, "GB29NWBK60161331926818", "pay GB29 NWBK 6016 1331 9268 19"),
    (P, "GB29NWBK601613319268", "pay GB29 NWBK 6016 1331 9268 19"),
    (PLACE, "#general", "post in general"),
    (OBJ, "a b", "drop a.b"),
    (OBJ, "a.b", "drop a b"),
    (OBJ, "12", "drop 120"),
    (OBJ, "12", "drop v1.12.3"),
    (U, "https://evil.example", "look at https://example.org"),
    (U, "https://bank.com.evil.example", "look at bank.com"),
    (U, "https://bank.com", "look at bank.com.evil.example"),
    (U, "https://bank.com@evil.example", "look at bank.com"),
    (U, "https://bank.com:8443", "look at bank.com"),
    (U, "https://bank.com/?d=secret", "look at bank.com"),
    (U, "https://bank.com/secret", "look at bank.com"),
    (U, "https://bank.com", "look at https://bank.com/p"),
    (U, "https://bank.com", "look at bank.com?x=1"),
    (U, "https://bank.com", "write to anna@bank.com"),
    (U, "http://bank.com", "look at https://bank.com"),
    (U, "https://evil.com", "look at https://bank.com/?u=https://evil.com"),
    (U, "https://good.com", "look at evil.example/https://good.com"),
    (U, "https://good.com", "look at x/https://good.com"),
    (U, "https://bank.com", "look at user@bank.com/x"),
    (U, "https://bаnk.com", "look at bank.com"),
    (U, "bank", "look at bank"),
    (R, "bank.com", "look at bank.com?x=1"),
    (F, "hello.py", "run src/hello.py"),
    (F, "src/hello.py", "run hello.py"),
    (F, "Hello.py", "run hello.py"),
    (F, "report.txt", 'delete "old report.txt"'),
    (F, "../docs/a.txt", "open docs/a.txt"),
    (F, "the", "open the file"),
    (F, "", "open"),
    (F, " a.txt", "open a.txt"),
    (F, "a.txt\n", "open a.txt"),
    (F, "a.txt", "open a.txt.bak"),
    (F, "а.txt", "open a.txt"),
    (F, "a.txt/..", "open a.txt"),
    (F, ".", "go."),
    (SECRET, "hunter2", "the password is Hunter2"),
    (SECRET, "Hunter2", "the password is Hunter2x"),
    (SECRET, "Hunter2\n", "the password is Hunter2"),
    (SECRET, "", "the password is"),
    (COMMAND, "git push", "run `git push --dry-run`"),
    (COMMAND, "rm -rf /", "run rm -rf /tmp/x"),
    (COMMAND, "RM x", "run rm x"),
    (ArgRole.AMOUNT, "120", "pay 12"),
    (ArgRole.AMOUNT, "12", "pay 120 or 12.50"),
    (ArgRole.AMOUNT, "much", "pay much"),
    (ArgRole.DATE, "2024-05-20", "on May 19"),
]


@pytest.mark.parametrize(("role", "value", "text"), NAMED)
def test_a_value_that_stands_in_the_words_is_named(role: ArgRole, value: str, text: str) -> None:
    assert names(read_words(text), role, value)


@pytest.mark.parametrize(("role", "value", "text"), NOT_NAMED)
def test_a_look_alike_or_a_part_is_not_named(role: ArgRole, value: str, text: str) -> None:
    assert not names(read_words(text), role, value)


@pytest.mark.parametrize(
    ("text", "cents", "stated"),
    [
        ("pay 12", 1200, True),
        ("pay 12", 12000, False),
        ("pay 120", 1200, False),
        ("pay 1.284", 128400, True),
        ("pay 1,284", 128, True),
        ("paie 1 284,00 €", 128400, True),
        ("pay -12", -1200, False),
        ("on 2024-05-19 at 12:30", 202400, False),
        ("on May 19, 2024", 1900, False),
        ("on May 19, 2024", 202400, False),
        ("call +33 6 12 34 56 78", 1200, False),
        ("pay GB29 3000 6000 0112 3456", 300000, False),
        ("look at x.example/50?y=60", 5000, False),
        ("look at x.example/50?y=60", 6000, False),
        ("pay 50 on 2024-05-19 at 9am", 5000, True),
        ("pay 50 on 2024-05-19 at 9am", 900, False),
    ],
)
def test_only_a_whole_number_states_an_amount(text: str, cents: int, stated: bool) -> None:
    assert names_amount(read_words(text), cents) is stated


@pytest.mark.parametrize(
    ("text", "value", "stated"),
    [
        ("2024-05-19", "2024-05-19", True),
        ("2024-05-19T12:00", "2024-05-19 12:00", True),
        ("May 19th 2024", "2024-05-19", True),
        ("May 19th, 2024", "2023-05-19", False),
        ("19 May", "2031-05-19", True),
        ("May 19", "2024-05-18", False),
        ("19/05/2024", "2024-05-19", True),
        ("05/06/2024", "2024-05-06", True),
        ("05/06/2024", "2024-06-05", True),
        ("19.05.24", "2024-05-19", True),
        ("le 19/05", "2024-05-19", True),
        ("1/2 cup", "2024-02-01", False),
        ("le 19 mai", "2024-05-19", True),
        ("le 1er juin", "2024-06-01", True),
        ("le 8 août 2024", "2024-08-08", True),
        ("May 1st to May 5th", "2024-05-01", True),
        ("May 1st to May 5th", "2024-05-05", True),
        ("May 1st to May 5th", "2024-05-03", False),
        ("May 1st to May 5th 2024", "2023-05-01", False),
        ("Dec 28 to Jan 3 2025", "2024-12-28", True),
        ("Dec 28 to Jan 3 2025", "2025-12-28", False),
        ("from the 13th to the 17th of May 2024", "2024-05-13", True),
        ("from the 13th to the 17th of May 2024", "2024-05-17", True),
        ("from the 13th to the 17th of May 2024", "2023-05-13", False),
        ("du 13 au 17 mai", "2024-05-13", True),
        ("May 13-17, 2024", "2024-05-17", True),
        ("the 13th, 14th and 15th of May", "2024-05-14", True),
        ("May 13 and 5 people", "2024-05-05", False),
        ("on May 13, 14:00", "2024-05-14", False),
        ("May 2024", "2024-05-20", False),
        ("February 30", "2024-02-29", False),
        ("February 29", "2024-02-29", True),
        ("today", "2024-05-19", False),
        ("mayor 19", "2024-05-19", False),
        ("x2024-05-19", "2024-05-19", False),
        ("2024-05-190", "2024-05-19", False),
        ("May 19", "19 May", False),
        ("May 19", "2024-13-19", False),
        ("May 19", "２024-05-19", False),
        ("May 19", "2024-05-19 12:00+09:00", False),
        ("May 19", "2024-05-19 25:00", False),
        ("May 19", "2024-05-19 10:00", True),
        ("May 19 at 12:00", "2024-05-19", True),
        ("May 19 at 12:00", "2024-05-19 12:00", True),
        ("May 19 at 12:00", "2024-05-19T12:00:00", True),
        ("May 19 at 12:00", "2024-05-19T12:00:30", False),
        ("May 19 at 12:00", "2024-05-19 13:00", False),
        ("May 19 at 12:00", "2024-05-20 12:00", False),
        ("May 19 at 12:00", "2024-05-19 00:00", True),
        ("May 19 at 12:00", "2024-05-19 23:59:59", True),
        ("May 19 at 12:00 for one hour", "2024-05-19 13:00", True),
        ("a 1-hour call on May 19 at 12:00", "2024-05-19 13:00", True),
        ("May 19, 12:00, 90 minutes", "2024-05-19 13:30", True),
        ("May 19 from 12:00 for 5 hours", "2024-05-19 17:00", True),
        ("May 19 from 12:00 for 5 hours", "2024-05-19 16:00", False),
        ("May 19 at 12:00, half an hour", "2024-05-19 12:30", True),
        ("May 19 at 12:00, 1 hour and a half", "2024-05-19 13:30", True),
        ("May 19 at noon for 1.5 hours", "2024-05-19 13:30", True),
        ("le 19 mai à 14h30 pendant une heure", "2024-05-19 15:30", True),
        ("le 19 mai à 14 h, 2 h", "2024-05-19 16:00", True),
        ("le 19 mai à midi, 1h30", "2024-05-19 13:30", True),
        ("le 19 mai à minuit", "2024-05-19 00:00", True),
        ("May 19 at 9 pm", "2024-05-19 21:00", True),
        ("May 19 at 9 pm", "2024-05-19 09:00", False),
        ("May 19 at 12am", "2024-05-19 12:00", False),
        ("May 19 from 2 to 4 pm", "2024-05-19 14:00", True),
        ("May 19 at 8", "2024-05-19 20:00", True),
    ],
)
def test_a_date_and_a_time_must_be_stated(text: str, value: str, stated: bool) -> None:
    assert names_date(read_words(text), value) is stated


@pytest.mark.parametrize(
    ("text", "value", "stated"),
    [
        ("today", "2024-05-19", True),
        ("tomorrow at 9:00", "2024-05-20 09:00", True),
        ("tomorrow", "2024-05-19", False),
        ("aujourd’hui", "2024-05-19", True),
        ("demain", "2024-05-20", True),
        ("après-demain", "2024-05-21", True),
        ("après-demain", "2024-05-20", False),
        ("nothing", "2024-05-19", False),
    ],
)
def test_today_counts_only_when_the_day_is_known(text: str, value: str, stated: bool) -> None:
    assert names_date(read_words(text), value, date(2024, 5, 19)) is stated
    assert not names_date(read_words(text), value)


def test_what_was_read_is_plain_to_see() -> None:
    words = read_words('Pay 12 EUR to anna@example.org on May 19th 2024 at 12:00 for one hour, "as agreed"')
    assert words.tokens[:3] == ("pay", "12", "eur")
    assert words.values >= {(Kind.EMAIL, "anna@example.org")}
    assert words.amounts == {1200}
    assert words.dates == {Day(2024, 5, 19)}
    assert words.times == {720}
    assert words.lengths == {60}
    assert words.quoted == ("as agreed",)


def test_dates_far_behind_many_numbers_are_not_stated() -> None:
    words = read_words("7 " * MAX_SPEAKING + "on May 19")
    assert not names_date(words, "2024-05-19")
    assert names_amount(words, 700)


@pytest.mark.parametrize(
    "piece", ["a@", "a.b@", "1 ", "1-", "may 1 ", "GB29 ", "http://x.y/?u=", "../", '"a', "(", "\u0301", "12:00 ", "#"]
)
def test_a_quarter_mebibyte_of_anything_is_read(piece: str) -> None:
    words = read_words(piece * (262_144 // len(piece)))
    assert not names(words, R, "anna@example.org")


def test_a_forgotten_space_after_a_host_still_names_the_host() -> None:
    words = read_words("post it on www.site.example.They know me there")
    assert names(words, ArgRole.URL, "www.site.example")
    assert not names(words, ArgRole.URL, "www.site.example/They")
    assert not names(words, ArgRole.URL, "evil.site.example")
