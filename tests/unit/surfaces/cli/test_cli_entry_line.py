"""A ledger entry as a line: every kind the gateway writes has words, and any other is still shown."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from carapax.surfaces.cli.entry_line import _KINDS, entry_words

ROOT = Path(__file__).parents[4]


def test_every_kind_that_the_gateway_writes_has_words() -> None:
    written: set[str] = set()
    for path in [*(ROOT / "carapax" / "guard").glob("*.py"), *(ROOT / "carapax" / "app").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append":
                owner = ast.unparse(node.func.value)
                if owner.endswith("ledger") and node.args and isinstance(node.args[0], ast.Constant):
                    written.add(str(node.args[0].value))
    assert len(written) >= 14
    assert written <= set(_KINDS), sorted(written - set(_KINDS))


CALL = {"summary": "run ls", "decision": {"answer": "allow", "rule": "shell.sandboxed"}}
RECEIPT = {
    "entry": 3,
    "outcome": "failed",
    "exit_code": 2,
    "changed_count": 1,
    "changed": [{"path": "a"}],
    "duration_ms": 9,
}

HOP = {
    "tool": "run_online",
    "method": "GET",
    "host": "pypi.org",
    "port": 443,
    "path": "/simple/",
    "secrets": [],
    "answer": "allow",
    "rule": "egress.pypi",
}


@pytest.mark.parametrize(
    ("kind", "body", "line"),
    [
        ("call", CALL, "run ls  [allow: shell.sandboxed]"),
        ("receipt", RECEIPT, "of #3: failed, exit 2, 1 changed (a), 9 ms"),
        (
            "receipt",
            RECEIPT | {"held": 7, "changed_count": 0, "exit_code": 0},
            "of #3: failed, 7 deletions held back, 9 ms",
        ),
        ("answered", {"approval": "K7", "state": "approved", "by": "owner"}, "K7: approved by owner"),
        ("egress", HOP, "run_online: GET pypi.org/simple/  [allow: egress.pypi]"),
        (
            "egress",
            HOP | {"port": 8443, "secrets": ["a", "b"], "answer": "deny"},
            "run_online: GET pypi.org:8443/simple/, with a, b  [deny: egress.pypi]",
        ),
        (
            "egress.closed",
            {"tool": "run_online", "requests": 3, "refused": 1, "bytes_up": 5, "bytes_down": 9, "allowed": [HOP, HOP]},
            "run_online: 3 requests (pypi.org), 1 refused, 5 B up, 9 B down",
        ),
        (
            "egress.seen",
            {"tool": "x", "kind": "mismatch", "detail": "egress.key a.example"},
            "x: mismatch egress.key a.example",
        ),
        (
            "delivered",
            {
                "place": "telegram/42",
                "text": {"bytes": 5, "sha256": "ab" * 32},
                "files": ["d" * 64],
                "channel": "telegram",
            },
            "to telegram/42: 5 B, sha256 abababababab…, 1 files",
        ),
        ("channel.added", {"channel": "work", "kind": "irc", "by": "owner"}, "work (irc) by owner"),
        ("channel.removed", {"channel": "work", "by": "owner"}, "work by owner"),
        ("channel.refused", {"channel": "work", "reason": "no"}, "work: no"),
        ("channel.gave_up", {"channel": "work", "reason": "gone"}, "work: gone"),
        ("pairing", {"channel": "irc", "sender": "4711", "for": ""}, "a code for 4711 on irc"),
        ("pairing", {"channel": "", "sender": "", "for": "anna"}, "a code for anna, to be sent on any channel"),
        (
            "paired",
            {"channel": "irc", "sender": "4711", "person": "anna", "by": "code:anna"},
            "4711 on irc is anna (code:anna)",
        ),
        ("unpaired", {"channel": "irc", "sender": "4711", "by": "owner"}, "4711 on irc by owner"),
        ("message.retried", {"work": "3f9a1c20", "kind": "delivery", "by": "owner"}, "3f9a1c20 (delivery) by owner"),
        ("message.dropped", {"work": "3f9a1c20", "kind": "inbound", "by": "owner"}, "3f9a1c20 (inbound) by owner"),
        ("resumed", {"session": "s", "turn": "t"}, "turn t"),
        ("of the future", {"a": 1}, '{"a": 1}'),
        ("call", {"other": "shape"}, '{"other": "shape"}'),
    ],
)
def test_words(kind: str, body: dict[str, object], line: str) -> None:
    assert entry_words(kind, body) == line
