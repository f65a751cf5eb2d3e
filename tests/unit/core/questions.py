"""Questions for policy tests."""

from __future__ import annotations

import datetime

from carapax.core.flow.lattice import NOTHING
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.terms.action import ArgRole, Argument, CanonicalCall, Effect, Origin, ToolManifest
from carapax.core.terms.decision import Facts, Question
from carapax.core.terms.ids import CallId, Digest, SessionId, ToolName, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label
from carapax.core.terms.principal import Principal, Role, Scope

DAY = datetime.date(2026, 11, 21)


def home() -> Policy:
    return parse_policy(home_policy(1, DAY))


def raw_policy(rules: str, *, trust: str = "assist", more: str = "") -> bytes:
    """A document that says nothing but these Cedar rules (and `more` lines of YAML)."""
    indented = "".join(f"  {line}\n" for line in rules.strip().splitlines())
    return (
        f"format: carapax-policy/2\nname: test\nserial: 1\nissued: 2026-11-21\nexpires: 2028-11-20\n"
        f"trust: {trust}\ncapabilities: {{}}\napprovals: {{minutes: 15}}\nbudgets: {{turn: {{}}, session: {{}}, day: {{}}}}\n"
        f"{more}rules: |\n{indented}"
    ).encode()


def lines_policy(lines: str, *, trust: str = "assist", more: str = "") -> bytes:
    """A document with these capability lines (and `more` sections)."""
    indented = "".join(f"  {line}\n" for line in lines.splitlines())
    document = raw_policy("", trust=trust, more=more).decode().replace("rules: |\n", "")
    return document.replace("capabilities: {}\n", f"capabilities:\n{indented}").encode()


def question(
    effect: Effect,
    *,
    place: str = "workspace",
    destroys: int = 0,
    network: bool = False,
    hidden: bool = False,
    reversible: bool = True,
    role: Role = Role.OWNER,
    context: Label = NOTHING,
    origin: Origin = Origin.MODEL,
    tool: str = "tool",
    recipients: str = "none",
    amount_cents: int = 0,
    channel: str = "cli",
    intended: bool = True,
) -> Question:
    manifest = ToolManifest(ToolName(tool), "", effect, (), Integrity.EXTERNAL, reversible, touches_workspace=True)
    argument = Argument("path", ArgRole.PATH, "a.txt", origin, Label(Integrity.USER, OWNER_ONLY))
    call = CanonicalCall(CallId("c"), SessionId("s"), TurnId("t"), manifest, (argument,), "{}", Digest(""))
    principal = Principal(OWNER, role, frozenset(Scope), "test")
    facts = Facts(place, destroys, network, hidden, reversible, channel, recipients, amount_cents, intended)
    return Question(principal, call, context, facts)
