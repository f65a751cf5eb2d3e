"""What a model is shown of a result: hidden text taken out, and said so.

Layer: guard. The hint of the detector is only noted, for cards and the ledger.
"""

from __future__ import annotations

from carapax.core.flow.hidden import strip_hidden
from carapax.core.rules.turn import TurnState
from carapax.core.terms.action import CanonicalCall
from carapax.core.terms.label import Integrity, Label
from carapax.ports.scanner import Scanner

HINT_CHARS = 20_000
"""The detector looks at this much of a result."""

HINT_FROM = 50
"""From this score on a text is worth a line on a card."""


def show_result(call: CanonicalCall, text: str, label: Label, state: TurnState, scanner: Scanner | None) -> str:
    """The result's text as the model may see it."""
    if label.integrity > Integrity.EXTERNAL:
        return text
    shown = strip_hidden(text, call.manifest.media)
    state.note_hidden(shown.hidden)
    if scanner is not None:
        hint = scanner.hint(text[:HINT_CHARS])
        if hint.score >= HINT_FROM:
            state.note_hint(hint.score, hint.phrase)
    if not shown.hidden:
        return text
    return f"{shown.text}\n[Carapax took out {len(shown.hidden)} pieces of hidden text.]"
