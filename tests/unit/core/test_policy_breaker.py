"""The section `breaker`: figures of a policy's own, never none, and raised ones are a wider document."""

from __future__ import annotations

import datetime
from dataclasses import fields, replace
from pathlib import Path

import pytest

from carapax.core.breaker.limits import DEFAULT, Limits
from carapax.core.policy.breaker_section import NAMES, raised
from carapax.core.policy.document import parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.policy.widening import widenings
from carapax.core.terms.error import PolicyInvalid

HOME = home_policy(1, datetime.date(2026, 1, 5)).decode()


def with_breaker(text: str) -> bytes:
    assert "\nbreaker: {}\n" in HOME
    return HOME.replace("\nbreaker: {}\n", f"\nbreaker: {text}\n").encode()


def test_without_figures_the_usual_ones_hold() -> None:
    assert parse_policy(HOME.encode()).breaker == DEFAULT
    assert parse_policy(HOME.replace("\nbreaker: {}\n", "\n").encode()).breaker == DEFAULT


@pytest.mark.parametrize("name", NAMES)
def test_each_figure_can_be_written_and_only_raising_it_is_wider(name: str) -> None:
    usual, more = parse_policy(HOME.encode()), getattr(DEFAULT, name) + 1
    wide = parse_policy(with_breaker(f"{{{name}: {more}}}"))
    assert wide.breaker == replace(DEFAULT, **{name: more})
    assert widenings(usual, wide) == (f"breaker.{name} rises from {more - 1:,} to {more:,}",)
    assert widenings(wide, usual) == ()


@pytest.mark.parametrize(
    "text",
    [
        "{denials_minute: 0}",
        "{denials_minute: none}",
        "{off: 1}",
        "{canaries_used: 5}",
        "off",
        "[1]",
        "{hosts_run: -1}",
    ],
)
def test_it_cannot_be_turned_off(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(with_breaker(text))


def test_every_figure_is_in_the_format_with_what_holds_without_it() -> None:
    page = (Path(__file__).parents[3] / "docs" / "formats" / "policy.md").read_text("utf-8")
    section = page.split("**The breaker.**")[1].split("**Data classes.**")[0].replace("\n", " ")
    for field in fields(Limits):
        value = getattr(DEFAULT, field.name)
        shown = f"{value >> 20} MiB" if field.name.endswith("bytes") else f"{value:,}"
        assert f"`{field.name}` ({shown}" in section, field.name


def test_lowered_and_equal_figures_are_no_widening() -> None:
    assert list(raised(DEFAULT, DEFAULT)) == []
    assert list(raised(DEFAULT, replace(DEFAULT, files_minute=1))) == []
