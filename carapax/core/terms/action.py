"""Actions: what a tool declares, what a model wishes, what was judged, what came back.

Layer: core/terms. Owns the manifest, the proposal, the canonical call and the receipt.
Absent: authority (see `authority`) and the verdict (see `decision`).
Law: the bytes judged are the bytes run: `CanonicalCall.arguments_json` is what the sandbox receives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from carapax.core.terms.ids import CallId, Digest, SessionId, ToolName, TurnId
from carapax.core.terms.label import Integrity, Label


class Effect(StrEnum):
    """What a tool does to the world; an undeclared tool counts as the worst."""

    READ = "read"
    FETCH = "fetch"
    SELF_ADD = "self_add"
    SELF_MODIFY = "self_modify"
    DESTROY = "destroy"
    COMMUNICATE = "communicate"
    PUBLISH = "publish"
    ACCESS = "access"
    MONEY = "money"
    CREDENTIAL = "credential"
    CODE = "code"


class ArgRole(StrEnum):
    """What an argument decides; authority roles are all but content, flag and count."""

    RECIPIENT = "recipient"
    URL = "url"
    PAYEE = "payee"
    AMOUNT = "amount"
    OBJECT = "object"
    PLACE = "place"
    PRINCIPAL = "principal"
    DATE = "date"
    SECRET = "secret"  # noqa: S105 - a role, not a password
    PATH = "path"
    COMMAND = "command"
    CONTENT = "content"
    FLAG = "flag"
    COUNT = "count"


class ArgType(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class ArgSpec:
    """One argument of a tool: its role decides which rules look at it."""

    name: str
    role: ArgRole
    type: ArgType
    description: str
    required: bool = True
    max_bytes: int = 65_536  # of the UTF-8 text
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolManifest:
    """What a tool may do, read without importing its code. The guard judges this, never the code."""

    name: ToolName
    description: str  # shown to the model
    effect: Effect
    args: tuple[ArgSpec, ...]
    result_integrity: Integrity  # of what it returns, before joining its arguments
    reversible: bool  # its changes in the workspace can be undone
    touches_workspace: bool  # versions are kept around it
    timeout_ms: int = 60_000
    output_bytes: int = 64_000
    ends_turn: bool = False  # its result is the reply: the person speaks next


@dataclass(frozen=True, slots=True)
class Proposal:
    """A model's wish. It carries no authority; only the guard can turn it into a call."""

    call: CallId
    session: SessionId
    turn: TurnId
    tool: str
    arguments_json: str  # as the model wrote it


class Origin(StrEnum):
    """Where an argument's value came from, as far as exact matching can tell."""

    OWNER_WORDS = "owner_words"  # verbatim in what the owner typed in this session
    CREATED_HERE = "created_here"  # an object this session made
    DEFAULT = "default"  # filled in by the gateway
    MODEL = "model"  # composed by the model from a context with the proposal's label


@dataclass(frozen=True, slots=True)
class Argument:
    """One canonical argument with its role, its origin and its label."""

    name: str
    role: ArgRole
    value: str | int | bool
    origin: Origin
    label: Label


@dataclass(frozen=True, slots=True)
class CanonicalCall:
    """The exact call that is judged, recorded, shown and run."""

    call: CallId
    session: SessionId
    turn: TurnId
    manifest: ToolManifest
    arguments: tuple[Argument, ...]
    arguments_json: str  # canonical JSON of name → value; these bytes are run
    digest: Digest  # SHA-256 over tool name, NUL, arguments_json

    def value(self, name: str) -> str | int | bool | None:
        """The argument's canonical value, or None when it was not given."""
        return next((a.value for a in self.arguments if a.name == name), None)


class Outcome(StrEnum):
    DONE = "done"
    FAILED = "failed"  # it ran and says it failed (non-zero exit, missing file)
    STOPPED = "stopped"  # ended by a limit (time, output, memory)
    UNKNOWN = "unknown"  # the gateway died between entry and receipt


class ChangeKind(StrEnum):
    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One file that a call changed in the workspace. `kept` is False when the old bytes were over the ceiling."""

    path: str  # relative, "/"-separated
    kind: ChangeKind
    before: Digest | None
    after: Digest | None
    size_bytes: int  # after; before when deleted
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a tool's run left: outcome, output, changes. Labels are put on by the guard."""

    call: CallId
    outcome: Outcome
    text: str  # for the model and the person; already cut at the manifest's ceiling
    truncated: bool = False
    exit_code: int | None = None
    duration_ms: int = 0
    changes: tuple[Change, ...] = field(default=())
