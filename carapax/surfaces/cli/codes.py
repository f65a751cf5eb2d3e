"""Exit codes: what a script can rely on.

Layer: surfaces/cli. `docs/cli.md` lists the same numbers; a test compares them.
"""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
NO_GATEWAY = 3
WAITING = 4
REFUSED = 5
BUDGET = 6
NOT_PERMITTED = 7
INTERRUPTED = 130

ALL = (OK, FAILED, USAGE, NO_GATEWAY, WAITING, REFUSED, BUDGET, NOT_PERMITTED, INTERRUPTED)

_OF_ERROR = {
    "gateway.absent": NO_GATEWAY,
    "budget.spent": BUDGET,
    "refused": NOT_PERMITTED,
    "authority.invalid": NOT_PERMITTED,
}


def code_of(error_code: str, status: int = 0) -> int:
    """The exit code for an error's stable code, or for the HTTP status it came with."""
    if status in (401, 403):
        return NOT_PERMITTED
    return _OF_ERROR.get(error_code, FAILED)
