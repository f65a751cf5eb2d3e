"""The Scanner port: outgoing text looked through, and the hint at injection.

Layer: adapters/scan. Absent: any file read or module loaded before the first scan or hint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from carapax.adapters.scan.injection.hint import hint
from carapax.adapters.scan.outgoing.scanner import OutgoingScanner
from carapax.core.terms.tables import DataClass
from carapax.ports.scanner import Finding, Hint


class TextScanner:
    """Both halves behind the port. The vault's values and the policy's classes are asked for anew at each scan."""

    def __init__(
        self,
        secrets: Callable[[], Iterable[str]] = tuple,
        classes: Callable[[], Sequence[DataClass]] = tuple,
        elsewhere: Callable[[str], Iterable[str]] | None = None,
    ) -> None:
        self._outgoing = OutgoingScanner(secrets, classes, elsewhere=elsewhere)

    def scan(self, text: str) -> tuple[Finding, ...]:
        """See `OutgoingScanner.scan`."""
        return self._outgoing.scan(text)

    def hint(self, text: str) -> Hint:
        """See `injection.hint.hint`."""
        return hint(text)
