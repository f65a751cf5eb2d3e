"""The message tools behind the tool port: they hand on to the gateway's outbox.

Layer: adapters/tools/messages. Owns the seal's check and the words of results. Absent: where somebody can be reached
and how a message travels (`app`). Law: one sealed call is one message; its call is the message's idempotency key.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from carapax.adapters.tools.manifest import load_manifests
from carapax.core.terms.action import CanonicalCall, Outcome, Receipt, ToolManifest
from carapax.core.terms.authority import AuthorizedCall, verify_call
from carapax.core.terms.error import CarapaxError, NotFound
from carapax.core.terms.ids import CallId, SessionId, TurnId
from carapax.ports.clock import Clock


class Post(Protocol):
    """What carries messages."""

    async def attach(self, turn: TurnId, path: str) -> str:
        """Add a workspace file to a turn's reply; what is true now. Raises Malformed, NotFound, TooLarge, Conflict."""
        ...

    async def send(self, person: str, text: str, call: CallId, session: SessionId) -> str:
        """Keep a message to a person for sending; where it goes. Raises NotFound (nobody of that name can be reached)."""
        ...


class MessageTools:
    """Implements ports.tool.Tool for the family "messages"."""

    def __init__(self, post: Post, clock: Clock, key: bytes) -> None:
        self._post, self._clock, self._key = post, clock, key
        self._manifests = load_manifests(Path(__file__).parent)

    def manifests(self) -> Sequence[ToolManifest]:
        return self._manifests

    async def perform(self, authorized: AuthorizedCall) -> Receipt:
        call = verify_call(authorized, self._key, self._clock.now_ms()).call
        started_ms = self._clock.monotonic_ms()
        try:
            text, outcome = await self._do(call), Outcome.DONE
        except CarapaxError as error:
            text, outcome = f"error: {error.what} {error.kept}", Outcome.FAILED
        return Receipt(call.call, outcome, text, duration_ms=self._clock.monotonic_ms() - started_ms)

    async def _do(self, call: CanonicalCall) -> str:
        match call.manifest.name:
            case "attach_file":
                return await self._post.attach(call.turn, str(call.value("path") or ""))
            case "send_message":
                to, text = str(call.value("to") or ""), str(call.value("text") or "")
                return await self._post.send(to, text, call.call, call.session)
            case other:
                raise NotFound(f"There is no tool {other} in the family messages.")
