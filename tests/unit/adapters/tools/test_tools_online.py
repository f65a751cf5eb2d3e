"""The command with a way out: the way lives exactly as long as the command, and what was refused is told at the end."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from carapax.adapters.tools.online import wire
from carapax.adapters.tools.online.adapter import OnlineTools
from carapax.core.terms.action import Effect, Outcome, Sink
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Lease, Traffic, Way
from carapax.core.terms.error import EgressUnavailable, SandboxUnavailable
from carapax.core.terms.ids import CallId
from carapax.core.terms.tier import Provenance
from carapax.ports.sandbox import Job, Mount, Ran
from tests.fakes.exit import CannedExit, Says
from tests.fakes.sandbox import UnwalledSandbox
from tests.unit.adapters.tools.conftest import sealed

RAN = Ran(exit_code=0, output=b"ok", truncated=False, ended_by="", duration_ms=5)


class CountingExit(CannedExit):
    """It says at the end how much was refused."""

    refused = 0

    async def close_way(self, way: Way) -> Traffic:
        return dataclasses.replace(await super().close_way(way), refused=self.refused)


class Bench:
    def __init__(self, root: Path) -> None:
        self.sandbox = UnwalledSandbox(root)
        self.exit = CountingExit(lambda _: Says(), handles={"git-hub": "x", "pypi": "y"})
        self.reasons: tuple[str, ...] = ()
        self.asked: list[CallId] = []
        self.tool = OnlineTools(self.sandbox, self.exit, self.refusals)

    def refusals(self, call: CallId) -> Sequence[str]:
        self.asked.append(call)
        return self.reasons

    def call(self, command: str) -> AuthorizedCall:
        return sealed(self.tool, "run_online", {"command": command})

    def say(self, command: str) -> str:
        return asyncio.run(self.tool.perform(self.call(command))).text


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_the_manifest_says_is_what_the_rules_need(bench: Bench) -> None:
    (manifest,) = bench.tool.manifests()
    assert (manifest.effect, manifest.online, manifest.contained) == (Effect.CODE, True, False)
    assert (manifest.from_files, manifest.sink, manifest.provenance) == (False, Sink.PUBLIC, Provenance.AGENT)
    assert manifest.reversible
    assert manifest.touches_workspace


def test_a_command_runs_with_its_own_way_that_is_closed_behind_it(bench: Bench, tmp_path: Path) -> None:
    call = bench.call("echo made > new; echo said")
    receipt = asyncio.run(bench.tool.perform(call))
    assert (receipt.outcome, receipt.exit_code, receipt.text) == (Outcome.DONE, 0, "said\n[exit code 0]")
    assert (tmp_path / "new").read_text() == "made\n"
    (job,) = bench.sandbox.jobs
    assert job.way is not None
    assert job.way.call == call.call.call
    assert (job.mount, job.provenance, job.argv[1]) == (Mount.WRITE, Provenance.AGENT, "-c")
    assert (bench.exit.open, bench.exit.closed) == ({}, 1)
    assert bench.asked == [call.call.call]


def test_placeholders_stand_in_variables_and_no_value_does(bench: Bench) -> None:
    bench.say("true")
    (job,) = bench.sandbox.jobs
    names = dict(job.variables)
    assert sorted(names) == ["CARAPAX_SECRET_GIT_HUB", "CARAPAX_SECRET_PYPI"]
    assert all(word.startswith("placeholder-") for word in names.values())


def test_handles_that_would_share_a_name_do_not_take_it_from_each_other() -> None:
    way = Way(CallId("c"), "t", placeholders=(("a.b", "first"), ("a-b", "second")))
    assert wire.render_variables(way) == (("CARAPAX_SECRET_A_B", "first"),)


def test_what_was_refused_is_told_at_the_end(bench: Bench) -> None:
    bench.reasons, bench.exit.refused = ("No line lets it reach evil.example.",), 1
    assert bench.say("echo out; exit 7") == "out\n[exit code 7]\n[refused: No line lets it reach evil.example.]"
    bench.exit.refused = 9
    assert bench.say("true").endswith("evil.example.]\n[9 requests were refused in all]")
    bench.reasons, bench.exit.refused = (), 1
    assert bench.say("true").endswith("[refused: the way out did not let everything through]")


def test_many_reasons_are_cut_and_none_steers_a_terminal() -> None:
    reasons = [f"host {n}\x1b[2J" + "x" * 1_000 for n in range(9)]
    _, text, _ = wire.parse_online(RAN, 1_000, 60_000, reasons, Traffic(refused=30))
    lines = text.split("\n")
    assert len(lines) == 2 + wire.REASONS + 1
    assert all(line.isprintable() and len(line) <= wire.REASON_CHARS + 20 for line in lines)


def test_a_way_that_was_lost_is_said() -> None:
    for traffic, said in ((Traffic(lost=True), True), (Traffic(), False)):
        assert (wire.LOST in wire.parse_online(RAN, 1_000, 60_000, (), traffic)[1].split("\n")) is said


def test_without_a_way_nothing_runs(bench: Bench) -> None:
    bench.exit.gone = True
    with pytest.raises(EgressUnavailable):
        bench.say("true")
    assert bench.sandbox.jobs == []


def test_the_way_is_closed_when_the_sandbox_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(authorized: AuthorizedCall, job: Job) -> Ran:
        raise SandboxUnavailable("A wall does not hold.")

    monkeypatch.setattr(bench.sandbox, "run", fail)
    with pytest.raises(SandboxUnavailable):
        bench.say("true")
    assert (bench.exit.open, bench.exit.closed) == ({}, 1)


def test_the_way_is_closed_when_the_turn_is_cancelled(bench: Bench) -> None:
    async def cancelled() -> None:
        begun = asyncio.Event()
        run = bench.sandbox.run

        async def began(authorized: AuthorizedCall, job: Job) -> Ran:
            begun.set()
            return await run(authorized, job)

        bench.sandbox.run = began  # type: ignore[method-assign]
        task = asyncio.create_task(bench.tool.perform(bench.call("sleep 600")))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert (bench.exit.open, bench.exit.closed) == ({}, 1)


def test_no_lease_is_taken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Lease] = []
    opened = bench.exit.open_way

    async def note(authorized: AuthorizedCall, *, leases: Sequence[Lease] = ()) -> Way:
        taken.extend(leases)
        return await opened(authorized, leases=leases)

    monkeypatch.setattr(bench.exit, "open_way", note)
    bench.say("true")
    assert taken == []


def test_a_call_in_a_few_words() -> None:
    assert wire.summary("run_online", {"command": " pip install x\n"}) == "run online pip install x"
    assert wire.destroys("run_online", {"command": "rm *"}) == 0
