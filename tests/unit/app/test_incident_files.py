"""Incidents on disk: they come back as they were, and a damaged file lets nobody go."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.app.hold import Hold
from carapax.app.incident_files import FORMAT, IncidentFiles
from carapax.core.terms.error import NotFound, StoreUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.incident import HaltedProcess, Incident, IncidentState
from carapax.core.terms.signal import SignalKind
from tests.unit.app.alarm import A, Alarm

ONE = Incident(
    number=3,
    rule="breaker.denials",
    session=A,
    call=None,
    signal=SignalKind.DENIED,
    detail="network.none",
    count=21,
    limit=20,
    sentence="21 refusals within a minute; 20 is the most.",
    how="",
    opened_ms=5,
    state=IncidentState.FROZEN,
    processes=(HaltedProcess(2, 1, ("sh", "-c"), ("/workspace/x",)),),
)
TEXT = st.text(max_size=30)
INCIDENTS = st.builds(
    Incident,
    number=st.just(1),
    rule=TEXT,
    session=st.none() | TEXT.map(SessionId),
    call=st.none() | TEXT.map(CallId),
    signal=st.sampled_from(list(SignalKind)),
    detail=TEXT,
    count=st.integers(0, 10**15),
    limit=st.integers(0, 10**15),
    sentence=TEXT,
    how=TEXT,
    opened_ms=st.integers(0, 10**15),
    state=st.sampled_from(list(IncidentState)),
    halted=st.lists(TEXT.map(CallId), max_size=3).map(tuple),
    to_frozen_us=st.integers(0, 10**9),
    to_told_ms=st.integers(-1, 10**9),
    entry=st.integers(-1, 10**9),
    problems=st.lists(TEXT, max_size=3).map(tuple),
    notes=st.lists(TEXT, max_size=3).map(tuple),
    decided_by=TEXT,
    decided_ms=st.integers(0, 10**15),
    processes=st.lists(
        st.builds(
            HaltedProcess, st.integers(0, 9), st.integers(0, 9), st.lists(TEXT).map(tuple), st.lists(TEXT).map(tuple)
        ),
        max_size=2,
    ).map(tuple),
)


@given(incident=INCIDENTS)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, incident: Incident) -> None:
    files = IncidentFiles(tmp_path_factory.mktemp("i"))
    files.write(incident)
    assert files.read(1) == incident


def test_they_are_their_owners_alone_and_no_half_file_is_left(tmp_path: Path) -> None:
    files = IncidentFiles(tmp_path / "incidents")
    files.write(ONE)
    files.write(replace(ONE, state=IncidentState.KEPT))
    assert stat.S_IMODE((tmp_path / "incidents").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "incidents" / "3.json").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "incidents") == ["3.json"]
    assert json.loads((tmp_path / "incidents" / "3.json").read_text())["format"] == FORMAT
    assert files.read(3).state is IncidentState.KEPT


def test_none_are_no_error_and_an_unknown_number_is(tmp_path: Path) -> None:
    files = IncidentFiles(tmp_path / "none")
    assert (files.numbers(), files.all()) == ((), ())
    with pytest.raises(NotFound):
        files.read(1)


def test_other_names_are_not_incidents(tmp_path: Path) -> None:
    for name in ("x.json", "1.txt", "-1.json", "²․json", "٣.json", "2.json.new"):
        (tmp_path / name).write_text("{}")
    assert IncidentFiles(tmp_path).numbers() == ()


DAMAGE = [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": "carapax-incident/1"}', b'{"format": "other/1", "number": 3}',
    b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGE, ids=range(len(DAMAGE)))
def test_a_damaged_file_halts_everybody_until_a_person_decides(tmp_path: Path, content: bytes) -> None:
    files = IncidentFiles(tmp_path)
    files.write(ONE)
    (tmp_path / "3.json").write_bytes(content)
    found = files.read(3)
    assert (found.session, found.state, found.holds) == (None, IncidentState.OPEN, True)
    assert "cannot be read" in found.sentence


@pytest.mark.parametrize(
    "change",
    [
        {"state": "free"},
        {"number": 4},
        {"session": None, "state": None},
        {"halted": 5},
        {"count": "many"},
        {"processes": [1]},
    ],
)
def test_a_file_that_says_something_else_is_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    files = IncidentFiles(tmp_path)
    files.write(ONE)
    told = json.loads((tmp_path / "3.json").read_text())
    (tmp_path / "3.json").write_text(json.dumps(told | change))
    assert files.read(3).rule == "breaker.damaged"


def test_a_link_in_its_place_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "3.new").symlink_to(victim)
    with pytest.raises(StoreUnavailable):
        IncidentFiles(tmp_path).write(ONE)
    assert victim.read_text() == "precious"


def test_what_cannot_be_looked_at_counts_as_stopped(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert Hold(tmp_path / "file" / "stopped").stopped  # ENOTDIR is not "it is not there"
    assert not Hold(tmp_path / "stopped").stopped
    (tmp_path / "stopped").symlink_to("nowhere")
    assert Hold(tmp_path / "stopped").stopped


def test_alarm_uses_real_files(tmp_path: Path) -> None:
    import asyncio

    async def play() -> None:
        alarm = Alarm(tmp_path)
        alarm.use_canary()
        await alarm.settled()

    asyncio.run(play())
    assert IncidentFiles(tmp_path / "incidents").read(1).entry == 0
