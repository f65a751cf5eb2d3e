"""The shapes of planted secrets, and finding one whose characters were pulled apart."""

from __future__ import annotations

import re
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.core.breaker.canary import OCTETS, Fake, Kind, find_apart, make_fake

SHAPES = {
    Kind.AWS: r"\[backup\]\naws_access_key_id = AKIA[A-Z2-7]{16}\naws_secret_access_key = [A-Za-z0-9+/]{40}\n",
    Kind.DATABASE: r"DATABASE_URL=postgres://backup:[\w-]{24}@db-backup\.internal:5432/backup\n",
    Kind.SSH: r"-----BEGIN OPENSSH PRIVATE KEY-----\n(?:[A-Za-z0-9+/=]{1,70}\n)+-----END OPENSSH PRIVATE KEY-----\n",
    Kind.TOKEN: r"sk_live_[\w-]{32}\n",
    Kind.ENV: r"# .*\nAWS_ACCESS_KEY_ID=AKIA[A-Z2-7]{16}\nAWS_SECRET_ACCESS_KEY=.{40}\nAWS_DEFAULT_REGION=.*\nDATABASE_URL=.*\n",
}


def fake(kind: Kind) -> Fake:
    return make_fake(kind, secrets.token_bytes(OCTETS))


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_has_its_shape_and_its_values_stand_in_it(kind: Kind) -> None:
    made = fake(kind)
    assert re.fullmatch(SHAPES[kind], made.text)
    squeezed = made.text.replace("\n", "")
    assert made.values and all(value in squeezed for value in made.values)
    assert all(len(value) >= 20 for value in made.values)


@pytest.mark.parametrize("kind", list(Kind))
def test_no_two_share_a_value(kind: Kind) -> None:
    seen = [value for _ in range(200) for value in fake(kind).values]
    assert len(seen) == len(set(seen))


def test_the_same_bytes_give_the_same_and_too_few_give_none() -> None:
    octets = secrets.token_bytes(OCTETS)
    assert make_fake(Kind.ENV, octets) == make_fake(Kind.ENV, octets)
    with pytest.raises(ValueError, match="random bytes"):
        make_fake(Kind.ENV, octets[:-1])


@given(
    st.sampled_from(list(Kind)),
    st.binary(min_size=OCTETS, max_size=OCTETS),
    st.sampled_from([" ", "-", ".", ", ", "\n", "·", "_/"]),
)
@settings(max_examples=100, deadline=None)
def test_a_value_pulled_apart_is_found_forwards_and_backwards(kind: Kind, octets: bytes, between: str) -> None:
    for value in make_fake(kind, octets).values:
        apart = between.join(value)
        assert find_apart(f"it is {apart} really", [value]) == (value,)
        assert find_apart(apart[::-1].upper(), [value]) == (value,)


def test_other_text_holds_none() -> None:
    values = fake(Kind.ENV).values
    assert find_apart("the quick brown fox " * 1_000, values) == ()
    assert find_apart("", values) == ()
    assert find_apart(values[0][:-1], values) == ()
