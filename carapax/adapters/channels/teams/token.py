"""What the Bot Framework's token says of a request: who calls, for whom, and from where.

Layer: adapters/channels; pure but for the signature check of joserfc. Owns the ladder of checks.
Absent: fetching keys (adapter.py), and the body: the token vouches for the caller, its text is not signed.
Laws: RS256 and nothing else; every claim is wanted; an odd spelling of a token is no token.
Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from carapax.adapters.channels.fields import parse_object, parts, word
from carapax.core.terms.error import Malformed, Refused

ISSUER = "https://api.botframework.com"
LEEWAY_MS = 300_000
TOKEN_CHARS = 8_192
MAX_KEYS = 100
MIN_KEY_BITS = 2_048
_PART = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of the Bot Framework, and the platforms that it may speak for."""

    id: str
    n: str
    e: str
    endorsements: frozenset[str]


@dataclass(frozen=True, slots=True)
class Vouched:
    """A verified token: the caller is the Bot Framework, for this service address and these platforms."""

    service_url: str
    endorsements: frozenset[str]


def parse_keys(raw: bytes) -> dict[str, SigningKey]:
    """A key set by key id; what is no usable RSA key is left out. Raises Malformed."""
    found: dict[str, SigningKey] = {}
    for entry in parts(parse_object(raw), "keys")[:MAX_KEYS]:
        try:
            id, n, e = word(entry, "kid"), word(entry, "n", 2_048), word(entry, "e", 16)
            if entry.get("kty") != "RSA" or not id or len(_bytes_of(n)) * 8 < MIN_KEY_BITS or not _bytes_of(e):
                continue
        except Malformed:
            continue
        listed = entry.get("endorsements")
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        found[id] = SigningKey(id, n, e, frozenset(names))
    return found


def key_id(token: str) -> str:
    """The id of the key that a token claims to be signed with. Raises Refused."""
    header, _, _ = _split(token)
    try:
        id = word(header, "kid")
    except Malformed:
        id = ""
    if header.get("alg") != "RS256" or not id:
        raise Refused("The token is not signed as the Bot Framework signs.")
    return id


def verify_token(token: str, key: SigningKey, app_id: str, now_ms: int) -> Vouched:
    """Check signature, issuer, audience and times. Raises Refused."""
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    if key_id(token) != key.id:
        raise Refused("The token is signed with another key.")
    try:
        public = RSAKey.import_key({"kty": "RSA", "n": key.n, "e": key.e})
        jws.deserialize_compact(token, public, algorithms=["RS256"])
    except (JoseError, ValueError, TypeError):
        raise Refused("The token's signature is not right.") from None
    _, claims, _ = _split(token)
    if claims.get("iss") != ISSUER or claims.get("aud") != app_id:
        raise Refused("The token is not of the Bot Framework for this bot.")
    if not _ms(claims, "nbf") - LEEWAY_MS <= now_ms <= _ms(claims, "exp") + LEEWAY_MS:
        raise Refused("The token is not valid now.")
    service_url = claims.get("serviceurl")
    if not isinstance(service_url, str) or not service_url:
        raise Refused("The token names no service.")
    return Vouched(service_url, key.endorsements)


def _split(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    words = token.split(".")
    if len(words) != 3 or len(token) > TOKEN_CHARS:
        raise Refused("This is not a token.")
    try:
        header, claims, signature = (_bytes_of(part) for part in words)
        return parse_object(header), parse_object(claims), signature
    except Malformed:
        raise Refused("This is not a token.") from None


def _bytes_of(text: str) -> bytes:
    """The bytes of base64url in its one right spelling. Raises Malformed."""
    try:
        made = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if _PART.fullmatch(text) else b""
    except (ValueError, binascii.Error):
        raise Malformed("This is not base64url.") from None
    if base64.urlsafe_b64encode(made).rstrip(b"=").decode() != text:
        raise Malformed("This is not base64url as it should be.")
    return made


def _ms(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 40:
        raise Refused(f"The token has no {name}.")
    return value * 1000
