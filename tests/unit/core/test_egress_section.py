"""The sections `egress` and `egress_limits`: read strictly, refused with line, key and remedy, compared for what widens."""

from __future__ import annotations

import re

import pytest

from carapax.core.policy.document import parse_policy
from carapax.core.policy.egress import Answer
from carapax.core.policy.widening import widenings
from carapax.core.terms.egress import Allowance
from carapax.core.terms.error import PolicyInvalid
from tests.unit.core.questions import lines_policy


def section(*lines: str, limits: str = "") -> str:
    body = "".join(f"  {line}\n" for line in lines)
    return f"egress:\n{body}" + (f"egress_limits: {limits}\n" if limits else "")


def parsed(*lines: str, limits: str = ""):  # type: ignore[no-untyped-def]
    return parse_policy(lines_policy("read: allow\n", more=section(*lines, limits=limits)))


def test_a_document_without_the_sections_lets_nothing_out() -> None:
    found = parse_policy(lines_policy("read: allow\n"))
    assert (found.egress, found.allowance) == ((), Allowance())


def test_a_line_is_read_with_its_defaults() -> None:
    (rule,) = parsed("pypi: {hosts: [pypi.org], answer: allow}").egress
    assert (rule.name, rule.answer, rule.hosts, rule.ports) == ("pypi", Answer.ALLOW, ("pypi.org",), (443,))
    assert (rule.methods, rule.paths, rule.tools, rule.opaque, rule.addresses) == ((), (), ("run_online",), False, ())


def test_a_line_is_read_whole() -> None:
    (rule,) = parsed(
        'a: {hosts: ["*.lan.example", 192.168.1.7], ports: [443, 8443], methods: [GET, WEBSOCKET], paths: [/a, "/b/**"], '
        'tools: ["*"], addresses: [192.168.1.0/24], answer: allow, because: At home.}'
    ).egress
    assert rule.hosts == ("*.lan.example", "192.168.1.7")
    assert (rule.ports, rule.methods, rule.paths) == ((443, 8443), ("GET", "WEBSOCKET"), ("/a", "/b/**"))
    assert (rule.tools, rule.addresses, rule.because) == (("*",), ("192.168.1.0/24",), "At home.")


def test_the_root_is_every_path() -> None:
    (rule,) = parsed("a: {hosts: [a.example], paths: [/, /b], answer: allow}").egress
    assert rule.paths == ()


def test_the_bounds_of_a_run_are_read() -> None:
    found = parsed(limits="{requests: 5, hosts: 2, megabytes_up: 1, megabytes_down: 3}").allowance
    assert (found.requests, found.hosts, found.bytes_up, found.bytes_down) == (5, 2, 1_000_000, 3_000_000)
    assert parsed(limits="{requests: 5}").allowance == Allowance(requests=5)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a: {answer: allow}", "hosts is missing"),
        ("a: {hosts: [a.example]}", "answer is missing"),
        ("a: {hosts: [], answer: allow}", "the list is empty"),
        ("a: {hosts: [a.example], answer: ask}", "write one of allow, deny"),
        ("a: {hosts: [A.example], answer: allow}", "not a host in its plain spelling"),
        ("a: {hosts: ['https://a.example'], answer: allow}", "not a host in its plain spelling"),
        ("a: {hosts: ['a.example:8080'], answer: allow}", "not a host in its plain spelling"),
        ("a: {hosts: [a.example.], answer: allow}", "not a host in its plain spelling"),
        ("a: {hosts: [bücher.example], answer: allow}", "not a host in its plain spelling"),
        ("a: {hosts: ['127.1'], answer: allow}", "not a host in its plain spelling"),
        ("a: {hosts: ['*.com'], answer: allow}", "too wide"),
        ("a: {hosts: ['*.192.0.2.1'], answer: allow}", "too wide"),
        ("a: {hosts: ['a*.example'], answer: allow}", "not a host in its plain spelling"),
        ("a: {hosts: [a.example], ports: [65536], answer: allow}", "is no port"),
        ("a: {hosts: [a.example], ports: [0], answer: allow}", "out of range"),
        ("a: {hosts: [a.example], methods: [get], answer: allow}", "is not a method here"),
        ("a: {hosts: [a.example], methods: [CONNECT], answer: allow}", "is not a method here"),
        ("a: {hosts: [a.example], methods: [], answer: allow}", "the list is empty"),
        ("a: {hosts: [a.example], paths: [x], answer: allow}", "is not a plain path"),
        ("a: {hosts: [a.example], paths: [/a/../b], answer: allow}", "is not a plain path"),
        ("a: {hosts: [a.example], paths: ['/a?b'], answer: allow}", "is not a plain path"),
        ("a: {hosts: [a.example], paths: [/a%2fb], answer: allow}", "is not a plain path"),
        ("a: {hosts: [a.example], tools: [], answer: allow}", "the list is empty"),
        ("a: {hosts: [a.example], tools: ['a b'], answer: allow}", "is not a tool"),
        ("a: {hosts: [a.example], addresses: [192.168.1.1/24], answer: allow}", "is not a network"),
        ("a: {hosts: [a.example], opaque: true, methods: [GET], answer: allow}", "is not seen"),
        ("a: {hosts: [a.example], opaque: true, paths: [/a], answer: allow}", "is not seen"),
        ("a: {hosts: ['*'], opaque: true, answer: allow}", "no bound at all"),
        ("a: {hosts: ['*'], addresses: [10.0.0.0/8], answer: allow}", "named hosts only"),
        ("a: {hosts: [a.example], opaque: true, answer: deny}", "opens nothing"),
        ("a: {hosts: [a.example], addresses: [10.0.0.0/8], answer: deny}", "opens nothing"),
        ("a: {hosts: [a.example], answer: allow, extra: 1}", "not known here"),
        ("none: {hosts: [a.example], answer: allow}", "Carapax's own answers"),
        ("'a b': {hosts: [a.example], answer: allow}", "is not a name"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_with_line_and_key(line: str, words: str) -> None:
    with pytest.raises(PolicyInvalid, match=words) as caught:
        parsed(line)
    assert "line " in caught.value.what
    assert "egress" in caught.value.what


@pytest.mark.parametrize("limits", ["{requests: 0}", "{hosts: 99999}", "{megabytes_up: 9999999}", "{bytes: 1}", "[]"])
def test_a_bound_that_is_none_is_refused(limits: str) -> None:
    with pytest.raises(PolicyInvalid, match="egress_limits"):
        parsed("a: {hosts: [a.example], answer: allow}", limits=limits)


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(PolicyInvalid, match="at most 500"):
        parsed(*(f"a{n}: {{hosts: [a.example], answer: allow}}" for n in range(501)))


HOST = "a: {hosts: [a.example], answer: allow}"
WIDER = [
    ("a line", "", HOST, "lets run_online reach a.example"),
    ("a host", HOST, "a: {hosts: [a.example, b.example], answer: allow}", "reach b.example"),
    ("all below", HOST, "a: {hosts: [a.example, '*.a.example'], answer: allow}", r"reach \*.a.example"),
    ("any host", HOST, "a: {hosts: ['*'], answer: allow}", "reach any host"),
    ("a port", HOST, "a: {hosts: [a.example], ports: [443, 8443], answer: allow}", "a.example:443,8443"),
    ("a method", "a: {hosts: [a.example], methods: [GET], answer: allow}",
     "a: {hosts: [a.example], methods: [GET, POST], answer: allow}", r"\(GET, POST\)"),
    ("every method", "a: {hosts: [a.example], methods: [GET], answer: allow}", HOST, "reach a.example"),
    ("a path", "a: {hosts: [a.example], paths: [/a], answer: allow}",
     "a: {hosts: [a.example], paths: [/a, /b], answer: allow}", "/a or /b"),
    ("every path", "a: {hosts: [a.example], paths: [/a], answer: allow}", HOST, "reach a.example"),
    ("a path above", "a: {hosts: [a.example], paths: [/a/b], answer: allow}",
     "a: {hosts: [a.example], paths: [/a], answer: allow}", "/a"),
    ("a path beside", "a: {hosts: [a.example], paths: [/a], answer: allow}",
     "a: {hosts: [a.example], paths: ['/a*/b'], answer: allow}", r"/a\*/b"),
    ("a tool", HOST, "a: {hosts: [a.example], tools: [run_online, web_fetch], answer: allow}", "lets web_fetch"),
    ("every tool", HOST, "a: {hosts: [a.example], tools: ['*'], answer: allow}", "lets every tool"),
    ("unopened", HOST, "a: {hosts: [a.example], opaque: true, answer: allow}", "unopened"),
    ("an address", HOST, "a: {hosts: [a.example], addresses: [10.0.0.0/8], answer: allow}", "in 10.0.0.0/8"),
    ("a wider network", "a: {hosts: [a.example], addresses: [10.0.0.0/9], answer: allow}",
     "a: {hosts: [a.example], addresses: [10.0.0.0/8], answer: allow}", "in 10.0.0.0/8"),
    ("a denial less", "a: {hosts: [a.example], answer: deny}", "", "no longer refuses a.example"),
    ("a denial narrower", "a: {hosts: [a.example], answer: deny}",
     "a: {hosts: [a.example], methods: [POST], answer: deny}", "no longer refuses a.example"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "old", "new", "words"), WIDER, ids=[what for what, *_ in WIDER])
def test_a_line_that_lets_more_out_is_wider_and_the_way_back_is_not(what: str, old: str, new: str, words: str) -> None:
    other = "z: {hosts: [z.example], answer: allow}"
    before, after = (parsed(other, *([line] if line else [])) for line in (old, new))
    assert any(re.search(words, sentence) for sentence in widenings(before, after)), widenings(before, after)
    if what != "a path beside":
        assert widenings(after, before) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("a: {hosts: [a.example, b.example], tools: [x, y], answer: allow}",),
         ("p: {hosts: [b.example], tools: [y], answer: allow}", "q: {hosts: [a.example], tools: [x], answer: allow}")),
        (("p: {hosts: [b.example], answer: allow}", "q: {hosts: [a.example], answer: allow}"),
         ("a: {hosts: [a.example, b.example], answer: allow}",)),
        (("a: {hosts: ['*.example.org'], answer: allow}",), ("a: {hosts: ['*.b.example.org', c.example.org], answer: allow}",)),
        (("a: {hosts: ['*'], answer: allow}",), ("a: {hosts: ['*.example.org', pypi.org], methods: [GET], answer: allow}",)),
        (("a: {hosts: [a.example], paths: [/a], answer: allow}",),
         ("a: {hosts: [a.example], paths: [/a/b, '/a/**/c', /a/], answer: allow}",)),
        (("a: {hosts: [a.example], opaque: true, answer: allow}",), (HOST,)),
        (("a: {hosts: [a.example], methods: [POST], answer: deny}",), ("a: {hosts: ['*.b.example', a.example], answer: deny}",)),
    ],
)  # fmt: skip
def test_what_is_split_joined_or_narrowed_is_not_wider(old: tuple[str, ...], new: tuple[str, ...]) -> None:
    assert widenings(parsed(*old), parsed(*new)) == ()


@pytest.mark.parametrize("narrow", ["localhost", "192.0.2.1", "'2001:db8::1'"])
def test_any_host_does_not_cover_what_it_does_not_mean(narrow: str) -> None:
    before = parsed("a: {hosts: ['*'], answer: allow}")
    assert widenings(before, parsed(f"a: {{hosts: [{narrow}], answer: allow}}"))


@pytest.mark.parametrize("key", ["requests", "hosts", "megabytes_up", "megabytes_down"])
def test_a_bound_that_rises_is_wider(key: str) -> None:
    low, high = (parsed(HOST, limits=f"{{{key}: {value}}}") for value in (3, 4))
    (sentence,) = widenings(low, high)
    assert f"egress_limits.{key} rises from 3" in sentence
    assert widenings(high, low) == ()
