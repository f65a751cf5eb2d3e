"""What `carapax egress` needs of this machine: implements surfaces.cli.local_egress.LocalEgress.

Layer: app. Reads the ledger's files and the policy; a running gateway sees a new policy by itself.
Law: nothing is allowed here but the lines that a person picked, each written with a new serial and this machine's
signature; the policy in force says whether that is enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from carapax.adapters.ledger.reader import read_entries
from carapax.adapters.tools.manifest import family_manifests
from carapax.app.egress_lines import Proposal, propose, render_line
from carapax.app.explain import Asked, explain
from carapax.app.policy_file import PolicyFile
from carapax.core.ledger.entry import Entry
from carapax.core.policy.document import Policy
from carapax.core.policy.egress import decide_egress, is_host, plain_path, shown_host
from carapax.core.terms.action import ArgRole
from carapax.core.terms.egress import Hop
from carapax.core.terms.error import Malformed, NotFound

DAY_MS = 86_400_000
PAGE = 1_000
PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
_OWN = ("egress", "egress.seen", "egress.closed")


class EgressDesk:
    """The way out of one home."""

    def __init__(self, policy: PolicyFile, ledger: Path, now_ms: int) -> None:
        self._policy = policy
        self._ledger = ledger
        self._now_ms = now_ms
        self._proposed: dict[str, Proposal] = {}

    def log(self, session: str, refused: bool, limit: int) -> Sequence[Mapping[str, Any]]:
        """The newest entries about the way out, in rising order."""
        found: list[Mapping[str, Any]] = []
        for entry in self._newest_first():
            body = entry.body
            if session and not str(body.get("session", "")).endswith(session):
                continue
            if refused and not _is_refusal(entry):
                continue
            found.append({"index": entry.index, "time_ms": entry.time_ms, "kind": entry.kind, "body": body})
            if len(found) >= limit:
                break
        return found[::-1]

    def why(self, url: str, tool: str, method: str) -> Mapping[str, Any]:
        """What one request of a tool would meet. Raises Malformed, PolicyInvalid."""
        policy = self._policy.current()
        hop, plain = _hop(url, method)
        verdict = decide_egress(policy.egress, tool, hop)
        allowed = verdict.allowed and not plain
        body: dict[str, Any] = {
            "answer": "allow" if allowed else "deny",
            "rule": "egress.plain" if plain else verdict.rule,
            "reason": PLAIN if plain else verdict.reason,
            "request": f"{method} https://{shown_host(hop)}{plain_path(hop.path)}",
            "tool": tool,
            "tool_answer": "",
            "tool_rule": "",
            "line": "",
        }
        body |= _tool_itself(policy, tool)
        if not verdict.allowed and not plain:
            body["line"] = self._line_for(hop, tool)
        return body

    def proposals(self, hosts: Sequence[str], days: int) -> Sequence[Mapping[str, Any]]:
        """Lines that would let out what was refused in the last days, each with what it widens. Raises Malformed."""
        since_ms = self._now_ms - days * DAY_MS
        entries = self._newest_first() if self._ledger.is_dir() else iter(())
        recent = ((e.time_ms, e.body) for e in entries if e.time_ms >= since_ms and _is_refused_hop(e))
        found = propose(recent, self._policy.current().egress, hosts)
        self._proposed = {each.rule.name: each for each in found}
        return [
            {
                "name": each.rule.name,
                "host": each.rule.hosts[0],
                "port": each.rule.ports[0],
                "tools": list(each.rule.tools),
                "count": each.count,
                "last_ms": each.last_ms,
                "line": render_line(each.rule),
                "wider": list(self._policy.compare(self._policy.with_egress([each.rule]))[1].wider),
            }
            for each in found
        ]

    def allow(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Write the lines of these proposals into the policy and sign it. Raises NotFound, PolicyInvalid."""
        missing = next((name for name in names if name not in self._proposed), None)
        if missing is not None or not names:
            raise NotFound(
                f"There is no proposal {missing or ''}.", next_step="Look at `carapax egress allow --review`."
            )
        policy = self._policy.add_egress([self._proposed[name].rule for name in names])
        return {"serial": policy.serial, "path": str(self._policy.path), "lines": list(names)}

    # inside

    def _line_for(self, hop: Hop, tool: str) -> str:
        body = {"host": hop.host, "port": hop.port, "method": hop.method, "path": plain_path(hop.path), "tool": tool,
                "rule": "egress.none"}  # fmt: skip
        found = propose([(0, body)], self._policy.current().egress)
        return render_line(found[0].rule) if found else ""

    def _newest_first(self) -> Iterator[Entry]:
        """The entries about the way out, the newest first."""
        if not self._ledger.is_dir():
            raise NotFound("There is no ledger here.", next_step="It is made at the first start: `carapax chat`.")
        last = read_entries(self._ledger, 0, 1, newest=True)
        end = last[0].index + 1 if last else 0
        while end > 0:
            first = max(0, end - PAGE)
            page = read_entries(self._ledger, first, end - first)
            yield from (entry for entry in reversed(page) if entry.kind in _OWN)
            end = first


PLAIN = "Plain http:// does not leave. Use https:// for this address."


def _tool_itself(policy: Policy, tool: str) -> dict[str, str]:
    """Whether the tool may run at all in a session that read nothing from outside; nothing for one that is not installed."""
    manifest = next((each for each in family_manifests() if each.name == tool), None)
    if manifest is None:
        return {}
    given = {
        arg.name: "https://host.example" if arg.role is ArgRole.URL else "words"
        for arg in manifest.args
        if arg.required
    }
    try:
        found = explain(policy, Asked(tool, (json.dumps(given),)))
    except Malformed:
        return {}  # a required argument is no text; `carapax policy explain` takes it
    return {"tool_answer": found["answer"], "tool_rule": found["rule"]}


def _is_refusal(entry: Entry) -> bool:
    return entry.kind == "egress.seen" or _is_refused_hop(entry)


def _is_refused_hop(entry: Entry) -> bool:
    return entry.kind == "egress" and entry.body.get("answer") == "deny"


def _hop(url: str, method: str) -> tuple[Hop, bool]:
    """The request that an address stands for, and whether it would go in clear."""
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        port = parts.port or PORTS[parts.scheme]
        host = (
            (parts.hostname or "").encode("idna").decode("ascii")
            if ":" not in (parts.hostname or "")
            else parts.hostname or ""
        )
    except (ValueError, KeyError, UnicodeError) as error:
        raise _no_address(url) from error
    if not is_host(host) or parts.username is not None:
        raise _no_address(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Hop(host, port, method, path, websocket=parts.scheme in ("ws", "wss")), parts.scheme in ("http", "ws")


def _no_address(url: str) -> Malformed:
    return Malformed(f"{url[:200]!r} is not an address.", next_step="Write it like https://example.org/page.")
