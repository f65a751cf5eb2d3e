"""A stage for the command line: the real HTTP surface over the fake gateway, and a machine that is a fake.

`python -m tests.unit.surfaces.cli.stage HOME SCRIPT ARGS…` runs the command line on it, for tests with a terminal.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from carapax.core.terms.action import Outcome
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import LedgerCorrupt, NotFound
from carapax.core.terms.event import Question, StepDone, StepJudged
from carapax.core.terms.ids import CallId, EntryIndex
from carapax.core.terms.limit import Budget, Budgets, Span
from carapax.surfaces.api.build import build_api
from carapax.surfaces.api.server import listen, run_server
from carapax.surfaces.api.settings import ApiSettings
from carapax.surfaces.cli.banner import Banner
from carapax.surfaces.cli.local import ModelChoice, Saved, Served, ServeOptions, Started
from carapax.surfaces.cli.run import run
from tests.fakes.gateway import Ask, FakeGateway, Hold, Stop


class Stage:
    """A gateway that serves in a thread, and the files by which it is found."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.fake = FakeGateway()
        self.url = ""
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> Stage:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    async def _serve(self) -> None:
        bound = listen("127.0.0.1", 0)
        port = bound.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._stopping = asyncio.Event()
        stopper = asyncio.create_task(self._when_asked())
        run_dir = self.home / "run"
        run_dir.mkdir(parents=True, exist_ok=True)
        (run_dir / "cli.token").write_text(self.fake.mint())
        facts = {"url": self.url, "pid": os.getpid(), "started_ms": 0, "version": "0.1.0"}
        (run_dir / "gateway.json").write_text(json.dumps(facts))
        app = build_api(self.fake, ApiSettings(port=port), self.fake.clock)
        await run_server(
            app, "127.0.0.1", port, stopping=self._stopping, bound=bound, on_ready=lambda _: self._ready.set()
        )
        await stopper

    async def _when_asked(self) -> None:
        assert self._stopping is not None
        await asyncio.to_thread(self.fake.stopped.wait, 60)
        self._stopping.set()

    def close(self) -> None:
        self.fake.stopped.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def staged(home: Path) -> Iterator[Stage]:
    stage = Stage(home).start()
    try:
        yield stage
    finally:
        stage.close()


class FakeLocal:
    """The machine. What was asked of it is in `calls`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.calls: list[tuple[Any, ...]] = []
        self.stage: Stage | None = None
        self.script: Callable[[FakeGateway], None] = lambda fake: None
        self.fails_to_start = ""
        self.checks: Sequence[Check] = (Check("sandbox", Standing.OK, "31 of 31 refused"),)
        self.models = [
            ModelChoice("embedded", "Qwen2.5-Coder 1.5B, on this machine", "qwen"),
            ModelChoice("openai", "OpenAI", "default", needs_key=True),
            ModelChoice("compatible", "any OpenAI-compatible address", "", needs_url=True),
        ]
        self.corrupt: int | None = None
        self.live = True

    def home(self) -> Path:
        return self._home

    def start_gateway(self) -> Started:
        self.calls.append(("start_gateway",))
        if self.fails_to_start:
            return Started(1, lambda: self.fails_to_start)
        self.stage = Stage(self._home)
        self.script(self.stage.fake)
        self.stage.start()
        return Started(os.getpid(), lambda: "")

    def serve(self, options: ServeOptions, banner: Banner, on_ready: Callable[[Served], None]) -> int:
        self.calls.append(("serve", options))
        banner.begin("0.1.0", first=True)
        banner.checks("system", [Check("bubblewrap", Standing.OK, "bubblewrap 0.8")])
        banner.fact("model", "embedded")
        with staged(self._home) as stage:
            self.script(stage.fake)
            on_ready(Served(stage.url, "QX4-7RM"))
        return 0

    def doctor(self) -> Sequence[Check]:
        return self.checks

    def ledger_show(self, first: int | None, limit: int, newest: bool) -> Sequence[Mapping[str, Any]]:
        self.calls.append(("ledger_show", first, limit, newest))
        return [{"index": 12, "time_ms": 1_800_000_000_000, "kind": "call", "body": {"tool": "write", "n": "\x1b[2J"}}]

    def ledger_verify(self, kept_checkpoint: str | None) -> Mapping[str, Any]:
        self.calls.append(("ledger_verify", kept_checkpoint))
        if self.corrupt is not None:
            raise LedgerCorrupt(f"entry {self.corrupt} does not verify", first_bad=self.corrupt)
        return {"entries": 12408, "root": "9f3c" * 16, "duration_ms": 310}

    def ledger_prove(self, index: int) -> Mapping[str, Any]:
        if index != 14:
            raise NotFound(f"there is no entry {index}")
        return {"index": index, "hashes": ["aa"]}

    def ledger_export(self) -> Iterator[bytes]:
        yield b"one\n"
        yield b"two\xff\n"

    def policy_check(self) -> Sequence[Check]:
        return [Check("policy", Standing.OK, "home.yaml, signed")]

    def policy_explain(self, tool: str, arguments_json: str) -> Mapping[str, Any]:
        self.calls.append(("policy_explain", tool, arguments_json))
        return {"answer": "deny", "rule": "network.none", "reason": "the network is closed"}

    def policy_reset(self) -> str:
        self.calls.append(("policy_reset",))
        return "policy/home.yaml"

    def policy_sign(self) -> str:
        self.calls.append(("policy_sign",))
        return "policy/home.yaml"

    def model_choices(self) -> Sequence[ModelChoice]:
        return self.models

    def set_model(self, name: str, *, model: str, url: str, key: str | None) -> Saved:
        self.calls.append(("set_model", name, model, url, key))
        self.models = [replace(m, current=m.name == name) for m in self.models]
        return Saved(self.live)

    def budgets(self) -> Budgets:
        return Budgets(Budget(tokens=100_000), Budget(), Budget(tokens=200_000, usd_micro=2_500_000))

    def set_budget(self, span: Span, budget: Budget) -> Saved:
        self.calls.append(("set_budget", span, budget))
        return Saved(self.live)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str
    raw: bytes


def call(local: Any, *argv: str, stdin: bytes = b"", encoding: str = "utf-8") -> Ran:
    """Run the command line in this process, without a terminal."""
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(out, encoding=encoding, write_through=True)
    sys.stderr = io.TextIOWrapper(err, encoding=encoding, write_through=True)
    try:
        code = run(list(argv), local)
        return Ran(code, out.getvalue().decode(encoding, "replace"), err.getvalue().decode(encoding), out.getvalue())
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def judged(summary: str, entry: int, answer: str = "allow", tool: str = "write", call: str = "c1") -> StepJudged:
    return StepJudged(CallId(call), tool, summary, answer, "files.write", "because", EntryIndex(entry))


def done(
    summary: str,
    entry: int,
    *,
    tool: str = "write",
    detail: str = "",
    outcome: Outcome = Outcome.DONE,
    call: str = "c1",
) -> StepDone:
    return StepDone(CallId(call), tool, summary, outcome.value, detail, 38, EntryIndex(entry))


def _hello(fake: FakeGateway) -> None:
    fake.script(
        judged("write hello.py (15 B)", 12), done("write hello.py (15 B)", 13),
        judged("shell python3 hello.py", 14, tool="shell", call="c2"),
        done("shell python3 hello.py", 15, tool="shell", detail="hello", call="c2"),
        "hello.py is written ", "and prints hello.",
    )  # fmt: skip


def _asking(fake: FakeGateway) -> None:
    fake.script("Looking. ", Ask(), "Deleted.")


def _held(fake: FakeGateway) -> None:
    fake.script("Working. ", Hold(), "Never said.")


SCRIPTS: dict[str, Callable[[FakeGateway], None]] = {
    "echo": lambda fake: None,
    "hello": _hello,
    "ask": _asking,
    "asktwice": lambda fake: (_asking(fake), fake.script(Ask(code="Q2X9"), "Also."))[0],
    "expire": lambda fake: fake.script(Ask(lives_ms=400), "Not reached."),
    "hold": _held,
    "question": lambda fake: fake.script(Question("Which file?")),
    "attack": lambda fake: fake.script(
        judged("write \x1b]0;owned\x07x", 1),
        done("write \x1b]0;owned\x07x\n  ✓ pay", 2, detail="\x1b[2J\u202egnp.exe"),
        "\x1b]0;own",
        "ed\x07 \x1b[1A\x9b2J \u202eabc\u2066 \U000e0041 ok",
    ),
    "stop": lambda fake: fake.script(Stop()),
}


def main() -> int:
    home, script, *argv = sys.argv[1:]
    local = FakeLocal(Path(home))
    local.script = SCRIPTS[script]
    code = run(argv, local)
    if local.stage is not None:
        ended = local.stage.fake.stopped.is_set()
        local.stage.close()
        sys.stdout.write("gateway ended\n" if ended else "gateway kept\n")
    sys.stdout.write(f"exit {code}\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
