"""Which model may be shown which data classes."""

from __future__ import annotations

import pytest

from carapax.core.flow.clearance import render_uncleared, uncleared
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label
from carapax.core.terms.tables import Clearance, DataClass, Tables

REMOTE, EMBEDDED = "openai:gpt-x", "embedded:small-1"


def label(*classes: str) -> Label:
    return Label(Integrity.USER, OWNER_ONLY, classes=frozenset(classes))


def row(models: str, *classes: str) -> Clearance:
    return Clearance(models, frozenset(classes))


def tables(*rows: Clearance, classes: tuple[DataClass, ...] = ()) -> Tables:
    return Tables(classes=classes, clearances=rows)


CUSTOMER = DataClass("customer", leaves="deny")
ASKED = DataClass("iban", leaves="ask")
FREE = DataClass("press", leaves="allow")


def test_without_rows_and_guarded_classes_every_model_sees_everything() -> None:
    assert uncleared(label("customer", "domain:mail"), REMOTE, tables()) == frozenset()
    assert uncleared(label("iban", "press"), REMOTE, tables(classes=(ASKED, FREE))) == frozenset()


def test_a_class_that_must_not_leave_needs_a_row() -> None:
    policy = tables(classes=(CUSTOMER, ASKED))
    assert uncleared(label("customer", "iban"), REMOTE, policy) == {"customer"}
    assert uncleared(label("customer"), EMBEDDED, policy) == {"customer"}, "no row, no clearance, whoever it is"


def test_a_class_that_any_row_names_is_only_for_models_whose_row_names_it() -> None:
    policy = tables(row("embedded:*", "iban"))
    assert uncleared(label("iban"), EMBEDDED, policy) == frozenset()
    assert uncleared(label("iban"), REMOTE, policy) == {"iban"}
    assert uncleared(label("iban", "press"), REMOTE, policy) == {"iban"}, "what no row names is free"


def test_rows_add_up_and_name_each_model_apart() -> None:
    policy = tables(row("embedded:*", "customer", "iban"), row("openai:*", "iban"), classes=(CUSTOMER,))
    assert uncleared(label("customer", "iban"), EMBEDDED, policy) == frozenset()
    assert uncleared(label("customer", "iban"), REMOTE, policy) == {"customer"}
    both = tables(row("openai:*", "iban"), row("*:gpt-x", "customer"), classes=(CUSTOMER,))
    assert uncleared(label("customer", "iban"), REMOTE, both) == frozenset()


def test_a_row_for_every_class_clears_its_models_and_guards_all_classes() -> None:
    policy = tables(row("embedded:*", "*"))
    assert uncleared(label("customer", "anything"), EMBEDDED, policy) == frozenset()
    assert uncleared(label("anything"), REMOTE, policy) == {"anything"}
    assert uncleared(label(), REMOTE, policy) == frozenset(), "data of no class is for every model"


@pytest.mark.parametrize(
    "model",
    ["Embedded:small-1", "embedded", "xembedded:small-1", "openai:embedded:small-1", "", "embedded\n:x", " embedded:x"],
)
def test_a_look_alike_of_a_cleared_model_is_another_model(model: str) -> None:
    assert uncleared(label("customer"), model, tables(row("embedded:*", "customer"))) == {"customer"}


def test_the_glob_is_over_provider_and_name() -> None:
    policy = tables(row("openai:gpt-[xy]", "customer"))
    assert uncleared(label("customer"), "openai:gpt-x", policy) == frozenset()
    assert uncleared(label("customer"), "openai:gpt-z", policy) == {"customer"}
    assert uncleared(label("customer"), "openai:gpt-x-large", policy) == {"customer"}


def test_more_classes_are_never_cleared_by_being_more() -> None:
    policy = tables(row("embedded:*", "iban"), classes=(CUSTOMER,))
    small, large = label("iban"), label("iban", "customer", "press")
    assert uncleared(small, EMBEDDED, policy) <= uncleared(large, EMBEDDED, policy)
    assert uncleared(large, EMBEDDED, policy) == {"customer"}


def test_the_person_is_told_what_and_what_to_do() -> None:
    said = render_uncleared(frozenset({"iban", "customer"}), REMOTE)
    assert said == (
        "This conversation has read confidential data (customer, iban); the model openai:gpt-x is not cleared for it. "
        "Use the embedded model (`carapax model embedded`) or start a new conversation."
    )
