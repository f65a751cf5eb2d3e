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
) -> Question:
    manifest = ToolManifest(ToolName("tool"), "", effect, (), Integrity.EXTERNAL, reversible, touches_workspace=True)
    argument = Argument("path", ArgRole.PATH, "a.txt", origin, Label(Integrity.USER, OWNER_ONLY))
    call = CanonicalCall(CallId("c"), SessionId("s"), TurnId("t"), manifest, (argument,), "{}", Digest(""))
    principal = Principal(OWNER, role, frozenset(Scope), "test")
    return Question(principal, call, context, Facts(place, destroys, network, hidden, reversible))
