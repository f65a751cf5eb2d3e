"""The gate: what every request meets before any route sees it.

Layer: surfaces/api. In order: Host (DNS rebinding), Origin (other web pages), tokens in the address, the token itself.
Every answer leaves with the same security headers. Absent: scopes (each route names its own; see `build`), and CORS,
because no other site is meant to call. Below /hooks/ there is no token, and the public name is ours too: a platform calls.
Laws: a valid token always passes, however noisy its address is; a request that is not to a public route carries a
principal when it reaches a route; no error leaves with a traceback.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carapax.core.terms.error import CarapaxError, Malformed, Refused
from carapax.core.terms.principal import Principal
from carapax.ports.gateway import Gateway
from carapax.surfaces.api.hooks import METHODS, OWN_POLICY, PREFIX
from carapax.surfaces.api.page import STYLE_HASH
from carapax.surfaces.api.rate import Failures
from carapax.surfaces.api.refusal import TooMany, Unauthenticated, render_refusal
from carapax.surfaces.api.settings import ApiSettings

PRINCIPAL = "carapax.principal"
PEER = "carapax.peer"
_LOG = logging.getLogger("carapax.api")
_TOKEN_NAMES = frozenset({"token", "access_token", "api_key", "apikey", "api-key", "authorization", "bearer", "auth"})
_TOKEN_VALUE = re.compile(r"cpx_[A-Za-z0-9_-]{8,}")
_WORD = re.compile(r"cpx_[\x21-\x7e]{8,200}")
_CSP = f"default-src 'none'; style-src '{STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", _CSP.encode("ascii")),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_HEADERS_OF_OWN_POLICY = tuple(
    (name, value) for name, value in _HEADERS if name not in (b"content-security-policy", b"x-frame-options")
)
# Under no-referrer a browser sends `Origin: null` with the page's own form, which could not be told from a stranger's.
_REFERRER = (b"referrer-policy", b"no-referrer")
_REFERRER_PAGE = (b"referrer-policy", b"same-origin")


class Gate:
    """The one piece of ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        gateway: Gateway,
        settings: ApiSettings,
        failures: Failures,
        public: frozenset[tuple[str, str]],
    ) -> None:
        self._app = app
        self._gateway = gateway
        self._failures = failures
        self._public = public
        self._hosts = allowed_hosts(settings)
        self._origins = allowed_origins(settings, self._hosts)
        self._public_hosts, self._public_origins = public_names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                page = path in ("/", "/signin") or path.startswith(PREFIX)
                referrer = _REFERRER_PAGE if page else _REFERRER
                ours = _HEADERS_OF_OWN_POLICY if scope.get(OWN_POLICY) else _HEADERS
                message["headers"] = [*message.get("headers", ()), *ours, referrer]
            await send(message)

        try:
            await self._check(scope)
            await self._app(scope, receive, guarded_send)
        except CarapaxError as error:
            await render_refusal(path, error)(scope, receive, guarded_send)
        except Exception as error:  # broad: the last border; a user never meets a traceback
            traced = _LOG.isEnabledFor(logging.DEBUG) and not path.startswith(PREFIX)
            _LOG.error("%s %s failed: %s", scope["method"], _told(path), type(error).__name__, exc_info=traced)
            if started:
                raise
            wrong = CarapaxError(f"the gateway could not serve this ({type(error).__name__})")
            wrong.kept = "What the answer does not show may have been done; look at `carapax sessions`."
            await render_refusal(path, wrong)(scope, receive, guarded_send)

    async def _check(self, scope: Scope) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        door = method in METHODS and scope["path"].startswith(PREFIX)
        self._check_host(_values(headers, b"host"), self._hosts | self._public_hosts if door else self._hosts)
        origins = self._origins | self._public_origins if door else self._origins
        self._check_origin(_values(headers, b"origin"), origins)
        _check_address(scope, door=door)
        scope[PEER] = scope["client"][0] if scope.get("client") else "unknown"
        if not door and (method, scope["path"]) not in self._public:
            scope[PRINCIPAL] = await self._authenticate(_values(headers, b"authorization"), scope[PEER])

    def _check_host(self, given: list[str], hosts: frozenset[str]) -> None:
        if len(given) != 1 or given[0].lower() not in hosts:
            name = given[0][:120] if given else "no name"
            raise Refused(
                f'this gateway does not answer to "{name}"',
                next_step="Call it as 127.0.0.1 or localhost with its port, or add the name under hosts.",
            )

    def _check_origin(self, given: list[str], origins: frozenset[str]) -> None:
        if given and (len(given) != 1 or given[0].lower() not in origins):
            raise Refused(
                f'web pages of "{given[0][:120]}" may not call this gateway',
                next_step="Call it from a program, or add the origin under origins.",
            )

    async def _authenticate(self, given: list[str], peer: str) -> Principal:
        value = _bearer(given)
        principal = await self._gateway.authenticate(value) if value else None
        if principal is not None:
            return principal
        wait_s = self._failures.wait_s(peer)
        if wait_s:
            raise TooMany("too many requests without a valid token came from your address", wait_s)
        self._failures.add(peer)
        raise Unauthenticated("the token is not valid: unknown, expired or revoked" if given else "a token is needed")


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _bearer(given: list[str]) -> str | None:
    if len(given) != 1:
        return None
    kind, _, value = given[0].partition(" ")
    value = value.strip()
    return value if kind.lower() == "bearer" and _WORD.fullmatch(value) else None


def _told(path: str) -> str:
    """The path as a log may have it: what stands behind a hook's name may be a secret."""
    return "/".join(path.split("/")[:3]) if path.startswith(PREFIX) else path


def _check_address(scope: Scope, *, door: bool) -> None:
    query = scope.get("query_string", b"").decode("latin-1")
    # A platform may have an argument of that name; a token of ours has no place in its addresses either.
    named = (
        query and not door and any(name.lower() in _TOKEN_NAMES for name, _ in parse_qsl(query, keep_blank_values=True))
    )
    if named or _TOKEN_VALUE.search(scope["path"]) or (query and _TOKEN_VALUE.search(unquote(query))):
        raise Malformed(
            "a token in an address is refused, because addresses end up in logs and histories",
            next_step="Send it as `Authorization: Bearer …`. Revoke this one: `carapax token revoke`.",
        )


def allowed_hosts(settings: ApiSettings) -> frozenset[str]:
    """The Host values that are ours: loopback names with our port, and the configured names."""
    port = settings.port
    default = 443 if settings.tls else 80
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    if port == default:
        hosts |= {"127.0.0.1", "localhost", "[::1]"}
    for name in settings.hosts:
        hosts |= {name.lower(), f"{name.lower()}:{port}"}
    return frozenset(hosts)


def allowed_origins(settings: ApiSettings, hosts: frozenset[str]) -> frozenset[str]:
    """Our own pages' origins, and the configured ones."""
    scheme = "https" if settings.tls else "http"
    named = {f"https://{name.lower()}" for name in settings.hosts}  # behind a proxy that does TLS
    return frozenset({f"{scheme}://{host}" for host in hosts} | named | {o.lower() for o in settings.origins})


def public_names(settings: ApiSettings) -> tuple[frozenset[str], frozenset[str]]:
    """The Host values and the origin of the public address, for the hooks alone."""
    try:
        parts = urlsplit(settings.public_url.lower())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return frozenset(), frozenset()
    if parts.scheme not in ("http", "https") or not host:
        return frozenset(), frozenset()
    name = f"[{host}]" if ":" in host else host
    default = 443 if parts.scheme == "https" else 80
    hosts = {f"{name}:{port or default}"} | ({name} if port in (None, default) else set())
    origin = f"{parts.scheme}://{name}" + (f":{port}" if port not in (None, default) else "")
    return frozenset(hosts), frozenset({origin})
