"""`carapax stop --all` while the gateway itself is stuck: a download and a command end, the proxy too, and all comes back."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.web_server import Got, Reply
from tests.journeys.online import CURL, Online, Turn, gone, online, processes_with, wait_for, within
from tests.journeys.test_first_turns import do

STALLED = b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n" + b"x" * 200_000


def answer(got: Got) -> Reply:
    return Reply(raw=STALLED) if got.path.startswith("/stall") else Reply(b"ok")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Online]:
    with online(tmp_path, answer) as scene:
        yield scene


def test_everything_is_dead_when_the_command_reports_although_the_gateway_is_stuck(
    scene: Online, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = f"/stall-{os.getpid()}-{time.monotonic_ns()}"
    command = f"(while :; do sleep 0.05; done; : {mark}) & {CURL} {scene.url}{mark} -o got"
    busy = scene.begin(command, conversation="a")
    wait_for(lambda: scene.arrived(mark) == 1)
    # One command changes the workspace at a time: this one waits, and must never begin.
    waiting = scene.begin("touch never", tool="run_command", conversation="b")
    wait_for(lambda: any(b"touch never" in seen.body for seen in scene.model.requests))
    page = Turn(scene.gate, do("web_fetch", url=f"{scene.url}/stall-page"), conversation="c")
    wait_for(lambda: scene.arrived("/stall-page") == 1)
    inside = processes_with(mark)
    assert len(inside) >= 2 and len(scene.jobs()) == 1
    proxy = scene.proxy()
    running = [os.pidfd_open(pid) for pid in (proxy, *inside)]
    os.kill(scene.gate.pid, signal.SIGSTOP)
    began = time.monotonic()
    stopped = scene.gate.command("stop", "--all", "--json")
    took = within(began)
    # before the gateway can do anything: it is still stuck
    assert all([gone(one) for one in running])
    assert processes_with(mark) == []
    assert stopped.returncode == 0, stopped.stderr
    done = json.loads(stopped.stdout)
    assert done["jobs"] >= 1
    assert done["proxy"] is True
    assert (done["answered"], done["recorded"]) == (False, False)
    with capsys.disabled():
        print(f"\n[stop --all with a stuck gateway: {done['took_ms']} ms inside, {took} with its start]")
    # it comes back and finds itself stopped
    os.kill(scene.gate.pid, signal.SIGCONT)
    for turn in (busy, waiting, page):
        wait_for(lambda turn=turn: turn.found and turn.found[-1]["event"] == "TurnEnded")  # type: ignore[misc]
    assert scene.gate.request("POST", "/api/turns", {"text": "hello"})[0] == 409
    wait_for(lambda: scene.entries("everything.stopped"))
    assert scene.proxy() == 0 and scene.jobs() == []
    assert not (scene.gate.workspace / "never").exists()
    assert scene.gate.command("resume", "--all", "--yes").returncode == 0
    assert "ok" in scene.run(f"{CURL} {scene.url}/again")
    assert scene.proxy() not in (0, proxy)
    assert json.loads(scene.gate.command("ledger", "verify", "--json").stdout)["verified"] is True
