"""Numbers with checks: right ones are found, one wrong digit is not. All are published examples or made here."""

from __future__ import annotations

import random

import pytest

from carapax.adapters.scan.outgoing.numbers import find_cards, find_ibans, find_national_ids

CARDS = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
    "30569309025904",
    "6200000000000005",
]

IBANS = [
    "GB82WEST12345698765432",
    "GB82 WEST 1234 5698 7654 32",
    "gb82 west 1234 5698 7654 32",
    "DE89370400440532013000",
    "FR1420041010050500013M02606",
    "NO9386011117947",
    "ES91 2100 0418 4502 0005 1332",
]


def french(number: str) -> str:
    plain = number.replace("2A", "19").replace("2B", "18")
    return f"{number}{97 - int(plain) % 97:02d}"


def german(first: str) -> str:
    product = 10
    for digit in first:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return first + str((11 - product) % 10)


IDS = [
    french("2550814168025"),
    french("255082A168025"),
    "SSN: 536-90-4399",
    "AB123456C",
    "AB 12 34 56 C",
    german("8609574271"),
    "12345678Z",
    "X1234567L",
    "RSSMRA85T10A562S",
]

NO_IDS = [
    "255081416802500",
    "536-90-4399",
    "000-12-3456 ssn",
    "GB123456C",
    german("8609574271")[:-1] + "0",
    "12345678A",
    "RSSMRA85T10A562T",
    "1700000000000",
    "2026-11-21",
]


@pytest.mark.parametrize("card", CARDS)
def test_cards(card: str) -> None:
    assert list(find_cards(f"paid with {card}.")) == [card]
    wrong = card[:-1] + str((int(card[-1]) + 1) % 10)
    assert list(find_cards(f"paid with {wrong}.")) == []


def test_numbers_that_are_no_cards() -> None:
    for text in ("0000000000000000", "1234567890123452", "9999999999999995", "x4111111111111111", "0.4111111111111111"):
        assert list(find_cards(text)) == [], text


def test_few_random_numbers_pass_for_cards() -> None:
    rng = random.Random(3)
    made = " ".join(str(rng.randint(10**15, 10**16 - 1)) for _ in range(2_000))
    assert len(list(find_cards(made))) < 90


@pytest.mark.parametrize("iban", IBANS)
def test_ibans(iban: str) -> None:
    plain = iban.replace(" ", "").upper()
    assert list(find_ibans(f"to {iban}, please")) == [plain]
    wrong = iban[:-1] + str((int(iban[-1]) + 1) % 10)
    assert list(find_ibans(f"to {wrong}, please")) == []


def test_words_after_an_iban_do_not_hide_it() -> None:
    assert list(find_ibans("GB82 WEST 1234 5698 7654 32 ok")) == ["GB82WEST12345698765432"]
    assert list(find_ibans("ZZ82 WEST 1234 5698 7654 32")) == []


@pytest.mark.parametrize("number", IDS)
def test_national_ids(number: str) -> None:
    assert len(list(find_national_ids(f"born, {number}, there"))) == 1


@pytest.mark.parametrize("number", NO_IDS)
def test_wrong_national_ids(number: str) -> None:
    assert list(find_national_ids(f"born, {number}, there")) == []
