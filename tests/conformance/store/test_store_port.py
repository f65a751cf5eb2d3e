"""The store port's suite: whatever implements it, driven through the port only."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from carapax.core.flow.lattice import join, join_all
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.approval import Approval, ApprovalState, ArgumentLine, Blank
from carapax.core.terms.conversation import PartKind, Turn, TurnState
from carapax.core.terms.error import Conflict, Malformed, NotFound, StoreUnavailable, TooLarge
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, RuleId, SessionId, TokenId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, PUBLIC, Integrity, Label, Readers, Shape, Source
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Scope
from carapax.ports.store import NewPart, OpenCall, Store, Token
from tests.conformance.store.rig import Drive, Ticks

S1, S2 = SessionId("s1"), SessionId("s2")
T1, T2, T3 = TurnId("t1"), TurnId("t2"), TurnId("t3")
C1, C2, C3 = CallId("c1"), CallId("c2"), CallId("c3")
WORDS = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", "m1")}))
OUTSIDE = Label(
    Integrity.EXTERNAL,
    Readers(names=frozenset({OWNER, PrincipalId("é")})),
    frozenset({Source("tool", "fetch", "body", Digest("ab" * 32)), Source("file", 'a"b\\c')}),
)


def turn(id: TurnId = T1, session: SessionId = S1, **more: object) -> Turn:
    base = Turn(id, session, 0, TurnState.ACCEPTED, OWNER, "cli", "do it", "", 5, None, Usage())
    return replace(base, **more)  # type: ignore[arg-type]


def said(text: str, label: Label = WORDS) -> NewPart:
    return NewPart(PartKind.USER, text, label)


def change(path: str, kind: ChangeKind = ChangeKind.MODIFIED) -> Change:
    return Change(path, kind, Digest("a" * 64), None, 7, kept=False)


def approval(id: str = "K7M2", session: SessionId = S1, **more: object) -> Approval:
    lines = (ArgumentLine("path", "a\nb", "composed by the model"), ArgumentLine("n", "3", "default"))
    base = Approval(
        ApprovalId(id),
        session,
        T1,
        C1,
        Digest("d"),
        "delete 12 files",
        lines,
        RuleId("r"),
        "why",
        "a web page",
        10,
        100,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def token(id: str = "k1", hashed: str = "h1", **more: object) -> Token:
    return replace(
        Token(TokenId(id), hashed, "laptop", frozenset({Scope.CHAT, Scope.READ}), 1, 9, False, None),
        **more,  # type: ignore[arg-type]
    )


async def two_sessions(store: Store) -> None:
    await store.open_session(S1, OWNER, "", 1)
    await store.open_session(S2, OWNER, "", 2)


# sessions


def test_a_session_is_opened_once_per_owner_and_key(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        first = await store.open_session(S1, OWNER, "desk", 7)
        assert (first.id, first.created_ms, first.turns, first.name) == (S1, 7, 0, "")
        assert (await store.open_session(S2, OWNER, "desk", 8)).id == S1
        assert await store.find_session(S2) is None
        other = await store.open_session(S2, PrincipalId("other"), "desk", 8)
        assert other.id == S2
        assert await store.find_session(S1) == first

    drive(scene)


def test_an_empty_key_always_opens_a_new_session(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        assert len(await store.list_sessions(OWNER)) == 2
        with pytest.raises(Conflict):
            await store.open_session(S1, OWNER, "", 3)

    drive(scene)


def test_sessions_are_listed_newest_first_and_only_the_owners(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.open_session(SessionId("s3"), PrincipalId("other"), "", 3)
        assert [s.id for s in await store.list_sessions(OWNER)] == [S2, S1]
        await store.accept_turn(turn(), [])
        assert [s.id for s in await store.list_sessions(OWNER)] == [S1, S2]
        assert [s.id for s in await store.list_sessions(OWNER, limit=1)] == [S1]
        assert list(await store.list_sessions(OWNER, limit=0)) == []
        assert list(await store.list_sessions(OWNER, limit=-1)) == []

    drive(scene)


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("Hello World", "hello w", True),
        ("Hello World", "", True),
        ("50% off", "50%", True),
        ("500 off", "50%", False),
        ("a_b", "A_B", True),
        ("axb", "a_b", False),
        ("back\\slash", "K\\S", True),
        ("Crème BRÛLÉE", "brûlée", True),
        ("Crème", "creme", False),
        ("cafe\u0301", "CAFÉ", True),
        ("STRASSE", "straße", True),
        ("Größe", "GRÖSSE", True),
        ("ПРИВЕТ", "привет", True),
        ("before\0after", "AFTER", True),
        ("it's", "t's", True),
        ("'; DROP TABLE parts; --", "drop table", True),
    ],
)
def test_search_is_literal_and_ignores_case(drive: Drive, text: str, query: str, found: bool) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(), [said("first"), said(text)])
        await store.name_session(S2, text)
        hits = {s.id for s in await store.list_sessions(OWNER, query=query)}
        assert hits == ({S1, S2} if found else set())

    drive(scene)


def test_search_sees_only_the_owners_sessions_and_keeps_the_limit(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.open_session(SessionId("s3"), PrincipalId("other"), "", 3)
        for number, session in enumerate((S1, S2, SessionId("s3"))):
            await store.accept_turn(turn(TurnId(f"x{number}"), session), [said("needle")])
        assert [s.id for s in await store.list_sessions(OWNER, query="NEEDLE")] == [S2, S1]
        assert [s.id for s in await store.list_sessions(OWNER, query="needle", limit=1)] == [S2]
        with pytest.raises(TooLarge):
            await store.list_sessions(OWNER, query="x" * 1001)
        with pytest.raises(Malformed):
            await store.list_sessions(OWNER, query="\ud800")

    drive(scene)


def test_a_session_is_named(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.name_session(S1, "Émile's tidy-up")
        named = await store.find_session(S1)
        assert named is not None
        assert named.name == "Émile's tidy-up"
        with pytest.raises(NotFound):
            await store.name_session(SessionId("none"), "x")

    drive(scene)


def test_deleting_a_session_takes_everything_of_it_and_nothing_else(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        for t, s, c in ((T1, S1, C1), (T2, S2, C2)):
            await store.accept_turn(turn(t, s, key="k"), [said("needle")])
            await store.open_call(OpenCall(c, s, t, "write", "w", 1))
            await store.close_call(c, "done", 2, [change("f")])
            await store.open_call(OpenCall(CallId(c + "open"), s, t, "write", "w", 1))
            await store.put_approval(approval(f"A{s}", s))
        with pytest.raises(Conflict):
            await store.delete_session(S1)
        await store.set_turn(T1, TurnState.DONE)
        await store.delete_session(S1)
        assert await store.find_session(S1) is None
        assert await store.find_turn(T1) is None
        assert list(await store.list_turns(S1)) == []
        assert list(await store.parts(S1, limit=9)) == []
        assert [c.call for c in await store.open_calls()] == ["c2open"]
        assert [t.id for t, _ in await store.changes(limit_turns=9)] == [T2]
        assert [a.id for a in await store.list_approvals()] == ["As2"]
        assert [s.id for s in await store.list_sessions(OWNER, query="needle")] == [S2]
        assert await store.counts() == {"sessions": 1, "turns": 1, "approvals_waiting": 1, "tokens": 0}
        with pytest.raises(NotFound):
            await store.delete_session(S1)
        await store.open_session(S1, OWNER, "", 3)
        assert list(await store.parts(S1, limit=9)) == []

    drive(scene)


@pytest.mark.parametrize("state", [TurnState.ACCEPTED, TurnState.RUNNING, TurnState.WAITING])
def test_a_session_with_an_unfinished_turn_is_not_deleted(drive: Drive, state: TurnState) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(), [])
        await store.set_turn(T1, state)
        with pytest.raises(Conflict):
            await store.delete_session(S1)
        assert await store.find_turn(T1) is not None

    drive(scene)


# turns


def test_a_turn_is_numbered_and_its_parts_placed(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        assert (await store.accept_turn(turn(T1, number=99), [said("a"), said("b", OUTSIDE)])).number == 1
        assert (await store.accept_turn(turn(T2), [said("c")])).number == 2
        assert (await store.accept_turn(turn(T3, S2), [said("d")])).number == 1
        got = await store.parts(S1, limit=10)
        assert [(p.seq, p.text, p.turn) for p in got] == [(1, "a", T1), (2, "b", T1), (3, "c", T2)]
        assert [p.label for p in got] == [WORDS, OUTSIDE, WORDS]
        assert await store.find_turn(T2) == turn(T2, number=2)
        assert [t.id for t in await store.list_turns(S1)] == [T2, T1]
        assert [t.id for t in await store.list_turns(S1, limit=1)] == [T2]
        session = await store.find_session(S1)
        assert session is not None
        assert session.turns == 2
        assert session.updated_ms > 1_000

    drive(scene)


def test_the_same_key_in_a_session_is_the_same_message(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        first = await store.accept_turn(turn(T1, key="k", text="one"), [said("one")])
        again = await store.accept_turn(turn(T2, key="k", text="two"), [said("two")])
        assert again == first
        assert [p.text for p in await store.parts(S1, limit=9)] == ["one"]
        assert (await store.accept_turn(turn(T2, S2, key="k"), [])).id == T2
        assert (await store.accept_turn(turn(T3), [])).id == T3
        assert (await store.accept_turn(turn(TurnId("t4")), [])).number == 3

    drive(scene)


def test_a_turn_needs_its_session_and_a_fresh_id(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        with pytest.raises(NotFound):
            await store.accept_turn(turn(), [said("a")])
        await two_sessions(store)
        await store.accept_turn(turn(), [])
        with pytest.raises(Conflict):
            await store.accept_turn(turn(T1, S2), [said("a")])
        assert list(await store.parts(S2, limit=9)) == []
        assert (await store.accept_turn(turn(T2, S2), [])).number == 1
        assert await store.find_turn(TurnId("none")) is None

    drive(scene)


def test_a_turn_moves_with_parts_reply_and_usage(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(), [said("a")])
        result = NewPart(PartKind.RESULT, "out", OUTSIDE, "shell", C1)
        await store.set_turn(T1, TurnState.RUNNING, parts=[result], usage=Usage(10, 2, 1, 5), day="2026-01-02")
        await store.set_turn(T1, TurnState.WAITING)
        await store.set_turn(T1, TurnState.DONE, reply="fine", usage=Usage(15, 2, 2, 9), ended_ms=77, day="2026-01-03")
        done = await store.find_turn(T1)
        assert done == turn(T1, number=1, state=TurnState.DONE, reply="fine", usage=Usage(15, 2, 2, 9), ended_ms=77)
        part = (await store.parts(S1, limit=1))[0]
        assert (part.seq, part.kind, part.tool, part.call, part.label) == (2, PartKind.RESULT, "shell", C1, OUTSIDE)
        session = await store.find_session(S1)
        assert session is not None
        assert session.usage == Usage(15, 2, 2, 9)
        assert await store.day_usage("2026-01-02") == Usage(10, 2, 1, 5)
        assert await store.day_usage("2026-01-03") == Usage(5, 0, 1, 4)
        assert await store.day_usage("2026-01-04") == Usage()

    drive(scene)


def test_usage_never_shrinks(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(), [])
        await store.set_turn(T1, TurnState.RUNNING, usage=Usage(10, 10, 10, 10), day="2026-01-02")
        await store.set_turn(T1, TurnState.RUNNING, usage=Usage(5, 20, 10, 0), day="2026-01-02")
        moved, session = await store.find_turn(T1), await store.find_session(S1)
        assert moved is not None
        assert session is not None
        assert moved.usage == session.usage == await store.day_usage("2026-01-02") == Usage(10, 20, 10, 10)

    drive(scene)


@pytest.mark.parametrize("ended", [TurnState.DONE, TurnState.STOPPED, TurnState.INTERRUPTED])
def test_an_ended_turn_stays_as_it_ended(drive: Drive, ended: TurnState) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(), [])
        await store.set_turn(T1, ended, reply="end", ended_ms=9)
        for state in TurnState:
            with pytest.raises(Conflict):
                await store.set_turn(T1, state, parts=[said("late")], reply="x", usage=Usage(1), day="2026-01-02")
        kept = await store.find_turn(T1)
        assert kept is not None
        assert (kept.state, kept.reply, kept.usage) == (ended, "end", Usage())
        assert list(await store.parts(S1, limit=9)) == []
        assert await store.day_usage("2026-01-02") == Usage()

    drive(scene)


def test_a_turn_that_is_not_there_does_not_move(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        with pytest.raises(NotFound):
            await store.set_turn(T1, TurnState.DONE)

    drive(scene)


def test_unfinished_turns_come_in_the_order_they_were_stored(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        for number in range(5):
            await store.accept_turn(turn(TurnId(f"n{number}"), S1 if number % 2 else S2, started_ms=50 - number), [])
        await store.set_turn(TurnId("n0"), TurnState.DONE)
        await store.set_turn(TurnId("n1"), TurnState.RUNNING)
        await store.set_turn(TurnId("n2"), TurnState.WAITING)
        await store.set_turn(TurnId("n3"), TurnState.STOPPED)
        assert [t.id for t in await store.unfinished_turns()] == ["n1", "n2", "n4"]

    drive(scene)


def test_parts_come_in_windows_from_the_end(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(), [said(str(n)) for n in range(1, 11)])
        assert [p.seq for p in await store.parts(S1, limit=3)] == [8, 9, 10]
        assert [p.seq for p in await store.parts(S1, limit=3, before_seq=8)] == [5, 6, 7]
        assert [p.seq for p in await store.parts(S1, limit=99, before_seq=3)] == [1, 2]
        assert list(await store.parts(S1, limit=3, before_seq=1)) == []
        assert list(await store.parts(S1, limit=0)) == []
        assert list(await store.parts(S1, limit=-1)) == []
        assert list(await store.parts(S2, limit=3)) == []

    drive(scene)


def test_labels_come_back_as_they_were_put(drive: Drive) -> None:
    labels = [
        Label(level, readers, sources, classes, shape)
        for classes, shape in ((frozenset[str](), Shape.TEXT), (frozenset({"customer", "é"}), Shape.SCALAR))
        for level in Integrity
        for readers in (PUBLIC, OWNER_ONLY, Readers())
        for sources in (frozenset[Source](), OUTSIDE.sources)
    ]

    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(), [said("x", label) for label in labels])
        assert [p.label for p in await store.parts(S1, limit=99)] == labels

    drive(scene)


@pytest.mark.parametrize("text", ["", "\0", "a\0b", "\U0001f980" * 3, "line\r\n", "x" * 300_000, "\ufeff'\"`;--"])
def test_text_comes_back_as_it_was_put(drive: Drive, text: str) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(text=text), [said(text)])
        await store.set_turn(T1, TurnState.DONE, reply=text)
        kept = await store.find_turn(T1)
        assert kept is not None
        assert kept.text == kept.reply == text
        assert (await store.parts(S1, limit=1))[0].text == text

    drive(scene)


def test_text_that_is_not_unicode_is_refused_and_leaves_nothing(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        with pytest.raises(Malformed):
            await store.accept_turn(turn(), [said("good"), said("bad \ud800")])
        assert await store.find_turn(T1) is None
        assert list(await store.parts(S1, limit=9)) == []
        assert (await store.accept_turn(turn(), [said("good")])).number == 1
        with pytest.raises(Malformed):
            await store.name_session(S1, "\udfff")

    drive(scene)


def test_many_at_once_each_get_their_own_answer(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(T1, key="k"), [])
        good = [store.accept_turn(turn(TurnId(f"g{n}"), S2), [said(str(n))]) for n in range(40)]
        bad = [store.accept_turn(turn(T1, S2), [said("no")]) for _ in range(5)]
        worse = [store.accept_turn(turn(TurnId(f"w{n}"), S2), [said("\ud800")]) for n in range(5)]
        got = await asyncio.gather(
            *[c for trio in zip(good[:5], bad, worse, strict=True) for c in trio], *good[5:], return_exceptions=True
        )
        numbers = [g.number for g in got if isinstance(g, Turn)]
        assert sorted(numbers) == list(range(1, 41))
        assert [type(g) for g in got[1:15:3]] == [Conflict] * 5
        assert [type(g) for g in got[2:15:3]] == [Malformed] * 5
        assert [p.seq for p in await store.parts(S2, limit=99)] == list(range(1, 41))
        assert (await store.counts())["turns"] == 41

    drive(scene)


# calls and changes


def test_a_call_is_open_until_it_is_closed(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(), [])
        calls = [OpenCall(c, S1, T1, "write", f"write {c}", n) for n, c in enumerate((C2, C1, C3))]
        for call in calls:
            await store.open_call(call)
        with pytest.raises(Conflict):
            await store.open_call(calls[0])
        await store.close_call(C1, "done", 4, [])
        assert list(await store.open_calls()) == [calls[0], calls[2]]
        with pytest.raises(Conflict):
            await store.close_call(C1, "failed", 5, [change("x")])
        with pytest.raises(NotFound):
            await store.close_call(CallId("none"), "done", 5, [])
        assert list(await store.changes(limit_turns=9)) == []

    drive(scene)


def test_a_call_needs_its_session(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        with pytest.raises(NotFound):
            await store.open_call(OpenCall(C1, S1, T1, "write", "w", 1))
        with pytest.raises(NotFound):
            await store.put_approval(approval())

    drive(scene)


def test_changes_are_those_of_the_newest_turns_that_stand(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        plan = ((T1, S1, ["a", "b"]), (T2, S2, ["c"]), (T3, S1, []), (TurnId("t4"), S1, ["d"]))
        for t, s, paths in plan:
            await store.accept_turn(turn(t, s), [])
            for n, path in enumerate(paths or [""]):
                call = CallId(f"{t}.{n}")
                await store.open_call(OpenCall(call, s, t, "write", "w", 1))
                await store.close_call(call, "done", 2, [change(path), change(path + "2")] if path else [])

        async def found(**how: object) -> list[tuple[str, list[str]]]:
            rows = await store.changes(**how)  # type: ignore[arg-type]
            return [(t.id, [c.path for c in cs]) for t, cs in rows]

        t1, t2, t4 = ("t1", ["a", "a2", "b", "b2"]), ("t2", ["c", "c2"]), ("t4", ["d", "d2"])
        assert await found() == [t4]
        assert await found(limit_turns=9) == [t4, t2, t1]
        assert await found(session=S1, limit_turns=9) == [t4, t1]
        assert await found(session=S2) == [t2]
        assert await found(turn=T1) == [t1]
        assert await found(turn=T3) == []
        assert await found(turn=T1, session=S2) == []
        assert await found(limit_turns=0) == []
        await store.mark_undone(TurnId("t4"))
        await store.mark_undone(TurnId("t4"))
        assert await found() == [t2]
        assert await found(turn=TurnId("t4")) == []
        assert (await store.changes(turn=T1))[0][1][0] == change("a")
        with pytest.raises(NotFound):
            await store.mark_undone(TurnId("none"))

    drive(scene)


# approvals


def test_an_approval_is_answered_once(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        asked = approval()
        await store.put_approval(asked)
        with pytest.raises(Conflict):
            await store.put_approval(asked)
        assert list(await store.list_approvals()) == [asked]
        with pytest.raises(Conflict):
            await store.answer_approval(asked.id, ApprovalState.WAITING, OWNER, 20)
        answered = await store.answer_approval(asked.id, ApprovalState.APPROVED, OWNER, 20)
        assert answered == replace(asked, state=ApprovalState.APPROVED, answered_by=OWNER, answered_ms=20)
        for state in ApprovalState:
            with pytest.raises(Conflict):
                await store.answer_approval(asked.id, state, OWNER, 21)
        assert list(await store.list_approvals()) == []
        assert list(await store.list_approvals(ApprovalState.APPROVED)) == [answered]
        with pytest.raises(NotFound):
            await store.answer_approval(ApprovalId("none"), ApprovalState.DENIED, OWNER, 20)

    drive(scene)


@pytest.mark.parametrize("late_ms", [0, 1])
def test_a_yes_at_or_after_the_deadline_is_refused_and_a_no_is_taken(drive: Drive, late_ms: int) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        asked = approval()
        await store.put_approval(asked)
        at = asked.deadline_ms + late_ms
        with pytest.raises(Conflict):
            await store.answer_approval(asked.id, ApprovalState.APPROVED, OWNER, at)
        assert list(await store.list_approvals()) == [asked]
        assert (await store.answer_approval(asked.id, ApprovalState.EXPIRED, OWNER, at)).state is ApprovalState.EXPIRED

    drive(scene)


def test_of_two_answers_at_once_one_is_taken(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.put_approval(approval())
        states = [ApprovalState.APPROVED, ApprovalState.DENIED] * 5
        got = await asyncio.gather(
            *[store.answer_approval(ApprovalId("K7M2"), s, OWNER, 20) for s in states], return_exceptions=True
        )
        assert sum(isinstance(g, Approval) for g in got) == 1
        assert sum(isinstance(g, Conflict) for g in got) == 9

    drive(scene)


def test_approvals_are_listed_newest_first(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        for number in range(5):
            await store.put_approval(approval(f"A{number}", asked_ms=50 - number))
        await store.answer_approval(ApprovalId("A3"), ApprovalState.DENIED, OWNER, 20)
        assert [a.id for a in await store.list_approvals()] == ["A4", "A2", "A1", "A0"]
        assert [a.id for a in await store.list_approvals(None, limit=2)] == ["A4", "A3"]
        assert [a.id for a in await store.list_approvals(ApprovalState.DENIED)] == ["A3"]
        assert (await store.counts())["approvals_waiting"] == 4

    drive(scene)


BLANKS = (Blank("to", "recipient", "a@b.example", "a mail", 1), Blank("n", "amount", "3"))
FULL = {
    "blanks": BLANKS,
    "choices": ("one", "zwei\nlines"),
    "choices_source": "the directory",
    "factor": True,
    "people": 2,
    "agreed": (PrincipalId("anna"),),
    "exact": '{"to":"a@b.example"}\n{"n":3}',
    "hidden": ("U+200B",),
    "hint": "looks like an order",
    "calls": 2,
}


def test_all_of_a_card_comes_back_and_the_answer_with_it(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        asked = approval(**FULL)
        await store.put_approval(asked)
        assert list(await store.list_approvals()) == [asked]
        got = await store.answer_approval(
            asked.id, ApprovalState.APPROVED, OWNER, 20, typed=["a@b.example", ""], picked=[1, 0]
        )
        assert (got.typed, got.picked, got.agreed) == (("a@b.example", ""), (1, 0), (PrincipalId("anna"), OWNER))
        assert list(await store.list_approvals(ApprovalState.APPROVED)) == [got]

    drive(scene)


def test_several_people_must_say_yes_each_once(drive: Drive) -> None:
    anna, bob = PrincipalId("anna"), PrincipalId("bob")

    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.put_approval(approval(people=3))
        card = ApprovalId("K7M2")
        assert (await store.agree_approval(card, anna)).agreed == (anna,)
        with pytest.raises(Conflict):
            await store.agree_approval(card, anna)
        for by in (anna, bob):
            with pytest.raises(Conflict):
                await store.answer_approval(card, ApprovalState.APPROVED, by, 20)
        assert [a.state for a in await store.list_approvals()] == [ApprovalState.WAITING]
        assert (await store.agree_approval(card, bob)).agreed == (anna, bob)
        done = await store.answer_approval(card, ApprovalState.APPROVED, OWNER, 20)
        assert done.agreed == (anna, bob, OWNER)
        with pytest.raises(Conflict):
            await store.agree_approval(card, PrincipalId("carol"))
        with pytest.raises(NotFound):
            await store.agree_approval(ApprovalId("none"), anna)

    drive(scene)


def test_one_no_is_enough_and_a_card_for_one_is_not_agreed_to(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.put_approval(approval("A1", people=2))
        await store.put_approval(approval("A2"))
        with pytest.raises(Conflict):
            await store.agree_approval(ApprovalId("A2"), OWNER)
        denied = await store.answer_approval(ApprovalId("A1"), ApprovalState.DENIED, OWNER, 20)
        assert (denied.state, denied.agreed) == (ApprovalState.DENIED, ())

    drive(scene)


def test_the_same_person_twice_at_once_is_one_yes(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.put_approval(approval(people=2))
        yes = [store.agree_approval(ApprovalId("K7M2"), OWNER) for _ in range(8)]
        got = await asyncio.gather(*yes, return_exceptions=True)
        assert sum(isinstance(g, Approval) for g in got) == 1
        with pytest.raises(Conflict):
            await store.answer_approval(ApprovalId("K7M2"), ApprovalState.APPROVED, OWNER, 20)

    drive(scene)


# labels of content, tallies


def of(number: int) -> Digest:
    return Digest(f"{number:064x}")


def test_labels_of_content_are_joined_and_never_raised(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        assert dict(await store.content_labels([of(1)])) == {}
        await store.join_content_labels({})
        await store.join_content_labels({of(1): WORDS, of(2): OUTSIDE})
        assert dict(await store.content_labels([of(1), of(2), of(3)])) == {of(1): WORDS, of(2): OUTSIDE}
        await store.join_content_labels({of(1): OUTSIDE})
        joined = join(WORDS, OUTSIDE)
        await store.join_content_labels({of(1): WORDS})
        assert dict(await store.content_labels([of(1)])) == {of(1): joined}

    drive(scene)


def test_of_two_joins_at_once_none_is_lost(drive: Drive) -> None:
    labels = [replace(WORDS, classes=frozenset({f"class-{n}"})) for n in range(40)]

    async def scene(store: Store, clock: Ticks) -> None:
        await asyncio.gather(*[store.join_content_labels({of(1): label, of(2): label}) for label in labels])
        for label in (await store.content_labels([of(1), of(2)])).values():
            assert label == join_all(labels)

    drive(scene)


@pytest.mark.parametrize("count", [8, 9, 200, 201, 2_000])
def test_many_labels_are_found_in_one_question(drive: Drive, count: int) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        kept = {of(n): replace(WORDS, sources=frozenset({Source("file", str(n))})) for n in range(0, count, 2)}
        await store.join_content_labels(kept)
        assert dict(await store.content_labels([of(n) for n in range(count)])) == kept

    drive(scene)


def test_more_than_two_thousand_labels_are_not_looked_up(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        with pytest.raises(TooLarge):
            await store.content_labels([of(n) for n in range(2_001)])

    drive(scene)


def test_a_tally_is_the_sum_of_its_kind_since_a_moment(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        assert await store.tally("messages", since_ms=0) == 0
        for kind, amount, at_ms in (("messages", 1, 10), ("messages", 2, 20), ("money:EUR", 500, 20)):
            await store.add_tally(kind, amount, S1, at_ms)
        sums = [await store.tally("messages", since_ms=since) for since in (0, 10, 11, 20, 21)]
        assert sums == [3, 3, 2, 2, 0]
        assert await store.tally("money:EUR", since_ms=0) == 500

    drive(scene)


def test_what_protects_outlives_its_session(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.add_tally("messages", 3, S1, 10)
        await store.join_content_labels({of(1): OUTSIDE})
        await store.delete_session(S1)
        assert await store.tally("messages", since_ms=0) == 3
        assert dict(await store.content_labels([of(1)])) == {of(1): OUTSIDE}

    drive(scene)


# tokens, counts, end


def test_tokens_are_kept_found_touched_and_revoked(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        first, second = token(), token("k2", "h2", scopes=frozenset(Scope))
        await store.put_token(first)
        await store.put_token(second)
        for same in (token("k1", "h3"), token("k3", "h1")):
            with pytest.raises(Conflict):
                await store.put_token(same)
        assert await store.find_token("h2") == second
        assert await store.find_token("h") is None
        await store.touch_token(TokenId("k1"), 5)
        await store.revoke_token(TokenId("k1"))
        await store.revoke_token(TokenId("k1"))
        assert list(await store.list_tokens()) == [replace(first, revoked=True, last_used_ms=5), second]
        for wrong in (store.revoke_token(TokenId("none")), store.touch_token(TokenId("none"), 5)):
            with pytest.raises(NotFound):
                await wrong

    drive(scene)


def test_counts_follow_the_rows(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        assert await store.counts() == {"sessions": 0, "turns": 0, "approvals_waiting": 0, "tokens": 0}
        await two_sessions(store)
        await store.open_session(SessionId("s3"), OWNER, "desk", 3)
        await store.open_session(SessionId("s4"), OWNER, "desk", 3)
        await store.accept_turn(turn(T1, key="k"), [])
        await store.accept_turn(turn(T2, key="k"), [])
        await store.put_token(token())
        assert await store.counts() == {"sessions": 3, "turns": 1, "approvals_waiting": 0, "tokens": 1}

    drive(scene)


def test_a_closed_store_says_so(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.find_session(S1)
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.open_session(S1, OWNER, "", 1)
        await store.close()

    drive(scene)
