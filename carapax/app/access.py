"""Access: tokens and the one-time sign-in code. Values are shown once; only their SHA-256 is kept.

Layer: app. Laws: a revoked or expired token is refused at its next use; a code works once, for ten minutes, five tries.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace

from carapax.app.clock import new_id, spoken_code
from carapax.core.terms.error import NotFound
from carapax.core.terms.ids import PrincipalId, TokenId
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.ports.clock import Clock
from carapax.ports.gateway import MintedToken
from carapax.ports.ledger import Ledger
from carapax.ports.store import Store, Token

PREFIX = "cpx_"
CODE_MS = 600_000
CODE_TRIES = 5
TOUCH_MS = 60_000
"""A token's last use is written at most once a minute."""
DAY_MS = 86_400_000
CACHED = 256


class Access:
    """Mints, checks and revokes tokens."""

    def __init__(
        self, store: Store, ledger: Ledger, clock: Clock, roles: Callable[[], Mapping[str, Role]] = dict
    ) -> None:
        self._roles = roles
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._known: dict[str, Token] = {}
        self._code = ""
        self._code_until_ms = 0
        self._code_tries = 0
        self._touches: set[asyncio.Task[None]] = set()

    async def authenticate(self, value: str) -> Principal | None:
        """The principal of a token value, or None."""
        if not value.startswith(PREFIX) or len(value) > 128:
            return None
        digest = _digest(value)
        token = self._known.get(digest) or await self._store.find_token(digest)
        now_ms = self._clock.now_ms()
        if token is None or token.revoked or token.expires_ms <= now_ms:
            self._known.pop(digest, None)
            return None
        if token.last_used_ms is None or now_ms - token.last_used_ms > TOUCH_MS:
            token = replace(token, last_used_ms=now_ms)
            self._note_use(token, now_ms)
        if len(self._known) >= CACHED:
            self._known.clear()
        self._known[digest] = token
        return self._principal(token)

    def _principal(self, token: Token) -> Principal:
        """Whom a token speaks for: the person of its name, where the policy gives that person a role; else the owner."""
        role = self._roles().get(token.name)
        via = f"token:{token.id}"
        if role is None or token.name == OWNER:
            return Principal(OWNER, Role.OWNER, token.scopes, via)
        return Principal(PrincipalId(token.name), role, token.scopes, via)

    async def mint(self, by: str, name: str, scopes: frozenset[Scope], days: int) -> MintedToken:
        """A new token, recorded before it is handed out."""
        now_ms = self._clock.now_ms()
        value = PREFIX + secrets.token_urlsafe(32)
        token = Token(
            TokenId(new_id(now_ms)[-12:]), _digest(value), name, scopes, now_ms, now_ms + days * DAY_MS, False, None
        )
        body = {"token": token.id, "name": name, "scopes": sorted(scopes), "expires_ms": token.expires_ms, "by": by}
        await self._ledger.append("token.created", body)
        await self._store.put_token(token)
        return MintedToken(token, value)

    async def revoke(self, by: str, token: TokenId) -> None:
        """Refuse a token from now on. Raises NotFound."""
        if not any(known.id == token for known in await self._store.list_tokens()):
            raise NotFound(f"There is no token {token}.", next_step="List them with `carapax token list`.")
        await self._ledger.append("token.revoked", {"token": token, "by": by})
        await self._store.revoke_token(token)
        self._known.clear()

    def new_code(self) -> str:
        """A fresh one-time sign-in code; the one before it is void."""
        self._code = f"{spoken_code(3)}-{spoken_code(3)}"
        self._code_until_ms = self._clock.now_ms() + CODE_MS
        self._code_tries = CODE_TRIES
        return self._code

    async def redeem(self, code: str) -> MintedToken | None:
        """Exchange the code for a token of 30 days, or None."""
        if not self._code or self._code_tries <= 0 or self._clock.now_ms() > self._code_until_ms:
            return None
        self._code_tries -= 1
        given = code.strip().upper().replace(" ", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._code.encode()):
            return None
        self._code = ""
        return await self.mint("sign-in code", "browser", frozenset({Scope.CHAT, Scope.APPROVE, Scope.READ}), 30)

    def _note_use(self, token: Token, now_ms: int) -> None:
        task = asyncio.create_task(self._store.touch_token(token.id, now_ms))
        self._touches.add(task)
        task.add_done_callback(self._touches.discard)

    async def close(self) -> None:
        """Wait for the notes of use that are under way."""
        await asyncio.gather(*self._touches, return_exceptions=True)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
