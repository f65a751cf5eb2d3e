"""Days told loosely: a weekday or "the 18th" means a day soon after the text was written, and no other."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from carapax.core.flow.soon import MONTH_DAYS, WEEK_DAYS, names_day_after

WRITTEN = "2026-03-02"  # a Monday


@pytest.mark.parametrize(
    ("text", "day", "named"),
    [
        ("see you on Friday", "2026-03-06", True),
        ("see you on FRIDAY!", "2026-03-06", True),
        ("rendez-vous vendredi", "2026-03-06", True),
        ("see you on Friday", "2026-03-07", False),
        ("see you on Friday", "2026-03-13", False),  # the week after
        ("see you on Monday", "2026-03-09", True),
        ("see you on Monday", "2026-03-02", False),  # not the day it was written
        ("see you on Tuesday", "2026-03-10", True),  # eight days ahead
        ("the Fridays of summer", "2026-03-06", False),
        ("on the 18th", "2026-03-18", True),
        ("on the 18th", "2026-04-18", False),
        ("on the 2nd", "2026-03-02", True),
        ("on the 2nd", "2026-04-02", True),
        ("on the 1st", "2026-03-31", False),
        ("le 18 à midi", "2026-03-18", True),
        ("le 1er avril", "2026-04-01", True),
        ("18 people", "2026-03-18", False),
        ("on the 118th", "2026-03-18", False),
        ("see you on Friday", "2026-02-27", False),  # before it was written
        ("on the 1st", "2026-03-01", False),
        ("", "2026-03-06", False),
        ("see you on Friday", "someday", False),
        ("see you on Friday", "", False),
    ],
)
def test_days_after_a_text_was_written(text: str, day: str, named: bool) -> None:
    assert names_day_after(text, WRITTEN, day) is named


@pytest.mark.parametrize("written", ["", "yesterday", "2026-13-01", "2026-3-2"])
def test_a_text_without_a_date_tells_no_day(written: str) -> None:
    assert not names_day_after("Friday the 6th", written, "2026-03-06")


def test_a_weekday_means_at_most_one_or_two_days_and_a_number_at_most_two() -> None:
    start = date.fromisoformat(WRITTEN)
    days = [(start + timedelta(days=n)).isoformat() for n in range(-40, 80)]
    for word in ("monday", "mardi", "wednesday", "jeudi", "friday", "samedi", "sunday"):
        told = [day for day in days if names_day_after(f"on {word}", WRITTEN, day)]
        assert 1 <= len(told) <= 2
        assert all(0 < (date.fromisoformat(day) - start).days <= WEEK_DAYS for day in told)
    for number in range(1, 32):
        told = [day for day in days if names_day_after(f"on the {number}th", WRITTEN, day)]
        assert len(told) <= 2
        assert all(0 <= (date.fromisoformat(day) - start).days <= MONTH_DAYS for day in told)
