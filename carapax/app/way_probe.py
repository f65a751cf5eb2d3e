"""The self-test's way out: a private egress proxy, a private gate and a service on loopback, for `doctor --walls`.

Layer: app. Owns the composition alone; what is tried is `adapters/sandbox/selftest`. Absent: the gateway's own proxy,
policy, vault and ledger: none of them is touched.
Laws: the gate lets exactly one host and port through, pinned to loopback; no sealed call is admitted here, and no job
but the self-test's gets a way; everything ends with the block.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carapax.adapters.egress.keeper import Keeper
from carapax.adapters.sandbox.selftest.online import REASON
from carapax.adapters.sandbox.selftest.served import served
from carapax.app.trial_proxy import ADDRESS, HOST
from carapax.app.trial_server import serving
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Allowance, Hop, Traffic, Verdict, Way
from carapax.core.terms.error import Refused
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import SignalKind

ALLOWANCE = Allowance(requests=50, hosts=2, bytes_up=1 << 20, bytes_down=4 << 20)


class TrialGate:
    """Implements ports.egress.Gate: one host and port on loopback, nothing else."""

    def __init__(self, port: int) -> None:
        self._port = port

    def admit(self, authorized: AuthorizedCall) -> tuple[SessionId, Allowance]:
        raise Refused("The self-test's proxy serves the self-test alone.", next_step="Nothing was sent.")

    async def judge(self, call: CallId, hop: Hop) -> Verdict:
        if (hop.host, hop.port) == (HOST, self._port):
            return Verdict(True, "egress.trial", pinned=(f"{ADDRESS}/32",))
        return Verdict(False, "egress.none", REASON)

    def saw(self, call: CallId, kind: SignalKind, amount: int = 1, detail: str = "") -> None:
        """Refusals are part of the trial."""

    async def ended(self, call: CallId, traffic: Traffic) -> None:
        """Nothing is kept."""


class TrialKeeper(Keeper):
    """The keeper of a private proxy, and what gives the self-test's jobs their ways (selftest.Online)."""

    def __init__(self, port: int, trust: Path) -> None:
        argv = [sys.executable, "-I", "-m", "carapax.app.trial_proxy", "--trust", str(trust)]
        super().__init__(argv, TrialGate(port))
        self._port = port

    @property
    def base(self) -> str:
        return f"https://{HOST}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    async def open_trial(self, call: CallId) -> Way:
        """A way for a job that has no call. Raises EgressUnavailable."""
        return await self._open(call, SessionId("self-test"), ALLOWANCE, ())


@contextmanager
def trial_way() -> Iterator[TrialKeeper]:
    """The proxy and the service behind it, until the block ends. The proxy starts when the first way is opened."""
    with tempfile.TemporaryDirectory(prefix="carapax-trial-") as folder, serving(HOST, served()) as service:
        trust = Path(folder, "authority.pem")
        trust.write_text(service.authority, "ascii")
        keeper = TrialKeeper(service.port, trust)
        try:
            yield keeper
        finally:
            keeper.close()
