"""What every ledger promises, run against the one on files and the one in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.adapters.ledger.signature import checker, signer
from carapax.core.ledger.checkpoint import verify_checkpoint
from carapax.core.ledger.entry import BODY_BYTES
from carapax.core.terms.error import LedgerUnavailable, Malformed, TooLarge
from carapax.ports.ledger import Ledger
from tests.fakes.ledger import ORIGIN, SEED, MemoryLedger, ToldClock

Make = Callable[[], Ledger]


@pytest.fixture(params=["file", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "memory":
        return MemoryLedger
    return lambda: FileLedger.open(tmp_path / "ledger", SEED, ORIGIN, ToldClock())


def run(make: Make, steps: Callable[[Ledger], Any]) -> Any:
    async def inside() -> Any:
        ledger = make()
        try:
            return await steps(ledger)
        finally:
            await ledger.close()

    return asyncio.run(inside())


def test_indexes_rise_from_zero_without_gaps(make: Make) -> None:
    async def steps(ledger: Ledger) -> list[int]:
        return [await ledger.append("call.judged", {"n": n}) for n in range(5)]

    assert run(make, steps) == [0, 1, 2, 3, 4]


def test_an_empty_ledger_has_no_checkpoint_and_no_entries(make: Make) -> None:
    async def steps(ledger: Ledger) -> tuple[int, str]:
        return ledger.size(), ledger.checkpoint()

    assert run(make, steps) == (0, "")


def test_the_checkpoint_covers_what_was_appended(make: Make) -> None:
    async def steps(ledger: Ledger) -> tuple[int, str]:
        for n in range(3):
            await ledger.append("call.judged", {"n": n})
        return ledger.size(), ledger.checkpoint()

    size, note = run(make, steps)
    public_key, _ = signer(SEED)
    assert (size, verify_checkpoint(note, public_key, checker(public_key)).size) == (3, 3)


def test_appends_made_at_once_each_get_their_own_index(make: Make) -> None:
    async def steps(ledger: Ledger) -> tuple[list[int], int]:
        indexes = await asyncio.gather(*[ledger.append("call.judged", {"n": n}) for n in range(50)])
        return list(indexes), ledger.size()

    indexes, size = run(make, steps)
    assert (sorted(indexes), size) == (list(range(50)), 50)


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("call.judged", {"n": 1.5}, Malformed),
        ("call.judged", {"text": "\ud800"}, Malformed),
        ("call.judged", {"bytes": b"x"}, Malformed),
        ("Call Judged", {}, Malformed),
        ('x","v":2', {}, Malformed),
        ("", {}, Malformed),
        ("call.judged", {"text": "x" * BODY_BYTES}, TooLarge),
    ],
)
def test_what_cannot_be_recorded_is_refused_and_leaves_no_entry(make: Make, kind: str, body: Any, error: type) -> None:
    async def steps(ledger: Ledger) -> tuple[int, int]:
        with pytest.raises(error):
            await ledger.append(kind, body)
        return ledger.size(), await ledger.append("call.judged", {})

    assert run(make, steps) == (0, 0)


def test_the_largest_body_is_recorded(make: Make) -> None:
    async def steps(ledger: Ledger) -> int:
        return await ledger.append("call.judged", {"t": "x" * (BODY_BYTES - len('{"t":""}'))})

    assert run(make, steps) == 0


def test_a_closed_ledger_refuses(make: Make) -> None:
    async def steps(ledger: Ledger) -> None:
        await ledger.close()
        await ledger.close()
        with pytest.raises(LedgerUnavailable):
            await ledger.append("call.judged", {})

    run(make, steps)


def test_changing_the_body_after_the_append_changes_nothing(make: Make) -> None:
    async def steps(ledger: Ledger) -> str:
        body = {"n": [1]}
        await ledger.append("call.judged", body)
        before = ledger.checkpoint()
        body["n"].append(2)
        return "same" if ledger.checkpoint() == before else "other"

    assert run(make, steps) == "same"
