"""Access: values are shown once and never kept; codes work once, for a while, a few times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from carapax.app.access import CODE_MS, CODE_TRIES, DAY_MS, Access
from carapax.core.terms.error import NotFound
from carapax.core.terms.ids import TokenId
from carapax.core.terms.principal import Role, Scope
from tests.fakes.ledger import MemoryLedger
from tests.fakes.store import MemoryStore
from tests.unit.guard.rig import FakeClock

CHAT = frozenset({Scope.CHAT})


class Desk:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.ledger = MemoryLedger()
        self.access = Access(self.store, self.ledger, self.clock)


def run(body: Callable[[Desk], Awaitable[None]]) -> Desk:
    desk = Desk()

    async def main() -> None:
        await body(desk)
        await desk.access.close()

    asyncio.run(main())
    return desk


def test_a_token_works_with_its_scopes_and_only_its_hash_is_kept() -> None:
    async def body(desk: Desk) -> None:
        minted = await desk.access.mint("owner", "phone", CHAT, 3)
        principal = await desk.access.authenticate(minted.value)
        assert principal is not None
        assert principal.scopes == CHAT
        (kept,) = await desk.store.list_tokens()
        assert minted.value not in repr(kept)
        assert minted.value not in repr(desk.ledger.entries)
        assert [entry.kind for entry in desk.ledger.entries] == ["token.created"]

    run(body)


@pytest.mark.parametrize("value", ["", "cpx_", "cpx_wrong", "Bearer cpx_x", "cpx_" + "x" * 500, "cpx_\udcff"])
def test_other_values_are_nobody(value: str) -> None:
    async def body(desk: Desk) -> None:
        await desk.access.mint("owner", "phone", CHAT, 3)
        assert await desk.access.authenticate(value) is None

    run(body)


def test_an_expired_token_is_nobody_also_when_it_was_known() -> None:
    async def body(desk: Desk) -> None:
        minted = await desk.access.mint("owner", "phone", CHAT, 1)
        assert await desk.access.authenticate(minted.value)
        desk.clock.ms += DAY_MS
        assert await desk.access.authenticate(minted.value) is None

    run(body)


def test_a_revoked_token_is_nobody_at_once() -> None:
    async def body(desk: Desk) -> None:
        minted = await desk.access.mint("owner", "phone", CHAT, 1)
        assert await desk.access.authenticate(minted.value)
        await desk.access.revoke("owner", minted.token.id)
        assert await desk.access.authenticate(minted.value) is None
        with pytest.raises(NotFound):
            await desk.access.revoke("owner", TokenId("nope"))

    run(body)


def test_the_sign_in_code_works_once() -> None:
    async def body(desk: Desk) -> None:
        code = desk.access.new_code()
        minted = await desk.access.redeem(f" {code.lower()} ")
        assert minted is not None
        assert Scope.ADMIN not in minted.token.scopes
        assert await desk.access.redeem(code) is None

    run(body)


def test_a_code_ends_with_its_time_its_tries_and_the_next_code() -> None:
    async def body(desk: Desk) -> None:
        assert await desk.access.redeem("") is None
        old = desk.access.new_code()
        code = desk.access.new_code()
        if old != code:
            assert await desk.access.redeem(old) is None
        desk.clock.ms += CODE_MS + 1
        assert await desk.access.redeem(code) is None
        code = desk.access.new_code()
        for _ in range(CODE_TRIES):
            assert await desk.access.redeem("AAA-AAA") is None
        assert await desk.access.redeem(code) is None

    run(body)


def test_a_use_is_noted_at_most_once_a_minute() -> None:
    noted: list[int] = []

    async def body(desk: Desk) -> None:
        minted = await desk.access.mint("owner", "phone", CHAT, 3)
        touch = desk.store.touch_token

        async def spy(token: TokenId, now_ms: int) -> None:
            noted.append(now_ms)
            await touch(token, now_ms)

        desk.store.touch_token = spy  # type: ignore[method-assign]
        for _ in range(5):
            await desk.access.authenticate(minted.value)
        desk.clock.ms += 60_001
        await desk.access.authenticate(minted.value)

    run(body)
    assert len(noted) == 2


def test_a_token_named_like_a_person_of_the_policy_is_that_person() -> None:
    async def body(desk: Desk) -> None:
        desk.access = Access(desk.store, desk.ledger, desk.clock, lambda: {"sara": Role.APPROVER, "owner": Role.GUEST})
        for name, who, role in (
            ("sara", "sara", Role.APPROVER),
            ("phone", "owner", Role.OWNER),
            ("owner", "owner", Role.OWNER),
        ):
            minted = await desk.access.mint("owner", name, CHAT, 3)
            principal = await desk.access.authenticate(minted.value)
            assert principal is not None
            assert (principal.id, principal.role, principal.scopes) == (who, role, CHAT)

    run(body)
