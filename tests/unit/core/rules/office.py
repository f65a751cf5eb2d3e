"""A small office for the rules: mail, files, a calendar, a bank, a chat and the web, as manifests, with what they told.

Everything here is invented. `Desk` plays one task: results are learned, then a call is judged.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from carapax.core.flow.knowledge import Knowledge
from carapax.core.flow.lattice import NOTHING
from carapax.core.rules.judge import judge
from carapax.core.rules.task import Counts, Task
from carapax.core.rules.turn import TurnState
from carapax.core.terms.action import (
    ArgRole,
    ArgSpec,
    ArgType,
    CanonicalCall,
    Effect,
    FieldRole,
    FieldSpec,
    Proposal,
    RecordSpec,
    Sink,
    ToolManifest,
)
from carapax.core.terms.approval import Approval, Blank
from carapax.core.terms.decision import Allow, Ask, Decision, Deny
from carapax.core.terms.ids import ApprovalId, CallId, Digest, RuleId, SessionId, ToolName, TurnId
from carapax.core.terms.label import OWNER_ONLY, PUBLIC, Integrity, Label, Source
from carapax.core.terms.tables import Caps, DirectoryEntry, Tables
from carapax.guard.canonical import canonical_call
from carapax.guard.labels import declared_readers, result_label

CATALOG = Integrity.CATALOG
R, A, F = ArgRole, ArgType, FieldRole


def arg(name: str, role: ArgRole, kind: ArgType = A.TEXT, required: bool = True, key: str = "") -> ArgSpec:
    return ArgSpec(name, role, kind, name, required=required, key=key)


def field(name: str, role: FieldRole, *words: str, typed: bool = True, reader: bool = False) -> FieldSpec:
    return FieldSpec(name, role, CATALOG if typed else Integrity.EXTERNAL, words, reader)


def tool(name: str, effect: Effect, *args: ArgSpec, **more: Any) -> ToolManifest:
    return ToolManifest(
        ToolName(name), name, effect, args, more.pop("integrity", Integrity.EXTERNAL), more.pop("reversible", False),
        more.pop("touches_workspace", False), **more,
    )  # fmt: skip


MAIL = RecordSpec(
    "email",
    ("email", "emails", "mail", "mails", "message"),
    "",
    (
        field("id", F.ID),
        field("subject", F.NAME, "subject", typed=False),
        field("sender", F.ADDRESS, "sender", "from", reader=True),
        field("body", F.TEXT, typed=False),
        field("date", F.DATE),
        field("read", F.FLAG, "read"),
    ),
)
FILE = RecordSpec(
    "file",
    ("file", "files", "document"),
    "",
    (field("id", F.ID), field("name", F.NAME, typed=False), field("size", F.NUMBER, "size"), field("text", F.TEXT, typed=False)),
)  # fmt: skip
EVENT = RecordSpec(
    "event",
    ("event", "events", "meeting"),
    "",
    (
        field("id", F.ID),
        field("title", F.NAME, typed=False),
        field("participants", F.ADDRESS, "participants", "attendees"),
    ),
)
PAYMENT = RecordSpec(
    "payment",
    ("payment", "payments", "transaction"),
    "",
    (
        field("id", F.ID),
        field("subject", F.NAME, typed=False),
        field("sender", F.ADDRESS, "sender", reader=True),
        field("payee", F.ADDRESS, "payee"),
        field("amount", F.AMOUNT, "amount"),
    ),
)
NOTE = RecordSpec(
    "message",
    ("message", "messages"),
    "",
    (field("author", F.ADDRESS, "user", "author", reader=True), field("@channel", F.PLACE, "channel"), field("text", F.TEXT, typed=False)),
)  # fmt: skip
MEMBER = RecordSpec(
    "user",
    ("user", "users", "people"),
    "",
    (field("", F.ADDRESS, "user", "users"), field("@channel", F.PLACE, "channel")),
)
CHANNEL = RecordSpec("channel", ("channel", "channels"), "", (field("", F.NAME, "channel", typed=False),))
PAGE = RecordSpec("page", ("page", "site"), "", (field("@url", F.PLACE), field("", F.TEXT, typed=False)))
PERSON = RecordSpec("contact", ("contact",), "", (field("name", F.NAME), field("email", F.ADDRESS)), directory=True)

TOOLS = {
    manifest.name: manifest
    for manifest in (
        tool("read_mail", Effect.READ, arg("query", R.CONTENT, required=False), domain="mail",
             domain_words=("mail", "mails", "email", "emails", "inbox"), records=(MAIL,)),
        tool("send_mail", Effect.COMMUNICATE, arg("to", R.RECIPIENT, A.LIST), arg("text", R.CONTENT),
             arg("attachments", R.OBJECT, A.JSON, False, "file"), sink=Sink.ARGUMENTS),
        tool("delete_mail", Effect.DESTROY, arg("mail", R.OBJECT)),
        tool("list_drive", Effect.READ, domain="drive", domain_words=("file", "files", "drive"), records=(FILE,)),
        tool("remove_file", Effect.DESTROY, arg("file", R.OBJECT)),
        tool("create_file", Effect.SELF_ADD, arg("path", R.PATH), arg("text", R.CONTENT), records=(FILE,)),
        tool("append_file", Effect.SELF_MODIFY, arg("file", R.OBJECT), arg("text", R.CONTENT)),
        tool("share_file", Effect.ACCESS, arg("file", R.OBJECT), arg("with", R.RECIPIENT), sink=Sink.ARGUMENTS),
        tool("find_events", Effect.READ, domain="calendar", domain_words=("calendar", "event", "meeting"), records=(EVENT,)),
        tool("add_event", Effect.SELF_ADD, arg("title", R.CONTENT), arg("start", R.DATE),
             arg("participants", R.RECIPIENT, A.LIST, False), sink=Sink.ARGUMENTS),
        tool("list_payments", Effect.READ, domain="bank", domain_words=("payment", "bank", "transactions", "refund"), records=(PAYMENT,)),
        tool("pay", Effect.MONEY, arg("payee", R.PAYEE), arg("amount", R.AMOUNT, A.NUMBER), arg("subject", R.CONTENT, required=False)),
        tool("change_payment", Effect.MONEY, arg("id", R.OBJECT), arg("payee", R.PAYEE, required=False), arg("amount", R.AMOUNT, A.NUMBER, False)),
        tool("book_hotel", Effect.MONEY, arg("hotel", R.PLACE), arg("from", R.DATE)),
        tool("set_password", Effect.CREDENTIAL, arg("password", R.SECRET)),
        tool("read_profile", Effect.READ, domain="profile", domain_words=("profile", "passport")),
        tool("list_channels", Effect.READ, result_readers="org", records=(CHANNEL,)),
        tool("read_channel", Effect.READ, arg("channel", R.PLACE), result_readers="org", records=(NOTE,)),
        tool("list_members", Effect.READ, arg("channel", R.PLACE), result_readers="org", records=(MEMBER,)),
        tool("post_message", Effect.COMMUNICATE, arg("channel", R.RECIPIENT), arg("text", R.CONTENT), sink=Sink.ARGUMENTS),
        tool("direct_message", Effect.COMMUNICATE, arg("user", R.RECIPIENT), arg("text", R.CONTENT), sink=Sink.ARGUMENTS),
        tool("open_page", Effect.FETCH, arg("url", R.URL), result_readers="public", records=(PAGE,)),
        tool("publish_page", Effect.PUBLISH, arg("url", R.URL), arg("text", R.CONTENT), sink=Sink.PUBLIC),
        tool("find_contact", Effect.READ, arg("name", R.CONTENT), integrity=CATALOG, records=(PERSON,)),
        tool("web_search", Effect.FETCH, arg("query", R.CONTENT), result_readers="public"),
        tool("run_code", Effect.CODE, arg("command", R.COMMAND), contained=True, reversible=True, touches_workspace=True),
        tool("run_remote", Effect.CODE, arg("command", R.COMMAND)),
        tool("write_here", Effect.SELF_MODIFY, arg("path", R.PATH), arg("text", R.CONTENT), reversible=True, touches_workspace=True),
        tool("delete_here", Effect.DESTROY, arg("paths", R.PATH), reversible=True, touches_workspace=True),
    )
}  # fmt: skip

TAINT = Label(Integrity.EXTERNAL, OWNER_ONLY, frozenset({Source("tool", "t", "web")}))
TABLES = Tables(
    caps=Caps("EUR", 10_000, 25_000),
    owner_addresses=frozenset({"me@home.example", "me"}),
    org_domains=frozenset({"work.example"}),
    directory=(DirectoryEntry("Nora Quist", ("nora@quist.example",)),),
)


class Desk:
    """One task: the owner's words, what was read, what is judged."""

    def __init__(
        self, words: str, *, tainted: bool = True, counts: Counts | None = None, tables: Tables = TABLES
    ) -> None:
        self.state = TurnState.begin(NOTHING, words, "", frozenset(), tuple(TOOLS.values()), Knowledge())
        self.counts, self.tables = counts or Counts(), tables
        self.state.actions = self.counts.actions
        if tainted:
            self.state.read(TAINT, PUBLIC)

    def task(self) -> Task:
        return self.state.task(self.tables, self.tables.directory, date(2026, 3, 2), self.counts)

    def call(self, name: str, **arguments: Any) -> CanonicalCall:
        given = {key.rstrip("_"): value for key, value in arguments.items()}
        proposal = Proposal(CallId("c"), SessionId("s"), TurnId("t"), name, json.dumps(given))
        return canonical_call(proposal, TOOLS[ToolName(name)], self.task())

    def read(self, name: str, content: object, **arguments: Any) -> Desk:
        """A tool was called and told this."""
        call = self.call(name, **arguments)
        records = self.state.records(call, content)
        label = result_label(call, None, records)
        self.state.read(label, declared_readers(call.manifest, records))
        self.state.learn(call, content)
        return self

    def judge(self, name: str, **arguments: Any) -> Decision:
        return judge(self.call(name, **arguments), self.task())

    def answer(self, name: str, **arguments: Any) -> str:
        """ "allow", "deny RULE", or "ask RULE" with what must be typed or picked."""
        decision = self.judge(name, **arguments)
        if isinstance(decision, Allow):
            return "allow"
        if isinstance(decision, Deny):
            return f"deny {decision.rule}"
        assert isinstance(decision, Ask)
        typed = "".join(f" type:{blank.shown}" for blank in decision.blanks)
        return f"ask {decision.rule}{typed}{' pick' if decision.choices else ''}"


def card(blanks: tuple[Blank, ...], typed: tuple[str, ...]) -> Approval:
    """An answered card with these blanks."""
    ids = ApprovalId("K7M2"), SessionId("s"), TurnId("t"), CallId("c"), Digest("d")
    return Approval(*ids, "", (), RuleId("r"), "", "", 0, 1, blanks=blanks, typed=typed)
