"""Port: a messenger. One Channel is one connected account; it speaks one platform's wire and decides nothing.

Who a sender is, whether the agent answers, and what it may say are the gateway's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from carapax.core.terms.channel import Attached, ChannelFacts, Heard, HookAnswer, HookRequest, Outgoing, Place, Sent
from carapax.core.terms.error import CarapaxError, Unavailable

Hear = Callable[[Heard], Awaitable[None]]
"""Takes what came in. When it returns, it is durable: only then is it acknowledged to the platform.

Raises StoreUnavailable: do not acknowledge; the platform will send it again.
"""


class ChannelFailed(Unavailable):
    """The platform could not be reached or failed. `retry_after_ms` is the platform's own wish, 0 when it has none.

    `unknown`: a send may have arrived (the connection broke after the request went out).
    """

    code = "channel.failed"
    kept = "The message is kept and tried again."
    next_step = "Wait; `carapax channels status` says how it stands."

    def __init__(self, what: str, *, retry_after_ms: int = 0, unknown: bool = False) -> None:
        super().__init__(what)
        self.retry_after_ms = retry_after_ms
        self.unknown = unknown


class CredentialRefused(Unavailable):
    """The platform does not accept the credential any more. No retry would help."""

    code = "channel.credential"
    kept = "Messages to be sent are kept."
    next_step = "Get a new credential from the platform, then `carapax channels add` it again."


class SendRefused(CarapaxError):
    """The platform will never take this message: the place is gone, the bot was blocked or removed, too large."""

    code = "channel.refused"
    kept = "It was not sent."
    next_step = "See `carapax messages dead`."


class Keep(Protocol):
    """Small durable notes of one channel (a cursor, a device's keys); each at most 1 MiB."""

    async def read(self, name: str) -> bytes | None: ...

    async def write(self, name: str, value: bytes) -> None:
        """Durable when it returns. Raises StoreUnavailable."""
        ...


class Channel(Protocol):
    def facts(self) -> ChannelFacts: ...

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        """Be connected and hand on what comes in, until cancelled; `up` is called with a short line once it stands.

        Returns only for a channel that has nothing to hold open (hooks alone). Raises ChannelFailed (the caller waits
        and calls again) and CredentialRefused (it does not). One message is handed on at a time, in the platform's order.
        """
        ...

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        """Answer a request of the platform. A signature that is missing, wrong, old or seen before is a 401 and nothing
        is handed on. Channels without hooks answer 404."""
        ...

    async def send(self, outgoing: Outgoing) -> Sent:
        """Send one message. Raises ChannelFailed, CredentialRefused, SendRefused."""
        ...

    async def edit(self, place: Place, message: str, text: str) -> None:
        """Replace a sent message's text (Feature.EDIT). Raises as `send`."""
        ...

    async def typing(self, place: Place) -> None:
        """Show that an answer is being written, for some seconds (Feature.TYPING). Raises as `send`."""
        ...

    async def react(self, place: Place, message: str, mark: str) -> None:
        """Set this emoji on a message, instead of one set before; "" takes it away (Feature.REACT). Raises as `send`."""
        ...

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        """The file's bytes. Raises TooLarge over the bound (nothing more was read), ChannelFailed, SendRefused (gone)."""
        ...

    async def members(self, place: Place) -> frozenset[str] | None:
        """The ids of everybody in a place but the agent; None when the platform does not tell (Feature.MEMBERS)."""
        ...

    async def test(self) -> Sequence[str]:
        """Really ask the platform: facts about the account, a line each. Raises ChannelFailed, CredentialRefused."""
        ...

    async def close(self) -> None: ...
