"""What in a text must not leave: rules, exact vault values and data classes, under every layer of encoding.

Layer: adapters/scan/outgoing. Owns the order and the bounds. Absent: keeping anything of what was found but a mask.
Laws: never raises on a text; what cannot be looked through is a finding; equal texts give equal findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from carapax.adapters.scan.outgoing.classes import CompiledClass, compile_classes
from carapax.adapters.scan.outgoing.held import Held, disguise, find_held
from carapax.adapters.scan.outgoing.layers import View, views
from carapax.adapters.scan.outgoing.rules import Rule, find_secrets, own_rules
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.tables import DataClass
from carapax.ports.scanner import Finding

MAX_SCAN_CHARS = 1_000_000
"""A longer text is not looked through; that is a finding."""

MAX_FINDINGS = 100
SAID_CHARS = 300
APART = "\n\0\n"
"""Between texts that are compared together: no secret has it."""


class OutgoingScanner:
    """Looks through text that is about to leave. The values and classes are asked for anew at each scan."""

    def __init__(
        self,
        secrets: Callable[[], Iterable[str]] = tuple,
        classes: Callable[[], Sequence[DataClass]] = tuple,
        rules: tuple[Rule, ...] | None = None,
        elsewhere: Callable[[str], Iterable[str]] | None = None,
    ) -> None:
        """`elsewhere` compares a text with values that this process does not hold, and names those that stand in it."""
        self._secrets = secrets
        self._elsewhere = elsewhere
        self._classes = classes
        self._rules = rules
        self._known: tuple[tuple[DataClass, ...], tuple[CompiledClass, ...]] = ((), ())

    def scan(self, text: str) -> tuple[Finding, ...]:
        """Everything found, secrets first, each once."""
        if len(text) > MAX_SCAN_CHARS:
            return (Finding("secret", "too-large-to-check", f"{len(text):,} characters", "deny"),)
        found: dict[Finding, None] = {}
        values = disguise(self._secrets())
        classes, broken = self._compiled()
        seen = list(views(text))
        for view in seen:
            for each in self._in_view(view, values, classes):
                found.setdefault(each)
                if len(found) >= MAX_FINDINGS:
                    break
        found |= dict.fromkeys(self._held_elsewhere(view.text for view in seen if not view.loose))
        return tuple(sorted([*broken, *found], key=lambda f: (f.kind != "secret", f.name, f.shown))[:MAX_FINDINGS])

    def _in_view(self, view: View, values: tuple[Held, ...], classes: tuple[CompiledClass, ...]) -> Iterable[Finding]:
        rules = own_rules() if self._rules is None else self._rules
        for name, value in find_secrets(view.text, rules, exact_only=view.loose):
            yield Finding("secret", name, masked(value), "deny")
        if not view.loose:
            for value in find_held(view.text, values):
                yield Finding("secret", "vault-value", masked(value), "deny")
            for each in classes:
                for value in each.find(view.text):
                    yield Finding("class", each.name, masked(value), each.leaves)

    def _held_elsewhere(self, texts: Iterable[str]) -> Iterable[Finding]:
        if self._elsewhere is None:
            return
        try:
            for handle in self._elsewhere(APART.join(texts)):
                yield Finding("secret", "vault-value", f"the secret {handle}", "deny")
        except CarapaxError as error:  # what cannot be compared does not leave
            said = f"{error.what} {error.next_step}".strip()
            yield Finding("secret", "text that could not be compared with the vault", said[:SAID_CHARS], "deny")

    def _compiled(self) -> tuple[tuple[CompiledClass, ...], tuple[Finding, ...]]:
        wanted = tuple(self._classes())
        if wanted != self._known[0]:
            try:
                self._known = (wanted, compile_classes(wanted))
            except CarapaxError as error:
                return (), (Finding("class", "unusable", error.what[:200], "deny"),)
        return self._known[1], ()


def masked(value: str) -> str:
    """The first two and the last character of a long value, less of a short one, and its length."""
    plain = " ".join(value.split())
    if len(plain) < 12:
        return f"{plain[:1]}… ({len(value)} characters)"
    return f"{plain[:2]}…{plain[-1:]} ({len(value)} characters)"
