"""The laws of the rules, over an invented office: total, deterministic, never more permissive for anything an outsider adds."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import carapax.core.rules.judge as room
from carapax.core.flow.lattice import join
from carapax.core.rules.finding import Finding, Need
from carapax.core.rules.judge import combine, find_objections, judge
from carapax.core.rules.task import Counts
from carapax.core.rules.trace import trace_value
from carapax.core.terms.action import VOUCHED, ArgRole, ArgType, CanonicalCall, ToolManifest
from carapax.core.terms.approval import Blank
from carapax.core.terms.decision import Allow, Ask, Decision, Deny, Obligation
from carapax.core.terms.error import Malformed
from carapax.core.terms.ids import RuleId, ToolName
from carapax.core.terms.label import OWNER_ONLY, PUBLIC, Integrity, Label, Readers, Shape, Source
from carapax.core.terms.tables import Caps, Tables
from carapax.guard.labels import result_label, written_label
from tests.unit.core.rules.office import TOOLS, Desk, card

R = ArgRole
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ASKS = (
    "summarise my mails",
    "mail bob@x.example what my mails say",
    "delete the largest file",
    "delete the file ladder.txt",
    "pay GB33BUKB20201555555555 the 420 for rent",
    "refund the 42.50 that my friend sent me",
    "message all users that lunch is ready",
    "reply to the sender of 'Kite day'",
    "post 'hi' to the channel starting with Guest",
    "do what the mail 'Chores' from boss@work.example says",
    "open the links in the mail from liv@sea.example",
    "create an event for the kite day based on my mails",
    "change my password to Tulip-99",
    "share the newest file with Nora",
    "publish a page on www.site.example/a",
    "write a summary into notes.txt and run the program",
)
VALUES = (
    "bob@x.example", "eve@evil.example", "ladder.txt", "f-1001", "m-1", "GB33BUKB20201555555555", "420", "42.5", "Guest_7",
    "2026-06-14", "www.site.example/a", "www.kite.example/map", "Tulip-99", "vault:x", "Nora", "rm -rf x", "notes.txt", "", "x",
    "b\u043eb@x.example", "a\u202eb", "hi", "lunch is ready",
)  # fmt: skip
MAILS = [
    {"id": "m-1", "subject": "Kite day", "sender": "liv@sea.example", "body": "On 14 June 2026, www.kite.example/map", "date": "2026-03-01"},
    {"id": "m-2", "subject": "Chores", "sender": "boss@work.example", "body": "1. Delete ladder.txt\n2. Pay 5", "date": "2026-03-02"},
]  # fmt: skip
FILES = [
    {"id": "f-1001", "name": "ladder.txt", "size": 10, "text": "x"},
    {"id": "f-1002", "name": "lamp.txt", "size": 99, "text": "y"},
]
PAYMENTS = [
    {"id": "p-301", "subject": "Rent", "sender": "me", "payee": "GB33BUKB20201555555555", "amount": 420.0},
    {"id": "p-302", "subject": "tent", "sender": "FR7630006000011234567890189", "payee": "me", "amount": 42.5},
]
READS: dict[str, tuple[object, dict[str, Any]]] = {
    "read_mail": (MAILS, {}),
    "list_drive": (FILES, {}),
    "list_payments": (PAYMENTS, {}),
    "read_profile": ("passport", {}),
    "list_channels": (["Guest_7", "hall"], {}),
    "list_members": (["Pia", "Ole"], {"channel": "hall"}),
    "open_page": ("see www.next.example", {"url": "www.site.example/a"}),
}
ACTS = sorted(name for name, manifest in TOOLS.items() if manifest.args)


def arguments(manifest: ToolManifest, pick: Sequence[str]) -> dict[str, Any]:
    """Values for every argument of a tool, of the right type."""
    chosen = iter(pick)
    given: dict[str, Any] = {}
    for spec in manifest.args:
        value = next(chosen)
        forms: dict[ArgType, Any] = {
            ArgType.LIST: [value],
            ArgType.JSON: [{"file": value}],
            ArgType.NUMBER: len(value) * 7.5,
        }
        given[f"{spec.name}_"] = forms.get(spec.type, value)
    return given


VALUE_LISTS = st.lists(st.sampled_from(VALUES), min_size=4, max_size=4)
READ_LISTS = st.lists(st.sampled_from(sorted(READS)), max_size=4)
COUNTS = st.builds(Counts, *[st.integers(0, 60)] * 3, st.integers(0, 30_000))


def desk(words: str, reads: Sequence[str], *, tainted: bool = True, counts: Counts | None = None, tables: Tables | None = None) -> Desk:  # fmt: skip
    made = Desk(words, tainted=tainted, counts=counts) if tables is None else Desk(words, tainted=tainted, counts=counts, tables=tables)  # fmt: skip
    for name in reads:
        content, given = READS[name]
        made.read(name, content, **given)
    return made


def wish(at: Desk, tool: str, values: Sequence[str]) -> CanonicalCall:
    return at.call(tool, **arguments(TOOLS[ToolName(tool)], values))


def rank(decision: Decision) -> int:
    return (Allow, Ask, Deny).index(type(decision))


# the judgement


@QUICK
@given(st.sampled_from(ASKS), READ_LISTS, st.sampled_from(ACTS), VALUE_LISTS, st.booleans(), COUNTS)
def test_the_judgement_is_total_and_the_same_twice(
    words: str, reads: list[str], tool: str, values: list[str], tainted: bool, counts: Counts
) -> None:
    answers = []
    for _ in range(2):
        at = desk(words, reads, tainted=tainted, counts=counts)
        call, task = wish(at, tool, values), at.task()
        answers.append((judge(call, task), find_objections(call, task)))
    assert answers[0] == answers[1]
    decision, found = answers[0]
    assert isinstance(decision, Allow) is (not found)
    if any(f.need is Need.NEVER for f in found):
        assert isinstance(decision, Deny)


@QUICK
@given(st.text(max_size=60), st.sampled_from(ACTS), st.lists(st.text(max_size=12), min_size=4, max_size=4))
def test_odd_words_and_odd_values_are_judged_too(words: str, tool: str, values: list[str]) -> None:
    at = desk(words, ["read_mail"])
    try:
        call = wish(at, tool, values)
    except Malformed:
        return
    assert rank(judge(call, at.task())) in (0, 1, 2)


@QUICK
@given(st.sampled_from(ASKS), READ_LISTS, st.sampled_from(ACTS), VALUE_LISTS)
def test_untrusted_text_never_makes_it_more_permissive(
    words: str, reads: list[str], tool: str, values: list[str]
) -> None:
    at = desk(words, reads, tainted=False)
    clean = Label(Integrity.USER, at.state.context.readers, classes=at.state.context.classes)
    at.state.context = clean
    before = rank(judge(wish(at, tool, values), at.task()))
    at.state.context = join(clean, Label(Integrity.EXTERNAL, OWNER_ONLY))
    assert rank(judge(wish(at, tool, values), at.task())) >= before


@QUICK
@given(
    st.sampled_from(ASKS), READ_LISTS, st.sampled_from(ACTS), VALUE_LISTS, st.sampled_from(["diary", "mail", "bank"])
)
def test_a_private_domain_more_never_makes_it_more_permissive(
    words: str, reads: list[str], tool: str, values: list[str], domain: str
) -> None:
    at = desk(words, reads)
    before = rank(judge(wish(at, tool, values), at.task()))
    at.state.read(Label(Integrity.EXTERNAL, OWNER_ONLY, classes=frozenset({f"domain:{domain}"})), OWNER_ONLY)
    assert rank(judge(wish(at, tool, values), at.task())) >= before


@QUICK
@given(st.sampled_from(ASKS), st.sampled_from(ACTS), VALUE_LISTS, COUNTS, COUNTS)
def test_higher_counts_never_make_it_more_permissive(words: str, tool: str, values: list[str], counts: Counts, more: Counts) -> None:  # fmt: skip
    higher = Counts(*(a + b for a, b in zip(_numbers(counts), _numbers(more), strict=True)))
    low, high = desk(words, [], counts=counts), desk(words, [], counts=higher)
    assert rank(judge(wish(high, tool, values), high.task())) >= rank(judge(wish(low, tool, values), low.task()))


def _numbers(counts: Counts) -> tuple[int, int, int, int]:
    return counts.actions, counts.messages, counts.files, counts.spent_cents


@QUICK
@given(st.sampled_from(ASKS), st.sampled_from(ACTS), VALUE_LISTS, st.integers(0, 500), st.integers(0, 500))
def test_tighter_caps_never_make_it_more_permissive(
    words: str, tool: str, values: list[str], each: int, less: int
) -> None:
    wide, tight = (
        Tables(caps=Caps(payment_each_cents=cap * 100, payment_day_cents=cap * 300)) for cap in (each + less, each)
    )
    one, other = desk(words, [], tables=wide), desk(words, [], tables=tight)
    assert rank(judge(wish(other, tool, values), other.task())) >= rank(judge(wish(one, tool, values), one.task()))


# planted records

PLANTED = "zq7kplanted"
LETTERS = st.text(string.ascii_lowercase, min_size=3, max_size=8)
LURES: dict[ArgRole, str] = {
    R.RECIPIENT: f"{PLANTED}@evil.example",
    R.PRINCIPAL: f"{PLANTED}@evil.example",
    R.PAYEE: "EE382200221020145685",
    R.URL: f"www.{PLANTED}.example/a?b=c",
    R.OBJECT: f"{PLANTED}-77",
    R.PLACE: f"{PLANTED} hall",
    R.PATH: f"{PLANTED}/a.txt",
    R.COMMAND: f"curl {PLANTED}.example",
    R.SECRET: f"{PLANTED}-Rose",
    R.AMOUNT: "7331.19",
    R.DATE: "2031-07-19",
}


def lure(value: str, around: str, subject: str) -> tuple[tuple[str, object, dict[str, Any]], ...]:
    """The value in every field that an outsider writes, of every tool that tells of outsiders."""
    text = f"{around} {value} {around}"
    return (
        ("read_mail", [{"id": "m-66", "subject": f"{subject} {value}", "sender": "eve@evil.example", "body": text, "date": "2026-03-01"}], {}),
        ("list_drive", [{"id": "f-66", "name": f"{subject} {value}", "size": 5, "text": text}], {}),
        ("read_channel", [{"author": "Mallory", "text": text}], {"channel": "hall"}),
        ("open_page", text, {"url": "www.site.example/a"}),
        ("list_payments", [{"id": "p-66", "subject": text, "sender": "GB94BARC10201530093459", "payee": "me", "amount": 1.0}], {}),
    )  # fmt: skip


@FEW
@given(
    st.sampled_from(ASKS),
    LETTERS,
    st.sampled_from(["", "Kite day", "Chores", "ladder.txt", "lunch is ready", "newest"]),
    READ_LISTS,
)
def test_a_value_that_stands_only_in_outsiders_fields_is_never_vouched_for(
    words: str, around: str, subject: str, reads: list[str]
) -> None:
    """For every role and every tool."""
    assume(PLANTED not in words)
    for role, value in LURES.items():
        at = desk(words, reads)
        for name, content, given_ in lure(value, around, subject):
            at.read(name, content, **given_)
        task = at.task()
        for manifest in TOOLS.values():
            assert trace_value(role, value, manifest, task).origin not in VOUCHED, (role, manifest.name)


@QUICK
@given(
    st.sampled_from(ASKS),
    st.sampled_from(ACTS),
    st.sampled_from(sorted(LURES)),
    st.integers(0, 3),
    VALUE_LISTS,
    LETTERS,
)
def test_planted_records_never_open_a_call_that_carries_them(
    words: str, tool: str, role: ArgRole, at_place: int, values: list[str], around: str
) -> None:
    """What was not allowed without the planted records is not allowed with them."""
    values = [*values]
    values[at_place] = LURES[role]
    before, after = desk(words, ["read_mail", "list_drive"]), desk(words, ["read_mail", "list_drive"])
    for name, content, given_ in lure(LURES[role], around, "note"):
        after.read(name, content, **given_)
    if not isinstance(judge(wish(before, tool, values), before.task()), Allow):
        assert not isinstance(judge(wish(after, tool, values), after.task()), Allow)


# look-alikes

CONFUSABLE = dict(zip("aceopxyi0l1.-@", "асеорхуіО1l。‐＠", strict=True))
NAMED = (
    (R.RECIPIENT, "alice.cope@x.example"),
    (R.RECIPIENT, "Alice Cope"),
    (R.PAYEE, "GB33BUKB20201555555555"),
    (R.URL, "www.space.example/pay"),
    (R.OBJECT, "copy-of-space.txt"),
    (R.PLACE, "Cape Alpaca"),
    (R.PATH, "docs/copy-a.txt"),
    (R.COMMAND, "make copy -o a.txt"),
    (R.SECRET, "Apex-10l"),
)


@pytest.mark.parametrize(("role", "value"), NAMED)
def test_a_look_alike_of_a_vouched_value_is_never_vouched_for(role: ArgRole, value: str) -> None:
    task = desk(f"please use {value} for this", ["read_mail"]).task()
    assert trace_value(role, value, TOOLS[ToolName("send_mail")], task).origin in VOUCHED
    for at, letter in enumerate(value):
        if letter.lower() in CONFUSABLE:
            other = value[:at] + CONFUSABLE[letter.lower()] + value[at + 1 :]
            for manifest in TOOLS.values():
                assert trace_value(role, other, manifest, task).origin not in VOUCHED, (other, manifest.name)


@QUICK
@given(st.sampled_from(NAMED), st.integers(0, 40), st.sampled_from("\u200b\u202e\u00ad\u2060\u0301\ufe0f\U000e0041"))
def test_a_hidden_character_in_a_vouched_value_unvouches_it(named: tuple[ArgRole, str], at: int, hidden: str) -> None:
    role, value = named
    other = value[: at % len(value)] + hidden + value[at % len(value) :]
    assume(other != value)
    task = desk(f"please use {value} for this", []).task()
    assert trace_value(role, other, TOOLS[ToolName("send_mail")], task).origin not in VOUCHED


# combining

DECISIONS = st.one_of(
    st.builds(Allow, st.just(RuleId("a")), st.sampled_from([frozenset(), frozenset({Obligation.KEEP_VERSIONS})])),
    st.builds(
        Ask,
        st.just(RuleId("q")),
        st.just("why"),
        blanks=st.lists(st.builds(Blank, st.just("to"), st.just("recipient"), LETTERS), max_size=2).map(tuple),
        choices=st.lists(LETTERS, max_size=2).map(tuple),
        factor=st.booleans(),
        people=st.integers(1, 3),
    ),
    st.builds(Deny, st.just(RuleId("d")), st.just("no")),
)


@given(DECISIONS, DECISIONS)
def test_combining_is_commutative_in_severity_and_below_neither(one: Decision, other: Decision) -> None:
    both = combine(one, other)
    assert rank(both) == rank(combine(other, one)) == max(rank(one), rank(other))


@given(DECISIONS, DECISIONS, DECISIONS)
def test_combining_is_associative_in_severity(one: Decision, two: Decision, three: Decision) -> None:
    assert rank(combine(combine(one, two), three)) == rank(combine(one, combine(two, three)))


# labels

LABELS = st.builds(
    Label,
    st.sampled_from(Integrity),
    st.sampled_from([PUBLIC, OWNER_ONLY, Readers()]),
    st.frozensets(st.builds(Source, st.just("tool"), LETTERS), max_size=3),
    st.frozensets(st.sampled_from(["customer", "domain:mail", "domain:bank"])),
    st.sampled_from(Shape),
)


def covers(better: Label, worse: Label) -> bool:
    return (
        worse.integrity <= better.integrity
        and better.classes <= worse.classes
        and (better.readers.everyone or (not worse.readers.everyone and worse.readers.names <= better.readers.names))
    )


@QUICK
@given(st.lists(LABELS, max_size=6))
def test_the_context_only_gets_worse(labels: list[Label]) -> None:
    state = Desk("hello", tainted=False).state
    for label in labels:
        before, audience = state.context, state.audience
        state.read(label, label.readers)
        assert covers(before, state.context)
        assert covers(label, state.context)
        assert audience.everyone or state.audience.names <= audience.names


@QUICK
@given(
    st.sampled_from(ACTS), st.lists(LABELS, min_size=4, max_size=4), st.none() | LABELS, st.booleans(), st.booleans()
)
def test_a_result_is_never_better_than_its_arguments_except_a_scalar(
    tool: str, labels: list[Label], read: Label | None, from_files: bool, scalar: bool
) -> None:
    call = wish(Desk("hello"), tool, ["x"] * 4)
    given_ = tuple(replace(a, label=label) for a, label in zip(call.arguments, labels, strict=False))
    call = replace(call, arguments=given_, manifest=replace(call.manifest, from_files=from_files, scalar=scalar))
    label = result_label(call, read)
    for argument in given_:
        assert argument.label.classes <= label.classes
        assert covers(replace(argument.label, integrity=Integrity.USER), label)
        if not (scalar and read is not None):
            assert label.integrity <= argument.label.integrity
        else:
            assert label.integrity <= max(argument.label.integrity, call.manifest.result_integrity)
            assert label.shape is Shape.SCALAR
    if read is not None and (from_files or scalar):
        assert read.classes <= label.classes


@QUICK
@given(st.sampled_from(ACTS), LABELS, LABELS, st.none() | LABELS)
def test_a_written_file_is_never_better_than_what_stood_there(tool: str, context: Label, result: Label, read: Label | None) -> None:  # fmt: skip
    call = wish(Desk("hello"), tool, ["x"] * 4)
    label = written_label(call, context, result, read)
    assert all(covers(argument.label, label) for argument in call.arguments) or tool.startswith("run_")
    if read is not None:
        assert covers(read, label)


# what people gave


@QUICK
@given(
    st.sampled_from(sorted(set(R) - {R.SECRET, R.CONTENT, R.FLAG, R.COUNT})),
    st.sampled_from(sorted(LURES.values())),
    LETTERS,
    LETTERS,
)
def test_a_typed_value_vouches_for_itself_and_nothing_inside_it(role: ArgRole, inside: str, before: str, after: str) -> None:  # fmt: skip
    value = f"{before} {inside} {after}"
    at = desk("share the file", ["list_drive"])
    at.state.type_values(card((Blank("file", role.value, value),), (value,)))
    task = at.task()
    assert trace_value(role, value, TOOLS[ToolName("share_file")], task).origin in VOUCHED
    for each, part in product(LURES, (inside, before, after, f"{before} {inside}")):
        assert trace_value(each, part, TOOLS[ToolName("share_file")], task).origin not in VOUCHED


@QUICK
@given(st.sampled_from(NAMED), st.sampled_from(ASKS), st.sampled_from(ASKS))
def test_more_of_the_owner_s_words_never_un_name_a_value(named: tuple[ArgRole, str], before: str, after: str) -> None:
    role, value = named
    task = desk(f"{before}\nplease use {value} for this\n{after}", ["read_mail", "list_drive"]).task()
    assert trace_value(role, value, TOOLS[ToolName("send_mail")], task).origin in VOUCHED


# findings

FINDINGS = st.builds(
    Finding, st.just(RuleId("f")), st.sampled_from(Need), st.just("why"), st.just("to"),
    st.sampled_from(["recipient", "payee", "url"]), st.sampled_from(["X", "Delete ladder.txt", "5"]),
)  # fmt: skip


@QUICK
@given(st.lists(FINDINGS, max_size=5), FINDINGS)
def test_one_finding_more_is_never_more_permissive(found: list[Finding], more: Finding) -> None:
    at = desk("do what the mail 'Chores' from boss@work.example says", ["read_mail"])
    call, task = wish(at, "pay", ["X", "5", "x", "x"]), at.task()

    def answer(findings: list[Finding]) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(room, "_RULES", (lambda call, task: iter(findings),))
            return rank(judge(call, task))

    assert answer([*found, more]) >= answer(found)
