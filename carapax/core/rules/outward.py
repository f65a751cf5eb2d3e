"""Rules 5 and 6, what leaves: content goes only to whom the context may be shown, and carries no link of the model's own.

Layer: core/rules. A private domain that the owner's words name may be told to the recipients they name; one that was
read without being asked for may not leave at all. Publishing private data is always asked.
Law: content that stands whole in the owner's words is the owner's to send.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from carapax.core.flow.canon import find_links
from carapax.core.flow.knowledge import address_form
from carapax.core.flow.lattice import may_flow
from carapax.core.flow.words import names
from carapax.core.rules.authority import deciding_roles
from carapax.core.rules.finding import Finding, Need
from carapax.core.rules.intent import may_pick
from carapax.core.rules.task import Task
from carapax.core.rules.trace import PEOPLE
from carapax.core.terms.action import VOUCHED, ArgRole, ArgType, Argument, CanonicalCall, Effect, Sink
from carapax.core.terms.ids import PrincipalId, RuleId
from carapax.core.terms.label import PUBLIC, Readers

UNREQUESTED_DATA = RuleId("flow.unrequested-data")
PUBLISH_PRIVATE = RuleId("flow.publish-private")
LINK = RuleId("url.unnamed")
QUERY = RuleId("url.query")

ORG = PrincipalId("org")
"""Everybody in the owner's organisation, as one reader."""

_BOUNDED = frozenset({ArgType.BOOLEAN, ArgType.INTEGER, ArgType.NUMBER})
_LEAVING = frozenset({Effect.COMMUNICATE, Effect.PUBLISH, Effect.ACCESS, Effect.MONEY})


def check_readers(call: CanonicalCall, task: Task) -> Iterator[Finding]:
    """Whether what the call tells may be told to whom it goes."""
    if not task.tainted or not is_outward(call) or not _tells(call):
        return
    audience = find_audience(call, task)
    if may_flow(replace(task.context, readers=task.audience), audience):
        return
    unasked = sorted(task.private_domains - task.plan.domains - {call.manifest.domain})
    if unasked:
        yield Finding(
            UNREQUESTED_DATA,
            Need.PICK if may_pick(task) else Need.NEVER,
            f"This has read your {unasked[0]}, which you did not ask for, and would send it on.",
        )
    elif audience.everyone and task.private_domains:
        asked = Effect.PUBLISH in task.plan.effects or call.manifest.name in task.plan.tools
        need = Need.YES if asked else Need.NEVER
        yield Finding(PUBLISH_PRIVATE, need, "It would show text that rests on private data to everybody.")


def check_links(call: CanonicalCall, task: Task) -> Iterator[Finding]:
    """Whether every link in what leaves, and every query, is the owner's."""
    if not task.tainted:
        return
    if is_outward(call):
        for argument in composed(call):
            for link in find_links(_text(argument)):
                if not _is_owners(link, task):
                    yield Finding(
                        LINK, Need.BLANK, "You never named this link.", argument.name, ArgRole.URL.value, link
                    )
    elif call.manifest.effect is Effect.FETCH and task.private_domains:
        for argument in composed(call):
            yield Finding(
                QUERY, Need.BLANK, "It would send words of its own to a service outside.", argument.name,
                argument.role.value, _text(argument),
            )  # fmt: skip


def _is_owners(link: str, task: Task) -> bool:
    if (ArgRole.URL.value, link) in task.typed or names(task.words, ArgRole.URL, link):
        return True
    return task.endorsed is not None and names(task.endorsed, ArgRole.URL, link)


def is_outward(call: CanonicalCall) -> bool:
    """Whether somebody else than the owner will see it."""
    if call.manifest.effect in _LEAVING:
        return True
    told = any(a.traces for a in call.arguments if a.role in PEOPLE)
    return call.manifest.sink in (Sink.PUBLIC, Sink.ORG) or (call.manifest.sink is Sink.ARGUMENTS and told)


def _tells(call: CanonicalCall) -> bool:
    """Whether it carries words of the model, or what was prepared before (a push, a send of a draft)."""
    content = any(a.role is ArgRole.CONTENT for a in call.arguments)
    prepared = call.manifest.effect in (Effect.COMMUNICATE, Effect.PUBLISH) and not content
    return prepared or bool(composed(call))


def composed(call: CanonicalCall) -> tuple[Argument, ...]:
    """What the model wrote and the call tells: texts that decide nothing and do not stand whole in the owner's words."""
    quiet = deciding_roles(call) | {ArgRole.DATE, ArgRole.AMOUNT}
    bounded = {spec.name for spec in call.manifest.args if spec.choices or spec.type in _BOUNDED}
    return tuple(
        a
        for a in call.arguments
        if a.role not in quiet and a.name not in bounded and a.origin not in VOUCHED and _text(a).strip()
    )


def find_audience(call: CanonicalCall, task: Task) -> Readers:
    """Who will be able to read it."""
    sink = call.manifest.sink
    if sink is Sink.PUBLIC or call.manifest.effect is Effect.PUBLISH:
        return PUBLIC
    declared = dict(task.tables.sinks).get(call.manifest.name, frozenset())
    if "public" in declared:
        return PUBLIC
    people = [t.value for a in call.arguments if a.role in PEOPLE for t in a.traces]
    names_ = {ORG if is_org(p, task) else PrincipalId(address_form(p)) for p in people}
    names_ |= {PrincipalId(name) for name in declared} | ({ORG} if sink is Sink.ORG else set())
    return Readers(names=frozenset(names_)) if names_ else PUBLIC


def is_org(address: str, task: Task) -> bool:
    """Whether an address belongs to the owner's organisation, by its mail domain or by the organisation's own records."""
    _, at, domain = address.rpartition("@")
    if at and domain.casefold() in task.tables.org_domains:
        return True
    return any(task.knowledge.records[i].org for i in task.knowledge.by_address.get(address_form(address), ()))


def _text(argument: Argument) -> str:
    return "\n".join(argument.value) if isinstance(argument.value, tuple) else str(argument.value)
