"""Widening: every way in which a document can allow more is named, and a narrower one is not called wider."""

from __future__ import annotations

import pytest

from carapax.core.policy.document import parse_policy
from carapax.core.policy.widening import widenings
from tests.unit.core.questions import lines_policy, raw_policy

KEY_A = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
KEY_B = "MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
MAIL = "mail: {effects: [communicate], recipients: known, answer: ask, typed: [recipient]}\n"


def wider(old: str, new: str, *, lines: str = "read: allow\n") -> tuple[str, ...]:
    """Old and new are further sections of the document."""
    return widenings(parse_policy(lines_policy(lines, more=old)), parse_policy(lines_policy(lines, more=new)))


SECTIONS = [
    ("an owner's address", "owner: []\n", "owner: [me@example.org]\n", "owner gains me@example.org"),
    ("a domain", "organisation: []\n", "organisation: [example.org]\n", "organisation gains example.org"),
    ("somebody known", "directory: {}\n", "directory: {Anna: a@example.org}\n", "directory gains a@example.org for Anna"),
    ("an address more", "directory: {A: [x]}\n", "directory: {A: [x, y]}\n", "directory gains y for A"),
    ("a role", "roles: {}\n", "roles: {anna: approver}\n", "anna has the role approver"),
    ("another role", "roles: {a: guest}\n", "roles: {a: owner}\n", "a has the role owner"),
    ("a sink with fewer readers", "sinks: {m: [org, public]}\n", "sinks: {m: [org]}\n", "no longer counts public"),
    ("a sink forgotten", "sinks: {m: [public]}\n", "sinks: {}\n", "sinks.m no longer counts public"),
    ("a sink declared", "sinks: {}\n", "sinks: {m: [owner]}\n", "sinks.m declares its readers itself"),
    ("another currency", "caps: {currency: EUR}\n", "caps: {currency: BTC}\n", "amounts are counted in BTC"),
    ("money each", "caps: {payment_each: 5}\n", "caps: {payment_each: 5.01}\n", "payment_each rises from 5.00 to 5.01"),
    ("money a day", "caps: {payment_day: 5}\n", "caps: {payment_day: none}\n", "payment_day rises from 5.00 to no bound"),
    ("messages", "caps: {messages_per_minute: 1}\n", "caps: {messages_per_minute: 2}\n", "messages_per_minute rises"),
    ("files", "caps: {files_per_minute: 1}\n", "caps: {files_per_minute: none}\n", "files_per_minute rises"),
    ("actions", "caps: {actions_per_task: 1}\n", "caps: {}\n", "caps.actions_per_task rises from 1 to 40"),
    ("a class dropped", "data: {x: {builtin: [card]}}\n", "data: {}\n", "data.x is no longer watched for"),
    ("a class let out", "data: {x: {leaves: deny}}\n", "data: {x: {leaves: ask}}\n", "may leave: ask instead of deny"),
    ("a class let out more", "data: {x: {leaves: ask}}\n", "data: {x: {leaves: allow}}\n", "allow instead of ask"),
    ("a class less seen", "data: {x: {builtin: [card]}}\n", "data: {x: {builtin: []}}\n", "is recognised by less"),
    ("a pattern changed", "data: {x: {patterns: [a]}}\n", "data: {x: {patterns: [b]}}\n", "is recognised by less"),
    ("files not counted", "data: {x: {files: [a]}}\n", "data: {x: {files: [b]}}\n", "files under a no longer count as x"),
    ("files trusted", "data: {x: {files: [a]}}\n", "data: {x: {files: [a], integrity: user}}\n", "as written by user"),
    ("files that were anybody's", "data: {x: {files: [a], integrity: external}}\n", "data: {x: {files: [a]}}\n",
     "as written by whoever wrote them"),
    ("a model cleared", 'data: {x: {}}\nmodels: {"a:*": [x]}\n', 'data: {x: {}}\nmodels: {"a:*": [x], "b:*": [x]}\n',
     "models b:* may be shown x"),
    ("a model cleared for all", 'models: {"a:*": []}\n', 'models: {"a:*": all}\n', "models a:* may be shown everything"),
    ("no model kept apart", 'data: {x: {}}\nmodels: {"a:*": [x]}\n', "data: {x: {}}\nmodels: {}\n",
     "no line under models keeps x to itself any more"),
    ("a signer", "signers: {}\n", f"signers: {{a: {KEY_A}}}\n", "a may sign"),
    ("another key", f"signers: {{a: {KEY_A}}}\n", f"signers: {{a: {KEY_B}}}\n", "a may sign with a new key"),
    ("fewer signatures", f"signers: {{a: {KEY_A}}}\nwidening_needs: 2\n", f"signers: {{a: {KEY_A}}}\n",
     "widening needs 1 signature instead of 2"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "old", "new", "words"), SECTIONS, ids=[what for what, *_ in SECTIONS])
def test_a_table_that_permits_more_is_wider_and_the_way_back_is_not(what: str, old: str, new: str, words: str) -> None:
    found = wider(old, new)
    assert any(words in sentence for sentence in found), found
    assert wider(old, old) == wider(new, new) == ()
    if what not in ("a pattern changed", "another key"):
        assert not any(words in sentence for sentence in wider(new, old))


PARTS = [
    ("a longer life", "expires: 2028-11-20", "expires: 2028-11-21", "lasts until 2028-11-21"),
    ("more trust", "trust: assist", "trust: act", "trust rises from assist to act"),
    ("more trust still", "trust: observe", "trust: draft", "trust rises from observe to draft"),
    ("longer answers", "minutes: 15", "minutes: 16", "answered for 16 minutes"),
    ("more who answer", "minutes: 15", "minutes: 15, roles: [owner, guest]", "approvals.roles gains guest"),
    ("two people no more", "minutes: 15, four_eyes: [money]", "minutes: 15", "four_eyes no longer names money"),
    ("no code any more", "minutes: 15, second_factor: [money]", "minutes: 15", "second_factor no longer names money"),
    ("more budget", "turn: {tokens: 5}", "turn: {tokens: 6}", "budgets.turn.tokens rises from 5 to 6"),
    ("no budget", "turn: {tokens: 5}", "turn: {}", "budgets.turn.tokens rises from 5 to no bound"),
]


@pytest.mark.parametrize(("what", "old", "new", "words"), PARTS, ids=[what for what, *_ in PARTS])
def test_a_line_that_permits_more_is_wider(what: str, old: str, new: str, words: str) -> None:
    base = lines_policy("read: allow\n").decode()
    plain = {"turn: {tokens: 5}": "turn: {}", "trust: observe": "trust: assist"}.get(old, "minutes: 15")
    plain = old if old in base else plain
    before, after = (parse_policy(base.replace(plain, text).encode()) for text in (old, new))
    assert any(words in sentence for sentence in widenings(before, after)), widenings(before, after)
    assert widenings(after, before) == ()


LINES = [
    ("a new line", "", "money: ask\n"),
    ("ask becomes allow", "money: ask\n", "money: allow\n"),
    ("an effect more", "a: {effects: [read], answer: ask}\n", "a: {effects: [read, money], answer: ask}\n"),
    ("any tool", "a: {effects: [money], tools: [x], answer: ask}\n", "a: {effects: [money], answer: ask}\n"),
    (
        "another tool",
        "a: {effects: [money], tools: [x], answer: ask}\n",
        "a: {effects: [money], tools: [y], answer: ask}\n",
    ),
    ("any channel", "money: {channels: [cli], answer: ask}\n", "money: {answer: ask}\n"),
    ("more roles", "money: ask\n", "money: {roles: [owner, guest], answer: ask}\n"),
    ("farther away", "money: {only: workspace, answer: ask}\n", "money: {only: local, answer: ask}\n"),
    ("anywhere", "money: {only: local, answer: ask}\n", "money: {answer: ask}\n"),
    ("farther people", "money: {recipients: org, answer: ask}\n", "money: {recipients: known, answer: ask}\n"),
    ("more files", "destroy: {at_most_files: 5, answer: ask}\n", "destroy: {at_most_files: 6, answer: ask}\n"),
    ("more money", "money: {at_most: 5, answer: ask}\n", "money: {at_most: none, answer: ask}\n"),
    ("a condition less", "money: {tainted: false, answer: ask}\n", "money: {answer: ask}\n"),
    ("nothing typed", "money: {typed: [payee], answer: ask}\n", "money: {answer: ask}\n"),
    ("a deny less", "money: deny\n", ""),
    ("a deny bounded", "money: deny\n", "money: {tainted: true, answer: deny}\n"),
    ("a deny that only asks", "money: deny\n", "money: ask-always\n"),
    ("an always less", "money: ask-always\n", ""),
]


@pytest.mark.parametrize(("what", "old", "new"), LINES, ids=[what for what, *_ in LINES])
def test_a_capability_that_permits_more_is_wider_and_the_way_back_is_not(what: str, old: str, new: str) -> None:
    before, after = (parse_policy(lines_policy(f"fetch: allow\n{text}")) for text in (old, new))
    assert widenings(before, after)
    if what != "another tool":
        assert widenings(after, before) == ()


def test_a_name_and_an_order_do_not_matter() -> None:
    before = parse_policy(lines_policy("a: {effects: [money], answer: ask}\nb: {effects: [read], answer: allow}\n"))
    after = parse_policy(lines_policy("c: {effects: [read], answer: allow}\nd: {effects: [money], answer: ask}\n"))
    assert widenings(before, after) == widenings(after, before) == ()


def test_a_grant_is_wider_whatever_the_tier_is_now() -> None:
    assert wider("", "grants: [mail]\n", lines=MAIL)
    assert wider("grants: [mail]\n", "", lines=MAIL) == ()


PERMIT = '@id("p") permit (principal, action == Action::"read", resource);'
FORBID = '@id("f") forbid (principal, action == Action::"code", resource);'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", PERMIT, "the rule p permits something new"),
        (FORBID, "", "the rule f no longer forbids"),
        (PERMIT, PERMIT.replace('"read"', '"money"'), "the rule p permits something new"),
        (FORBID, FORBID.replace('"code"', '"money"'), "the rule f no longer forbids"),
        (PERMIT.replace('@id("p")', '@id("p") @typed("payee")'), PERMIT, "the rule p permits something new"),
    ],
)
def test_raw_rules_that_permit_more_are_wider(old: str, new: str, words: str) -> None:
    keep = '@id("keep") permit (principal, action == Action::"fetch", resource);\n'
    before, after = (parse_policy(raw_policy(keep + text)) for text in (old, new))
    assert words in widenings(before, after)[0]


def test_a_raw_rule_under_another_name_and_reason_is_the_same() -> None:
    before = parse_policy(raw_policy(f"{PERMIT}\n{FORBID}"))
    after = parse_policy(raw_policy(f"{FORBID}\n{PERMIT}".replace('@id("p")', '@id("q") @reason("Same.")')))
    assert widenings(before, after) == ()
