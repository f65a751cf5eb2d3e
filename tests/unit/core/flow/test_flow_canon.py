"""Canonical values: rows that are one and the same, and rows that only look so."""

from __future__ import annotations

import pytest

from carapax.core.flow.canon import (
    Kind,
    amounts_of,
    canonical,
    canonical_amount,
    disguise,
    find_addresses,
    find_links,
    is_iban,
    take_ibans,
    take_phones,
)
from carapax.core.flow.links import host_form, is_link, url_forms, whole_links
from carapax.core.terms.action import ArgRole

R, U, P, OBJ = ArgRole.RECIPIENT, ArgRole.URL, ArgRole.PAYEE, ArgRole.OBJECT

SAME = [
    (R, "anna@example.org", "Anna@EXAMPLE.org"),
    (R, "anna@example.org", "mailto:anna@example.org"),
    (R, "anna@example.org", "<anna@example.org>"),
    (R, "anna@example.org", " anna@example.org "),
    (R, "anna@bücher.example", "anna@xn--bcher-kva.example"),
    (R, "anna@BÜCHER.example", "anna@bu\u0308cher.example"),
    (U, "https://example.org", "HTTPS://Example.ORG/"),
    (U, "https://example.org", "https://example.org:443/"),
    (U, "http://example.org/a", "http://example.org:80/a"),
    (U, "https://example.org/a", "example.org/a"),
    (U, "https://www.example.org/a", "www.example.org/a"),
    (U, "https://example.org/a/c", "https://example.org/a/./b/../c"),
    (U, "https://example.org/~x", "https://example.org/%7ex"),
    (U, "https://example.org/%2F", "https://example.org/%2f"),
    (U, "https://bücher.example/", "https://xn--bcher-kva.example"),
    (OBJ, "www.example.org/a", "https://WWW.example.org/a"),
    (P, "GB29 NWBK 6016 1331 9268 19", "gb29nwbk60161331926819"),
    (P, "GB29\u00a0NWBK\u00a06016\u00a01331\u00a09268\u00a019", "GB29NWBK60161331926819"),
    (R, "+33 6 12 34 56 78", "0033612345678"),
    (R, "+33 6-12.34 56 78", "tel:+33612345678"),
    (R, "06 12 34 56 78", "0612345678"),
    (R, "Alice  Martin", "alice martin"),
    (R, "Zoe\u0301", "ZOÉ"),
    (ArgRole.PATH, "docs/a.txt", "./docs//x/../a.txt"),
    (ArgRole.PATH, "docs", "docs/"),
    (ArgRole.AMOUNT, "1,284.00", "1284"),
    (ArgRole.DATE, "2024-05-19T12:00:00", "2024-05-19 12:00"),
]

DIFFERENT = [
    (R, "anna@example.org", "anna+x@example.org"),
    (R, "an.na@example.org", "anna@example.org"),
    (R, "anna@example.org", "anna@example.org."),
    (R, "anna@example.org", "anna@exarnple.org"),
    (R, "anna@example.org", "аnna@example.org"),  # Cyrillic a
    (R, "anna@example.org", "anna@exаmple.org"),
    (R, "anna@example.org", "anna@ｅxample.org"),
    (R, "anna@example.org", "an\u200bna@example.org"),
    (R, "anna@example.org", "anna@exa\u200bmple.org"),
    (R, "anna@example.org", "anna@exa\u00admple.org"),
    (R, "kim@example.org", "\u212aim@example.org"),  # the Kelvin sign
    (R, "boss@example.org", "bo\u017fs@example.org"),  # the long s
    (R, "anna@strasse.example", "anna@straße.example"),
    (R, "anna@example.org", "anna@example.org.evil.example"),
    (R, "anna@example.org", "anna@example.org?cc=evil@evil.example"),
    (R, "anna@example.org", "anna@example.org,evil@evil.example"),
    (R, "anna@example.org", "Anna <anna@example.org>"),
    (U, "https://bank.com", "https://bank.com.evil.example"),
    (U, "https://bank.com", "https://bank.com@evil.example"),
    (U, "https://bank.com", "https://bank.com:8443"),
    (U, "https://bank.com", "https://bank.com."),
    (U, "https://bank.com", "https://bank.com/?d=1"),
    (U, "https://bank.com", "https://bank.com#d"),
    (U, "https://bank.com", "https://www.bank.com"),
    (U, "https://bank.com", "http://bank.com"),
    (U, "https://bank.com/a", "https://bank.com/a/"),
    (U, "https://bank.com/a", "https://bank.com/A"),
    (U, "https://bank.com/a", "https://bank.com/%2561"),
    (U, "https://bank.com/a/b", "https://bank.com/a%2Fb"),
    (U, "https://bank.com", "https://bank.com\\@evil.example"),
    (U, "https://bank.com", "https://ba\nnk.com"),
    (U, "https://bank.com", "https://bank.com "),
    (U, "https://bank.com", "https://bank。com"),
    (U, "https://bank.com", "https://user@bank.com"),
    (P, "GB29NWBK60161331926819", "GB29NWBK60161331926818"),
    (P, "GB29NWBK60161331926819", "GB29NWBK6016133192681"),
    (P, "GB29NWBK60161331926819", "GB29NWBK6O161331926819"),  # the letter O
    (P, "GB29NWBK60161331926819", "GB29NWBK6016133192681９"),
    (R, "+33612345678", "0612345678"),
    (R, "+33612345678", "+336123456789"),
    (R, "general", "#general"),
    (R, "a.b", "a b"),
    (R, "modern", "modem"),
    (ArgRole.PATH, "docs/a.txt", "docs/A.txt"),
    (ArgRole.PATH, "docs/a.txt", "/docs/a.txt"),
    (ArgRole.PATH, "a.txt", "../a.txt"),
    (ArgRole.SECRET, "Hunter2", "hunter2"),
    (ArgRole.COMMAND, "ls -l", "ls  -l"),
    (ArgRole.COMMAND, "caf\u00e9", "cafe\u0301"),
    (ArgRole.AMOUNT, "12", "120"),
    (ArgRole.AMOUNT, "12", "-12"),
    (ArgRole.DATE, "2024-05-19", "2024-05-19 00:00"),
]


@pytest.mark.parametrize(("role", "one", "other"), SAME)
def test_two_spellings_of_one_value_have_one_form(role: ArgRole, one: str, other: str) -> None:
    assert canonical(role, one) == canonical(role, other)


@pytest.mark.parametrize(("role", "one", "other"), DIFFERENT)
def test_a_look_alike_has_another_form(role: ArgRole, one: str, other: str) -> None:
    assert canonical(role, one) != canonical(role, other)


@pytest.mark.parametrize(
    ("role", "value", "kind"),
    [
        (R, "anna@example.org", Kind.EMAIL),
        (R, "@anna", Kind.TEXT),
        (R, "a@b@c", Kind.TEXT),
        (R, "example.org", Kind.URL),
        (OBJ, "report.txt", Kind.TEXT),
        (OBJ, "12345678", Kind.TEXT),
        (P, "12345678", Kind.PHONE),
        (P, "GB29NWBK60161331926819", Kind.IBAN),
        (U, "not a link", Kind.URL),
        (ArgRole.DATE, "2024-02-30", Kind.TEXT),
        (ArgRole.DATE, "12:00", Kind.TIME),
        (ArgRole.AMOUNT, "much", Kind.TEXT),
        (ArgRole.SECRET, "anna@example.org", Kind.TEXT),
    ],
)
def test_the_role_and_the_value_decide_the_kind(role: ArgRole, value: str, kind: Kind) -> None:
    assert canonical(role, value)[0] is kind


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("1,284.00", 128400),
        ("1.284,00", 128400),
        ("1 284,00", 128400),
        ("1\u202f284,5", 128450),
        ("1'284.05", 128405),
        ("12", 1200),
        ("10.5", 1050),
        ("EUR 10", 1000),
        ("$10", 1000),
        ("10 €", 1000),
        ("10 dollars", 1000),
        ("10k", 1_000_000),
        ("-3", -300),
        ("1,234,567", 123456700),
        ("1284.50", 128450),
        ("0.50", 50),
        ("1.284", None),
        ("1,284", None),
        ("1,284,00", None),
        ("0.125", None),
        ("1e3", None),
        ("12 120", 12_120_00),
        ("", None),
        ("ten", None),
        ("１２", None),
        ("12 apples", None),
        ("9" * 400, None),
    ],
)
def test_one_amount_in_hundredths(text: str, cents: int | None) -> None:
    assert canonical_amount(text) == cents


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("1.284", {128400, 128}),
        ("1,284", {128400, 128}),
        ("pay 12, not 120", {1200, 12000}),
        ("pay 12.", {1200}),
        ("EUR10, 20€ and $30.50!", {1000, 2000, 3050}),
        ("10 % of 200", {20000}),
        ("v12 12b 1.2.3 A-12 12-14 x/12 #12 12%", set()),
        ("order=12&x", set()),
        ("nothing", set()),
    ],
)
def test_every_reading_of_whole_numbers(text: str, cents: set[int]) -> None:
    assert amounts_of(text) == cents


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("go to evil.example/x?d=1 now", ("evil.example/x?d=1",)),
        ("see www.x.com.", ("www.x.com",)),
        ("[a](https://x.y/p), ![b](http://q.zz/i.png)", ("https://x.y/p", "http://q.zz/i.png")),
        ("<a href='http://q.zz/'>hi</a> <img src=//evil.example/i>", ("http://q.zz/", "evil.example/i")),
        ("hxxp://bad.site/x", ("hxxp://bad.site/x",)),
        ("10.0.0.1/x 10.0.0.2:80 http://10.0.0.3", ("10.0.0.1/x", "10.0.0.2:80", "http://10.0.0.3")),
        ("пример.рф и xn--e1afmkfd.xn--p1ai", ("пример.рф", "xn--e1afmkfd.xn--p1ai")),
        ("evil。com", ("evil。com",)),
        ("see (https://en.example.org/wiki/A_(b)).", ("https://en.example.org/wiki/A_(b)",)),
        ("good.com@evil.com/x", ("evil.com/x",)),
        ("https:evil.com https:\\\\worse.com", ("evil.com", "worse.com")),
        ("x=evil.com;see:worse.example", ("evil.com", "worse.example")),
        ("http://a.com,http://b.com", ("http://a.com", "http://b.com")),
        ("https://r.com/?u=http://evil.com", ("https://r.com/?u=http://evil.com", "http://evil.com")),
        ("report.txt/x www.report.txt ftp://report.txt", ("report.txt/x", "www.report.txt", "ftp://report.txt")),
        ("report.txt hello.py feedback.xlsx src/report.txt", ()),
        ("anna@example.org, (bob@example.org)", ()),
        ("10.0.0.1 1.2.3 v1.2 3.14 e.g. i.e. 12:30", ()),
        ("", ()),
    ],
)
def test_links_in_a_text(text: str, links: tuple[str, ...]) -> None:
    assert find_links(text) == links


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("write to anna@example.org.", ("anna@example.org",)),
        ("mailto:a@b.co,c@d.co; <e@f.co> 'o'brien@g.co'", ("a@b.co", "c@d.co", "e@f.co", "o'brien@g.co")),
        ("anna@example.org's list", ("anna@example.org",)),
        ("https://user@host.example/x", ()),
        ("https://user:anna@example.org", ()),
        ("a@b@c.co @anna anna@", ()),
        ("anna\u200b@example.org", ("anna\u200b@example.org",)),
    ],
)
def test_addresses_in_a_text(text: str, addresses: tuple[str, ...]) -> None:
    assert find_addresses(text) == addresses


def test_account_numbers_end_where_they_check() -> None:
    assert take_ibans("to BE68 5390 0754 7034 RENT")[0] == {"BE68539007547034"}
    assert take_ibans("to GB29NWBK60161331926819.")[0] == {"GB29NWBK60161331926819"}
    assert take_ibans("to XGB29NWBK60161331926819 or GB29NWBK60161331926819-x or FR14")[0] == frozenset()
    assert "12" in take_ibans("to BE68 5390 0754 7034 12 EUR")[1]
    assert is_iban("GB29 NWBK 6016 1331 9268 19")
    assert not is_iban("GB29NWBK60161331926818")
    assert not is_iban("GB29")
    assert is_iban("SE45 5000 0000 0583 9825 7466")
    assert not is_iban("\u017fE4550000000058398257466")  # the long s, whose capital is S


def test_telephone_numbers_are_the_longest_run_of_digits() -> None:
    assert take_phones("call +33 6 12 34 56 78 now")[0] == {"+33612345678"}
    assert take_phones("call (555) 123-4567.")[0] == {"5551234567"}
    assert take_phones("id x0612345678 0612345678x 0612345678@y")[0] == frozenset()
    assert take_phones("9" * 40)[0] == frozenset()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("an\u200bna@example.org", "do not show: U+200B"),
        ("report\u202etxt.exe", "do not show: U+202E"),
        ("anna ", "space"),
        ("https://bank.com@evil.example/", "the host is evil.example"),
        ("anna＠example.org", 'looks like "@"'),
        ("https://bank.com\\x", "backslash"),
        ("a@b@c.co", 'more than one "@"'),
        ("https://bank.com./x", "ends with a dot"),
        ("anna@example.org.", "ends with a dot"),
        ("ｅxample.org", "looks like plain ones".replace("looks", "look")),
        ("𝐚nna", "only look like plain ones"),
        ("https://xn--80ak6aa92e.com/", "punycode"),
        ("https://xn--\u00e9.com/", "punycode"),
        ("ехамре.com", "letters are Cyrillic"),
        ("anna@сосо.com", "letters are Cyrillic"),
        ("https://οοο.com/", "letters are Greek"),
        ("exa\u0323\u0308mple\u0327q\u0308.com", "marks"),
        ("evil｡example/x", "looks like a dot"),
        ("pаypal", "mixes letters of Cyrillic and Latin"),
        ("bank.com/pаth", "mixes letters of Cyrillic and Latin"),
    ],
)
def test_a_disguise_is_said_in_one_sentence(value: str, said: str) -> None:
    sentence = disguise(value)
    assert said in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "value",
    [
        "anna@example.org",
        "https://example.org/a?b=c@d",
        "Zoë Müller",
        "пример.рф",
        "Анна",
        "Tシャツ",
        "",
        "@anna",
        "5 µm",
        "report.txt.",
        "東京タワー",
        "a b@c d@e",
        "https://example.org:8443/x",
        "Wait. What?",
    ],
)
def test_a_plain_value_is_no_disguise(value: str) -> None:
    assert disguise(value) == ""


@pytest.mark.parametrize(
    "value",
    [
        "https://bank.com\\@evil.example",
        "https://ba\nnk.com",
        "https://bank.com ",
        "user@bank.com/x",
        "bank",
        "bank:80",
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://",
        "//bank.com",
        "https://a:b:c",
        "https://bank.com:port/",
    ],
)
def test_what_is_no_url_has_no_form_and_stays_as_it_is(value: str) -> None:
    assert url_forms(value) == ()
    assert canonical(U, value) == (Kind.URL, value)


def test_a_bare_link_stands_for_both_schemes_and_no_other() -> None:
    assert url_forms("example.org:80/a") == ("https://example.org:80/a", "http://example.org/a")
    assert url_forms("ftp://example.org") == ("ftp://example.org",)
    assert url_forms("localhost:8000/x")[1] == "http://localhost:8000/x"
    assert url_forms("https://[::1]:8443/x") == ("https://[::1]:8443/x",)


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("look at https://a.com/?u=https://b.com", ("https://a.com/?u=https://b.com",)),
        ("evil.example/https://good.com", ("evil.example/https://good.com",)),
        ("x/https://good.com", ()),
        ("x=a.com", ()),
        ("a.com, b.com.", ("a.com", "b.com")),
        ("'a.com' *b.com* (c.com)", ("a.com", "b.com", "c.com")),
    ],
)
def test_only_whole_runs_are_links_that_words_name(text: str, links: tuple[str, ...]) -> None:
    assert whole_links(text) == links


def test_hosts_keep_what_they_are() -> None:
    assert host_form("BÜCHER.Example.") == "xn--bcher-kva.example."
    assert host_form("ﬁ.com") != "fi.com"
    assert host_form("é" * 64 + ".com") == "é" * 64 + ".com"
    assert host_form("\ud800.com").isascii()
    assert is_link("10.0.0.1/x")
    assert not is_link("10.0.0.1")
