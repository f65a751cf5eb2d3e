"""What the ledger says about a call: exact enough to prove, without the contents of files.

Layer: guard. Arguments that decide (paths, commands) stand in clear; contents stand as size and SHA-256,
so that a deleted conversation does not live on in the ledger.
"""

from __future__ import annotations

import hashlib
from heapq import nsmallest
from typing import Any

from carapax.core.flow.lattice import source_order
from carapax.core.terms.action import ArgRole, CanonicalCall, Receipt, Value
from carapax.core.terms.decision import Allow, Ask, Decision
from carapax.core.terms.ids import Digest
from carapax.core.terms.label import Label
from carapax.core.terms.plain import plain

CLEAR_CHARS = 4_096
SOURCES_SHOWN = 8


def call_body(call: CanonicalCall, context: Label, decision: Decision, policy: Digest, summary: str) -> dict[str, Any]:
    """The body of the entries "denied", "asked" and "call"."""
    return {
        "session": call.session,
        "turn": call.turn,
        "call": call.call,
        "tool": call.manifest.name,
        "summary": summary,
        "arguments": {a.name: _argument(a.role, a.value) for a in call.arguments},
        "origins": {a.name: a.origin.value for a in call.arguments},
        "digest": call.digest,
        "context": label_body(context),
        "decision": {"answer": answer_word(decision), "rule": decision.rule},
        "policy": policy,
    }


def receipt_body(call: CanonicalCall, receipt: Receipt, label: Label, entry: int) -> dict[str, Any]:
    """The body of the entry "receipt"."""
    return {
        "call": call.call,
        "turn": call.turn,
        "entry": entry,
        "outcome": receipt.outcome.value,
        "exit_code": receipt.exit_code,
        "duration_ms": receipt.duration_ms,
        "result": text_digest(receipt.text),
        "truncated": receipt.truncated,
        "label": label_body(label),
        "changed": [{"path": c.path, "kind": c.kind.value, "after": c.after} for c in receipt.changes[:CHANGES_SHOWN]],
        "changed_count": len(receipt.changes),
    }


CHANGES_SHOWN = 200


def label_body(label: Label) -> dict[str, Any]:
    """A label, with at most eight of its sources."""
    return {
        "integrity": label.integrity.name.lower(),
        "readers": "everyone" if label.readers.everyone else sorted(label.readers.names),
        "sources": [plain(source) for source in nsmallest(SOURCES_SHOWN, label.sources, key=source_order)],
        "sources_count": len(label.sources),
    }


def text_digest(text: str) -> dict[str, Any]:
    """A text as its size and SHA-256."""
    data = text.encode("utf-8", "surrogateescape")
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def answer_word(decision: Decision) -> str:
    """ "allow", "ask" or "deny"."""
    if isinstance(decision, Allow):
        return "allow"
    return "ask" if isinstance(decision, Ask) else "deny"


def _argument(role: ArgRole, value: Value) -> Any:
    if isinstance(value, float):
        return str(value)
    if not isinstance(value, str):
        return value
    if role is ArgRole.SECRET or role is ArgRole.CONTENT or len(value) > CLEAR_CHARS:
        return text_digest(value)
    return value
