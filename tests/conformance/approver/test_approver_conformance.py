"""Every approver: brings the same approval back, answered or expired, and never raises for silence."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from carapax.core.terms.approval import Answer, Approval, ApprovalState
from carapax.ports.approver import Approver
from tests.unit.app.stage import ME, Stage
from tests.unit.app.test_desk import card, prepare
from tests.unit.guard.rig import FakeApprover

ANSWERS = [(True, ApprovalState.APPROVED), (False, ApprovalState.DENIED), (None, ApprovalState.EXPIRED)]


async def ask_desk(stage: Stage, approval: Approval, approve: bool | None) -> Approval:
    waiting = await prepare(stage, approval)
    if approve is not None:
        await stage.desk.answer(ME, approval.id, Answer(approve))
    return await waiting


async def ask_fake(approver: FakeApprover, approval: Approval, approve: bool | None) -> Approval:
    approver.state = next(state for given, state in ANSWERS if given is approve)
    asking: Approver = approver
    return await asking.ask(approval)


@pytest.mark.parametrize(("approve", "state"), ANSWERS)
@pytest.mark.parametrize("kind", ["desk", "fake"])
def test_an_answer_is_about_the_same_call(kind: str, approve: bool | None, state: ApprovalState) -> None:
    approval = card(wait_ms=30 if approve is None else 20_000)
    stage, fake = Stage(), FakeApprover()
    answered = asyncio.run(ask_desk(stage, approval, approve) if kind == "desk" else ask_fake(fake, approval, approve))
    assert answered.state is state
    same = replace(answered, state=approval.state, answered_by=None, answered_ms=None)
    assert same == approval
