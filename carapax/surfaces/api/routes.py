"""The route table: each route once, with who may use it, what it takes and what it gives.

Layer: surfaces/api. `build` serves this table, `document` describes it, tests walk it.
Law: a route is public or names its scopes; a route that does neither cannot be built.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from carapax.core.terms.approval import Approval
from carapax.core.terms.conversation import Part, Turn
from carapax.core.terms.incident import Act, Incident
from carapax.core.terms.principal import Scope
from carapax.ports.gateway import PairingCode, Undone
from carapax.ports.store import Account
from carapax.surfaces.api import channels, compat, incidents, native
from carapax.surfaces.api.call import Call
from carapax.surfaces.api.hooks import METHODS, PREFIX
from carapax.surfaces.api.shape import Choices, Field, Flag, Lines, Numbers, Pairs, Shape, Text, Whole

Endpoint = Callable[[Call], Awaitable[Response]]
CHAT, APPROVE, READ, ADMIN = Scope.CHAT, Scope.APPROVE, Scope.READ, Scope.ADMIN
JSON = "application/json"
NDJSON = native.NDJSON
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path. Any one of `scopes` is enough; `public` routes need no token."""

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    scopes: frozenset[Scope] = frozenset()
    public: bool = False
    body: Shape | None = None  # strict JSON body
    free: Shape | None = None  # lenient JSON body: these fields matter, others are ignored
    form: Shape | None = None
    query: tuple[Field, ...] = ()
    gives: type | str = "Answer"  # a term, or the name of a schema in `document`
    media: tuple[str, ...] = (JSON,)
    status: int = 200
    door: bool = False  # for platforms: public, its body is read as it comes, anything may stand behind its name

    def __post_init__(self) -> None:
        if self.public == bool(self.scopes):
            raise ValueError(f"{self.method} {self.path} must either be public or name its scopes")
        if self.door != self.path.startswith(PREFIX) or (self.door and not self.public):
            raise ValueError(f"{self.method} {self.path}: the door is below {PREFIX} and public")


def _of(*scopes: Scope) -> frozenset[Scope]:
    return frozenset(scopes)


def _get(path: str, endpoint: Endpoint, summary: str, *scopes: Scope, **more: Any) -> Route:
    return Route("GET", path, endpoint, summary, _of(*scopes), public=not scopes, **more)


def _post(path: str, endpoint: Endpoint, summary: str, *scopes: Scope, **more: Any) -> Route:
    return Route("POST", path, endpoint, summary, _of(*scopes), public=not scopes, **more)


_ID = 64
_TURN = Shape(
    "NewTurn",
    (
        Text("text", "The message.", required=True, max_bytes=1_048_576, line=False),
        Text("session", "An existing session; without it and without a conversation, a new one.", max_bytes=_ID),
        Text("conversation", "The client's own stable name for a session.", max_bytes=512),
        Text("key", "The same key in the same session is the same message.", max_bytes=200),
        Text("channel", "Where the message came in.", choices=("api", "cli", "panel")),
    ),
)
_NAME = Shape("SessionName", (Text("name", required=True),))
_ANSWER = Shape(
    "ApprovalAnswer",
    (
        Flag("approve", "Yes or no to exactly this call. Either this or `answer`."),
        Text("answer", "The same in a word.", choices=("yes", "no")),
        Lines("typed", "The values that the card asks for, in the order of its blanks.", max_bytes=65_536, most=64),
        Numbers("picked", "Which of the card's choices are meant, counted from 0.", most=1000),
        Text("code", "The one-time code, when the card asks for a second factor.", max_bytes=16),
        Text("digest", "The digest on the card that was shown; another one is refused.", max_bytes=128),
    ),
)
_UNDO = Shape("UndoWish", (Text("session", max_bytes=_ID), Text("turn", max_bytes=_ID)))
_DECISION = Shape(
    "IncidentDecision", (Text("act", "What becomes of it.", required=True, choices=tuple(a.value for a in Act)),)
)
_NEW_TOKEN = Shape(
    "NewToken",
    (
        Text("name", required=True, max_bytes=80),
        Choices("scopes", tuple(s.value for s in Scope), "What it may be used for.", required=True),
        Whole("days", "Until it expires; 90 without.", least=1, most=3650),
    ),
)
_CODE = Shape("SignInCode", (Text("code", "Shown where the gateway was started.", required=True, max_bytes=40),))
_MODEL = Text("model", "Any name; the answer names carapax.")
_STREAM = Text("stream", "true or false.")
_CHAT = Shape(
    "ChatRequest",
    (
        Text(
            "messages", "OpenAI's messages, text parts only; the last of the role user is the new one.", required=True
        ),
        Text("user", "The conversation's name: the gateway keeps its history.", max_bytes=512),
        Text("stream_options", "include_usage: a last chunk with the usage."),
        _MODEL,
        _STREAM,
    ),
)
_RESPONSES = Shape(
    "ResponseRequest",
    (
        Text("input", "A text, or OpenAI's message items, text parts only.", required=True),
        Text("instructions", "Words of the caller that go before the message."),
        Text("previous_response_id", "The response this continues."),
        Text("conversation", "The conversation's name, or an object with it as id."),
        _MODEL,
        _STREAM,
    ),
)
_CHANNEL = Shape(
    "NewChannel",
    (
        Text("name", "What it is called here.", required=True, max_bytes=_ID),
        Text("kind", "One of GET /api/channel-kinds.", required=True, max_bytes=_ID),
        Pairs("values", "The answers to what the kind asks for that are no secrets.", most=32),
        Pairs("secrets", "Handles of secrets that are in the vault already, never values.", max_bytes=_ID, most=16),
    ),
)
_PAIRING = Shape(
    "NewPairing",
    (
        Text("channel", "Where the code is to be sent; without, on any.", max_bytes=_ID),
        Text("person", "Who sends it; the owner without.", max_bytes=80),
    ),
)
_ACCEPT = Shape(
    "AcceptedPairing",
    (
        Text("code", "The code that somebody was given by the agent.", required=True, max_bytes=40),
        Text("person", "Who they are here; the owner without.", max_bytes=80),
    ),
)
_ACCOUNT = (
    Text("channel", required=True, max_bytes=_ID),
    Text("sender", "The platform's id.", required=True, max_bytes=512),
)
_LOG = (Whole("limit", "100 without.", least=1, most=500),)
_FIND = (Text("query", "Words in the name or in the text."), Whole("limit", "50 without.", least=1, most=500))
_STATE = (Text("state", "waiting without.", choices=("waiting", "all")),)

ROUTES: tuple[Route, ...] = (
    _get("/", native.front, "What this is, with a sign-in form.", media=("text/html",), gives="Page"),
    _post("/signin", native.sign_in_form, "The form's target.", form=_CODE, media=("text/html",), gives="Page"),
    _post("/api/signin", native.sign_in, "A sign-in code for a token.", body=_CODE, gives="MintedToken", status=201),
    _get("/healthz", native.healthz, "The process answers.", gives="Health"),
    _get("/readyz", native.readyz, "Every part answers, or which does not (503).", gives="Readiness"),
    _get("/metrics", native.metrics, "Counts for Prometheus.", READ, media=("text/plain",), gives="Page"),
    _get("/v1/models", compat.models, "The one model name.", CHAT),
    _post(
        "/v1/chat/completions", compat.chat_completions, "OpenAI chat completions.", CHAT, free=_CHAT, media=(JSON, EVENTS)
    ),
    _post("/v1/responses", compat.responses, "OpenAI responses.", CHAT, free=_RESPONSES, media=(JSON, EVENTS)),
    _post("/api/turns", native.start_turn, "Start a turn.", CHAT, body=_TURN, media=(NDJSON,), gives="Event"),
    _get("/api/turns/{id}", native.show_turn, "One turn.", CHAT, READ, gives=Turn),
    _get(
        "/api/turns/{id}/events", native.follow_turn, "A turn's events from now on.", CHAT, READ,
        media=(NDJSON,), gives="Event",
    ),
    _post("/api/turns/{id}/cancel", native.cancel_turn, "Stop a running turn.", CHAT),
    _get("/api/sessions", native.list_sessions, "Sessions, newest first.", CHAT, READ, query=_FIND, gives="Sessions"),
    _get("/api/sessions/{id}", native.show_session, "One session with its turns.", CHAT, READ, gives="SessionTurns"),
    _get(
        "/api/sessions/{id}/export", native.export_session, "All parts of a session.", CHAT, READ,
        media=(NDJSON,), gives=Part,
    ),
    Route("PATCH", "/api/sessions/{id}", native.name_session, "Name a session.", _of(CHAT), body=_NAME),
    Route("DELETE", "/api/sessions/{id}", native.delete_session, "Delete a session for good.", _of(ADMIN)),
    _get("/api/approvals", native.list_approvals, "What waits for an answer.", READ, APPROVE, query=_STATE, gives="Approvals"),
    _post("/api/approvals/{id}", native.answer_approval, "Answer an approval.", APPROVE, body=_ANSWER, gives=Approval),
    _post("/api/undo", native.undo, "Take back the newest turn that changed files.", CHAT, ADMIN, body=_UNDO, gives=Undone),
    _get("/api/incidents", incidents.list_incidents, "What was halted, the newest first.", READ, APPROVE, ADMIN, gives="Incidents"),
    _get(
        "/api/incident-events", incidents.follow_incidents, "Incidents from now on, opened and decided.", READ, APPROVE, ADMIN,
        media=(NDJSON,), gives="Event",
    ),
    _get("/api/incidents/{id}", incidents.show_incident, "One incident with its processes.", READ, APPROVE, ADMIN, gives=Incident),
    _post(
        "/api/incidents/{id}", incidents.decide_incident, "Resume, kill or keep it.", APPROVE, ADMIN,
        body=_DECISION, gives=Incident,
    ),
    _post("/api/resume-all", incidents.resume_all, "Lift the stop of everything.", ADMIN),
    _get("/api/channel-kinds", channels.list_kinds, "Channels that can be added, and what each asks for.", READ, ADMIN, gives="Kinds"),
    _get("/api/channels", channels.list_channels, "Every channel and how it stands.", READ, ADMIN, gives="Channels"),
    _post("/api/channels", channels.add_channel, "Test, keep and connect a channel.", ADMIN, body=_CHANNEL, gives="AddedChannel", status=201),
    _post("/api/channels/{id}/test", channels.test_channel, "Ask the platform now.", ADMIN, gives="Facts"),
    _get("/api/channels/{id}/log", channels.channel_log, "What happened to its connection.", READ, ADMIN, query=_LOG, gives="LogLines"),
    Route("DELETE", "/api/channels/{id}", channels.remove_channel, "Disconnect and forget a channel.", _of(ADMIN)),
    _get("/api/pairings", channels.list_pairings, "Codes that wait, without the codes.", READ, ADMIN, gives="Pairings"),
    _post("/api/pairings", channels.make_pairing, "A code to be sent to the agent.", ADMIN, body=_PAIRING, gives=PairingCode, status=201),
    _get("/api/accounts", channels.list_accounts, "Whose account on a channel is whose.", READ, ADMIN, gives="Accounts"),
    _post("/api/accounts", channels.accept_pairing, "Take in whoever was given this code.", ADMIN, body=_ACCEPT, gives=Account, status=201),
    Route("DELETE", "/api/accounts", channels.drop_account, "Make somebody a stranger again.", _of(ADMIN), query=_ACCOUNT),
    _get("/api/dead-messages", channels.list_dead, "What was given up.", READ, ADMIN, gives="DeadMessages"),
    _post("/api/dead-messages/{id}/retry", channels.retry_dead, "Try one again.", ADMIN, gives="DeadMessage"),
    Route("DELETE", "/api/dead-messages/{id}", channels.drop_dead, "Drop one for good.", _of(ADMIN), gives="DeadMessage"),
    _get("/api/status", native.status, "What runs, with which policy, and what was used.", READ),
    _post("/api/stop", native.stop, "End the gateway.", ADMIN),
    _get("/api/tokens", native.list_tokens, "All tokens, without their values.", ADMIN, gives="Tokens"),
    _post("/api/tokens", native.create_token, "A new token.", ADMIN, body=_NEW_TOKEN, gives="MintedToken", status=201),
    Route("DELETE", "/api/tokens/{id}", native.revoke_token, "End a token at once.", _of(ADMIN)),
    *(
        Route(method, PREFIX + path, endpoint, "A platform's own requests.", public=True, door=True, gives="Page", media=("text/plain",))
        for path, endpoint in (("{name}", channels.hook), ("{name}/{rest}", channels.hook_below))
        for method in METHODS
    ),
)  # fmt: skip
