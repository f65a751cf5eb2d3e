"""What every `Gateway` must do for the surfaces; run against the fake here, and against the real one by its builder.

A `Stage` builds a gateway and arranges what the next turn does. Every wait is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Protocol

import pytest

from carapax.core.channel.pairing import hash_code, read_code, show_code
from carapax.core.terms.approval import Answer, ApprovalState
from carapax.core.terms.channel import HookRequest
from carapax.core.terms.conversation import Inbound, TurnState
from carapax.core.terms.error import Conflict, Malformed, NotFound, Refused
from carapax.core.terms.event import Answered, Event, TextDelta, TurnEnded, TurnStarted, Waiting
from carapax.core.terms.ids import ApprovalId, PrincipalId, SessionId, TurnId
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.ports.gateway import Gateway

BOUND_S = 30
OWNER = Principal(PrincipalId("owner"), Role.OWNER, frozenset(Scope), "test")
CHAT_ONLY = replace(OWNER, scopes=frozenset({Scope.CHAT}))
STRANGER = Principal(PrincipalId("anna"), Role.GUEST, frozenset({Scope.CHAT}), "test")


class Stage(Protocol):
    """How a suite arranges turns on one kind of gateway."""

    def gateway(self) -> AbstractAsyncContextManager[Gateway]: ...

    def next_says(self, text: str) -> None:
        """The next turn replies with that text."""
        ...

    def next_asks(self, then: str) -> None:
        """The next turn waits for an approval; after a yes it replies with that text."""
        ...


async def read(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


async def read_until_waiting(events: AsyncIterator[Event]) -> tuple[list[Event], Waiting]:
    seen: list[Event] = []
    async for event in events:
        seen.append(event)
        if isinstance(event, Waiting):
            return seen, event
    raise AssertionError(f"the turn did not wait: {seen}")


ADMIN_ONLY = replace(OWNER, scopes=frozenset({Scope.ADMIN}))


class GatewaySuite:
    """Subclass it with a `stage` fixture."""

    def run(self, stage: Stage, body: Callable[[Gateway], Awaitable[None]]) -> None:
        async def main() -> None:
            async with asyncio.timeout(BOUND_S), stage.gateway() as gateway:
                await body(gateway)

        asyncio.run(main())

    def test_a_turn_starts_streams_and_ends_once(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            stage.next_says("hello there")
            events = await read(await gateway.submit(OWNER, Inbound("hi", "api")))
            first, last = events[0], events[-1]
            assert isinstance(first, TurnStarted) and isinstance(last, TurnEnded)
            assert sum(isinstance(e, TurnEnded | TurnStarted) for e in events) == 2
            assert (last.turn, last.session, last.state, last.reply) == (
                first.turn, first.session, TurnState.DONE, "hello there",
            )  # fmt: skip
            assert "".join(e.text for e in events if isinstance(e, TextDelta)) in ("hello there", "")
            turn = await gateway.find_turn(OWNER, first.turn)
            assert turn is not None and (turn.reply, turn.number) == ("hello there", 1)

        self.run(stage, body)

    def test_leaving_a_stream_does_not_end_the_turn(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            stage.next_says("done")
            events = await gateway.submit(OWNER, Inbound("hi", "api"))
            started = await anext(events)
            assert isinstance(started, TurnStarted)
            await events.aclose()  # type: ignore[attr-defined]
            assert (await read(await gateway.follow(OWNER, started.turn)))[-1].reply == "done"  # type: ignore[union-attr]
            assert [type(e) for e in await read(await gateway.follow(OWNER, started.turn))] == [TurnEnded]

        self.run(stage, body)

    def test_a_conversation_is_one_session_and_a_key_one_message(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            turns = []
            for key in ("k1", "k1", "k2"):
                stage.next_says("ok")
                events = await read(await gateway.submit(OWNER, Inbound("hi", "api", conversation="c", key=key)))
                turns.append(events[-1])
            ids = [(e.session, e.turn) for e in turns if isinstance(e, TurnEnded)]
            assert ids[0] == ids[1] != ids[2]
            assert ids[0][0] == ids[2][0]

        self.run(stage, body)

    @pytest.mark.parametrize("approve", [True, False])
    def test_a_waiting_turn_is_answered_once(self, stage: Stage, approve: bool) -> None:
        async def body(gateway: Gateway) -> None:
            stage.next_asks("deleted")
            _, waiting = await read_until_waiting(await gateway.submit(OWNER, Inbound("x", "api", conversation="c")))
            found = waiting.approval
            assert [a.id for a in await gateway.list_approvals(OWNER, ApprovalState.WAITING)] == [found.id]
            with pytest.raises(Conflict):
                await gateway.submit(OWNER, Inbound("more", "api", conversation="c"))
            events = await gateway.follow(OWNER, found.turn)
            settled = await gateway.answer(OWNER, found.id, Answer(approve))
            assert settled.state is (ApprovalState.APPROVED if approve else ApprovalState.DENIED)
            seen = await read(events)
            assert any(isinstance(e, Answered) and e.approval.id == found.id for e in seen)
            last = seen[-1]
            assert isinstance(last, TurnEnded) and ("deleted" in last.reply) is approve
            for again in (True, False):
                with pytest.raises(Conflict):
                    await gateway.answer(OWNER, found.id, Answer(again))
            assert await gateway.list_approvals(OWNER, ApprovalState.WAITING) in ([], ())

        self.run(stage, body)

    def test_without_the_scope_there_is_no_answer(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            stage.next_asks("deleted")
            _, waiting = await read_until_waiting(await gateway.submit(CHAT_ONLY, Inbound("x", "api")))
            with pytest.raises(Refused):
                await gateway.answer(CHAT_ONLY, waiting.approval.id, Answer(True))
            seen = await gateway.list_approvals(CHAT_ONLY, ApprovalState.WAITING)
            assert [a.id for a in seen] == [waiting.approval.id]

        self.run(stage, body)

    def test_what_is_not_there_or_anothers_is_not_found(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            stage.next_says("ok")
            ended = (await read(await gateway.submit(OWNER, Inbound("hi", "api"))))[-1]
            assert isinstance(ended, TurnEnded)
            assert await gateway.find_turn(STRANGER, ended.turn) is None
            for call in (
                gateway.follow(STRANGER, ended.turn),
                gateway.get_session(STRANGER, ended.session),
                gateway.export_session(STRANGER, ended.session),
                gateway.name_session(STRANGER, ended.session, "mine"),
                gateway.submit(STRANGER, Inbound("hi", "api", session=ended.session)),
                gateway.follow(OWNER, TurnId("none")),
                gateway.cancel(OWNER, TurnId("none")),
                gateway.get_session(OWNER, SessionId("none")),
                gateway.answer(OWNER, ApprovalId("ZZZZ"), Answer(True)),
            ):
                with pytest.raises(NotFound):
                    await call

        self.run(stage, body)

    def test_an_empty_message_is_malformed(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            with pytest.raises(Malformed):
                await gateway.submit(OWNER, Inbound(" \n", "api"))

        self.run(stage, body)

    def test_tokens_are_made_used_and_revoked(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            minted = await gateway.create_token(OWNER, "phone", frozenset({Scope.CHAT}), 3)
            assert minted.value.startswith("cpx_")
            principal = await gateway.authenticate(minted.value)
            assert principal is not None and principal.scopes == {Scope.CHAT} and principal.id == OWNER.id
            assert await gateway.authenticate(minted.value + "x") is None
            await gateway.revoke_token(OWNER, minted.token.id)
            assert await gateway.authenticate(minted.value) is None

        self.run(stage, body)

    def test_kinds_say_what_they_ask(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            kinds = await gateway.list_kinds(OWNER)
            assert kinds and len({kind.kind for kind in kinds}) == len(kinds)
            for kind in kinds:
                assert kind.title and all(asked.english and asked.french for asked in kind.asks)
                assert len({asked.name for asked in kind.asks}) == len(kind.asks)

        self.run(stage, body)

    def test_channels_that_are_not_there_are_not_found(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            assert await gateway.list_channels(OWNER) in ([], ())
            assert gateway.hook_bytes("none") == 0
            assert (await gateway.hook("none", HookRequest("POST", "", "", (), b"{}"))).status == 404
            for call in (
                gateway.add_channel(OWNER, "none", "carrier-pigeon", {}, {}),
                gateway.test_channel(OWNER, "none"),
                gateway.channel_log(OWNER, "none"),
                gateway.remove_channel(OWNER, "none"),
                gateway.make_pairing(OWNER, "none", "owner"),
                gateway.accept_pairing(OWNER, "2222-2222", "owner"),
                gateway.accept_pairing(OWNER, "no code at all", "owner"),
                gateway.drop_account(OWNER, "none", "4711"),
                gateway.retry_dead(OWNER, "00000000"),
                gateway.drop_dead(OWNER, "00000000"),
            ):
                with pytest.raises(NotFound):
                    await call

        self.run(stage, body)

    @pytest.mark.parametrize("who", [CHAT_ONLY, STRANGER])
    def test_only_the_owner_sees_and_changes_channels_and_people(self, stage: Stage, who: Principal) -> None:
        async def body(gateway: Gateway) -> None:
            for call in (
                gateway.list_kinds(who),
                gateway.list_channels(who),
                gateway.add_channel(who, "irc", "irc", {"server": "127.0.0.1"}, {}),
                gateway.test_channel(who, "none"),
                gateway.channel_log(who, "none"),
                gateway.remove_channel(who, "none"),
                gateway.make_pairing(who, "", "owner"),
                gateway.accept_pairing(who, "2222-2222", "owner"),
                gateway.list_pairings(who),
                gateway.list_accounts(who),
                gateway.drop_account(who, "none", "4711"),
                gateway.list_dead(who),
                gateway.retry_dead(who, "00000000"),
                gateway.drop_dead(who, "00000000"),
            ):
                with pytest.raises(Refused):
                    await call

        self.run(stage, body)

    def test_who_may_only_read_changes_nothing(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            reader = replace(OWNER, scopes=frozenset({Scope.READ}))
            assert await gateway.list_channels(reader) in ([], ())
            assert await gateway.list_kinds(reader)
            for call in (
                gateway.make_pairing(reader, "", "owner"),
                gateway.accept_pairing(reader, "2222-2222", "owner"),
                gateway.remove_channel(reader, "none"),
                gateway.retry_dead(reader, "00000000"),
            ):
                with pytest.raises(Refused):
                    await call

        self.run(stage, body)

    def test_a_code_for_a_person_is_made_once_and_never_listed(self, stage: Stage) -> None:
        async def body(gateway: Gateway) -> None:
            made = await gateway.make_pairing(ADMIN_ONLY, "", "owner")
            code = read_code(made.code)
            assert code is not None and made.code == show_code(code) and made.person == "owner"
            (listed,) = await gateway.list_pairings(OWNER)
            assert (listed.sender, listed.person, listed.channel) == ("", "owner", "")
            assert code not in repr(listed) and listed.hash == hash_code(code)
            assert listed.expires_ms == made.expires_ms > listed.made_ms
            with pytest.raises(NotFound):  # it is to be sent, not to be accepted
                await gateway.accept_pairing(OWNER, made.code, "owner")
            assert await gateway.list_accounts(OWNER) in ([], ())

        self.run(stage, body)
