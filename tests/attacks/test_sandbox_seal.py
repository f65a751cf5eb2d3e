"""Attack: have a job run without the guard's seal, with another's, too late, or twice."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.error import AuthorityInvalid
from carapax.core.terms.ids import CallId, Digest, EntryIndex
from carapax.ports.sandbox import Job, Mount
from tests.attacks.sealing import MANIFEST, Inside, mint

TOUCH = Job(("touch", "/workspace/ran"), mount=Mount.WRITE)


def refused(inside: Inside, sealed: AuthorizedCall, job: Job = TOUCH) -> None:
    with pytest.raises(AuthorityInvalid):
        asyncio.run(inside.sandbox.run(sealed, job))
    assert not (inside.workspace / "ran").exists()


def test_a_true_seal_runs(inside: Inside) -> None:
    assert asyncio.run(inside.sandbox.run(mint(), TOUCH)).exit_code == 0
    assert (inside.workspace / "ran").exists()


@pytest.mark.parametrize("mac", [b"", b"\0" * 32, b"x"])
def test_no_seal(inside: Inside, mac: bytes) -> None:
    refused(inside, dataclasses.replace(mint(), mac=mac))


def test_a_seal_made_with_another_key(inside: Inside) -> None:
    refused(inside, mint(key=b"other" * 8))


def test_a_seal_moved_to_another_call(inside: Inside) -> None:
    sealed = mint()
    refused(inside, dataclasses.replace(sealed, call=dataclasses.replace(sealed.call, arguments_json='{"a":1}')))
    refused(inside, dataclasses.replace(sealed, call=dataclasses.replace(sealed.call, call=CallId("fresh"))))
    refused(inside, dataclasses.replace(sealed, entry=EntryIndex(8)))
    refused(inside, dataclasses.replace(sealed, policy=Digest("1" * 64)))
    refused(inside, dataclasses.replace(sealed, deadline_ms=sealed.deadline_ms + 1))


def test_a_seal_past_its_deadline(inside: Inside) -> None:
    refused(inside, mint(deadline_ms=1))


def test_a_seal_used_twice(inside: Inside) -> None:
    sealed = mint()
    asyncio.run(inside.sandbox.run(sealed, Job(("true",))))
    refused(inside, sealed)


def test_a_call_sealed_twice(inside: Inside) -> None:
    asyncio.run(inside.sandbox.run(mint(call="same"), Job(("true",))))
    refused(inside, mint(call="same"))


def test_a_seal_used_many_times_at_once(inside: Inside) -> None:
    sealed = mint()
    job = Job(("/bin/sh", "-c", "echo x >> /workspace/count"), mount=Mount.WRITE)

    async def rush() -> list[object]:
        return await asyncio.gather(*(inside.sandbox.run(sealed, job) for _ in range(8)), return_exceptions=True)

    outcomes = asyncio.run(rush())
    assert sum(isinstance(outcome, AuthorityInvalid) for outcome in outcomes) == 7
    assert Path(inside.workspace, "count").read_text() == "x\n"


def test_a_tool_that_does_not_declare_it_cannot_write_the_workspace(inside: Inside) -> None:
    reader = dataclasses.replace(MANIFEST, touches_workspace=False)
    refused(inside, mint(manifest=reader))


def test_a_jobs_time_and_output_stay_within_the_manifest(inside: Inside) -> None:
    short = dataclasses.replace(MANIFEST, timeout_ms=100, output_bytes=50)
    assert asyncio.run(inside.sandbox.run(mint(manifest=short), Job(("sleep", "60")))).ended_by == "time"
    small = dataclasses.replace(MANIFEST, timeout_ms=20_000, output_bytes=50)
    assert len(asyncio.run(inside.sandbox.run(mint(manifest=small), Job(("yes",)))).output) == 50
