"""The sections of a document that are tables: people, data, directory, sinks, caps, models, approvals, budgets.

Layer: core/policy. Each reader takes its node of the tree and gives typed values.
Absent: capabilities and raw rules, which become Cedar (`capability`, `document`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from carapax.core.policy import reading
from carapax.core.policy.tree import Node, fault
from carapax.core.terms.action import Effect
from carapax.core.terms.label import Integrity
from carapax.core.terms.limit import Budget, Budgets
from carapax.core.terms.principal import Role
from carapax.core.terms.tables import Caps, Clearance, DataClass, DirectoryEntry, Place, Tables, Tier

BUILTIN = ("card", "iban", "national_id")
LEAVES = ("allow", "ask", "deny")
INTEGRITIES = tuple(level.name.lower() for level in Integrity)
CURRENCY = re.compile("[A-Z]{3}")
MAX_PATTERN = 500
"""Characters of one pattern."""

_NOT_RE2 = re.compile(r"\(\?(?:[=!>]|<[=!]|P=|#|\()|\\[1-9]|[*+?}]\+")
MACHINE = "this-machine"
"""The name under which this machine's key signs; nobody else may have it."""


def read_signers(signers: Node | None, needs: Node | None) -> tuple[Mapping[str, str], int]:
    """Signers by name, and how many of them a wider document needs; this machine counts as one."""
    found: dict[str, str] = {}
    for key, node in reading.entries(signers).items() if signers else ():
        reading.check_name(node, key)
        if key == MACHINE:
            raise fault(node, "this name is this machine's own", "write another name")
        found[key] = _public_key(node)
        if list(found.values()).count(found[key]) > 1:
            raise fault(node, "another signer has the same key", "give every signer a key of their own")
    count = reading.whole(needs, 1) if needs else 1
    if needs and count > min(2, len(found) + 1):
        raise fault(needs, f"{count} signatures cannot be had", "write 1, or list a signer and write 2")
    return found, count


def _public_key(node: Node) -> str:
    try:
        raw = base64.b64decode(reading.text(node), validate=True)
    except (binascii.Error, ValueError) as error:
        raise fault(node, "this is not base64", "write the 32 bytes of an Ed25519 public key in base64") from error
    if len(raw) != 32:
        raise fault(node, f"this has {len(raw)} bytes", "write the 32 bytes of an Ed25519 public key in base64")
    return base64.b64encode(raw).decode()


def read_roles(node: Node | None) -> Mapping[str, Role]:
    """Principal → role."""
    return {key: reading.member(value, Role) for key, value in reading.entries(node).items()} if node else {}


def read_sinks(node: Node | None) -> Mapping[str, frozenset[str]]:
    """Tool or channel → who reads what it sends: public, org, owner, or principals."""
    if node is None:
        return {}
    return {key: frozenset(reading.texts(value)) for key, value in reading.entries(node).items()}


@dataclass(frozen=True, slots=True)
class Approvals:
    """Who answers, how long they have, and for which effects one person's yes is not enough."""

    roles: frozenset[Role]
    minutes: int
    four_eyes: frozenset[str]
    second_factor: frozenset[str]


def read_approvals(node: Node) -> Approvals:
    """The section `approvals`."""
    given = reading.fields(node, ("roles", "minutes", "four_eyes", "second_factor"), ("minutes",))
    roles = reading.members(given["roles"], Role) if "roles" in given else (Role.OWNER,)
    return Approvals(
        frozenset(roles),
        reading.whole(given["minutes"], 1),
        _effects(given.get("four_eyes")),
        _effects(given.get("second_factor")),
    )


def _effects(node: Node | None) -> frozenset[str]:
    return frozenset(effect.value for effect in reading.members(node, Effect)) if node else frozenset()


def read_tables(given: Mapping[str, Node], tier: Tier, approvals: Approvals) -> Tables:
    """Everything that becomes a table."""
    classes, places = _data(given.get("data"))
    return Tables(
        tier=tier,
        caps=_caps(given.get("caps")),
        owner_addresses=frozenset(reading.texts(given["owner"])) if "owner" in given else frozenset(),
        org_domains=frozenset(reading.texts(given["organisation"])) if "organisation" in given else frozenset(),
        directory=_directory(given.get("directory")),
        places=places,
        classes=classes,
        clearances=_clearances(given.get("models"), frozenset(c.name for c in classes)),
        four_eyes=approvals.four_eyes,
        second_factor=approvals.second_factor,
        sinks=tuple(sorted(read_sinks(given.get("sinks")).items())),
    )


def _data(node: Node | None) -> tuple[tuple[DataClass, ...], tuple[Place, ...]]:
    classes: list[DataClass] = []
    places: list[Place] = []
    for key, value in reading.entries(node).items() if node else ():
        reading.check_name(value, key)
        given = reading.fields(value, ("builtin", "patterns", "files", "integrity", "leaves"))
        builtin = tuple(reading.word(item, BUILTIN) for item in _list(given.get("builtin")))
        patterns = tuple(_pattern(item) for item in _list(given.get("patterns")))
        leaves = reading.word(given["leaves"], LEAVES) if "leaves" in given else "ask"
        classes.append(DataClass(key, builtin, patterns, leaves))
        level = Integrity[reading.word(given["integrity"], INTEGRITIES).upper()] if "integrity" in given else None
        places += [Place(_glob(item), level, key) for item in _list(given.get("files"))]
    return tuple(classes), tuple(places)


def _list(node: Node | None) -> tuple[Node, ...]:
    return reading.items(node) if node else ()


def _pattern(node: Node) -> str:
    found = reading.text(node, MAX_PATTERN)
    if _NOT_RE2.search(found):
        raise fault(node, "this pattern looks around, refers back or is possessive", "write it with RE2's syntax only")
    try:
        re.compile(found)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise fault(
            node, f"this is no pattern ({error})", "write a regular expression of RE2, in single quotes"
        ) from error
    return found


def _glob(node: Node) -> str:
    found = reading.text(node)
    if found.startswith(("/", "~")) or ".." in found.split("/"):
        raise fault(node, "this leaves the workspace", "write a glob below it, like customers/**")
    return found


def _directory(node: Node | None) -> tuple[DirectoryEntry, ...]:
    found = []
    for key, value in reading.entries(node).items() if node else ():
        addresses = reading.texts(value) if value.items is not None else (reading.text(value),)
        found.append(DirectoryEntry(key, addresses))
    return tuple(found)


def _caps(node: Node | None) -> Caps:
    default = Caps()
    if node is None:
        return default
    counts = ("messages_per_minute", "files_per_minute", "actions_per_task")
    given = reading.fields(node, ("currency", "payment_each", "payment_day", *counts))
    bounds = {key: reading.whole_or_none(given[key]) if key in given else getattr(default, key) for key in counts}
    return Caps(
        currency=_currency(given["currency"]) if "currency" in given else default.currency,
        payment_each_cents=reading.cents(given["payment_each"]) if "payment_each" in given else 0,
        payment_day_cents=reading.cents(given["payment_day"]) if "payment_day" in given else 0,
        **bounds,
    )


def _currency(node: Node) -> str:
    found = reading.text(node)
    if not CURRENCY.fullmatch(found):
        raise fault(node, f"`{found[:20]}` is not a currency", "write its three capital letters, like EUR")
    return found


def _clearances(node: Node | None, classes: frozenset[str]) -> tuple[Clearance, ...]:
    found = []
    for key, value in reading.entries(node).items() if node else ():
        if value.items is None:
            reading.word(value, ("all",))
            found.append(Clearance(key, frozenset({"*"})))
            continue
        named = frozenset(_class(item, classes) for item in value.items)
        found.append(Clearance(key, named))
    return tuple(found)


def _class(node: Node, classes: frozenset[str]) -> str:
    found = reading.text(node)
    if found in classes or found.startswith("domain:"):
        return found
    raise fault(node, f"`{found[:60]}` is no class of `data`", "name a class that stands there, domain:NAME, or `all`")


def read_budgets(node: Node) -> Budgets:
    """The section `budgets`."""
    spans = ("turn", "session", "day")
    given = reading.fields(node, spans, spans)
    return Budgets(*(_budget(given[span]) for span in spans))


def _budget(node: Node) -> Budget:
    kinds = ("tokens", "usd_micro", "tool_calls", "wall_ms")
    given = reading.fields(node, kinds) if node.fields else reading.entries(node)
    return Budget(**{kind: reading.whole_or_none(value, 1) for kind, value in given.items()})
