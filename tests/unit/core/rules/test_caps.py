"""Caps: the hard ends of a task and of a minute, whoever asks."""

from __future__ import annotations

from typing import Any

import pytest

from carapax.core.rules.authority import amount_cents, check_amounts, is_undoable, is_within_caps, payees
from carapax.core.rules.caps import ACTIONS, FILES, MESSAGES, check_caps
from carapax.core.rules.finding import Need
from carapax.core.rules.task import Counts
from carapax.core.terms.tables import Caps, Tables
from tests.unit.core.rules.office import Desk

TIGHT = Tables(caps=Caps(messages_per_minute=2, files_per_minute=3, actions_per_task=4))
OPEN = Tables(caps=Caps(messages_per_minute=None, files_per_minute=None, actions_per_task=None))
SHUT = Tables(caps=Caps(messages_per_minute=0, files_per_minute=0, actions_per_task=0))
SAY = ("direct_message", {"user": "Tom", "text": "hi"})
POST = ("publish_page", {"url": "x.example", "text": "hi"})
WRITE = ("write_here", {"path": "a", "text": "x"})
READ = ("read_mail", {})
FETCH = ("open_page", {"url": "x.example"})
PAY = ("pay", {"payee": "X", "amount": 1})


def rules(what: tuple[str, dict[str, Any]], counts: Counts, tables: Tables, *, tainted: bool = False) -> set[str]:
    desk = Desk("hello", tainted=tainted, counts=counts, tables=tables)
    found = list(check_caps(desk.call(what[0], **what[1]), desk.task()))
    assert all(each.need is Need.NEVER for each in found)
    return {each.rule for each in found}


@pytest.mark.parametrize(
    ("what", "counts", "tables", "held"),
    [
        (SAY, Counts(messages=1), TIGHT, set()),
        (SAY, Counts(messages=2), TIGHT, {MESSAGES}),
        (SAY, Counts(messages=99), OPEN, set()),
        (SAY, Counts(), SHUT, {MESSAGES, ACTIONS}),
        (POST, Counts(messages=2), TIGHT, {MESSAGES}),
        (POST, Counts(messages=1), TIGHT, set()),
        (WRITE, Counts(messages=2), TIGHT, set()),
        (WRITE, Counts(files=2), TIGHT, set()),
        (WRITE, Counts(files=3), TIGHT, {FILES}),
        (WRITE, Counts(files=9_999), OPEN, set()),
        (SAY, Counts(files=3), TIGHT, set()),
        (PAY, Counts(actions=3), TIGHT, set()),
        (PAY, Counts(actions=4), TIGHT, {ACTIONS}),
        (PAY, Counts(actions=5), TIGHT, {ACTIONS}),
        (WRITE, Counts(actions=4, files=3), TIGHT, {ACTIONS, FILES}),
        (READ, Counts(9, 9, 9), TIGHT, set()),
        (FETCH, Counts(9, 9, 9), TIGHT, set()),
        (READ, Counts(), SHUT, set()),
    ],
)
@pytest.mark.parametrize("tainted", [False, True])
def test_caps(what: tuple[str, dict[str, Any]], counts: Counts, tables: Tables, held: set[str], tainted: bool) -> None:
    assert rules(what, counts, tables, tainted=tainted) == held


# amounts that need no question


def within(amount: object, *, payee: str = "Alba Bakery", spent: int = 0, each: int | None = 10_000, day: int | None = 25_000) -> bool:  # fmt: skip
    tables = Tables(caps=Caps(payment_each_cents=each, payment_day_cents=day))
    desk = Desk("pay Alba Bakery what I owe", counts=Counts(spent_cents=spent), tables=tables)
    call = desk.call("pay", payee=payee, amount=amount)
    return is_within_caps(call, amount_cents(call), desk.task())


@pytest.mark.parametrize(
    ("amount", "more", "fits"),
    [
        (100, {}, True),
        (100.01, {}, False),
        (0, {}, False),
        (-1, {}, False),
        (100, {"payee": "Eve Bakery"}, False),
        (100, {"spent": 15_000}, True),
        (100, {"spent": 15_001}, False),
        (100, {"each": 0}, False),
        (100, {"day": 0}, False),
        (5_000, {"each": None}, False),  # the day's cap still holds
        (5_000, {"each": None, "day": None}, True),
        (0.01, {}, True),
    ],
)
def test_small_payments_to_a_named_payee(amount: float, more: dict[str, Any], fits: bool) -> None:
    assert within(amount, **more) is fits


def test_a_payment_to_nobody_is_not_small() -> None:
    desk = Desk("change the payment to 5")
    call = desk.call("change_payment", id="p-999", amount=5)
    assert not is_within_caps(call, 500, desk.task())


@pytest.mark.parametrize(
    ("tool", "arguments", "cents"),
    [
        ("pay", {"payee": "X", "amount": 12.5}, 1_250),
        ("pay", {"payee": "X", "amount": 0.005}, 2**53),  # no amount of money: counts as the largest
        ("pay", {"payee": "X", "amount": 1e15}, 2**53),
        ("pay", {"payee": "X", "amount": -3}, 0),
        ("book_hotel", {"hotel": "Alba", "from_": "2026-05-03"}, 0),
        ("send_mail", {"to": ["a@b.example"], "text": "12.50"}, 0),
    ],
)
def test_the_money_a_call_moves(tool: str, arguments: dict[str, Any], cents: int) -> None:
    assert amount_cents(Desk("pay").call(tool, **arguments)) == cents


def test_who_is_paid_when_a_payment_is_changed() -> None:
    desk = Desk("change the payment 'Rent'")
    rent = {"id": "p-301", "subject": "Rent", "sender": "me", "payee": "GB33BUKB20201555555555", "amount": 950}
    desk.read("list_payments", [rent])
    assert payees(desk.call("change_payment", id="p-301", amount=1), desk.task()) == ("GB33BUKB20201555555555",)
    assert payees(desk.call("change_payment", id="p-302", amount=1), desk.task()) == ()
    assert payees(desk.call("pay", payee="A; B", amount=1), desk.task()) == ("A", "B")


def test_amounts_are_looked_at_only_where_money_moves_after_untrusted_text() -> None:
    clean, money = Desk("hello", tainted=False), Desk("hello")
    assert list(check_amounts(clean.call("pay", payee="X", amount=1), clean.task())) == []
    assert [f.value for f in check_amounts(money.call("pay", payee="X", amount=1), money.task())] == ["1"]
    assert list(check_amounts(money.call("send_mail", to=["x@y.example"], text="1"), money.task())) == []


def test_undoable_is_what_carapax_keeps_itself() -> None:
    desk = Desk("write")
    assert is_undoable(desk.call("write_here", path="a", text="x"))
    assert is_undoable(desk.call("delete_here", paths="a"))
    assert not is_undoable(desk.call("append_file", file="a", text="x"))
    assert not is_undoable(desk.call("remove_file", file="a"))
