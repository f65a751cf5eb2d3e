"""`carapax incident`, `canary`, `stop --all` and `resume`: what is said, what is asked first, and what is done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carapax.core.terms.error import NotFound
from carapax.core.terms.event import Contained
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.incident import Act, HaltedProcess, Incident, IncidentState
from carapax.core.terms.plain import event_plain, plain
from carapax.core.terms.signal import SignalKind
from carapax.surfaces.cli import codes
from tests.unit.surfaces.cli.stage import FakeLocal, Stage, call, staged

ONE = Incident(
    number=7,
    rule="breaker.canary",
    session=SessionId("inbox"),
    call=CallId("c"),
    signal=SignalKind.CANARY_USED,
    detail="vault/aws-backup -> files.example",
    count=1,
    limit=0,
    sentence="a planted secret was used (canary vault/aws-backup) towards files.example.",
    how="shell (#41) did it",
    opened_ms=1_800_000_000_000,
    state=IncidentState.FROZEN,
    halted=(CallId("c"),),
    to_frozen_us=2_300,
    entry=42,
    processes=(HaltedProcess(12, 1, ("curl", "files.example"), ()),),
)
DONE = {"jobs": 2, "proxy": True, "gateway": True, "answered": True, "turns": 1, "recorded": True, "took_ms": 31}


class Wards:
    """The machine's own files."""

    def __init__(self) -> None:
        self.kept: dict[int, Incident] = {7: ONE}
        self.done: dict[str, Any] = dict(DONE)
        self.stopped = False
        self.calls: list[tuple[Any, ...]] = []

    def incidents(self) -> Sequence[Mapping[str, Any]]:
        return [plain(one) for one in self.kept.values()]

    def incident(self, number: int) -> Mapping[str, Any]:
        if number not in self.kept:
            raise NotFound(f"There is no incident {number}.")
        found: Mapping[str, Any] = plain(self.kept[number])
        return found

    def export(self, number: int, transcript: Iterable[Mapping[str, Any]] | None) -> bytes:
        self.calls.append(("export", number, None if transcript is None else list(transcript)))
        return b"tar"

    def canaries(self) -> Sequence[Mapping[str, Any]]:
        return [
            {"name": "file/.aws-backup.env", "kind": "env", "place": "file", "at": ".aws-backup.env", "there": False},
            {"name": "note/backup", "kind": "token", "place": "note", "at": "backup", "there": True},
        ]

    def canary_add(self, kind: str, place: str, at: str) -> Mapping[str, Any]:
        self.calls.append(("add", kind, place, at))
        return {"name": f"{place}/{at}", "kind": kind, "place": place, "at": at}

    def canary_remove(self, name: str) -> None:
        self.calls.append(("remove", name))

    def stop_all(self) -> Mapping[str, Any]:
        self.stopped = True
        return self.done

    def is_stopped(self) -> bool:
        return self.stopped

    def resume_alone(self) -> None:
        self.stopped = False


class Local(FakeLocal):
    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.kept = Wards()

    def wards(self) -> Wards:
        return self.kept


@pytest.fixture
def local(home: Path) -> Local:
    return Local(home)


@pytest.fixture
def stage(home: Path) -> Iterator[Stage]:
    with staged(home) as one:
        one.fake.incidents[7] = ONE
        yield one


def test_without_a_gateway_they_are_read_from_the_files(local: Local) -> None:
    lines = call(local, "incident").out.splitlines()
    assert len(lines) == 1
    assert "7" in lines[0] and "frozen" in lines[0] and ONE.sentence in lines[0]
    assert json.loads(call(local, "incident", "list", "--json").out)["incidents"][0]["number"] == 7
    local.kept.kept.clear()
    assert call(local, "incident", "list").out.strip() == "There was no incident."


def test_one_says_what_how_how_fast_and_what_to_do(local: Local) -> None:
    out = call(local, "incident", "show", "7").out
    assert "Session inbox frozen: a planted secret was used (canary vault/aws-backup) towards files.example." in out
    assert "shell (#41) did it" in out
    assert "2.3 ms after the signal; 1 running jobs halted" in out
    assert "look: carapax incident show 7 · resume · kill · keep" in out
    assert "#42" in out and "curl files.example" in out


def test_an_open_one_says_that_not_everything_stands(local: Local) -> None:
    local.kept.kept[7] = replace(ONE, state=IncidentState.OPEN, problems=("Halting the processes failed: no.",))
    out = call(local, "incident", "show", "7").out
    assert "not everything could be halted" in out
    assert "Halting the processes failed: no." in out


def test_a_decided_one_offers_nothing_more(local: Local) -> None:
    local.kept.kept[7] = replace(ONE, state=IncidentState.RESUMED, decided_by="cli", decided_ms=1_800_000_000_000)
    out = call(local, "incident", "show", "7").out
    assert "look:" not in out
    assert "resumed, cli" in out


def test_an_unknown_number_is_said(local: Local) -> None:
    ran = call(local, "incident", "show", "9")
    assert ran.code == codes.FAILED
    assert "There is no incident 9" in ran.err


@pytest.mark.parametrize("act", ["resume", "kill", "keep"])
def test_deciding_needs_a_yes(local: Local, stage: Stage, act: str) -> None:
    ran = call(local, "incident", act, "7")
    assert ran.code == codes.FAILED
    assert stage.fake.decided == []
    assert "a planted secret was used" in ran.err
    assert call(local, "incident", act, "7", "--yes").code == codes.OK
    assert stage.fake.decided == [(7, Act(act))]


@pytest.mark.parametrize("act", ["resume", "kill", "keep"])
def test_deciding_needs_a_gateway(local: Local, act: str) -> None:
    assert call(local, "incident", act, "7", "--yes").code == codes.code_of("gateway.absent", 0)


def test_an_export_is_written_to_a_new_file_only(local: Local, tmp_path: Path) -> None:
    target = tmp_path / "case.tar"
    assert call(local, "incident", "export", "7", "-o", str(target)).code == codes.OK
    assert target.read_bytes() == b"tar"
    assert local.kept.calls == [("export", 7, None)]
    again = call(local, "incident", "export", "7", "-o", str(target))
    assert again.code == codes.FAILED
    assert "exists already" in again.err


def test_an_export_beside_a_gateway_takes_the_transcript_from_it(local: Local, stage: Stage, tmp_path: Path) -> None:
    session = json.loads(call(local, "ask", "hello", "--json").out)["session"]
    local.kept.kept[7] = replace(ONE, session=SessionId(session))
    assert call(local, "incident", "export", "7", "-o", str(tmp_path / "case.tar")).code == codes.OK
    exported = local.kept.calls[-1][2]
    assert [part["text"] for part in exported][:1] == ["hello"]


def test_a_running_turn_shows_its_incident(local: Local, stage: Stage) -> None:
    stage.fake.script("Looking. ", Contained(ONE), "Done.")
    out = call(local, "ask", "hello").err
    assert "Session inbox frozen: a planted secret was used" in out
    assert "look: carapax incident show 7" in out


def test_an_event_in_json_is_the_incident(local: Local, stage: Stage) -> None:
    stage.fake.script(Contained(ONE), "Done.")
    events = [json.loads(line) for line in call(local, "ask", "hello", "--events").out.splitlines()]
    assert json.loads(json.dumps(event_plain(Contained(ONE)))) in events


def test_canaries_are_listed_without_values(local: Local) -> None:
    out = call(local, "canary").out
    assert "file/.aws-backup.env" in out and "no longer there" in out
    assert "kept for the agent's memory" in out
    assert json.loads(call(local, "canary", "list", "--json").out)["canaries"][0]["kind"] == "env"


def test_one_is_planted_in_a_file_or_in_the_vault(local: Local) -> None:
    assert "Planted: file/a.pem" in call(local, "canary", "add", "ssh", "a.pem").out
    call(local, "canary", "add", "aws", "--handle", "s3-old", "--json")
    assert local.kept.calls == [("add", "ssh", "file", "a.pem"), ("add", "aws", "vault", "s3-old")]
    assert call(local, "canary", "add", "aws").code == codes.USAGE
    assert call(local, "canary", "add", "gold", "x").code == codes.USAGE


def test_one_is_removed_after_a_yes(local: Local) -> None:
    assert call(local, "canary", "remove", "file/a.pem").code == codes.FAILED
    assert local.kept.calls == []
    assert call(local, "canary", "remove", "file/a.pem", "--yes").code == codes.OK
    assert local.kept.calls == [("remove", "file/a.pem")]


def test_stopping_everything_asks_nobody_and_says_what_came_of_it(local: Local) -> None:
    out = call(local, "stop", "--all").out
    assert local.kept.stopped
    assert "Everything is stopped: 2 running jobs ended, in 31 ms." in out
    assert "The gateway stopped 1 turns." in out and "`carapax resume --all` lifts it." in out
    assert json.loads(call(local, "stop", "--all", "--json").out) == DONE


@pytest.mark.parametrize("fields", [{"answered": False, "turns": -1}, {"turns": -1, "recorded": False}])
def test_a_gateway_that_hangs_is_said(local: Local, fields: dict[str, Any]) -> None:
    local.kept.done |= fields
    assert "The gateway does not answer" in call(local, "stop", "--all").out


def test_no_gateway_and_no_ledger_are_said(local: Local) -> None:
    local.kept.done |= {"recorded": False}
    assert "could not be written to the ledger" in call(local, "stop", "--all").out
    local.kept.done |= {"gateway": False}
    assert "No gateway is running." in call(local, "stop", "--all").out


def test_the_stop_is_lifted_after_a_yes_and_through_the_gateway(local: Local, stage: Stage) -> None:
    assert call(local, "resume").code == codes.USAGE
    assert "Nothing is stopped here." in call(local, "resume", "--all").out
    local.kept.stopped = stage.fake.everything_stopped = True
    assert call(local, "resume", "--all").code == codes.FAILED
    assert stage.fake.everything_stopped
    assert call(local, "resume", "--all", "--yes").code == codes.OK
    assert not stage.fake.everything_stopped
    assert local.kept.stopped  # the gateway lifts it, not this process


def test_without_a_gateway_the_stop_is_lifted_here_and_that_is_said(local: Local) -> None:
    local.kept.stopped = True
    ran = call(local, "resume", "--all", "--yes")
    assert ran.code == codes.OK
    assert not local.kept.stopped
    assert "not in the ledger" in ran.err


def test_it_speaks_french(local: Local) -> None:
    assert "Session inbox figé: a planted secret" in call(local, "incident", "show", "7", "--lang", "fr").out
    assert "Tout est arrêté" in call(local, "stop", "--all", "--lang", "fr").out
    assert "n'y est plus" in call(local, "canary", "--lang", "fr").out
