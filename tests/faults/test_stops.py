"""Stops and shortages: SIGTERM in the middle of a turn, a full disk, a clock that jumps, two gateways on one home."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

from carapax.adapters.ledger.reader import verify_ledger
from carapax.app.compose import compose
from carapax.app.home import Home
from carapax.app.keys import ledger_public_key
from carapax.app.settings import Settings
from carapax.core.terms.conversation import Inbound, TurnState
from carapax.core.terms.event import TurnEnded
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role, Scope
from tests.fakes.model_server import ModelServer, Says, Silence
from tests.fakes.provider import ScriptedProvider, says, wishes
from tests.journeys.gate import running

ME = Principal(OWNER, Role.OWNER, frozenset(Scope), "test")


def test_sigterm_in_the_middle_of_a_command_leaves_the_turn_to_the_next_start(tmp_path: Path) -> None:
    command = Says((), [("1", "run_command", json.dumps({"command": "echo begun > begun; sleep 50; echo > never"}))])
    with ModelServer(command, Says(("It was cut off.",))) as model, running(tmp_path, model.openai_url) as gate:
        stream = gate.events("go", conversation="c")
        started = next(stream)
        waiting = threading.Event()
        for _ in range(500):
            if (gate.workspace / "begun").exists():
                break
            waiting.wait(0.02)
        assert gate.stop() == 0
        assert not (gate.workspace / "never").exists()
        gate.start()
        for _ in range(500):
            code, turn = gate.request("GET", f"/api/turns/{started['turn']}")
            if turn["state"] == "done":
                break
            waiting.wait(0.02)
        assert (code, turn["state"]) == (200, "done")
        assert turn["reply"].startswith("It was cut off.")
        assert len(model.requests) == 2, "the command was not repeated"
        assert gate.command("undo").returncode == 0
        assert not (gate.workspace / "begun").exists()
        assert json.loads(gate.command("ledger", "verify", "--json").stdout)["verified"] is True


def test_sigterm_while_the_model_is_silent_ends_at_once(tmp_path: Path) -> None:
    with ModelServer(Silence()) as model, running(tmp_path, model.openai_url) as gate:
        stream = gate.events("go")
        next(stream)
        assert gate.stop() == 0


def test_a_second_gateway_on_the_same_home_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "http://127.0.0.1:9/v1") as gate:
        second = gate.command("serve")
        assert second.returncode == 1
        assert "Traceback" not in second.stderr + second.stdout
        assert gate.request("GET", "/healthz")[0] == 200


FULL_DISK = """
import asyncio, os, sys
from pathlib import Path
from tests.faults.test_stops import on_a_full_disk
asyncio.run(on_a_full_disk(Path(sys.argv[1])))
"""


def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    script = f'mount -t tmpfs -o size=4m tmpfs "{tmp_path}" && exec "{sys.executable}" -c "$SCRIPT" "{tmp_path}"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        cwd=root,
        env={"SCRIPT": FULL_DISK, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def on_a_full_disk(place: Path) -> None:
    """Fill the disk between two turns: the second is refused, and after making room all goes on."""
    home = Home(place / "home")
    provider = ScriptedProvider(says("one"), says("two"), says("three"))
    running = await compose(
        home, Settings(workspace=str(place / "work")), {}, ask_stop=lambda: None, provider=lambda: provider
    )
    assert (await _turn(running.gateway))[1] == "one"
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    refused = 0
    for _ in range(3):
        state, text = await _turn(running.gateway)
        refused += state != "done"
        assert "Traceback" not in text
    assert refused >= 1
    ballast.unlink()
    state, _ = await _turn(running.gateway)
    assert state == "done", state
    await running.close()
    verify_ledger(home.ledger, ledger_public_key(home))


async def _turn(gateway: object) -> tuple[str, str]:
    from carapax.core.terms.error import CarapaxError

    try:
        events = [e async for e in await gateway.submit(ME, Inbound("hi", "test", conversation="c"))]  # type: ignore[attr-defined]
    except CarapaxError as error:
        assert error.what
        assert error.next_step
        return "refused", error.what
    last = events[-1]
    assert isinstance(last, TurnEnded)
    return last.state.value, last.reply


class JumpingClock:
    """Wall time that jumps by hours at every look; monotonic time that does not."""

    def __init__(self) -> None:
        self._looks = 0
        self._ms = 0

    def now_ms(self) -> int:
        self._looks += 1
        hours = (7, -3, 0, 26, -40)[self._looks % 5]
        return 1_800_000_000_000 + hours * 3_600_000

    def monotonic_ms(self) -> int:
        self._ms += 1
        return self._ms


def test_a_clock_that_jumps_costs_no_turn_and_no_proof(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")

    async def play() -> list[TurnState]:
        provider = ScriptedProvider(wishes(("show_time", "{}")), says("ok"), says("again"))
        running = await compose(
            home,
            Settings(workspace=str(tmp_path / "work")),
            {},
            ask_stop=lambda: None,
            clock=JumpingClock(),
            provider=lambda: provider,
        )
        states = []
        for _ in range(2):
            async for event in await running.gateway.submit(ME, Inbound("hi", "test", conversation="c")):
                last = event
            states.append(last.state)  # type: ignore[union-attr]
        await running.close()
        return states

    assert asyncio.run(play()) == [TurnState.DONE, TurnState.DONE]
    assert verify_ledger(home.ledger, ledger_public_key(home)).size > 4
