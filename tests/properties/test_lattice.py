"""The lattice laws: join is a semilattice, never raises trust, never widens readers; may_flow follows it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carapax.core.flow.lattice import MAX_SOURCES, NOTHING, join, join_all, may_flow
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.label import PUBLIC, Integrity, Label, Readers, Shape, Source

NAMES = st.sampled_from([PrincipalId(n) for n in ("owner", "anna", "bob", "carol")])
READERS = st.one_of(st.just(PUBLIC), st.builds(Readers, st.just(False), st.frozensets(NAMES)))
SOURCES = st.frozensets(
    st.builds(Source, st.sampled_from(["message", "tool", "file"]), st.text(max_size=3)), max_size=5
)
CLASSES = st.frozensets(st.sampled_from(["customer", "mail", "health"]))
LABELS = st.builds(Label, st.sampled_from(Integrity), READERS, SOURCES, CLASSES, st.sampled_from(Shape))


@given(LABELS, LABELS, LABELS)
def test_join_is_associative(a: Label, b: Label, c: Label) -> None:
    assert join(join(a, b), c) == join(a, join(b, c))


@given(LABELS, LABELS)
def test_join_is_commutative(a: Label, b: Label) -> None:
    assert join(a, b) == join(b, a)


@given(LABELS)
def test_join_is_idempotent_and_has_a_unit(a: Label) -> None:
    assert join(a, a) == a
    assert join(a, NOTHING) == a
    assert join_all([]) == NOTHING


@given(LABELS, LABELS)
def test_join_never_raises_trust_and_never_widens_readers(a: Label, b: Label) -> None:
    both = join(a, b)
    assert both.integrity <= min(a.integrity, b.integrity)
    for label in (a, b):
        if not label.readers.everyone:
            assert not both.readers.everyone
            assert both.readers.names <= label.readers.names


@given(LABELS, LABELS)
def test_join_forgets_no_class_and_makes_no_text_a_scalar(a: Label, b: Label) -> None:
    both = join(a, b)
    assert both.classes == a.classes | b.classes
    assert both.shape == max(a.shape, b.shape)


def test_a_scalar_stays_one_only_among_scalars() -> None:
    scalar = Label(Integrity.CATALOG, PUBLIC, shape=Shape.SCALAR)
    assert join_all([scalar, scalar]).shape is Shape.SCALAR
    assert join(scalar, NOTHING).shape is Shape.SCALAR
    assert join(scalar, Label(Integrity.CATALOG, PUBLIC)).shape is Shape.TEXT


@given(LABELS, LABELS, READERS)
def test_what_may_not_flow_alone_may_not_flow_joined(a: Label, b: Label, readers: Readers) -> None:
    if may_flow(join(a, b), readers):
        assert may_flow(a, readers)
        assert may_flow(b, readers)


@given(LABELS, READERS, READERS)
def test_more_readers_never_make_a_flow_possible(a: Label, few: Readers, more: Readers) -> None:
    wider = PUBLIC if more.everyone or few.everyone else Readers(names=few.names | more.names)
    if may_flow(a, wider):
        assert may_flow(a, few)


def test_the_flow_table_row_by_row() -> None:
    owner, anna = Readers(names=frozenset({PrincipalId("owner")})), Readers(names=frozenset({PrincipalId("anna")}))
    private = Label(Integrity.USER, owner)
    assert may_flow(private, owner)
    assert not may_flow(private, anna)
    assert not may_flow(private, PUBLIC)
    assert may_flow(Label(Integrity.EXTERNAL, PUBLIC), PUBLIC)


def test_sources_are_bounded_and_the_same_whatever_the_order() -> None:
    many = [Label(Integrity.USER, PUBLIC, frozenset({Source("tool", f"{n:03}")})) for n in range(MAX_SOURCES * 2)]
    there, back = join_all(many), join_all(reversed(many))
    assert len(there.sources) == MAX_SOURCES
    assert there == back
