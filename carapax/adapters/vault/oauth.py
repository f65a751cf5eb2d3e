"""Tokens that run out: renewed at the service's token endpoint shortly before, and stored before they are used.

Layer: adapters/vault. Implements sealed.Resolver for the kind "oauth". Absent: signing in (a person does that), and the
connection (`post` is given). Source: RFC 6749 sections 4.4 and 6, RFC 6819 5.2.2.3 (a rotated refresh token counts once).
Laws: nothing is sent anywhere but to the endpoint that was sealed with the token; no error holds a token or an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from carapax.core.terms.error import CarapaxError, Malformed, StoreUnavailable
from carapax.ports.clock import Clock

RENEW_BEFORE_MS = 60_000
UNSAID_MS = 300_000
"""A token whose lifetime the service does not say is renewed after this."""
ANSWER_BYTES = 65_536
TOKEN_CHARS = 8192
POST_S = 15.0

REFRESH = "refresh_token"
CREDENTIALS = "client_credentials"
"""A token for the program itself: nobody signs in, and the client's own secret renews it."""

Post = Callable[[str, Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""Posts a form to an address without following anything: status and body. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class OAuth:
    """What is sealed of one token."""

    endpoint: str
    client_id: str
    refresh_token: str = ""
    client_secret: str = ""
    scope: str = ""
    access_token: str = ""
    expires_ms: int = 0
    grant: str = REFRESH

    def __repr__(self) -> str:
        return "OAuth(…)"

    def render(self) -> str:
        kept = asdict(self)
        if self.grant == REFRESH:
            del kept["grant"]
        return json.dumps(kept, sort_keys=True)


def parse_oauth(text: str) -> OAuth:
    """From JSON with exactly the fields of `OAuth`, those with a default left out or not. Raises Malformed."""
    wrong = Malformed(
        "That is not what an OAuth secret is made of.",
        next_step="Give JSON with endpoint (https), client_id, refresh_token, and if there are any client_secret, scope; "
        'or with "grant": "client_credentials" and client_secret instead of refresh_token.',
    )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    known = {field.name for field in fields(OAuth)}
    if not isinstance(found, dict) or not {"endpoint", "client_id"} <= set(found) <= known:
        raise wrong
    expires_ms = found.get("expires_ms", 0)
    words = [value for name, value in found.items() if name != "expires_ms"]
    if type(expires_ms) is not int or not all(_is_word(value) for value in words):
        raise wrong
    made = OAuth(**found)
    renews = {REFRESH: bool(made.refresh_token), CREDENTIALS: bool(made.client_secret) and not made.refresh_token}
    if not made.client_id or not renews.get(made.grant) or not _is_endpoint(made.endpoint):
        raise wrong
    return made


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and len(value) <= TOKEN_CHARS


def _is_endpoint(address: str) -> bool:
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:
        return False
    plain = not (url.username or url.password or url.fragment or " " in address) and port != 0
    near = url.hostname in ("127.0.0.1", "::1", "localhost")
    return plain and bool(url.hostname) and (url.scheme == "https" or (url.scheme == "http" and near))


class OAuthResolver:
    """Implements sealed.Resolver. The vault asks for one renewal of a secret at a time."""

    def __init__(self, post: Post, clock: Clock) -> None:
        self._post = post
        self._clock = clock

    async def value(self, handle: str, kept: str) -> tuple[str | None, str | None]:
        """The access token, renewed when less than a minute is left. Raises StoreUnavailable."""
        token = _sealed(handle, kept)
        left_ms = token.expires_ms - self._clock.now_ms() if token.access_token else 0
        if left_ms > RENEW_BEFORE_MS:
            return token.access_token, None
        try:
            renewed = await self._renew(handle, token)
        except CarapaxError:
            if left_ms > 0:  # it still holds for a moment; the next request tries again
                return token.access_token, None
            raise
        return renewed.access_token, renewed.render()

    def held(self, kept: str) -> tuple[str, ...]:
        """Access token, refresh token, client secret."""
        token = _sealed("", kept)
        return tuple(value for value in (token.access_token, token.refresh_token, token.client_secret) if value)

    def present(self, kept: str) -> str | None:
        """The access token as it is, if there is one."""
        return _sealed("", kept).access_token or None

    def forget(self) -> None:
        """Nothing is held between uses."""

    async def _renew(self, handle: str, token: OAuth) -> OAuth:
        form = {"grant_type": token.grant, "client_id": token.client_id}
        if token.refresh_token:
            form["refresh_token"] = token.refresh_token
        if token.client_secret:
            form["client_secret"] = token.client_secret
        if token.scope:
            form["scope"] = token.scope
        host = urlsplit(token.endpoint).hostname
        status, body = await self._post(token.endpoint, form)
        answer = _answer(body)
        if status == 200:
            return _renewed(handle, host, token, answer, self._clock.now_ms())
        code = answer.get("error")
        code = code if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code) else ""
        if status in (400, 401, 403):
            raise StoreUnavailable(
                f"{host} does not renew {handle!r}: {code or status}.",
                kept="What is sealed is kept; nothing was sent elsewhere.",
                next_step=f"{_anew(token)}, then `carapax vault set {handle} --oauth`.",
            )
        raise StoreUnavailable(
            f"{host} answered {status} when {handle!r} was to be renewed.",
            kept="What is sealed is kept.",
            next_step="Try again later; the service is busy or down.",
        )


def _renewed(handle: str, host: str | None, token: OAuth, answer: dict[str, Any], now_ms: int) -> OAuth:
    access, refresh, lives_s = answer.get("access_token"), answer.get("refresh_token"), answer.get("expires_in")
    kind = answer.get("token_type", "bearer")
    if isinstance(lives_s, str) and lives_s.isdecimal() and len(lives_s) < 10:  # some services write the number as text
        lives_s = int(lives_s)
    if not _is_word(access) or not access or not isinstance(kind, str) or kind.lower() != "bearer":
        raise StoreUnavailable(
            f"{host} renewed {handle!r} with an answer that is no bearer token.",
            next_step=f"Try again later. {_anew(token)}, if it stays so.",
        )
    lives_ms = lives_s * 1000 if type(lives_s) is int and 0 < lives_s <= 10**9 else UNSAID_MS
    # With credentials of the client none belongs into the answer (RFC 6749 section 4.4.3).
    rotates = token.grant == REFRESH and isinstance(refresh, str) and bool(refresh) and _is_word(refresh)
    rotated = str(refresh) if rotates else token.refresh_token
    return replace(token, access_token=access, refresh_token=rotated, expires_ms=now_ms + lives_ms)


def _anew(token: OAuth) -> str:
    return "Get a new client secret" if token.grant == CREDENTIALS else "Sign in at the service again"


def _answer(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _sealed(handle: str, kept: str) -> OAuth:
    try:
        return parse_oauth(kept)
    except Malformed:
        # Not chained: what did not parse is the secret itself.
        raise StoreUnavailable(f"What is sealed as {handle!r} is no OAuth secret.") from None


def form_post(client: Any) -> Post:
    """`Post` over an httpx2.AsyncClient: bounded, without redirects, with one error for whatever goes wrong."""
    import httpx2

    async def post(address: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        host = urlsplit(address).hostname
        failed = StoreUnavailable(f"{host} could not be reached.", next_step="Try again later.")
        body = b""
        try:
            request = client.stream(
                "POST", address, data=dict(form), headers={"accept": "application/json"}, follow_redirects=False,
                timeout=POST_S,
            )  # fmt: skip
            async with request as response:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > ANSWER_BYTES:
                        raise failed
                return response.status_code, body
        except (httpx2.HTTPError, OSError):
            raise failed from None

    return post
