"""The matrix: what a policy answers to every role, effect and situation, so that a change of policy is a change of answers.

Layer: core/policy. A situation is a set of facts and a label; there are few enough of them to be read whole.
Absent: proof that nothing else changed, which `widening` gives line by line.
Law: equal policies have equal matrices; every cell is an answer of `decide`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from carapax.core.policy.capability import NETWORK, Capability
from carapax.core.policy.decide import decide
from carapax.core.policy.document import Policy
from carapax.core.terms.action import ArgRole, Argument, CanonicalCall, Effect, Origin, ToolManifest
from carapax.core.terms.decision import Allow, Ask, Facts, Question
from carapax.core.terms.ids import CallId, Digest, SessionId, ToolName, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, PUBLIC, Integrity, Label
from carapax.core.terms.principal import Principal, Role, Scope

ANYTHING = "any tool"
"""The tool of a row that no line names."""

ALLOW, ASK, DENY = "allow", "ask", "deny"
RANK = {DENY: 0, ASK: 1, ALLOW: 2}
"""How much an answer permits."""


@dataclass(frozen=True, slots=True)
class Situation:
    """One column: what is true when the call is judged."""

    place: str = "workspace"
    network: bool = False
    hidden_text: bool = False
    reversible: bool = True
    destroys: int = 0
    channel: str = "cli"
    recipients: str = "none"
    amount_cents: int = 0
    intended: bool = True
    tainted: bool = False
    private: bool = True
    owner_named: bool = False


PLAIN = Situation()
_FIXED: Mapping[str, Situation] = {
    "plain": PLAIN,
    "tainted": Situation(tainted=True),
    "public": Situation(private=False),
    "hidden": Situation(hidden_text=True),
    "outside": Situation(place="outside"),
    "for ever": Situation(reversible=False),
    "to owner": Situation(recipients="owner"),
    "to org": Situation(recipients="org"),
    "to known": Situation(recipients="known"),
    "to named": Situation(recipients="other", owner_named=True),
    "to other": Situation(recipients="other"),
}

_SENDING = frozenset({Effect.COMMUNICATE, Effect.PUBLISH, Effect.ACCESS, Effect.MONEY})
_LOSING = frozenset({Effect.SELF_MODIFY, Effect.DESTROY, Effect.CODE})
_LASTING = frozenset(Effect) - {Effect.READ, Effect.FETCH}
_BOUND = 5
"""Files in the columns when no line bounds them."""


def situations(*policies: Policy) -> dict[str, Situation]:
    """The columns: the fixed ones, and both sides of every bound that a line of these policies draws."""
    lines = [line for policy in policies for line in policy.capabilities]
    files = {line.files for line in lines if line.files is not None} or {_BOUND}
    cents = {line.at_most_cents for line in lines if line.at_most_cents is not None}
    found = dict(_FIXED)
    found |= {f"{n} files": Situation(destroys=n) for n in sorted(files | {n + 1 for n in files})}
    found |= {f"{n / 100:.2f}": Situation(amount_cents=n) for n in sorted(cents | {n + 1 for n in cents})}
    return found


def applies(effect: Effect, name: str) -> bool:
    """Whether a column says anything about an effect: reading deletes nothing and goes to nobody."""
    if name.startswith("to "):
        return effect in _SENDING
    if name.endswith(" files"):
        return effect in _LOSING
    if name[0].isdigit():
        return effect is Effect.MONEY
    return name != "for ever" or effect in _LASTING


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    role: str
    effect: str
    tool: str
    situation: str


@dataclass(frozen=True, slots=True)
class CellChange:
    cell: Cell
    before: str
    after: str

    @property
    def wider(self) -> bool:
        return RANK[self.after] > RANK[self.before]


def question_of(role: Role, effect: Effect, tool: str, how: Situation) -> Question:
    """The question that a cell stands for."""
    manifest = ToolManifest(ToolName(tool), "", effect, (), Integrity.EXTERNAL, how.reversible, touches_workspace=True)
    origin = Origin.OWNER_WORDS if how.owner_named else Origin.MODEL
    value = Argument("value", ArgRole.OBJECT, "", origin, Label(Integrity.USER, OWNER_ONLY))
    call = CanonicalCall(CallId(""), SessionId(""), TurnId(""), manifest, (value,), "{}", Digest(""))
    integrity = Integrity.EXTERNAL if how.tainted else Integrity.USER
    context = Label(integrity, OWNER_ONLY if how.private else PUBLIC)
    facts = Facts(
        how.place, how.destroys, how.network, how.hidden_text, how.reversible,
        how.channel, how.recipients, how.amount_cents, how.intended,
    )  # fmt: skip
    return Question(Principal(OWNER, role, frozenset(Scope), "matrix"), call, context, facts)


def answer(policy: Policy, question: Question) -> str:
    """ "allow", "ask" or "deny"."""
    found = decide(policy, question)
    return ALLOW if isinstance(found, Allow) else ASK if isinstance(found, Ask) else DENY


def answers(
    policy: Policy, rows: Iterable[tuple[Role, Effect, str]], columns: Mapping[str, Situation]
) -> dict[Cell, str]:
    """Every cell of these rows that says anything."""
    found = {}
    for role, effect, tool in rows:
        for name, how in columns.items():
            if not applies(effect, name):
                continue
            asked = question_of(role, effect, tool, _placed(effect, how))
            found[Cell(role.value, effect.value, tool, name)] = answer(policy, asked)
    return found


def _placed(effect: Effect, how: Situation) -> Situation:
    if effect not in NETWORK:
        return how
    return replace(how, network=True, place="none" if how.place == "workspace" else how.place)


def rows_of(*policies: Policy, tools: Mapping[str, Effect] | None = None) -> list[tuple[Role, Effect, str]]:
    """Every role and effect, and every tool that a line of these policies names, with the effect it is known to have."""
    rows = [(role, effect, ANYTHING) for role in Role for effect in Effect]
    named: dict[tuple[Effect, str], None] = {}
    for line in (line for policy in policies for line in policy.capabilities):
        for tool in sorted(line.tools or ()):
            named |= dict.fromkeys((effect, tool) for effect in _effects_of(line, tool, tools or {}))
    return rows + [(Role.OWNER, effect, tool) for effect, tool in named]


def _effects_of(line: Capability, tool: str, tools: Mapping[str, Effect]) -> list[Effect]:
    if tool in tools:
        return [tools[tool]]
    return [effect for effect in Effect if effect in line.effects] if len(line.effects) <= 3 else [Effect.COMMUNICATE]


def changed_answers(old: Policy, new: Policy, tools: Mapping[str, Effect] | None = None) -> tuple[CellChange, ...]:
    """The cells that the two answer differently, in the order of the rows."""
    rows = rows_of(old, new, tools=tools)
    columns = situations(old, new)
    before, after = answers(old, rows, columns), answers(new, rows, columns)
    return tuple(CellChange(cell, before[cell], after[cell]) for cell in before if before[cell] != after[cell])
