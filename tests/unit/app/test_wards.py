"""The wards together: what is planted, who is told of a canary that comes later, and what a start holds."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from carapax.app.canaries import FILE_NAME, PLANTED, Canaries
from carapax.app.home import Home
from carapax.app.incident_files import IncidentFiles
from carapax.app.stopping import stop_everything
from carapax.app.wards import Wards
from carapax.core.breaker.canary import Kind
from carapax.core.breaker.limits import Limits
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.terms.error import Conflict, PolicyInvalid, SandboxUnavailable
from carapax.core.terms.event import Event
from carapax.core.terms.ids import Digest, SessionId
from carapax.core.terms.incident import IncidentState
from carapax.core.terms.signal import Signal, SignalKind
from tests.fakes.file_vault import FileVault
from tests.fakes.ledger import MemoryLedger
from tests.fakes.store import MemoryStore
from tests.unit.app.alarm import A, B, Clock, Walls
from tests.unit.app.test_incident_files import ONE

HOME = parse_policy(home_policy(1, datetime.date(2026, 1, 5)))


class Turns:
    def __init__(self) -> None:
        self.ended: list[SessionId | None] = []

    def tell(self, session: SessionId | None, event: Event) -> None: ...

    def end(self, session: SessionId | None, text: str) -> int:
        self.ended.append(session)
        return 2


class House:
    def __init__(self, place: Path) -> None:
        self.home = Home(place / "home")
        self.home.run.mkdir(parents=True)
        (place / "work").mkdir()
        self.vault = FileVault(self.home.secrets, environ={}, env_names={})
        self.place, self.clock, self.ledger, self.turns = place, Clock(), MemoryLedger(), Turns()
        self.walls = Walls([])
        self.watched: list[Mapping[str, str]] = []
        self.policy: Policy | None = HOME

    def open(self) -> Wards:
        return Wards.open(self.home, self.place / "work", self.vault, self.clock, tuple)

    def connect(self, wards: Wards) -> None:
        wards.connect(self.ledger, self.walls, self.turns, self._policy, cut=self.walls.cut, watch=self.watched.append)

    def _policy(self) -> Policy:
        if self.policy is None:
            raise PolicyInvalid("There is none.")
        return self.policy


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_before_it_is_connected_a_signal_is_no_error_and_nothing_is_listed(house: House) -> None:
    wards = house.open()
    wards.saw(Signal(SignalKind.CANARY_USED, A))
    with pytest.raises(SandboxUnavailable):
        _ = wards.incidents
    assert house.vault.handles() == ("aws-backup",)


def test_what_was_held_is_held_before_the_first_turn(house: House) -> None:
    async def play() -> None:
        IncidentFiles(house.home.incidents).write(ONE)
        wards = house.open()
        house.connect(wards)
        with pytest.raises(Conflict, match="incident 3"):
            wards.hold.refuse_turn(A)
        wards.hold.refuse_turn(B)
        await wards.close()

    asyncio.run(play())


def test_a_damaged_incident_holds_everybody_until_a_person_decides(house: House) -> None:
    from carapax.core.terms.incident import Act
    from tests.unit.app.test_incidents import ME

    async def play() -> None:
        house.home.incidents.mkdir()
        (house.home.incidents / "4.json").write_bytes(b"\0" * 100)
        wards = house.open()
        house.connect(wards)
        with pytest.raises(Conflict, match="incident 4"):
            wards.hold.refuse_turn(B)
        await wards.incidents.decide(ME, 4, Act.RESUME)
        wards.hold.refuse_turn(B)
        assert IncidentFiles(house.home.incidents).read(4).state is IncidentState.RESUMED
        await wards.close()

    asyncio.run(play())


def test_a_planted_file_is_labelled_as_ours_by_what_was_planted_not_by_what_lies_there(house: House) -> None:
    async def play() -> None:
        wards = house.open()
        planted = house.place / "work" / FILE_NAME
        original = Digest(hashlib.sha256(planted.read_bytes()).hexdigest())
        planted.write_text("an attacker's words")
        store = MemoryStore(house.clock)
        await wards.label_planted(store)
        await wards.label_planted(store)
        forged = Digest(hashlib.sha256(planted.read_bytes()).hexdigest())
        kept = await store.content_labels([original, forged])
        assert kept == {original: PLANTED}

    asyncio.run(play())


def test_the_policys_figures_hold_and_without_one_the_usual(house: House) -> None:
    async def play() -> None:
        wards = house.open()
        house.connect(wards)
        house.policy = None
        for _ in range(3):
            wards.saw(Signal(SignalKind.DENIED, A))
        assert wards.hold.find(A) is None
        house.policy = replace(HOME, breaker=replace(Limits(), denials_minute=3))
        wards.saw(Signal(SignalKind.DENIED, A))
        assert wards.hold.find(A) == 1
        await wards.close()

    asyncio.run(play())


def test_a_canary_that_is_planted_while_it_runs_is_passed_on_to_the_proxy(house: House) -> None:
    async def play() -> None:
        wards = house.open()
        house.connect(wards)
        other = Canaries(house.home.canaries, house.place / "work", house.vault, lambda: 0)
        made = other.add(Kind.TOKEN, "file", "later.txt")
        assert wards.canaries.find(f"x{made.values[0]}") == (made.name,)
        async with asyncio.timeout(20):
            while not house.watched:  # noqa: ASYNC110 - it happens in a thread
                await asyncio.sleep(0)
        assert house.watched[-1][made.name] == made.values[0]
        await wards.close()

    asyncio.run(play())


def test_stopping_everything_kills_cuts_ends_turns_and_is_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from carapax.app import stop_door, stopping

    monkeypatch.setattr(stopping, "ANSWER_MS", 20_000)
    monkeypatch.setattr(stop_door, "LOOP_MS", 10_000)

    async def play() -> None:
        wards = house.open()
        house.connect(wards)
        done = await asyncio.to_thread(stop_everything, house.home.run, lambda folder: 0, 0)
        assert (done.answered, done.turns, done.recorded) == (True, 2, True)
        assert house.walls.order == ["kill None", "cut None"]
        assert house.turns.ended == [None]
        assert [entry.kind for entry in house.ledger.entries] == ["everything.stopped"]
        with pytest.raises(SandboxUnavailable):
            wards.hold.refuse_run(A)
        house.ledger.break_with("full")
        done = await asyncio.to_thread(stop_everything, house.home.run, lambda folder: 0, 0)
        assert (done.turns, done.recorded) == (2, False)
        await asyncio.to_thread(lambda: None)
        await wards.close()

    asyncio.run(play())


def test_a_door_that_cannot_be_made_ends_the_start(house: House) -> None:
    async def play() -> None:
        wards = house.open()
        (house.home.run / "stop.sock").mkdir()
        with pytest.raises(SandboxUnavailable, match="stop --all"):
            house.connect(wards)

    asyncio.run(play())
