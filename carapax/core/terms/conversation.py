"""Conversation: sessions, turns and the labelled parts that make up their history.

Layer: core/terms. Each part keeps its own label, so a context is only as tainted as what is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carapax.core.terms.ids import CallId, PrincipalId, SessionId, TurnId
from carapax.core.terms.label import Label
from carapax.core.terms.limit import Usage


class TurnState(StrEnum):
    ACCEPTED = "accepted"  # stored; nothing done yet
    RUNNING = "running"
    WAITING = "waiting"  # for a person
    DONE = "done"
    STOPPED = "stopped"  # ended by a budget, a person or an error, with a sentence that says so
    INTERRUPTED = "interrupted"  # the gateway ended while it ran


class PartKind(StrEnum):
    USER = "user"  # the person's words
    REPLY = "reply"  # the agent's words
    CALL = "call"  # what the model wished: text = arguments JSON
    RESULT = "result"  # what came back: output, refusal or error code
    NOTICE = "notice"  # the gateway's own words to the person and the model
    QUOTE = "quote"  # what a message carried of others: quoted, forwarded, replied to


@dataclass(frozen=True, slots=True)
class Part:
    """One element of a session's history. `seq` rises within the session."""

    session: SessionId
    turn: TurnId
    seq: int
    kind: PartKind
    text: str
    label: Label
    created_ms: int
    tool: str = ""  # for CALL and RESULT
    call: CallId | None = None


@dataclass(frozen=True, slots=True)
class Session:
    id: SessionId
    name: str
    owner: PrincipalId
    created_ms: int
    updated_ms: int
    turns: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Turn:
    id: TurnId
    session: SessionId
    number: int  # per session, from 1: what people say ("undo turn 3")
    state: TurnState
    principal: PrincipalId
    channel: str  # "cli", "api", …
    text: str  # the message that started it
    reply: str  # "" until there is one
    started_ms: int
    ended_ms: int | None
    usage: Usage
    key: str = ""  # the client's idempotency key, "" for none


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message as a surface hands it over, already authenticated.

    `session` names an existing session; else `conversation` is the client's own stable key for one
    ("" opens a new session). `seed` is earlier history that a stateless client sent along.
    """

    text: str
    channel: str
    session: SessionId | None = None
    conversation: str = ""
    key: str = ""  # idempotency: the same key in the same session is the same message
    seed: tuple[tuple[PartKind, str], ...] = ()
    quoted: str = ""  # others' words that the message carries
    files: tuple[str, ...] = ()  # workspace paths of what came with it
    readers: frozenset[PrincipalId] = frozenset()  # who else reads it where it was said
    source: str = ""  # the conversation that `quoted` comes from, by its key
    waits: bool = False  # behind a card and behind other messages it waits in line, instead of being refused
    back: str = ""  # where the reply goes; whoever hands the message over knows how to read it
    due_ms: int = 0  # not begun before: what comes meanwhile is taken up with it
