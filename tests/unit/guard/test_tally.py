"""Tallies: what was sent, changed and spent holds across turns and restarts, by the minute and by the day."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from carapax.core.rules.task import Counts
from carapax.core.terms.action import Receipt, ToolManifest
from carapax.core.terms.approval import Approval
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.ids import SessionId, ToolName
from carapax.core.terms.tables import Caps
from carapax.guard.tally import Book as Remembered
from carapax.guard.tally import Tally
from tests.fakes.store import MemoryStore
from tests.unit.core.rules.office import TOOLS, Desk
from tests.unit.guard.bureau import Bureau, no
from tests.unit.guard.rig import FakeClock

MINUTE, DAY = 60_000, 86_400_000
CAPS = Caps()
CALLS: dict[str, dict[str, Any]] = {
    "send_mail": {"to": ["bob@x.example"], "text": "x"},
    "publish_page": {"url": "x.example", "text": "x"},
    "write_here": {"path": "a", "text": "x"},
    "pay": {"payee": "X", "amount": 12.5},
    "read_mail": {},
    "remove_file": {"file": "f"},
}


def tool(name: str) -> ToolManifest:
    return TOOLS[ToolName(name)]


class Book:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clock.ms -= self.clock.ms % DAY
        self.store = MemoryStore(self.clock)

    def tally(self, session: str = "s") -> Tally:
        return Tally(self.store, self.clock, SessionId(session))

    def add(self, name: str, changed: int = 0, *, unasked: bool = True, session: str = "s") -> None:
        """A call begins, changes so many files and ends."""
        tally = self.tally(session)
        asyncio.run(tally.begin(Desk("x").call(name, **CALLS[name]), unasked=unasked))
        asyncio.run(tally.end(changed))

    def counts(self, name: str, caps: Caps = CAPS) -> Counts:
        return asyncio.run(self.tally().counts(tool(name), caps))


@pytest.mark.parametrize(
    ("done", "changed", "asked_about", "counts"),
    [
        ("send_mail", 0, "send_mail", Counts(messages=1)),
        ("publish_page", 0, "send_mail", Counts(messages=1)),
        ("send_mail", 0, "publish_page", Counts(messages=1)),
        ("write_here", 3, "write_here", Counts(files=3)),
        ("write_here", 0, "write_here", Counts()),
        ("pay", 0, "pay", Counts(spent_cents=1_250)),
        ("send_mail", 0, "write_here", Counts()),
        ("read_mail", 0, "send_mail", Counts()),
        ("remove_file", 0, "send_mail", Counts()),
        ("send_mail", 0, "read_mail", Counts()),
    ],
)
def test_each_kind_counts_for_its_own_cap(done: str, changed: int, asked_about: str, counts: Counts) -> None:
    book = Book()
    book.add(done, changed)
    assert book.counts(asked_about) == counts


def test_what_leaves_is_counted_before_it_is_made_files_after() -> None:
    book = Book()
    for name in ("send_mail", "pay", "write_here"):
        asyncio.run(book.tally().begin(Desk("x").call(name, **CALLS[name]), unasked=True))
    assert (book.counts("send_mail").messages, book.counts("pay").spent_cents) == (1, 1_250)
    assert book.counts("write_here").files == 0
    asyncio.run(book.tally().end(2))
    assert book.counts("write_here").files == 2


def test_counts_add_up_over_sessions_and_new_gateways() -> None:
    book = Book()
    for session in ("s", "s", "other"):
        book.add("send_mail", session=session)
    assert book.counts("send_mail").messages == 3


@pytest.mark.parametrize(("passed", "messages"), [(0, 1), (MINUTE, 1), (MINUTE + 1, 0)])
def test_messages_are_counted_over_a_minute(passed: int, messages: int) -> None:
    book = Book()
    book.add("send_mail")
    book.clock.ms += passed
    assert book.counts("send_mail").messages == messages


@pytest.mark.parametrize(("passed", "cents"), [(0, 1_250), (MINUTE, 1_250), (DAY - 1, 1_250), (DAY, 0)])
def test_money_is_counted_over_a_day(passed: int, cents: int) -> None:
    book = Book()
    book.add("pay")
    book.clock.ms += passed
    assert book.counts("pay").spent_cents == cents


def test_money_that_a_person_agreed_to_is_not_counted_against_the_cap() -> None:
    book = Book()
    book.add("pay", unasked=False)
    assert book.counts("pay").spent_cents == 0


def test_what_has_no_cap_is_not_looked_up() -> None:
    book = Book()
    book.add("send_mail")
    book.add("write_here", 5)
    none = Caps(messages_per_minute=None, files_per_minute=None)
    assert (book.counts("send_mail", none), book.counts("write_here", none)) == (Counts(), Counts())


def test_today_is_the_utc_date() -> None:
    book = Book()
    before = book.tally().today()
    book.clock.ms += DAY - 1
    assert book.tally().today() == before
    book.clock.ms += 1
    assert (book.tally().today() - before).days == 1


# through the guard

PAYING = "caps: {currency: EUR, payment_each: 100, payment_day: 250}\n"


def paying() -> Bureau:
    return Bureau("pay Alba Bakery what I owe", tables=PAYING)


def spend(bureau: Bureau, *amounts: float) -> list[str]:
    return [bureau.do("pay", payee="Alba Bakery", amount=amount).outcome for amount in amounts]


def test_many_small_payments_reach_the_day_s_cap() -> None:
    bureau = paying()
    assert spend(bureau, 90, 89, 71, 1) == ["done", "done", "done", "refused"]
    assert len(bureau.office.ran) == 3


@pytest.mark.parametrize("what", ["turn", "restart"])
def test_a_new_turn_and_a_restart_forget_no_payment(what: str) -> None:
    bureau = paying()
    assert spend(bureau, 100, 99) == ["done", "done"]
    if what == "turn":
        bureau.turn = bureau.begin()
    else:
        bureau.restart()
    assert spend(bureau, 52, 51) == ["refused", "done"]


def test_the_next_day_has_its_own_cap() -> None:
    bureau = paying()
    spend(bureau, 100, 99)
    bureau.clock.ms += DAY
    assert spend(bureau, 98) == ["done"]


def test_messages_of_two_turns_share_the_minute() -> None:
    bureau = Bureau("message Tom 'hi'", tables="caps: {messages_per_minute: 3}\n")
    outcomes = []
    for _ in range(5):
        bureau.turn = bureau.begin()
        outcomes.append(bureau.do("direct_message", user="Tom", text="hi").outcome)
    assert outcomes == ["done"] * 3 + ["refused"] * 2
    bureau.clock.ms += MINUTE + 1
    assert bureau.do("direct_message", user="Tom", text="hi").outcome == "done"


def test_actions_are_counted_by_task() -> None:
    bureau = Bureau("message Tom 'hi'", tables="caps: {actions_per_task: 2, messages_per_minute: 99}\n")
    say = {"user": "Tom", "text": "hi"}
    assert [bureau.do("direct_message", **say).outcome for _ in range(3)] == ["done", "done", "refused"]
    assert bureau.do("read_mail").outcome == "done"
    bureau.turn = bureau.begin()
    assert bureau.do("direct_message", **say).outcome == "done"


@pytest.mark.parametrize("slow", ["looking", "paying"])
def test_payments_at_the_same_time_share_the_day_s_cap(slow: str) -> None:
    """Two sessions that pay at once must not both see an empty day, however long looking or paying takes."""
    bureau = paying()
    turns = [bureau.begin() for _ in range(5)]
    pay, look = bureau.office.perform, bureau.store.tally

    async def slowly_pay(authorized: AuthorizedCall) -> Receipt:
        for _ in range(20):
            await asyncio.sleep(0)
        return await pay(authorized)

    async def slowly_look(kind: str, *, since_ms: int) -> int:
        found = await look(kind, since_ms=since_ms)
        for _ in range(20):
            await asyncio.sleep(0)
        return found

    if slow == "paying":
        bureau.office.perform = slowly_pay  # type: ignore[method-assign]
    else:
        bureau.store.tally = slowly_look  # type: ignore[method-assign]

    async def all_at_once() -> list[str]:
        wishes = [bureau.wish("pay", payee="Alba Bakery", amount=100) for _ in turns]
        steps = await asyncio.gather(*(turn.submit(wish) for turn, wish in zip(turns, wishes, strict=True)))
        return [step.outcome for step in steps]

    assert asyncio.run(all_at_once()).count("done") == 2


def test_a_card_that_waits_holds_up_nobody_else() -> None:
    """While a person thinks about one payment, another that needs nobody goes through."""
    bureau = paying()
    waits, answered = asyncio.Event(), asyncio.Event()

    async def think(card: Approval) -> Approval:
        waits.set()
        await asyncio.wait_for(answered.wait(), 5)
        return no(card)

    bureau.ask = think  # type: ignore[method-assign]

    async def play() -> tuple[str, str]:
        asked = asyncio.create_task(bureau.begin().submit(bureau.wish("pay", payee="Alba Bakery", amount=900)))
        await asyncio.wait_for(waits.wait(), 5)
        free = await asyncio.wait_for(bureau.begin().submit(bureau.wish("pay", payee="Alba Bakery", amount=5)), 5)
        answered.set()
        return free.outcome, (await asked).outcome

    assert asyncio.run(play()) == ("done", "refused")


def test_a_payment_that_was_stopped_counts_as_made() -> None:
    """Whether the money moved before it was stopped, nobody knows: the cap takes the worse case."""
    bureau = paying()
    plain = bureau.office.perform
    began = asyncio.Event()

    async def hang(authorized: AuthorizedCall) -> Receipt:
        await plain(authorized)
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def stop_one() -> None:
        turn = bureau.begin()
        paid = asyncio.create_task(turn.submit(bureau.wish("pay", payee="Alba Bakery", amount=100)))
        await asyncio.wait_for(began.wait(), 5)
        paid.cancel()
        with pytest.raises(asyncio.CancelledError):
            await paid

    bureau.office.perform = hang  # type: ignore[method-assign]
    asyncio.run(stop_one())
    bureau.office.perform = plain  # type: ignore[method-assign]
    assert spend(bureau, 100, 100) == ["done", "refused"]


def test_a_book_counts_as_the_store_does_and_asks_it_once() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    asked: list[str] = []
    real = store.tally

    async def noted(kind: str, *, since_ms: int) -> int:
        asked.append(kind)
        return await real(kind, since_ms=since_ms)

    store.tally = noted  # type: ignore[method-assign]

    async def main() -> None:
        await store.add_tally("messages", 2, SessionId("s"), clock.ms)  # before this gateway looked
        book = Remembered(store, clock)
        for step_ms, more in ((0, 1), (30_000, 4), (29_000, 0), (2_000, 3), (60_001, 0)):
            clock.ms += step_ms
            if more:
                await book.add_tally("messages", more, SessionId("s"), clock.ms)
            window = clock.ms - 60_000
            counted, kept = await book.tally("messages", since_ms=window), await real("messages", since_ms=window)
            assert counted == kept
        assert asked == ["messages"]
        assert await Remembered(store, clock).tally("messages", since_ms=0) == 10  # a new gateway forgets nothing

    asyncio.run(main())
