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

    def doctor(self) -> Sequence[Check]: ...

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
    def policy_check(self) -> Sequence[Check]: ...

    def policy_explain(self, tool: str, arguments_json: str) -> Mapping[str, Any]:
        """`answer` ("allow", "ask", "deny"), `rule`, `reason` for this call by the owner in an untainted session."""
        ...

    def policy_reset(self) -> str:
        """Write and sign the home policy anew, keeping the old file beside it. Returns its path."""
        ...

    def policy_sign(self) -> str:
        """Sign the policy file as it stands, after a person edited it. Returns its path; raises PolicyInvalid."""
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
