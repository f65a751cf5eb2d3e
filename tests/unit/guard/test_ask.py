"""Asking: the card is kept and recorded, and an answer counts for its digest, once, with all it takes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from carapax.core.policy.document import Policy
from carapax.core.rules.turn import Seen
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.decision import Ask
from carapax.core.terms.error import CarapaxError, LedgerUnavailable
from carapax.core.terms.event import Answered, Event, Waiting
from carapax.core.terms.ids import ApprovalId, Digest, PrincipalId, RuleId
from carapax.core.terms.tables import Tables
from carapax.guard.ask import Desk
from carapax.guard.card import Asked
from tests.unit.core.questions import home
from tests.unit.core.rules.office import TAINT
from tests.unit.core.rules.office import Desk as Task
from tests.unit.guard.rig import Rig

PLAIN = Tables()
YES, BLANKLESS = ApprovalState.APPROVED, Ask(RuleId("r"), "why")


class Asker:
    """What asking needs, over the rig's ports."""

    def __init__(self, tables: Tables = PLAIN) -> None:
        rig = Rig()
        self.ledger, self.store, self.clock, self.log, self.bodies = (
            rig.ledger,
            rig.store,
            rig.clock,
            rig.log,
            rig.bodies,
        )
        self._tables, self._policy = tables, home()
        self.approver = self
        self.events: list[Event] = []
        self.change: Any = lambda card: replace(card, state=YES, answered_by=PrincipalId("owner"))
        self.kept: list[ApprovalId] = []

    def policy(self) -> Policy:
        return self._policy

    def tables(self) -> Tables:
        return self._tables

    def new_approval(self) -> ApprovalId:
        return ApprovalId("K7M2")

    async def ask(self, card: Approval) -> Approval:
        self.kept = [each.id for each in await self.store.list_approvals()]
        answered: Approval = self.change(card)
        return answered

    def about(self, *texts: str) -> Approval | None:
        calls = [Task("x").call("send_mail", to=["bob@x.example"], text=text) for text in texts or ("hi",)]
        asked = [Asked(call, BLANKLESS, "send") for call in calls]
        return asyncio.run(Desk(self, self.events.append).ask(asked, Seen(TAINT)))


def test_a_yes_is_returned_recorded_and_told() -> None:
    asker = Asker()
    answered = asker.about()
    assert answered is not None
    assert answered.state is YES
    assert [type(event) for event in asker.events] == [Waiting, Answered]
    assert asker.log == ["answered"]
    assert asker.bodies[0][1] == {
        "approval": "K7M2", "call": "c", "digest": answered.digest, "state": "approved", "by": "owner", "typed": 0, "picked": [],
    }  # fmt: skip


@pytest.mark.parametrize("state", [s for s in ApprovalState if s is not YES])
def test_anything_but_a_yes_is_none_and_recorded(state: ApprovalState) -> None:
    asker = Asker()
    asker.change = lambda card: replace(card, state=state)
    assert asker.about() is None
    assert asker.bodies[0][1]["state"] == state.value


@pytest.mark.parametrize("texts", [("hi",), ("hi", "ho")])
def test_a_yes_to_another_digest_is_none(texts: tuple[str, ...]) -> None:
    asker = Asker()
    asker.change = lambda card: replace(card, state=YES, digest=Digest("0" * 64))
    assert asker.about(*texts) is None


def test_a_yes_to_one_of_a_batch_is_none() -> None:
    asker = Asker()
    single = Task("x").call("send_mail", to=["bob@x.example"], text="hi").digest
    asker.change = lambda card: replace(card, state=YES, digest=single)
    assert asker.about("hi", "ho") is None


def test_the_card_waits_in_the_store_before_anybody_is_asked() -> None:
    asker = Asker()
    asker.about()
    assert asker.kept == ["K7M2"]


def test_a_code_used_before_stops_everything() -> None:
    asker = Asker()
    asker.about()
    with pytest.raises(CarapaxError):
        asker.about("something else")


def test_what_waits_since_before_a_restart_is_the_same_question_and_not_a_second_card() -> None:
    asker = Asker()
    asker.about()  # the fake answers without the store, so the card waits there as after a kill
    answered = asker.about()
    assert answered is not None
    assert len(asyncio.run(asker.store.list_approvals(None))) == 1


def test_a_card_of_before_that_asks_less_is_not_taken_for_the_new_one() -> None:
    asker = Asker()
    asker.about()
    asker._tables = replace(PLAIN, second_factor=frozenset({"communicate"}))
    with pytest.raises(CarapaxError):
        asker.about()


def test_an_answer_that_cannot_be_recorded_is_no_answer() -> None:
    asker = Asker()
    asker.ledger.fail = LedgerUnavailable("disk full")
    with pytest.raises(LedgerUnavailable):
        asker.about()
    assert [type(event) for event in asker.events] == [Waiting]


@pytest.mark.parametrize(
    ("tables", "people", "factor"),
    [
        (Tables(), 1, False),
        (Tables(four_eyes=frozenset({"communicate"})), 2, False),
        (Tables(second_factor=frozenset({"communicate"})), 1, True),
        (Tables(four_eyes=frozenset({"destroy"}), second_factor=frozenset({"destroy"})), 1, False),
    ],
)
def test_the_policy_s_tables_say_how_many_people_and_whether_a_code(tables: Tables, people: int, factor: bool) -> None:
    asker = Asker(tables)
    answered = asker.about()
    assert answered is not None
    assert (answered.people, answered.factor) == (people, factor)


def test_the_deadline_is_the_policy_s() -> None:
    asker = Asker()
    answered = asker.about()
    assert answered is not None
    assert answered.deadline_ms - answered.asked_ms == asker.policy().approval_ms > 0


def test_what_was_typed_stands_in_the_ledger_as_a_number_only() -> None:
    asker = Asker()
    asker.change = lambda card: replace(card, state=YES, typed=("Tulip-99",), picked=(1, 2))
    asker.about()
    assert (asker.bodies[0][1]["typed"], asker.bodies[0][1]["picked"]) == (1, [1, 2])
    assert "Tulip" not in str(asker.bodies)
