"""The Bot Framework's tokens: each rung of the ladder, broken once."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey

from carapax.adapters.channels.teams.token import LEEWAY_MS, SigningKey, key_id, parse_keys, verify_token
from carapax.core.terms.error import Malformed, Refused
from tests.fakes.platforms.teams import APP_ID, SERVICE, FakeTeams, signing_key

NOW_MS = int(time.time() * 1000)
FAKE = FakeTeams()


def key_set(**changes: Any) -> dict[str, SigningKey]:
    entry = {**signing_key().as_dict(private=False), "endorsements": ["msteams"], **changes}
    return parse_keys(json.dumps({"keys": [entry]}).encode())


KEY = key_set()["key-real"]


def test_a_genuine_token_vouches_for_its_service() -> None:
    vouched = verify_token(FAKE.bearer(NOW_MS), KEY, APP_ID, NOW_MS)
    assert vouched.service_url == SERVICE and vouched.endorsements == {"msteams"}


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"}, {"iss": None}, {"aud": "another-app"}, {"aud": None}, {"aud": [APP_ID]},
        {"exp": None}, {"nbf": None}, {"exp": "soon"}, {"nbf": True}, {"exp": 1 << 50}, {"nbf": -1}, {"exp": 1.5},
        {"serviceurl": None}, {"serviceurl": ""}, {"serviceurl": 7},
        {"exp": (NOW_MS - LEEWAY_MS) // 1000 - 1}, {"nbf": (NOW_MS + LEEWAY_MS) // 1000 + 2},
    ],
)  # fmt: skip
def test_every_claim_is_wanted(claims: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        verify_token(FAKE.bearer(NOW_MS, **claims), KEY, APP_ID, NOW_MS)


def test_five_minutes_of_difference_are_borne() -> None:
    late, early = (NOW_MS - LEEWAY_MS) // 1000 + 2, (NOW_MS + LEEWAY_MS) // 1000 - 2
    for claims in ({"exp": late}, {"nbf": early}):
        verify_token(FAKE.bearer(NOW_MS, **claims), KEY, APP_ID, NOW_MS)


def test_another_key_of_the_same_name_does_not_sign() -> None:
    forged = FAKE.bearer(NOW_MS, key=signing_key("forger"), header={"alg": "RS256", "kid": "key-real"})
    with pytest.raises(Refused):
        verify_token(forged, KEY, APP_ID, NOW_MS)


def test_a_key_verifies_only_what_names_it() -> None:
    with pytest.raises(Refused):
        verify_token(FAKE.bearer(NOW_MS), SigningKey("other", KEY.n, KEY.e, KEY.endorsements), APP_ID, NOW_MS)


def test_no_other_algorithm_signs() -> None:
    claims = json.dumps(
        {"iss": "https://api.botframework.com", "aud": APP_ID, "nbf": 0, "exp": 1 << 39, "serviceurl": SERVICE}
    )
    rs512 = FAKE.bearer(NOW_MS, header={"alg": "RS512", "kid": "key-real"})
    secret = OctKey.import_key(base64.urlsafe_b64decode(KEY.n + "=="))
    hs256 = jws.serialize_compact({"alg": "HS256", "kid": "key-real"}, claims.encode(), secret, algorithms=["HS256"])
    none = ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (b'{"alg":"none","kid":"key-real"}', claims.encode(), b"")
    )
    for token in (rs512, hs256, none):
        with pytest.raises(Refused):
            verify_token(token, KEY, APP_ID, NOW_MS)


def test_a_token_has_one_spelling() -> None:
    token = FAKE.bearer(NOW_MS)
    head, claims, signature = token.split(".")
    others = [
        signature[:-1] + chr(ord(signature[-1]) + 1), signature + "=", signature + "A", signature[:-2], "", signature.replace("_", "/"),
        signature[:-1] + "é", " " + signature,
    ]  # fmt: skip
    for other in others:
        if other != signature:
            with pytest.raises(Refused):
                verify_token(f"{head}.{claims}.{other}", KEY, APP_ID, NOW_MS)
    for odd in (f"{head}.{claims}", f"{token}.x", f".{claims}.{signature}", f"{head}..{signature}", "", "x" * 9_000):
        with pytest.raises(Refused):
            verify_token(odd, KEY, APP_ID, NOW_MS)


@given(st.text(max_size=60) | st.lists(st.binary(max_size=30), min_size=3, max_size=3).map(
    lambda parts: ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
))  # fmt: skip
def test_no_text_raises_anything_else(token: str) -> None:
    for check in (key_id, lambda token: verify_token(token, KEY, APP_ID, NOW_MS)):
        with pytest.raises(Refused):
            check(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": "EC"},
        {"kid": None},
        {"kid": 7},
        {"n": "AQAB"},
        {"n": "!!"},
        {"e": ""},
        {"n": KEY.n + "="},
        {"e": None},
        {"n": KEY.n[:-1] + chr(ord(KEY.n[-1]) + 1)},
    ],
)
def test_an_unusable_key_is_left_out(changes: dict[str, Any]) -> None:
    assert key_set(**changes) == {}


@pytest.mark.parametrize("listed", [None, "msteams", [7, None]])
def test_a_key_without_endorsements_speaks_for_nobody(listed: Any) -> None:
    assert key_set(endorsements=listed)["key-real"].endorsements == frozenset()


@given(st.binary(max_size=60))
def test_no_key_set_raises_anything_else(raw: bytes) -> None:
    try:
        parse_keys(raw)
    except Malformed:
        return


def test_a_key_whose_modulus_is_none_is_no_key_of_ours() -> None:
    odd = SigningKey("key-real", "AA", "AA", frozenset())
    with pytest.raises(Refused):
        verify_token(FAKE.bearer(NOW_MS), odd, APP_ID, NOW_MS)
