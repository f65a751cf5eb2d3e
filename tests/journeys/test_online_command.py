"""A command with a way out, through all real parts: sealed call, gate, proxy process, walls; a server on loopback is the net."""

from __future__ import annotations

import asyncio
import dataclasses
import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path

from carapax.adapters.sandbox.bwrap.adapter import BwrapSandbox
from carapax.adapters.tools.online.adapter import OnlineTools
from carapax.app.gate import EgressGate
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.terms.action import ArgRole, Argument, Origin, Receipt
from carapax.core.terms.authority import AuthorizedCall, authority_bytes
from carapax.core.terms.egress import Binding
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label
from carapax.core.terms.signal import Signal, SignalKind
from tests.attacks.sealing import KEY, WallClock, mint
from tests.fakes.egress_room import SECRET, Room
from tests.fakes.ledger import MemoryLedger
from tests.fakes.web_server import Got, Reply, WebServer
from tests.unit.core.questions import lines_policy

CURL = "curl -sS --max-time 20 -o /dev/null -w '%{http_code}\\n'"
LINES = """\
egress:
  here: {{hosts: [allowed.example, bound.example], ports: [{port}], methods: [GET], paths: [/open], addresses: [127.0.0.0/8], answer: allow}}
  inward: {{hosts: [other.example], ports: [{port}], answer: allow}}
"""


class Scene:
    """What surrounds one command."""

    def __init__(self, room: Room, gate: EgressGate, folder: Path, ledger: MemoryLedger, signals: list[Signal]) -> None:
        self.room, self.ledger, self.signals = room, ledger, signals
        (folder / "work").mkdir()
        self.sandbox = BwrapSandbox(folder / "work", KEY, WallClock(), attach=room.keeper.attach)
        self.tool = OnlineTools(self.sandbox, room.keeper, gate.refusals)

    async def run(self, command: str) -> Receipt:
        return await self.tool.perform(self.sealed(command))

    def sealed(self, command: str) -> AuthorizedCall:
        (manifest,) = self.tool.manifests()
        made = mint(manifest=manifest)
        label = Label(Integrity.USER, OWNER_ONLY)
        argument = Argument("command", ArgRole.COMMAND, command, Origin.OWNER_WORDS, label)
        call = dataclasses.replace(made.call, arguments=(argument,))
        mac = hmac.digest(KEY, authority_bytes(call, made.entry, made.policy, made.deadline_ms), "sha256")
        return dataclasses.replace(made, call=call, mac=mac)

    def entries(self, kind: str = "egress") -> list[tuple[str, str, str]]:
        return [(e.body["host"], e.body["method"], e.body["rule"]) for e in self.ledger.entries if e.kind == kind]


def play(
    folder: Path, work: Callable[[Scene], Awaitable[None]], answer: Callable[[Got], Reply] = lambda _: Reply()
) -> None:
    async def run() -> None:
        with WebServer(answer) as server:
            policy: Policy = parse_policy(lines_policy("read: allow\n", more=LINES.format(port=server.port)))
            ledger, signals = MemoryLedger(), list[Signal]()
            gate = EgressGate(policy=lambda: policy, key=KEY, clock=WallClock(), ledger=ledger, saw=signals.append)
            bound = Binding("service", "bound.example", server.port, methods=("GET",), path="/open")
            async with Room(folder, server, gate=gate, bindings=[bound]) as room:  # type: ignore[arg-type]
                scene = Scene(room, gate, folder, ledger, signals)
                try:
                    await work(scene)
                finally:
                    scene.sandbox.close()

    asyncio.run(run())


def test_what_a_line_allows_gets_out_and_the_rest_is_refused_recorded_and_told(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        port = scene.room.server.port
        receipt = await scene.run(
            f"{CURL} https://allowed.example:{port}/open/a; {CURL} https://allowed.example:{port}/shut;"
            f"{CURL} -d x https://allowed.example:{port}/open/a; {CURL} https://denied.example:{port}/open"
        )
        assert receipt.text.splitlines()[:3] == ["200", "403", "403"], receipt.text
        assert f"[refused: The policy lets run_online reach only some paths of allowed.example:{port}" in receipt.text
        assert "with GET only, not with POST" in receipt.text
        assert f"`carapax egress allow denied.example:{port}`" in receipt.text
        assert [(got.method, got.path) for got in scene.room.server.requests] == [("GET", "/open/a")]
        assert scene.room.network().count("look-up denied.example") == 0
        assert scene.entries() == [
            ("allowed.example", "GET", "egress.here"), ("allowed.example", "GET", "egress.none"),
            ("allowed.example", "POST", "egress.none"), ("denied.example", "CONNECT", "egress.none"),
        ]  # fmt: skip
        assert [signal.kind for signal in scene.signals].count(SignalKind.DENIED) == 3
        (closed,) = [entry.body for entry in scene.ledger.entries if entry.kind == "egress.closed"]
        assert [kind["count"] for kind in closed["allowed"]] == [1]

    play(tmp_path, work)


def test_a_name_that_leads_inwards_is_refused_although_a_line_allows_it(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        receipt = await scene.run(f"{CURL} https://other.example:{scene.room.server.port}/")
        assert receipt.text.splitlines()[0] == "403", receipt.text
        assert scene.room.server.requests == []
        assert [entry.kind for entry in scene.ledger.entries] == ["egress", "egress.seen", "egress.closed"]

    play(tmp_path, work)


def test_a_secret_is_used_by_a_placeholder_and_never_seen_inside(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        port = scene.room.server.port
        receipt = await scene.run(
            f'env; curl -sS --max-time 20 -H "authorization: Bearer $CARAPAX_SECRET_SERVICE" https://bound.example:{port}/open'
        )
        (got,) = scene.room.server.requests
        assert got.header("authorization") == f"Bearer {SECRET}"
        assert SECRET not in receipt.text
        assert "CARAPAX_SECRET_SERVICE=placeholder-" in receipt.text
        used = [entry.body["secrets"] for entry in scene.ledger.entries if entry.kind == "egress"]
        assert used == [["service"]]

    play(tmp_path, work, lambda got: Reply(got.raw))


def test_without_a_ledger_nothing_gets_out(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        port = scene.room.server.port
        scene.ledger.break_with("The disk is full.")
        receipt = await scene.run(f"{CURL} https://allowed.example:{port}/open")
        assert "403" in receipt.text and "The disk is full." in receipt.text
        assert scene.room.server.requests == []

    play(tmp_path, work)
