"""MemoryScanner: a scanner that knows exactly what a test told it, for tests of everything above the port.

It passes the same conformance suite as TextScanner. Absent: rules, patterns and weights.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from carapax.ports.scanner import Finding, Hint


class MemoryScanner:
    """Finds these secrets in their usual encodings, these texts of a class, and scores these phrases."""

    def __init__(
        self,
        secrets: Sequence[str] = (),
        classes: Mapping[str, tuple[str, str]] | None = None,
        phrases: Mapping[str, int] | None = None,
    ) -> None:
        self._secrets = tuple(secrets)
        self._classes = dict(classes or {})  # text → name of its class, what it says about leaving
        self._phrases = dict(phrases or {})
        self.scanned: list[str] = []
        self.hinted: list[str] = []

    def scan(self, text: str) -> tuple[Finding, ...]:
        self.scanned.append(text)
        secrets = [s for s in self._secrets if any(form in text for form in _forms(s))]
        found = [Finding("secret", "vault-value", _mask(secret), "deny") for secret in secrets]
        found += [
            Finding("class", n, _mask(held), leaves) for held, (n, leaves) in self._classes.items() if held in text
        ]
        return tuple(found)

    def hint(self, text: str) -> Hint:
        self.hinted.append(text)
        scored = [(score, phrase) for phrase, score in self._phrases.items() if phrase in text]
        score, phrase = max(scored, default=(0, ""))
        return Hint(score, phrase)


def _forms(secret: str) -> Iterator[str]:
    data = secret.encode()
    yield from (secret, data.hex(), base64.b64encode(data).decode(), quote(secret, safe=""), secret[::-1])


def _mask(text: str) -> str:
    return f"{text[:2]}…{text[-2:]}" if len(text) > 8 else "…"
