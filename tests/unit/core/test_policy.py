"""Policy: what a document must be, and that an error in it can only refuse."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from carapax.core.policy.decide import DEFAULT, ERROR, NOWHERE, decide
from carapax.core.policy.document import KEYS, parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.terms.action import ArgRole, Effect, Origin
from carapax.core.terms.decision import Allow, Ask, Deny, Obligation
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label
from carapax.core.terms.principal import Role
from carapax.core.terms.tables import Clearance, DirectoryEntry, Place, Tier
from tests.unit.core.questions import DAY, home, lines_policy, question, raw_policy

HOME = home_policy(3, DAY).decode()


def edited(old: str, new: str) -> bytes:
    assert old in HOME
    return HOME.replace(old, new, 1).encode()


def said(document: bytes) -> str:
    with pytest.raises(PolicyInvalid) as caught:
        parse_policy(document)
    return caught.value.what


def test_the_home_policy_parses_and_carries_its_dates_and_budgets() -> None:
    policy = parse_policy(HOME.encode())
    assert (policy.name, policy.serial, policy.issued) == ("home", 3, DAY)
    assert policy.expires == DAY + datetime.timedelta(days=730)
    assert policy.review == DAY + datetime.timedelta(days=180)
    assert policy.approval_ms == 15 * 60_000
    assert policy.budgets.turn.tool_calls == 40
    assert policy.budgets.session.wall_ms is None
    assert policy.tables.tier is Tier.ASSIST
    assert policy.roles == {"owner": Role.OWNER}
    assert all(rule.reason for rule in policy.rules.values())


def test_the_template_shows_every_key_but_the_experts() -> None:
    shown = [line.split(":")[0] for line in HOME.splitlines() if line[:1].isalpha()]
    assert set(shown) == set(KEYS) - {"rules"}


FULL = """
signers: {anna: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}
widening_needs: 2
owner: [me@example.org]
organisation: [example.org]
roles: {anna: approver}
data:
  customer: {patterns: ['KD-[0-9]{6}'], files: ["customers/**"], integrity: catalog, leaves: deny}
directory: {Anna: [anna@example.com, +491234], Bob: bob@example.com}
sinks: {send_mail: [org]}
models: {"embedded:*": all, "openai:*": [customer, "domain:mail"]}
caps: {currency: CHF, payment_each: 49.9, payment_day: none, messages_per_minute: 3}
"""


def test_every_table_is_read() -> None:
    policy = parse_policy(raw_policy('@id("a") forbid (principal, action, resource);', more=FULL.lstrip()))
    tables = policy.tables
    assert (policy.widening_needs, policy.signers) == (2, {"anna": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="})
    assert (tables.owner_addresses, tables.org_domains) == ({"me@example.org"}, {"example.org"})
    assert policy.roles == {"anna": Role.APPROVER}
    assert policy.sinks == {"send_mail": {"org"}}
    assert tables.directory == (
        DirectoryEntry("Anna", ("anna@example.com", "+491234")),
        DirectoryEntry("Bob", ("bob@example.com",)),
    )
    assert tables.places == (Place("customers/**", Integrity.CATALOG, "customer"),)
    assert (tables.classes[0].patterns, tables.classes[0].leaves) == (("KD-[0-9]{6}",), "deny")
    assert tables.clearances == (
        Clearance("embedded:*", frozenset({"*"})),
        Clearance("openai:*", frozenset({"customer", "domain:mail"})),
    )
    caps = tables.caps
    assert (caps.currency, caps.payment_each_cents, caps.payment_day_cents) == ("CHF", 4990, None)
    assert (caps.messages_per_minute, caps.files_per_minute) == (3, 200)


def rules(text: str) -> bytes:
    return raw_policy(text)


PERMIT = "permit (principal, action, resource)"
BROKEN: list[tuple[str, bytes, str]] = [
    ("not YAML", b"a: [", "line 1: this is not YAML"),
    ("not UTF-8", b"format: x\n\xff\xfe", "line 2: this is not UTF-8"),
    ("empty", b"", "line 1: the document is empty"),
    ("too large", b"#" * 300_000, "262144 is the most"),
    ("a list", b"- a", "the document is not a map"),
    ("control characters", b"a: \x00", "characters that YAML forbids"),
    ("unknown key", edited("serial:", "extra: 1\nserial:"), "line 8, extra: this key is not known here; write one of"),
    ("another format", edited("policy/2", "policy/3"), "line 4, format: this format is not known here; the document"),
    ("no format", b"name: x", "must say `format: carapax-policy/2`"),
    ("a key missing", edited("serial: 3\n", ""), "serial is missing; add `serial:`"),
    ("serial zero", edited("serial: 3", "serial: 0"), "line 8, serial: 0 is out of range; write a number from 1"),
    ("serial text", edited("serial: 3", 'serial: "3"'), "serial: `3` is not a whole number"),
    ("serial boolean", edited("serial: 3", "serial: true"), "serial: `true` is not a whole number"),
    ("a time for a date", edited("issued: 2026-11-21", "issued: 2026-11-21T01:00:00Z"), "write it as YYYY-MM-DD"),
    ("no such day", edited("issued: 2026-11-21", "issued: 2026-02-30"), "issued: `2026-02-30` is not a date"),
    ("ends early", edited("expires: 2028", "expires: 2020"), "expires: it ends before it begins; write a later date"),
    ("unknown tier", edited("trust: assist", "trust: boss"), "trust: `boss` is not known here; write one of observe"),
    ("unknown budget", edited("tool_calls: 40", "toolcalls: 40"), "budgets.turn.toolcalls: this key is not known"),
    ("negative budget", edited("tool_calls: 40", "tool_calls: -1"), "budgets.turn.tool_calls: `-1` is not a whole"),
    ("budgets not a map", edited("budgets:\n", "budgets: 3\nx:\n"), "x: this key is not known"),
    ("unknown answer", edited("answer: allow", "answer: maybe"), "capabilities.workspace.read.answer: `maybe`"),
    ("no answer", edited("    answer: allow\n", ""), "capabilities.workspace.read: answer is missing"),
    ("unknown effect", edited("[read]", "[fly]"), "capabilities.workspace.read.effects[1]: `fly` is not known here"),
    ("no effect", edited("effects: [read]", "effects: []"), "the line is about nothing; name an effect"),
    ("unknown condition", edited("only: local", "where: local"), "capabilities.workspace.read.where: this key"),
    ("unknown place", edited("only: local", "only: moon"), "write one of workspace, local, outside"),
    ("a bad name", edited("  workspace.read:", "  '1 x':"), "is not a name; use letters"),
    ("a bound on a no", edited("only: outside", "at_most_files: 3"), "would refuse the smaller"),
    ("typed without ask", edited("only: local", "typed: [payee]"), "take `typed` away"),
    ("unknown grant", edited("grants: []", "grants: [fly]"), "grants[1]: `fly` is not known here; write one of workspace"),
    ("the machine as signer", edited("signers: {}", "signers: {this-machine: AA==}"), "this machine's own"),
    ("a short key", edited("signers: {}", "signers: {anna: AAAA}"), "signers.anna: this has 3 bytes; write the 32"),
    ("not a key", edited("signers: {}", "signers: {anna: '!!'}"), "signers.anna: this is not base64"),
    ("too many signatures", edited("widening_needs: 1", "widening_needs: 2"), "2 signatures cannot be had"),
    ("unknown role", edited("{owner: owner}", "{anna: king}"), "roles.anna: `king` is not known here"),
    ("unknown check", edited("[card]", "[shoe]"), "data.payment-card.builtin[1]: `shoe`"),
    ("a pattern that looks around", edited("builtin: [card]", "patterns: ['a(?=b)']"), "RE2's syntax only"),
    ("a pattern that refers back", edited("builtin: [card]", "patterns: ['(a)\\1']"), "RE2's syntax only"),
    ("no pattern", edited("builtin: [card]", "patterns: ['(']"), "this is no pattern"),
    ("a doubtful pattern", edited("builtin: [card]", "patterns: ['[[a]']"), "this is no pattern"),
    ("files elsewhere", edited("builtin: [card]", "files: [../x]"), "this leaves the workspace; write a glob below it"),
    ("unknown leave", edited("leaves: ask", "leaves: maybe"), "write one of allow, ask, deny"),
    ("unknown class", edited('"*": all', '"*": [x]'), "models.*[1]: `x` is no class of `data`"),
    ("not a currency", edited("EUR", "euro"), "caps.currency: `euro` is not a currency"),
    ("not an amount", edited("payment_each: 0", "payment_each: 1.234"), "caps.payment_each: `1.234` is not an amount"),
    ("a list wanted", edited("owner: []", "owner: me"), "owner: this must be a list; write it as [a, b]"),
    ("a map wanted", edited("signers: {}", "signers: [a]"), "signers: this must be a map"),
    ("a text wanted", edited("owner: []", "owner: [[a]]"), "owner[1]: this must be a text"),
    ("a long text", edited("name: home", f"purpose: {'x' * 3000}\nname: home"), "given twice"),
    ("a very long text", edited("An assistant", "x" * 3000), "characters; write at most 2000"),
    ("minutes", edited("minutes: 15", "minutes: 0"), "approvals.minutes: 0 is out of range"),
    ("not Cedar", rules("permit everything;"), "rules: the rules do not parse as Cedar"),
    ("no id", rules(f"{PERMIT};"), "has no @id; write @id"),
    ("unknown annotation", rules(f'@id("a") @note("b") {PERMIT};'), "unknown note @note"),
    ("unknown obligation", rules(f'@id("a") @obligation("pray") {PERMIT};'), "rule a: 'pray' is not a valid"),
    ("unknown role to type", rules(f'@id("a") @typed("soul") {PERMIT};'), "rule a: 'soul'"),
    ("same id twice", rules(f'@id("a") {PERMIT};' * 2), "two rules carry the id 'a'; rename one"),
    ("an id of a line", HOME.encode() + f"rules: |\n  @id(\"network.none\") {PERMIT};\n".encode(), "two rules carry"),
    ("unknown fact", rules(f'@id("a") {PERMIT} when {{ context.mood == "good" }};'), "do not fit the schema"),
    ("wrong type", rules(f'@id("a") {PERMIT} when {{ context.destroys == "5" }};'), "do not fit the schema"),
    ("unknown action", rules('@id("a") permit (principal, action == Action::"fly", resource);'), "do not fit"),
    ("a template", rules('@id("a") permit (principal == ?principal, action, resource);'), "templates are not accepted"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "document", "words"), BROKEN, ids=[what for what, _, _ in BROKEN])
def test_a_broken_document_is_refused_with_line_key_and_remedy(what: str, document: bytes, words: str) -> None:
    sentence = said(document)
    assert words in sentence
    assert sentence.endswith(".")


TRAPS = [
    ("no is not false", "undoable: true", "undoable: no", "`no` is neither true nor false; write true or false"),
    ("yes is not true", "undoable: true", "undoable: yes", "neither true nor false"),
    ("on is not true", "undoable: true", "undoable: on", "neither true nor false"),
    ("True is not true", "undoable: true", "undoable: True", "neither true nor false"),
    ('"true" is text', "undoable: true", 'undoable: "true"', "neither true nor false"),
    ("1e3 is no number", "minutes: 15", "minutes: 1e3", "`1e3` is not a whole number"),
    ("octal", "minutes: 15", "minutes: 015", "begins with 0; write it without"),
    ("0o octal", "minutes: 15", "minutes: 0o17", "not a whole number"),
    ("hexadecimal", "minutes: 15", "minutes: 0xf", "not a whole number"),
    ("sexagesimal", "minutes: 15", "minutes: 1:30", "not a whole number"),
    ("infinity", "minutes: 15", "minutes: .inf", "not a whole number"),
    ("null", "minutes: 15", "minutes: ~", "not a whole number"),
    ("nothing", "minutes: 15", "minutes:", "not a whole number"),
    ("other digits", "minutes: 15", "minutes: ١٥", "not a whole number"),
    ("an anchor", "name: home", "name: &a home", "anchors (&) and aliases (*) are not accepted"),
    ("an alias", "name: home", "name: *a", "anchors (&) and aliases (*) are not accepted"),
    ("a tag", "name: home", "name: !!str home", "tags (tag:yaml.org,2002:str) are not accepted; write the plain value"),
    ("a python tag", "name: home", "name: !!python/name:os.system home", "are not accepted"),
    ("a local tag", "name: home", "name: !x home", "tags (!x) are not accepted"),
    ("a merge key", "  turn:\n", "  <<: {tokens: 1}\n  turn:\n", "merge keys (<<) are not accepted"),
    ("a key twice", "name: home", "name: home\nname: other", "it is given twice, first in line 5; keep one"),
    ("a key twice below", "minutes: 15", "minutes: 15\n  minutes: 15", "approvals.minutes: it is given twice"),
    ("a complex key", "name: home", "? [a]\n: b\nname: home", "a key must be one word"),
    ("half a character", "name: home", 'name: "\\ud800"', "half a character"),
    ("a tab", "  turn:\n", "\tturn:\n", "this is not YAML"),
]


@pytest.mark.parametrize(("what", "old", "new", "words"), TRAPS, ids=[what for what, *_ in TRAPS])
def test_yamls_traps_are_errors(what: str, old: str, new: str, words: str) -> None:
    assert words in said(edited(old, new))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (HOME + "---\na: b\n", "a second document begins here"),
        ("%YAML 1.1\n---\n" + HOME, "directives (%) are not accepted"),
        ("a: " + "[" * 30 + "]" * 30, "more than 8 levels deep"),
        ("a: " + "[" * 100_000, "more than 8 levels deep"),
        ("a: [" + "b, " * 30_000 + "b]", "more than 20000 values"),
    ],
)
def test_shapes_that_no_policy_has_are_errors(document: str, words: str) -> None:
    assert words in said(document.encode())


def test_words_that_yaml_would_turn_into_something_else_stay_text() -> None:
    policy = parse_policy(edited("owner: []", "owner: [no, 010, 1e3, 2026-01-01, ~]"))
    assert policy.tables.owner_addresses == {"no", "010", "1e3", "2026-01-01", "~"}


def test_a_forbid_that_fails_while_it_is_evaluated_denies() -> None:
    # Cedar skips such a rule and would answer Allow: an integer overflow is not visible to the schema.
    text = (
        '@id("all") permit (principal, action, resource);\n'
        '@id("never") forbid (principal, action, resource) when { context.destroys + 9223372036854775807 > 0 };'
    )
    answer = decide(parse_policy(raw_policy(text)), question(Effect.READ, destroys=1))
    assert isinstance(answer, Deny)
    assert answer.rule == ERROR


def test_a_question_outside_the_schema_denies() -> None:
    answer = decide(home(), question(Effect.READ, destroys=2**70))
    assert isinstance(answer, Deny)
    assert answer.rule == ERROR


def test_a_rule_that_mentions_approval_asks_and_names_what_must_be_typed() -> None:
    text = (
        '@id("pay") @reason("Money.") @typed("payee") permit (principal, action, resource) when { context.approved };'
    )
    answer = decide(parse_policy(raw_policy(text)), question(Effect.MONEY))
    assert isinstance(answer, Ask)
    assert answer == Ask(answer.rule, "Money.", frozenset(), (ArgRole.PAYEE,))


def test_a_forbid_beats_any_permit_and_gives_its_reason() -> None:
    text = (
        '@id("all") permit (principal, action, resource);\n'
        '@id("no") @reason("Never.") forbid (principal, action, resource) when { context.tainted };'
    )
    policy = parse_policy(raw_policy(text))
    tainted = decide(policy, question(Effect.READ, context=Label(Integrity.EXTERNAL, OWNER_ONLY)))
    assert isinstance(tainted, Deny)
    assert tainted == Deny(tainted.rule, "Never.")
    assert isinstance(decide(policy, question(Effect.READ)), Allow)


def test_nothing_is_allowed_that_no_rule_names() -> None:
    policy = parse_policy(raw_policy('@id("a") permit (principal, action == Action::"read", resource);'))
    assert decide(policy, question(Effect.CODE)) == Deny(DEFAULT, "No rule allows this.")
    empty = parse_policy(raw_policy("").replace(b"rules: |\n", b""))
    assert decide(empty, question(Effect.READ)) == Deny(DEFAULT, "No rule allows this.")


def test_changes_in_the_workspace_oblige_to_keep_versions() -> None:
    for effect in (Effect.SELF_ADD, Effect.SELF_MODIFY, Effect.DESTROY, Effect.CODE):
        answer = decide(home(), question(effect, destroys=1))
        assert isinstance(answer, Allow)
        assert answer.obligations == {Obligation.KEEP_VERSIONS}


def test_a_value_found_in_untrusted_text_is_not_one_that_the_owner_named() -> None:
    text = '@id("named") permit (principal, action, resource) when { context.owner_named };'
    policy = parse_policy(raw_policy(text))
    assert isinstance(decide(policy, question(Effect.DESTROY, origin=Origin.UNTRUSTED)), Deny)
    assert isinstance(decide(policy, question(Effect.DESTROY, origin=Origin.MODEL)), Deny)
    assert isinstance(decide(policy, question(Effect.DESTROY, origin=Origin.DIRECTORY)), Allow)


def test_raw_rules_add_to_the_lines_and_cannot_replace_them() -> None:
    more = '@id("extra") @reason("No code.") forbid (principal, action == Action::"code", resource);'
    policy = parse_policy(HOME.encode() + f"rules: |\n  {more}\n".encode())
    assert decide(policy, question(Effect.CODE)) == Deny(decide(policy, question(Effect.CODE)).rule, "No code.")
    assert isinstance(decide(policy, question(Effect.READ)), Allow)


def test_two_hundred_rules_still_answer() -> None:
    lines = "".join(
        f"  tool{n}.mail:\n    effects: [communicate]\n    tools: [tool{n}]\n    answer: allow\n" for n in range(190)
    )
    policy = parse_policy(
        HOME.replace("capabilities:\n", f"capabilities:\n{lines}")
        .replace("effects: [communicate, publish, access, money, credential]", "effects: [money]")
        .encode()
    )
    assert len(policy.rules) == 202
    assert isinstance(decide(policy, question(Effect.READ)), Allow)
    for tool, kind in (("tool7", Allow), ("tool189", Allow), ("tool190", Deny)):
        assert isinstance(decide(policy, question(Effect.COMMUNICATE, place="none", tool=tool)), kind)


def test_a_policy_that_names_nowhere_to_go_says_what_to_do_where_a_tool_with_a_way_out_is_refused() -> None:
    asked = question(Effect.CODE, tool="run_online")
    out = replace(asked, call=replace(asked.call, manifest=replace(asked.call.manifest, online=True)))
    bare = parse_policy(lines_policy("read: allow\n"))
    refused = decide(bare, out)
    assert isinstance(refused, Deny) and refused.reason.endswith(NOWHERE)
    for policy, asks in (
        (bare, asked),
        (parse_policy(lines_policy("read: allow\n", more="egress: {a: {hosts: [a.example], answer: allow}}\n")), out),
    ):
        refused = decide(policy, asks)
        assert isinstance(refused, Deny) and NOWHERE not in refused.reason
