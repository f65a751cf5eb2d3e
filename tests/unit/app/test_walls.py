"""Nothing runs until every attempt to get out was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from carapax.app.walls import ProvenSandbox
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.sandbox import Job, Ran

JOB = Job(("true",))
CALL: Any = None


class FakeSandbox:
    def __init__(self, *answers: Standing | SandboxUnavailable) -> None:
        self._answers = list(answers)
        self.ran = 0
        self.probed = 0
        self.asked: list[tuple[str, SessionId | None]] = []

    async def run(self, authorized: Any, job: Job) -> Ran:
        self.ran += 1
        return Ran(0, b"", False, "", 1)

    async def probe(self) -> Sequence[Check]:
        self.probed += 1
        answer = self._answers.pop(0)
        if isinstance(answer, SandboxUnavailable):
            raise answer
        return (Check("no route", Standing.OK, "refused"), Check("host files", answer, "seen", "install bubblewrap"))

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        self.asked.append(("freeze", session))
        return (CallId("c"),)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        self.asked.append(("thaw", session))
        return (CallId("c"),)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        self.asked.append(("kill", session))
        return (CallId("c"),)


def test_nothing_runs_in_a_session_that_is_halted() -> None:
    def refuse(session: SessionId) -> None:
        if session == "halted":
            raise SandboxUnavailable("This session is halted (incident 1).")

    async def play() -> int:
        inner = FakeSandbox(Standing.OK)
        walls = ProvenSandbox(inner, refuse)
        with pytest.raises(SandboxUnavailable, match="incident 1"):
            await walls.run(_call("halted"), JOB)
        assert inner.ran == 0
        await walls.run(_call("other"), JOB)
        return inner.ran

    assert asyncio.run(play()) == 1


def _call(session: str) -> Any:
    """As much of a sealed call as is looked at before the sandbox itself checks it."""
    return SimpleNamespace(call=SimpleNamespace(session=SessionId(session)))


def test_halting_and_ending_reach_the_sandbox_without_a_proof() -> None:
    inner = FakeSandbox(Standing.FAILED)
    walls = ProvenSandbox(inner)
    assert walls.freeze(SessionId("s")) == walls.thaw(SessionId("s")) == walls.kill(None) == (CallId("c"),)
    assert inner.asked == [("freeze", "s"), ("thaw", "s"), ("kill", None)]
    assert inner.probed == 0


def test_a_proof_is_made_once_and_then_jobs_run() -> None:
    inner = FakeSandbox(Standing.OK)

    async def play() -> None:
        walls = ProvenSandbox(inner)
        await asyncio.gather(*(walls.run(CALL, JOB) for _ in range(3)))

    asyncio.run(play())
    assert (inner.probed, inner.ran) == (1, 3)


def test_nothing_runs_behind_a_wall_that_does_not_hold() -> None:
    inner = FakeSandbox(Standing.FAILED)
    with pytest.raises(SandboxUnavailable) as caught:
        asyncio.run(ProvenSandbox(inner).run(CALL, JOB))
    assert inner.ran == 0
    assert "host files" in caught.value.what
    assert caught.value.next_step == "install bubblewrap"


def test_nothing_runs_when_the_proof_cannot_be_made() -> None:
    inner = FakeSandbox(SandboxUnavailable("bubblewrap is missing"))
    with pytest.raises(SandboxUnavailable, match="bubblewrap is missing"):
        asyncio.run(ProvenSandbox(inner).run(CALL, JOB))
    assert inner.ran == 0


def test_a_mended_wall_is_tried_again() -> None:
    inner = FakeSandbox(Standing.FAILED, Standing.OK)

    async def play() -> None:
        walls = ProvenSandbox(inner)
        with pytest.raises(SandboxUnavailable):
            await walls.run(CALL, JOB)
        await walls.run(CALL, JOB)

    asyncio.run(play())
    assert inner.ran == 1


def test_a_warning_is_not_a_failure() -> None:
    inner = FakeSandbox(Standing.WARNING)
    asyncio.run(ProvenSandbox(inner).run(CALL, JOB))
    assert inner.ran == 1
