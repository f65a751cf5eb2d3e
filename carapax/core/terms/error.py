"""Errors: few families with exact leaves. Each says what happened, what was kept, what to do next.

Layer: core/terms. A surface shows `what`, `kept` and `next_step`; a script reads `code`; nobody sees a traceback.
Law: when one of these is raised, nothing changed that its text does not name.
"""

from __future__ import annotations


class CarapaxError(Exception):
    """Base of every error a user can meet. `code` is stable and machine-readable."""

    code = "error"
    kept = "Nothing was changed."
    next_step = "Run `carapax doctor`."

    def __init__(self, what: str, *, kept: str | None = None, next_step: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        if kept is not None:
            self.kept = kept
        if next_step is not None:
            self.next_step = next_step


class Malformed(CarapaxError):
    """Bytes from outside that do not parse."""

    code = "input.malformed"
    next_step = "Correct the input and send it again."


class TooLarge(Malformed):
    code = "input.too_large"
    next_step = "Send a smaller message, or put it in a file in the workspace."


class Refused(CarapaxError):
    """A request that may not be served: authentication, scope, rate."""

    code = "refused"
    next_step = "Ask the owner for a token with the needed scope (`carapax token create`)."


class AuthorityInvalid(Refused):
    code = "authority.invalid"
    next_step = "This is a defect or an attack; run `carapax ledger verify` and keep the ledger."


class NotFound(CarapaxError):
    code = "not_found"
    next_step = "List what exists (`carapax sessions`, `carapax approvals`)."


class Conflict(CarapaxError):
    """The thing is not in a state that allows this."""

    code = "conflict"
    next_step = "Look at its present state, then try again."


class BudgetSpent(CarapaxError):
    code = "budget.spent"
    kept = "Your message is kept; nothing was lost."
    next_step = "Raise the budget in the settings (`carapax budget`), or continue tomorrow."


class Unavailable(CarapaxError):
    """Something Carapax depends on is missing or failing; it refuses rather than guess."""

    code = "unavailable"


class ProviderFailed(Unavailable):
    """The model did not answer usably. `retriable` says whether the same request may be sent again."""

    code = "model.failed"
    kept = "Your message is kept."
    next_step = "Try again, or choose another model (`carapax model`)."

    def __init__(
        self,
        what: str,
        *,
        retriable: bool = False,
        retry_after_ms: int = 0,
        kept: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(what, kept=kept, next_step=next_step)
        self.retriable = retriable
        self.retry_after_ms = retry_after_ms


class ModelMissing(Unavailable):
    code = "model.missing"
    next_step = "Run `make setup` to fetch it, or choose another model (`carapax model`)."


class SandboxUnavailable(Unavailable):
    code = "sandbox.unavailable"
    kept = "Nothing was run."


class EgressUnavailable(Unavailable):
    """The egress proxy, its decider or its vault is gone: nothing leaves."""

    code = "egress.unavailable"
    kept = "Nothing was sent."


class VaultLocked(Unavailable):
    """The vault's key is not at hand."""

    code = "vault.locked"
    kept = "No secret was used."
    next_step = "Run `carapax vault unlock`."


class LedgerUnavailable(Unavailable):
    code = "ledger.unavailable"
    kept = "Nothing was done: without a record there is no effect."


class LedgerCorrupt(LedgerUnavailable):
    """The ledger does not verify. `first_bad` is the first entry that cannot be trusted."""

    code = "ledger.corrupt"
    next_step = "Keep the file as evidence, then see docs/formats/ledger.md, 'When it does not verify'."

    def __init__(self, what: str, *, first_bad: int | None = None) -> None:
        super().__init__(what)
        self.first_bad = first_bad


class StoreUnavailable(Unavailable):
    code = "store.unavailable"


class PolicyInvalid(Unavailable):
    code = "policy.invalid"
    kept = "No action is possible until a valid policy is in place; chat without tools still works."
    next_step = (
        "Run `carapax policy check`; restore the signed file or make a new one with `carapax policy init --force`."
    )


class SettingsInvalid(Unavailable):
    code = "settings.invalid"
    next_step = "Correct the named line, or move the file away to start with defaults."
