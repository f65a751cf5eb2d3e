"""Actions: what a tool declares, what a model wishes, what was judged, what came back.

Layer: core/terms. Owns the manifest, the proposal, the canonical call and the receipt.
Absent: authority (see `authority`) and the verdict (see `decision`).
Law: the bytes judged are the bytes run: `CanonicalCall.arguments_json` is what the sandbox receives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from carapax.core.terms.ids import CallId, Digest, SessionId, ToolName, TurnId
from carapax.core.terms.label import Integrity, Label
from carapax.core.terms.tier import Provenance


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
    NUMBER = "number"  # an integer or a decimal fraction
    BOOLEAN = "boolean"
    LIST = "list"  # of texts
    JSON = "json"  # anything else; every text inside it is judged


class FieldRole(StrEnum):
    """What one field of a structured result is."""

    ID = "id"  # names the record for other calls
    NAME = "name"  # what people call the record: a title, a file name
    ADDRESS = "address"  # somebody or something that can receive: e-mail, user, account, channel
    PLACE = "place"  # the container the record lies in: channel, folder
    URL = "url"
    AMOUNT = "amount"
    NUMBER = "number"  # size, count, rating
    DATE = "date"
    FLAG = "flag"
    TEXT = "text"  # free text, whoever wrote it


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a record. `name` is its key; "@x" is the call's argument x; "" is the record itself (a bare value)."""

    name: str
    role: FieldRole
    integrity: Integrity = Integrity.EXTERNAL
    words: tuple[str, ...] = ()  # how a person names the field: "participants", "sender"
    reader: bool = False  # whoever stands here may read the record
    source: bool = False  # whose words the record is: a host


@dataclass(frozen=True, slots=True)
class RecordSpec:
    """How records lie in a tool's structured result, so that the gateway itself can look things up in them.

    `at` "" is the result (each element of a list, or the one object), "a.b" what lies there, "*" the pairs of an object,
    with the fields "key" and "value".
    """

    kind: str  # "email", "file"
    nouns: tuple[str, ...] = ()  # how a person calls them: "mail", "mails", "message"
    at: str = ""
    fields: tuple[FieldSpec, ...] = ()
    directory: bool = False  # entries that the owner keeps: a name here stands for its address
    found: bool = False  # what a search of the web found: its address may be opened while nothing private was read


class Sink(StrEnum):
    """Who can read what a tool sends."""

    NONE = "none"  # it stays with the owner
    ARGUMENTS = "arguments"  # whoever the recipient arguments name
    ORG = "org"
    PUBLIC = "public"


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
    key: str = ""  # of a "json" argument: only texts under this key decide; "" is every text in it


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
    domain: str = ""  # the private domain it reads or writes: "mail"; "" is none
    domain_words: tuple[str, ...] = ()  # how a person names that domain
    words: tuple[str, ...] = ()  # how a person asks for exactly this tool, beyond its effect's own words
    result_readers: str = "owner"  # "public", "org" or "owner"
    media: Literal["text", "html", "markdown"] = "text"  # what its result is, so that hidden parts can be found
    records: tuple[RecordSpec, ...] = ()
    sink: Sink = Sink.NONE
    contained: bool = False  # its code has no way out and all it changes can be undone
    scalar: bool = False  # its result is one bounded value that a quarantined reading took out of what it read
    from_files: bool = False  # its result says only what the files it was pointed at say: labelled as they are
    online: bool = False  # its calls may open a way out through the egress proxy; never together with `contained`
    provenance: Provenance = Provenance.THIRD_PARTY  # who wrote the code that its calls run


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
    OWNER_SELF = "owner_self"  # the owner's own address
    CREATED_HERE = "created_here"  # an object this turn made
    DIRECTORY = "directory"  # the verified directory's one entry under a name that the owner used
    NAMED_OBJECT = "named_object"  # the one record whose own name the owner used
    COMPUTED = "computed"  # looked up by the gateway: the largest, all of them, a field of a named record
    POINTED_AT = "pointed_at"  # verbatim in a source that the owner pointed at
    ENDORSED = "endorsed"  # in lines of a text that a person picked for this task
    EARLIER = "earlier"  # what the owner paid or used before, in a system of record
    HANDLE = "handle"  # names a secret in the vault
    DEFAULT = "default"  # filled in by the gateway
    UNTRUSTED = "untrusted"  # verbatim in untrusted text
    MODEL = "model"  # composed by the model from a context with the proposal's label


VOUCHED = frozenset(Origin) - {Origin.UNTRUSTED, Origin.MODEL}
"""Origins that an authority argument may have without asking."""

Value = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """Where one value of an argument came from; `source` says it in words: "file report.txt"."""

    value: str
    origin: Origin
    source: str = ""


@dataclass(frozen=True, slots=True)
class Argument:
    """One canonical argument with its role, its least trusted origin, its label, and a trace for each value in it."""

    name: str
    role: ArgRole
    value: Value
    origin: Origin
    label: Label
    traces: tuple[Trace, ...] = ()


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

    def value(self, name: str) -> Value | None:
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
    content: object = None  # the structured result, JSON-like; the manifest's records say how to read it
