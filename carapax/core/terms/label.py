"""Labels: who could have written a value, who may read it, where it came from, what kind of text it is.

Layer: core/terms; the order on labels and the joins live in `core/flow`.
Absent: any judgement. A label says facts, policy says what follows.
Source: FIDES (information-flow control for agents), CaMeL; design `flow.md`.
Law: a label is a value; nothing mutates it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from carapax.core.terms.ids import Digest, PrincipalId

T = TypeVar("T")


class Integrity(IntEnum):
    """How much the writer of a value may decide; higher trusts more."""

    EXTERNAL = 0  # anybody could have written it: web, mail, files, tool output, model text over them
    CATALOG = 1  # a typed field of a system of record: size, date, id
    PEER = 2  # an authenticated colleague
    SYSTEM = 3  # Carapax itself or its operator
    USER = 4  # typed by an authenticated owner


@dataclass(frozen=True, slots=True)
class Readers:
    """The set of principals that may read a value; `everyone` means public."""

    everyone: bool = False
    names: frozenset[PrincipalId] = frozenset()


PUBLIC = Readers(everyone=True)
OWNER = PrincipalId("owner")
OWNER_ONLY = Readers(names=frozenset({OWNER}))


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where a value entered: a kind, a reference inside that kind, a field, and the bytes' digest."""

    kind: str  # "message", "file", "tool", "model", "system"
    ref: str
    field: str = ""
    digest: Digest = Digest("")


class Shape(IntEnum):
    """How much a value can say; higher says more. A scalar cannot carry an instruction."""

    SCALAR = 0  # bounded: yes or no, one of a list, a number, a date, an id
    TEXT = 1


@dataclass(frozen=True, slots=True)
class Label:
    """Integrity, readers, sources, data classes and shape of one value."""

    integrity: Integrity
    readers: Readers
    sources: frozenset[Source] = frozenset()
    classes: frozenset[str] = frozenset()  # data classes of the policy that it holds: "customer", "domain:mail"
    shape: Shape = Shape.TEXT


@dataclass(frozen=True, slots=True)
class Labeled(Generic[T]):
    """A value with its label; the only way untrusted values travel between rooms."""

    value: T
    label: Label
