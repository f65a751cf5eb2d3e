"""Port: what surfaces may ask of the running gateway. Implemented by `app`; a fake serves the surfaces' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from carapax.core.terms.action import Change
from carapax.core.terms.approval import Answer, Approval, ApprovalState
from carapax.core.terms.channel import HookAnswer, HookRequest
from carapax.core.terms.check import Check
from carapax.core.terms.conversation import Inbound, Part, Session, Turn
from carapax.core.terms.event import Event
from carapax.core.terms.ids import ApprovalId, SessionId, TokenId, TurnId
from carapax.core.terms.incident import Act, Incident
from carapax.core.terms.principal import Principal, Scope
from carapax.core.terms.work import Work
from carapax.ports.store import Account, Pairing, Token


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did, in words a person can check."""

    turn: TurnId
    number: int
    restored: tuple[Change, ...]
    conflicts: tuple[str, ...]
    lost: tuple[str, ...]
    entry: int


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A new token; `value` is shown once and never stored."""

    token: Token
    value: str


@dataclass(frozen=True, slots=True)
class AskedFor:
    """One thing that setting up a channel asks for, in both languages."""

    name: str
    english: str
    french: str
    secret: bool = False  # the value goes to the vault; the gateway is told its handle
    optional: bool = False
    default: str = ""
    pattern: str = ""  # the whole answer must match
    oauth: Mapping[str, str] = field(default_factory=dict)  # the secret only buys tokens (core/channel/oauth)


@dataclass(frozen=True, slots=True)
class ChannelKind:
    """A kind of channel that can be added. `hook`: the platform calls us."""

    kind: str
    title: str
    hook: bool = False
    asks: tuple[AskedFor, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How a channel stands. `state`: "up", "connecting", "waiting" (for its next try), "refused" (its credential), "off"."""

    name: str
    kind: str
    title: str
    state: str
    detail: str  # "@mybot", or why it is not up, in words
    since_ms: int
    heard: int = 0  # messages since the start
    sent: int = 0
    queued: int = 0  # deliveries that wait


@dataclass(frozen=True, slots=True)
class LogLine:
    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class PairingCode:
    """A code, shown once."""

    code: str
    channel: str
    person: str
    expires_ms: int


class Gateway(Protocol):
    # turns
    async def submit(self, principal: Principal, inbound: Inbound) -> AsyncIterator[Event]:
        """Store the message, then stream its turn. When this returns, the message is durable.

        Leaving the stream does not end the turn. Raises Malformed, TooLarge, NotFound, Refused, Conflict (the session
        waits for an answer or is busy with too many messages), StoreUnavailable.
        """
        ...

    async def follow(self, principal: Principal, turn: TurnId) -> AsyncIterator[Event]:
        """The events of a turn from now on; for an ended turn, its TurnEnded alone. Raises NotFound."""
        ...

    async def cancel(self, principal: Principal, turn: TurnId) -> None:
        """Stop a running turn; what was done stays recorded. Raises NotFound, Conflict."""
        ...

    async def find_turn(self, principal: Principal, turn: TurnId) -> Turn | None: ...

    # sessions
    async def list_sessions(self, principal: Principal, *, query: str = "", limit: int = 50) -> Sequence[Session]: ...

    async def get_session(self, principal: Principal, session: SessionId) -> tuple[Session, Sequence[Turn]]: ...

    async def export_session(self, principal: Principal, session: SessionId) -> AsyncIterator[Part]: ...

    async def name_session(self, principal: Principal, session: SessionId, name: str) -> None: ...

    async def delete_session(self, principal: Principal, session: SessionId) -> None: ...

    # approvals
    async def list_approvals(self, principal: Principal, state: ApprovalState | None) -> Sequence[Approval]: ...

    async def answer(self, principal: Principal, approval: ApprovalId, answer: Answer, *, digest: str = "") -> Approval:
        """Answer a card; it is still WAITING when other people have to agree too. `digest`: of the call that was seen.

        Raises NotFound, Conflict (already answered, expired, another digest, too many wrong answers), Refused (no scope,
        no second factor), Malformed (`core.turn.answer.Lacking`: what is missing; the card goes on waiting).
        """
        ...

    # undo
    async def undo(
        self, principal: Principal, *, session: SessionId | None = None, turn: TurnId | None = None
    ) -> Undone:
        """Take back the newest turn that changed files (of a session when given). Raises NotFound when there is none."""
        ...

    # tokens
    async def authenticate(self, value: str) -> Principal | None:
        """The principal of a token value, or None (unknown, expired, revoked)."""
        ...

    async def create_token(
        self, principal: Principal, name: str, scopes: frozenset[Scope], days: int
    ) -> MintedToken: ...

    async def list_tokens(self, principal: Principal) -> Sequence[Token]: ...

    async def revoke_token(self, principal: Principal, token: TokenId) -> None: ...

    async def redeem(self, code: str) -> MintedToken | None:
        """Exchange the one-time sign-in code for a token; None when wrong, used or expired (10 minutes, 5 tries)."""
        ...

    # incidents
    async def list_incidents(self, principal: Principal) -> Sequence[Incident]:
        """Every incident, the newest first, without its processes; none for who may not decide."""
        ...

    async def get_incident(self, principal: Principal, number: int) -> Incident:
        """One, whole. Raises NotFound."""
        ...

    async def decide_incident(self, principal: Principal, number: int, act: Act) -> Incident:
        """Resume, kill or keep what it halted; in the ledger first. Raises Refused, NotFound, Conflict, LedgerUnavailable."""
        ...

    async def follow_incidents(self, principal: Principal) -> AsyncIterator[Event]:
        """Incidents from now on, opened and decided. Raises Refused, Conflict (too many listen)."""
        ...

    async def resume_all(self, principal: Principal) -> None:
        """Lift the stop of everything. Raises Refused, Conflict (nothing is stopped), LedgerUnavailable."""
        ...

    # channels (principal: the owner with Scope.ADMIN; to look: the owner or an operator with Scope.READ)
    async def list_kinds(self, principal: Principal) -> Sequence[ChannelKind]:
        """What can be added, and what each asks for."""
        ...

    async def list_channels(self, principal: Principal) -> Sequence[ChannelState]: ...

    async def add_channel(
        self, principal: Principal, name: str, kind: str, values: Mapping[str, str], secrets: Mapping[str, str]
    ) -> tuple[ChannelState, Sequence[str]]:
        """Test it live, keep it and connect it; its state and what the platform said of the account.

        `secrets` are handles that are in the vault already. Replaces a channel of that name. Raises Malformed, NotFound
        (the kind), ChannelFailed, CredentialRefused; nothing was kept then.
        """
        ...

    async def test_channel(self, principal: Principal, name: str) -> Sequence[str]:
        """Ask the platform now. Raises NotFound, ChannelFailed, CredentialRefused."""
        ...

    async def remove_channel(self, principal: Principal, name: str) -> None:
        """Disconnect and forget it, with its people, places and notes. Raises NotFound."""
        ...

    async def channel_log(self, principal: Principal, name: str, *, limit: int = 100) -> Sequence[LogLine]:
        """What happened to its connection, the newest last. Raises NotFound."""
        ...

    def hook_bytes(self, name: str) -> int:
        """How large a request to this channel's door may be: 1 MiB, 12 MiB where files come in with it; 0 for an unknown name."""
        ...

    async def hook(self, name: str, request: HookRequest) -> HookAnswer:
        """A platform calls. Nobody is authenticated yet: the channel checks the signature. 404 for an unknown name."""
        ...

    # people
    async def make_pairing(self, principal: Principal, channel: str, person: str) -> PairingCode:
        """A code that this person sends to the agent on the channel ("" on any), within an hour. Raises Refused, NotFound."""
        ...

    async def accept_pairing(self, principal: Principal, code: str, person: str) -> Account:
        """Whoever was given this code by the agent is this person. Raises NotFound (wrong, used, expired), Refused."""
        ...

    async def list_pairings(self, principal: Principal) -> Sequence[Pairing]: ...

    async def list_accounts(self, principal: Principal) -> Sequence[Account]: ...

    async def drop_account(self, principal: Principal, channel: str, sender: str) -> None:
        """They are a stranger again. Raises NotFound."""
        ...

    # what was given up
    async def list_dead(self, principal: Principal) -> Sequence[Work]: ...

    async def retry_dead(self, principal: Principal, short: str) -> Work:
        """Try it again. Raises NotFound, Conflict (two begin so)."""
        ...

    async def drop_dead(self, principal: Principal, short: str) -> Work: ...

    # state
    async def status(self) -> dict[str, Any]:
        """Version, uptime_ms, model facts, policy name/serial/digest, ledger size and checkpoint, counts, today's usage and budgets."""
        ...

    async def ready(self) -> Sequence[Check]:
        """What is not OK; empty when every part answers."""
        ...

    def metrics(self) -> dict[str, float]:
        """Prometheus-style name{labels} → value."""
        ...

    async def stop(self, principal: Principal) -> None:
        """Ask the gateway to end: no new turns, running ones are stopped and shown as interrupted."""
        ...
