"""Pairing codes: how they are spelled and read, who is given one, and what becomes of one that comes in."""

from __future__ import annotations

from typing import Any

import pytest

from carapax.core.channel.pairing import (
    ALPHABET,
    CODES,
    MOST_PENDING,
    TTL_MS,
    AskedAlready,
    Matched,
    Offer,
    Pair,
    Silent,
    Wrong,
    decide_code,
    decide_stranger,
    hash_code,
    matches,
    read_code,
    show_code,
    spell_code,
)

NOW = 1_800_000_000_000
CODE = "7KQ2M9XD"


def test_a_code_is_eight_signs_that_cannot_be_taken_for_others() -> None:
    assert not set(ALPHABET) & set("0O1IL") and len(ALPHABET) == 31 == len(set(ALPHABET))
    assert spell_code(0) == "22222222" and spell_code(CODES - 1) == "ZZZZZZZZ"
    assert len({spell_code(n) for n in range(0, CODES, CODES // 500)}) >= 500
    assert show_code(CODE) == "7KQ2-M9XD"
    for number in (-1, CODES):
        with pytest.raises(ValueError, match="out of bounds"):
            spell_code(number)


@pytest.mark.parametrize(
    "written",
    ["7KQ2-M9XD", "7kq2m9xd", " 7kq2 m9xd ", "7KQ2–M9XD", "7KQ2\u00a0M9XD", "“7KQ2-M9XD”", "7.K.Q.2 M_9_X_D", "«7kq2—m9xd»", "7KQ2-M9XD."],
)  # fmt: skip
def test_it_is_read_however_it_is_written(written: str) -> None:
    assert read_code(written) == CODE


@pytest.mark.parametrize(
    "written",
    ["", "7KQ2-M9X", "7KQ2-M9XDD", "7KQ2-M9X0", "7KQ2-M9XO", "7KQ2-M9X1", "7KQ2-M9XI", "7KQ2-M9XL", "７KQ2-M9XD",
     "7KQ2-М9XD", "my code is 7KQ2-M9XD", "7KQ2\u200bM9XD", "7KQ2-M9X" + " " * 80 + "D", "ßKQ2M9X", "7KQ2-M9X\u017f"],
)  # fmt: skip
def test_a_look_alike_is_another_sign(written: str) -> None:
    assert read_code(written) is None


def test_only_the_digest_is_kept_and_only_the_code_matches() -> None:
    kept = hash_code(CODE)
    assert CODE not in kept and len(kept) == 64
    assert matches(CODE, kept) and not matches("7KQ2M9XE", kept)
    assert not matches(CODE, "") and not matches(CODE, "é")


def stranger(**changed: Any) -> Pair | AskedAlready | Silent:
    facts: dict[str, Any] = {
        "number": 1, "vouched": True, "bot": False, "private": True, "waits": False, "pending": 0, "told_ms": (),
        "now_ms": NOW,
    }  # fmt: skip
    return decide_stranger(**{**facts, **changed})


def test_a_stranger_is_given_a_code_once_then_told_that_it_waits_then_nothing() -> None:
    assert stranger() == Pair("2222-2223", NOW + TTL_MS)
    assert stranger(waits=True, told_ms=[NOW - 1]) == AskedAlready()
    assert stranger(waits=True, told_ms=[NOW - 2, NOW - 1]) == Silent()
    assert stranger(waits=False, told_ms=[NOW - TTL_MS, NOW - TTL_MS - 5]) == Pair("2222-2223", NOW + TTL_MS)


@pytest.mark.parametrize(
    "changed", [{"vouched": False}, {"bot": True}, {"private": False}, {"pending": MOST_PENDING}, {"pending": 9}]
)
def test_who_is_not_vouched_for_or_not_alone_or_too_many_hears_nothing(changed: dict[str, Any]) -> None:
    assert stranger(**changed) == Silent()


def test_the_bound_counts_other_senders_and_not_the_one_who_waits() -> None:
    assert stranger(pending=MOST_PENDING - 1) == Pair("2222-2223", NOW + TTL_MS)
    assert stranger(pending=MOST_PENDING, waits=True) == AskedAlready()


def offered(channel: str = "", expires_ms: int = NOW + 1, code: str = CODE) -> Offer:
    return Offer(hash_code(code), channel, expires_ms)


def decide(text: str, *offers: Offer, channel: str = "telegram", tried_ms: tuple[int, ...] = ()) -> object:
    return decide_code(text, offers, channel=channel, tried_ms=tried_ms, now_ms=NOW)


def test_a_code_is_matched_on_its_channel_and_in_its_time() -> None:
    other = offered(code="22222222")
    assert decide("7kq2-m9xd", other, offered()) == Matched(1)
    assert decide("7kq2-m9xd", offered("telegram")) == Matched(0)
    assert decide("7kq2-m9xd", offered("slack")) == Wrong(4)
    assert decide("7kq2-m9xd", offered("slack"), channel="") == Matched(0)
    assert decide("7kq2-m9xd", offered(expires_ms=NOW)) == Matched(0)
    assert decide("7kq2-m9xd", offered(expires_ms=NOW - 1)) == Wrong(4)
    assert decide("7kq2-m9xd") == Wrong(4)


def test_after_five_wrong_ones_within_the_hour_there_is_silence_even_for_the_right_one() -> None:
    five = tuple(range(NOW - 5, NOW))
    assert decide("nonsense", offered(), tried_ms=five[:4]) == Wrong(0)
    assert decide(CODE, offered(), tried_ms=five) == Silent()
    long_ago = tuple(NOW - 3_600_000 for _ in range(5))
    assert decide(CODE, offered(), tried_ms=long_ago) == Matched(0)
