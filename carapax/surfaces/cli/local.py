"""What the command line needs from the machine itself. `app` implements it, with lazy imports.

Layer: surfaces/cli; imported for typing only, except `ServeOptions` and `Served`.
Absent: everything that a running gateway answers over HTTP (turns, sessions, approvals, undo, tokens, status).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from carapax.core.terms.check import Check
from carapax.core.terms.limit import Budget, Budgets, Span
from carapax.surfaces.cli.banner import Banner
from carapax.surfaces.cli.local_egress import LocalEgress
from carapax.surfaces.cli.local_vault import LocalVault
from carapax.surfaces.cli.local_wards import LocalWards


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `carapax serve` was asked. `certificate` and `key` are PEM files, given together or not at all."""

    host: str = "127.0.0.1"
    port: int = 18790
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that answers: its address and the one-time sign-in code ("" when none was made)."""

    url: str
    code: str


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One model provider that can be chosen. `needs_url`: an address must be given; `needs_key`: an access key is needed."""

    name: str  # "embedded", "openai", …
    title: str  # "Qwen2.5-Coder 1.5B, on this machine"
    model: str  # the default, or the one in use
    current: bool = False
    needs_url: bool = False
    needs_key: bool = False
    key_known: bool = False  # a key is in the vault or the environment


@dataclass(frozen=True, slots=True)
class Started:
    """A gateway started in the background. `ended` says "" while it runs, else the last line it left."""

    pid: int
    ended: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Saved:
    """A setting was written. `live`: a running gateway uses it from its next turn without a restart."""

    live: bool


class LocalPolicy(Protocol):
    """The policy of this home. Files are paths; every method may raise PolicyInvalid, NotFound."""

    def init(self, *, force: bool) -> str:
        """Write and sign the home policy, with `force` over the one that is there. Returns its path; raises Conflict."""
        ...

    def check(self, file: str | None) -> Sequence[Check]:
        """The policy in force, or a file that nobody signed yet."""
        ...

    def explain(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """`answer`, `rule`, `reason`, `call`, `effect`, `tainted`, and `would`: what alone would change the answer."""
        ...

    def diff(self, file: str | None) -> Mapping[str, Any]:
        """`changes` of answers, `wider` sentences, `narrower` ones (what going back would widen), `needs` (signatures), `same`."""
        ...

    def sign(self, key_file: str | None) -> Mapping[str, Any]:
        """Sign the file as it stands with this machine's key or another: `signed_by`, `needs`, `in_force`, `wider`."""
        ...

    def test(self, file: str, policy_file: str | None) -> Mapping[str, Any]: ...

    def matrix(self, file: str | None) -> Mapping[str, Any]:
        """`situations`, and `rows` with `role`, `effect`, `tool` and one answer a situation."""
        ...

    def simulate(self, ledger: str | None, file: str | None, days: int) -> Mapping[str, Any]:
        """`calls`, `turns` (was, now, calls), the `first` differences, `unknown`."""
        ...

    def trust(self) -> Mapping[str, Any]:
        """`tier`, `record` (counts from the ledger), `next` tier or None, and the `step` to it."""
        ...

    def trust_step(self, tier: str) -> Mapping[str, Any]:
        """What a tier would change, as `diff`."""
        ...

    def set_trust(self, tier: str) -> Mapping[str, Any]:
        """Write the tier with the next serial and sign it with this machine's key: `tier`, `serial`, `path`."""
        ...


class Local(Protocol):
    """The machine, as `app` gives it. Every method may raise leaves of core/terms/error.py."""

    def home(self) -> Path:
        """Where Carapax keeps its state ($CARAPAX_HOME or ~/.carapax); it need not exist."""
        ...

    # the gateway
    def start_gateway(self) -> Started:
        """Start a gateway in the background, in a process group of its own (so that Ctrl-C does not reach it).

        Returns at once; the caller waits until it answers.
        """
        ...

    def serve(self, options: ServeOptions, banner: Banner, on_ready: Callable[[Served], None]) -> int:
        """Run a gateway in this process until it is stopped, and return an exit code.

        Shows system, model, policy and walls on `banner`. Calls `on_ready` once, when it answers, in a thread of
        its own: it may talk to the gateway over HTTP.
        """
        ...

    def doctor(self, *, walls: bool = False) -> Sequence[Check]:
        """Everything it depends on; with `walls` every attempt to get out, in every tier of this machine."""
        ...

    # the ledger, read from its files: it works without a gateway
    def ledger_show(self, first: int | None, limit: int, newest: bool) -> Sequence[Mapping[str, Any]]:
        """Entries as plain data with `index`, `time_ms`, `kind`, `body`, in order of index."""
        ...

    def ledger_verify(self, kept_checkpoint: str | None) -> Mapping[str, Any]:
        """`entries`, `root` (hex) and `duration_ms`. Raises LedgerCorrupt, which names the first bad entry."""
        ...

    def ledger_prove(self, index: int) -> Mapping[str, Any]:
        """The inclusion proof with its checkpoint, as plain data. Raises NotFound."""
        ...

    def ledger_export(self) -> Iterator[bytes]: ...

    # the policy
    def policy(self) -> LocalPolicy: ...

    def redteam(self, folder: str | None, policy_file: str | None, *, open_policy: bool) -> Mapping[str, Any]:
        """Replay hijacked models (docs/replay.md): `set`, `policy`, `figures`, `honest`, `attacks`, `cards`, `unguarded`."""
        ...

    # incidents, canaries, the stop of everything
    def wards(self) -> LocalWards: ...

    # the secrets
    def vault(self) -> LocalVault: ...

    # the way out
    def egress(self) -> LocalEgress: ...

    # the owner's second factor
    def factor_offer(self) -> Mapping[str, Any]:
        """A new `secret` (base32) and its otpauth `uri`; nothing is kept yet. Raises Conflict when one is set up."""
        ...

    def factor_confirm(self, secret: str, code: str) -> None:
        """Keep the offered secret, shown to work by a code. Raises Malformed, Conflict."""
        ...

    def factor_remove(self) -> None:
        """Raises NotFound."""
        ...

    def factor_status(self) -> Mapping[str, Any]:
        """`standing` ("none", "set", "locked") and `locked_until_ms`."""
        ...

    # settings
    def model_choices(self) -> Sequence[ModelChoice]:
        """In the order to show; the one in use is `current`; none is before the first choice."""
        ...

    def set_model(self, name: str, *, model: str, url: str, key: str | None) -> Saved:
        """Use this provider. "" means its default. A key goes to the vault. Raises NotFound, Malformed."""
        ...

    def budgets(self) -> Budgets: ...

    def set_budget(self, span: Span, budget: Budget) -> Saved: ...
