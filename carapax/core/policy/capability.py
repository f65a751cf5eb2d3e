"""Capabilities: one line of the document says what may be done, where, towards whom, and becomes one Cedar rule.

Layer: core/policy. An `allow` or `ask` line permits (ask: with a person's yes), a `deny` line forbids, an `ask-always`
line wants a yes even where another line allows. Lines do not depend on their order.
Law: `covers(a, b)` only when every call that fits b also fits a; so what no old line covers counts as wider.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from carapax.core.policy import reading
from carapax.core.policy.tree import Node, fault
from carapax.core.terms.action import ArgRole, Effect
from carapax.core.terms.principal import Role


class Verdict(StrEnum):
    ALLOW = "allow"
    ASK = "ask"
    ASK_ALWAYS = "ask-always"
    DENY = "deny"


PERMITS = frozenset({Verdict.ALLOW, Verdict.ASK})

NETWORK = (Effect.FETCH, Effect.COMMUNICATE, Effect.PUBLISH, Effect.ACCESS, Effect.MONEY, Effect.CREDENTIAL)
GROUPS: dict[str, frozenset[Effect]] = {
    "all": frozenset(Effect),
    "changing": frozenset(Effect) - {Effect.READ},
    "network": frozenset(NETWORK),
}
"""Words that stand for several effects."""

VERSIONED = frozenset({Effect.SELF_ADD, Effect.SELF_MODIFY, Effect.DESTROY, Effect.CODE})
"""Effects before which the state of the workspace is kept."""

RECIPIENTS = ("owner", "org", "known", "named", "any")
"""The furthest that something may go, from near to far; each includes those before it."""

PLACES: dict[str, frozenset[tuple[str, bool]]] = {
    "workspace": frozenset({("workspace", False)}),
    "local": frozenset({("workspace", False), ("none", False)}),
    "outside": frozenset({("outside", False), ("outside", True)}),
}
"""Words of `only`: the (place, network) pairs that fit."""

FLAGS = {
    "undoable": "reversible",
    "tainted": "tainted",
    "private": "private",
    "hidden_text": "hidden_text",
    "owner_named": "owner_named",
    "intended": "intended",
}
"""Conditions that are true or false, and the fact each looks at."""

KEYS = (
    "answer", "effects", "tools", "channels", "roles", "only", "recipients", "at_most_files", "at_most",
    *FLAGS, "typed", "because",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Capability:
    """One line. None means "any" everywhere; `at_most_cents` None is no bound."""

    name: str
    verdict: Verdict
    effects: frozenset[Effect]
    tools: frozenset[str] | None = None
    channels: frozenset[str] | None = None
    roles: frozenset[Role] | None = None
    only: str | None = None
    recipients: str = "any"
    files: int | None = None
    at_most_cents: int | None = None
    flags: tuple[tuple[str, bool], ...] = ()
    typed: tuple[ArgRole, ...] = ()
    because: str = ""


def read_capabilities(node: Node) -> tuple[Capability, ...]:
    """Every line below `capabilities`."""
    return tuple(_read(key, value) for key, value in reading.entries(node).items())


def _read(key: str, node: Node) -> Capability:
    reading.check_name(node, key)
    if node.text is not None:
        verdict = reading.member(node, Verdict)
        return _with_scope(Capability(key, verdict, frozenset(), roles=_default_roles(verdict)), node, None, None)
    given = reading.fields(node, KEYS, ("answer",))
    verdict = reading.member(given["answer"], Verdict)
    made = Capability(
        key,
        verdict,
        frozenset(),
        channels=frozenset(reading.texts(given["channels"])) if "channels" in given else None,
        roles=frozenset(reading.members(given["roles"], Role)) if "roles" in given else _default_roles(verdict),
        only=reading.word(given["only"], tuple(PLACES)) if "only" in given else None,
        recipients=reading.word(given["recipients"], RECIPIENTS) if "recipients" in given else "any",
        files=reading.whole(given["at_most_files"]) if "at_most_files" in given else None,
        at_most_cents=reading.cents(given["at_most"]) if "at_most" in given else None,
        flags=tuple((flag, reading.truth(given[flag])) for flag in FLAGS if flag in given),
        typed=reading.members(given["typed"], ArgRole) if "typed" in given else (),
        because=reading.text(given["because"], 300) if "because" in given else "",
    )
    _refuse_bounded_no(made, node)
    return _with_scope(made, node, given.get("effects"), given.get("tools"))


def _default_roles(verdict: Verdict) -> frozenset[Role] | None:
    return frozenset({Role.OWNER}) if verdict in PERMITS else None


def _refuse_bounded_no(line: Capability, node: Node) -> None:
    bounded = line.files is not None or line.at_most_cents is not None or line.recipients != "any"
    if bounded and line.verdict not in PERMITS:
        raise fault(node, f"a bound on a line that says {line.verdict} would refuse the smaller and let the larger pass",
                    "take recipients, at_most and at_most_files away, or answer allow or ask")  # fmt: skip
    if line.typed and line.verdict is not Verdict.ASK:
        raise fault(node, "typed values are only asked for where the answer is ask", "take `typed` away")


def _with_scope(line: Capability, node: Node, effects: Node | None, tools: Node | None) -> Capability:
    """A line without effects and tools is about the effect, or else the tool, that its key names."""
    if effects is None and tools is None:
        if line.name in set(Effect):
            return replace(line, effects=frozenset({Effect(line.name)}))
        return replace(line, effects=frozenset(Effect), tools=frozenset({line.name}))
    words = (*GROUPS, *(effect.value for effect in Effect))
    named: frozenset[Effect] = frozenset() if effects is not None else frozenset(Effect)
    for item in reading.items(effects) if effects is not None else ():
        found = reading.word(item, words)
        named |= GROUPS[found] if found in GROUPS else {Effect(found)}
    if not named:
        raise fault(effects or node, "the line is about nothing", "name an effect, like [read]")
    return replace(line, effects=named, tools=frozenset(reading.texts(tools)) if tools is not None else None)


def rule_text(line: Capability, rule_id: str | None = None, *, granted: bool = False) -> str:
    """The line as one Cedar rule. `granted`: an ask line of which the yes is given beforehand."""
    permits = line.verdict in PERMITS
    notes = [f"@id({_quoted(rule_id or line.name)})", f"@reason({_quoted(line.because)})"]
    if permits and line.effects & VERSIONED:
        notes.append('@obligation("keep_versions")')
    if line.typed and not granted:
        notes.append(f"@typed({_quoted(' '.join(line.typed))})")
    conditions = list(_conditions(line))
    if line.verdict is Verdict.ASK and not granted:
        conditions.append("context.approved")
    if line.verdict is Verdict.ASK_ALWAYS:
        conditions.append("!context.approved")
    actions = ", ".join(f'Action::"{effect.value}"' for effect in Effect if effect in line.effects)
    head = f"{'permit' if permits else 'forbid'} (principal, action in [{actions}], resource)"
    when = " && ".join(conditions)
    return "\n".join([*notes, head + (f"\nwhen {{ {when} }};" if when else ";")])


def _conditions(line: Capability) -> Iterator[str]:
    if line.roles is not None:
        yield _any(f'principal == Role::"{role.value}"' for role in sorted(line.roles))
    if line.tools is not None:
        yield _any(f"context.tool == {_quoted(tool)}" for tool in sorted(line.tools))
    if line.channels is not None:
        yield _any(_channel(channel) for channel in sorted(line.channels))
    elif line.verdict in PERMITS:
        yield f"!({_IN_GROUP})"
    if line.only is not None:
        yield _ONLY[line.only]
    for flag, wanted in line.flags:
        yield f"{'' if wanted else '!'}context.{FLAGS[flag]}"
    if line.recipients != "any":
        yield _reach(line.recipients)
    if line.files is not None:
        yield f"context.destroys <= {line.files}"
    if line.at_most_cents is not None:
        yield f"context.amount_cents <= {line.at_most_cents}"


GROUP = "group"
"""In `channels`: every group of every channel. "telegram:group" is those of one channel, "telegram" its private chats."""

_IN_GROUP = f'context.channel like "*:{GROUP}"'


def _channel(name: str) -> str:
    return _IN_GROUP if name == GROUP else f"context.channel == {_quoted(name)}"


def _is_group(channel: str) -> bool:
    return channel == GROUP or channel.endswith(f":{GROUP}")


_ONLY = {
    "workspace": 'context.place == "workspace" && !context.network',
    "local": 'context.place != "outside" && !context.network',
    "outside": 'context.place == "outside"',
}


def _reach(recipients: str) -> str:
    near = ["none", *(word for word in RECIPIENTS[: RECIPIENTS.index(recipients) + 1] if word != "named")]
    parts = [f'context.recipients == "{word}"' for word in near]
    return _any([*parts, "context.owner_named"] if recipients == "named" else parts)


def _any(parts: Iterator[str] | list[str]) -> str:
    listed = list(parts)
    return f"({' || '.join(listed)})" if listed else "false"


def _quoted(value: str) -> str:
    """A Cedar string; what does not print is written as an escape."""
    return '"' + "".join(_escaped(c) for c in value) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if char.isprintable() else f"\\u{{{ord(char):x}}}"


def covers(wide: Capability, narrow: Capability) -> bool:
    """Whether every call that fits `narrow` fits `wide` too."""
    return (
        narrow.effects <= wide.effects
        and _within(narrow.tools, wide.tools)
        and _channels_within(narrow, wide)
        and _within(narrow.roles, wide.roles)
        and (wide.only is None or (narrow.only is not None and PLACES[narrow.only] <= PLACES[wide.only]))
        and set(wide.flags) <= set(narrow.flags)
        and RECIPIENTS.index(narrow.recipients) <= RECIPIENTS.index(wide.recipients)
        and _below(narrow.files, wide.files)
        and _below(narrow.at_most_cents, wide.at_most_cents)
    )


def _channels_within(narrow: Capability, wide: Capability) -> bool:
    if wide.channels is None:  # of a line that permits: every private conversation
        return wide.verdict not in PERMITS or not any(_is_group(channel) for channel in narrow.channels or ())
    named = {GROUP if GROUP in wide.channels and _is_group(c) else c for c in narrow.channels or ()}
    return narrow.channels is not None and named <= wide.channels


def _within(narrow: frozenset[str] | None, wide: frozenset[str] | None) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)


def _below(narrow: int | None, wide: int | None) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)
