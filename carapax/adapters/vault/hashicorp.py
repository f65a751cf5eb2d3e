"""Secrets that stay in a HashiCorp Vault or OpenBao: read when they are used, leased for a minute, never stored here.

Layer: adapters/vault. KV version 2 over its HTTP API, with a token or an AppRole; `RemoteResolver` implements
sealed.Resolver for the kind "remote", so bindings stay in the sealed vault. Absent: the connection (`client` is given,
an httpx2.AsyncClient whose base_url is the address).
Source: developer.hashicorp.com/vault/api-docs (kv-v2, approle, token). Laws: no error holds a token, a value or an
answer; one login and one repetition a request, never a loop.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from carapax.core.terms.error import Conflict, Malformed, StoreUnavailable
from carapax.ports.clock import Clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import httpx2

ANSWER_BYTES = 1_048_576
MAX_PATH_CHARS = 512
LEASE_MS = 60_000
"""So long a value may be used before it is asked for anew: a revocation there holds here within a minute."""
_PATH = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\Z")
_FIELD = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")

FindSecret = Callable[[], Awaitable[str | None]]
"""Gives the token, or the secret id of the AppRole, out of the sealed vault."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where one value lies."""

    path: str
    field: str = "value"

    def render(self) -> str:
        return json.dumps({"path": self.path, "field": self.field}, sort_keys=True)


def parse_remote(text: str) -> Remote:
    """PATH or PATH#FIELD as typed. Raises Malformed."""
    path, _, name = text.partition("#")
    return _checked(Remote(path, name or "value"))


def _checked(remote: Remote) -> Remote:
    segments = remote.path.split("/")
    if (
        len(remote.path) > MAX_PATH_CHARS
        or not _PATH.match(remote.path)
        or not _FIELD.match(remote.field)
        or any(set(segment) == {"."} for segment in segments)
    ):
        raise Malformed("That is not PATH or PATH#FIELD.", next_step="Write it like team/mail#password.")
    return remote


@dataclass(frozen=True, slots=True)
class AppRole:
    """Logs in as a role. `mount` is where the method was enabled."""

    role_id: str
    secret_id: FindSecret
    mount: str = "approle"


class KvVault:
    """One KV version 2 engine."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        login: FindSecret | AppRole,
        clock: Clock,
        *,
        mount: str = "secret",
        namespace: str = "",
    ) -> None:
        self._client = client
        self._login = login
        self.clock = clock
        self._mount = _checked(Remote(mount)).path
        self._namespace = namespace
        self._token = ""
        self._renew_at_ms = 0
        self._ends_at_ms = 0  # 0: never
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"KvVault({self._mount!r})"

    async def read(self, remote: Remote) -> str | None:
        """The value of a field of the newest version; None when there is none or it was deleted. Raises StoreUnavailable."""
        status, answer = await self._ask("GET", f"{self._mount}/data/{_checked(remote).path}")
        if status == 404:
            return None
        data = answer.get("data")
        fields = data.get("data") if isinstance(data, dict) else None
        value = fields.get(remote.field) if isinstance(fields, dict) else None
        if value is not None and (not isinstance(value, str) or not value.strip().isprintable()):
            raise StoreUnavailable(f"{remote.path}#{remote.field} is not one line of text.")
        return value.strip() or None if value is not None else None

    async def paths(self, below: str = "") -> tuple[str, ...]:
        """The names below a path, folders with a / behind, sorted. Raises StoreUnavailable, Malformed."""
        inside = f"/{_checked(Remote(below)).path}" if below else ""
        status, answer = await self._ask("LIST", f"{self._mount}/metadata{inside}")
        data = answer.get("data")
        keys = data.get("keys") if isinstance(data, dict) and status != 404 else []
        return tuple(sorted(key for key in keys if isinstance(key, str))) if isinstance(keys, list) else ()

    async def write(self, path: str, fields: Mapping[str, str], *, version: int | None = None) -> int:
        """A new version with these fields; its number. With `version`, only when that is the newest (0: none yet).

        Raises Conflict when it is not, StoreUnavailable, Malformed.
        """
        body: dict[str, Any] = {"data": dict(fields)}
        if version is not None:
            body["options"] = {"cas": version}
        place = f"{self._mount}/data/{_checked(Remote(path)).path}"
        status, answer = await self._ask("POST", place, body, (400, 404))
        if status == 404:
            raise StoreUnavailable(f"There is no KV version 2 engine at {self._mount}/.", next_step=_SETTINGS)
        if status == 400:
            raise Conflict(f"{path} was not written: its version is another one.", next_step="Read it again first.")
        data = answer.get("data")
        number = data.get("version") if isinstance(data, dict) else None
        return number if type(number) is int else 0

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, allowed: tuple[int, ...] = (404,)
    ) -> tuple[int, dict[str, Any]]:
        token = await self._present_token()
        status, answer = await self._send(method, path, token, body)
        if status == 403 and isinstance(self._login, AppRole):  # revoked meanwhile: once anew
            self._token = ""
            status, answer = await self._send(method, path, await self._present_token(), body)
        if status not in allowed:
            _raise_for(status, answer)
        return status, answer

    async def _present_token(self) -> str:
        async with self._turn:
            now_ms = self.clock.now_ms()
            if self._token and self._ends_at_ms and now_ms >= self._ends_at_ms:
                self._token = ""
            if not self._token:
                await self._log_in()
            elif self._renew_at_ms and now_ms >= self._renew_at_ms:
                await self._renew()
            return self._token

    async def _log_in(self) -> None:
        if isinstance(self._login, AppRole):
            secret_id = await self._login.secret_id()
            role = {"role_id": self._login.role_id, "secret_id": secret_id or ""}
            mount = _checked(Remote(self._login.mount)).path
            status, answer = await self._send("POST", f"auth/{mount}/login", "", role)
            if status in (400, 403):
                raise StoreUnavailable(
                    "The vault server does not accept this AppRole.", next_step="Give it a new secret id."
                )
            _raise_for(status, answer)
            auth = answer.get("auth")
            token = auth.get("client_token") if isinstance(auth, dict) else None
            if not isinstance(auth, dict) or not isinstance(token, str) or not token.isprintable():
                raise StoreUnavailable("The vault server's login answer is not understood.")
            self._token = token
            self._keep_times(auth.get("lease_duration"), auth.get("renewable"))
            return
        token = await self._login()
        if not token:
            raise StoreUnavailable("There is no token for the vault server.", next_step=_TOKEN)
        status, answer = await self._send("GET", "auth/token/lookup-self", token)
        _raise_for(status, answer)
        data = answer.get("data")
        found = data if isinstance(data, dict) else {}
        self._token = token
        self._keep_times(found.get("ttl"), found.get("renewable"))

    async def _renew(self) -> None:
        status, answer = await self._send("POST", "auth/token/renew-self", self._token, {})
        auth = answer.get("auth")
        if status == 200 and isinstance(auth, dict):
            self._keep_times(auth.get("lease_duration"), auth.get("renewable"))
        else:  # it still holds until its end; then a new login says what is wrong
            self._renew_at_ms = 0

    def _keep_times(self, lives_s: object, renewable: object) -> None:
        now_ms = self.clock.now_ms()
        lives_ms = lives_s * 1000 if isinstance(lives_s, int) and lives_s > 0 else 0
        self._ends_at_ms = now_ms + lives_ms if lives_ms else 0
        self._renew_at_ms = now_ms + lives_ms * 2 // 3 if lives_ms and renewable is True else 0

    async def _send(
        self, method: str, path: str, token: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"x-vault-request": "true", "accept-encoding": "identity"}
        if token:
            headers["x-vault-token"] = token
        if self._namespace:
            headers["x-vault-namespace"] = self._namespace
        import httpx2

        content = b""
        try:
            request = self._client.stream(method, f"/v1/{path}", headers=headers, json=body, follow_redirects=False)
            async with request as response:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > ANSWER_BYTES:
                        raise StoreUnavailable(f"The vault server's answer is longer than {ANSWER_BYTES} bytes.")
                return response.status_code, _parsed(content)
        except (httpx2.HTTPError, OSError):
            # Not chained: the request in it carries the token.
            raise StoreUnavailable("The vault server cannot be reached.", next_step=_SETTINGS) from None


_SETTINGS = "Check vault_address, vault_mount and vault_namespace in the settings."
_TOKEN = "Set it with `carapax vault set` under the handle that vault_token_handle names."  # noqa: S105 - a sentence


def _raise_for(status: int, answer: dict[str, Any]) -> None:
    if status in (200, 204):
        return
    said = answer.get("errors")
    sealed = status == 503 and isinstance(said, list) and any("sealed" in str(line).lower() for line in said)
    if status == 403:
        raise StoreUnavailable(
            "The vault server refuses this token for this path.", next_step="Renew the token, or widen its policy."
        )
    if sealed:
        raise StoreUnavailable("The vault server is sealed.", next_step="Unseal it (`vault operator unseal`).")
    if status == 429:
        raise StoreUnavailable("The vault server has had too many requests.", next_step="Try again later.")
    if status == 503:
        raise StoreUnavailable("The vault server is not in service now.", next_step="Try again later.")
    raise StoreUnavailable(f"The vault server answered {status}.", next_step=_SETTINGS)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        found = {}
    return found if isinstance(found, dict) else {}


class RemoteResolver:
    """Implements sealed.Resolver. A value may be used for `lease_ms`, then it is asked for anew."""

    def __init__(self, kv: KvVault, *, lease_ms: int = LEASE_MS) -> None:
        self._kv = kv
        self._lease_ms = lease_ms
        self._leased: dict[str, tuple[int, str]] = {}  # by what is sealed: until when, and the value

    def __repr__(self) -> str:
        return f"RemoteResolver({self._kv!r})"

    async def value(self, handle: str, kept: str) -> tuple[str | None, str | None]:
        """The value as the server had it less than a lease ago. Raises StoreUnavailable; nothing is used then."""
        if leased := self.held(kept):
            return leased[0], None
        found = _parsed(kept.encode("utf-8", "replace"))
        try:
            remote = _checked(Remote(str(found.get("path")), str(found.get("field"))))
        except Malformed:
            raise StoreUnavailable(f"What is sealed as {handle!r} names no remote secret.") from None
        value = await self._kv.read(remote)
        if value is not None:
            self._leased[kept] = (self._kv.clock.monotonic_ms() + self._lease_ms, value)
        return value, None

    def held(self, kept: str) -> tuple[str, ...]:
        """The value while its lease lasts; otherwise it is not here."""
        now_ms = self._kv.clock.monotonic_ms()
        self._leased = {key: lease for key, lease in self._leased.items() if now_ms < lease[0]}
        return (self._leased[kept][1],) if kept in self._leased else ()

    def present(self, kept: str) -> str | None:
        """The value while its lease lasts."""
        return next(iter(self.held(kept)), None)

    def forget(self) -> None:
        """End every lease."""
        self._leased.clear()
