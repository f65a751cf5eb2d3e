"""Egress laws: total; a further denial never lets more out; the order of lines decides nothing; what widens is named."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.core.policy.egress import Answer, EgressRule, decide_egress, fits_path
from carapax.core.policy.egress_wider import egress_widenings
from carapax.core.terms.egress import Hop

HOSTS = st.sampled_from(["a.example", "*.a.example", "b.a.example", "*", "192.0.2.1", "localhost", "evila.example"])
PATHS = st.sampled_from(["/a", "/a/", "/a/b", "/a/*", "/a/**", "/**/b", "/a*/b", "/*"])
METHODS = st.sampled_from(["GET", "POST", "WEBSOCKET"])
TOOLS = st.sampled_from(["run_online", "web_fetch", "*"])
NETWORKS = st.sampled_from(["10.0.0.0/8", "10.0.0.0/9", "192.168.1.0/24", "fd00::/8"])


def some(of: st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(of, min_size=least, max_size=2, unique=True).map(tuple)


def rule(answer: Answer, *, opaque: bool = False) -> st.SearchStrategy[EgressRule]:
    """Lines as the reader makes them."""
    nothing: st.SearchStrategy[tuple[str, ...]] = st.just(())
    return st.builds(
        EgressRule,
        st.sampled_from(["x", "y", "z"]),
        st.just(answer),
        some(HOSTS, 1),
        ports=some(st.sampled_from([443, 8443]), 1),  # type: ignore[arg-type]
        methods=nothing if opaque else some(METHODS),
        paths=nothing if opaque else some(PATHS),
        tools=some(TOOLS, 1),
        opaque=st.just(opaque),
        addresses=some(NETWORKS) if answer is Answer.ALLOW else st.just(()),
    )


RULES = st.lists(rule(Answer.ALLOW) | rule(Answer.ALLOW, opaque=True) | rule(Answer.DENY), max_size=4).map(tuple)
HOPS = st.builds(
    Hop,
    st.sampled_from(
        ["a.example", "b.a.example", "c.b.a.example", "evila.example", "192.0.2.1", "localhost", "other.example"]
    ),
    st.sampled_from([443, 8443]),
    st.sampled_from(["GET", "POST", "PUT"]),
    st.sampled_from(["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/x/b", "/a/../b", "/a%2fb", "//a", "/axx/b", "/a?/b"]),
    websocket=st.booleans(),
) | st.builds(
    Hop,
    st.sampled_from(["a.example", "b.a.example", "192.0.2.1"]),
    st.sampled_from([443, 8443]),
    st.just("CONNECT"),
    st.just(""),
)
CALLERS = st.sampled_from(["run_online", "web_fetch", "other"])


@given(RULES, CALLERS, st.builds(Hop, st.text(max_size=40), st.integers(), st.text(max_size=12), st.text(max_size=60)))
@settings(max_examples=300, deadline=None)
def test_every_hop_has_one_answer_whatever_it_holds(rules: tuple[EgressRule, ...], tool: str, hop: Hop) -> None:
    found = decide_egress(rules, tool, hop)
    assert found == decide_egress(rules, tool, hop)
    assert found.allowed or (found.reason and found.reason.isprintable())


@given(RULES, rule(Answer.DENY), CALLERS, HOPS, st.integers(0, 4))
@settings(max_examples=400, deadline=None)
def test_a_further_denial_never_lets_more_out(
    rules: tuple[EgressRule, ...], more: EgressRule, tool: str, hop: Hop, at: int
) -> None:
    before, after = decide_egress(rules, tool, hop), decide_egress((*rules[:at], more, *rules[at:]), tool, hop)
    assert before.allowed or not after.allowed
    assert before.opaque or not after.opaque
    assert set(after.pinned) <= set(before.pinned)


@given(RULES, CALLERS, HOPS, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_the_order_of_lines_decides_nothing(rules: tuple[EgressRule, ...], tool: str, hop: Hop, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(rules)
    random.shuffle(shuffled)
    first, second = decide_egress(rules, tool, hop), decide_egress(shuffled, tool, hop)
    assert (first.allowed, first.opaque, set(first.pinned)) == (second.allowed, second.opaque, set(second.pinned))


@given(RULES, RULES, st.lists(st.tuples(CALLERS, HOPS), min_size=8, max_size=8))
@settings(max_examples=600, deadline=None)
def test_nothing_more_leaves_where_no_widening_is_named(
    old: tuple[EgressRule, ...], new: tuple[EgressRule, ...], asked: list[tuple[str, Hop]]
) -> None:
    for before, after in ((old, new), (new, old), (old, old[1:]), (old[1:], old)):
        if not list(egress_widenings(before, after)):
            for tool, hop in asked:
                was, now = decide_egress(before, tool, hop), decide_egress(after, tool, hop)
                assert was.allowed or not now.allowed
                assert was.opaque or not now.opaque
                assert now.allowed is False or all(net in was.pinned or _inside(net, was.pinned) for net in now.pinned)


def _inside(network: str, networks: tuple[str, ...]) -> bool:
    return network == "10.0.0.0/9" and "10.0.0.0/8" in networks


@given(RULES)
@settings(max_examples=100, deadline=None)
def test_a_document_is_not_wider_than_itself(rules: tuple[EgressRule, ...]) -> None:
    assert list(egress_widenings(rules, rules)) == list(egress_widenings(rules, rules[::-1])) == []


@given(st.text(alphabet="/ab*", max_size=12), st.text(alphabet="/ab", max_size=12))
@settings(max_examples=400, deadline=None)
def test_a_star_never_crosses_a_segment_unless_it_is_doubled(pattern: str, path: str) -> None:
    if "*" in pattern and "**" not in pattern and fits_path(pattern, path):
        assert pattern.count("/") == path.count("/")
