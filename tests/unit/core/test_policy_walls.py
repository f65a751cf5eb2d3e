"""The choice of a tier, and the section `walls`: it raises, never lowers, and a lowered raise is wider."""

from __future__ import annotations

import datetime

import pytest

from carapax.core.policy.document import parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.policy.wall_section import KEYS
from carapax.core.policy.walls import DEFAULT, choose_tier
from carapax.core.policy.widening import widenings
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.tier import Provenance, WallTier

HOME = home_policy(1, datetime.date(2026, 1, 5)).decode()


def with_walls(text: str) -> bytes:
    assert "\nwalls: {}\n" in HOME
    return HOME.replace("\nwalls: {}\n", f"\nwalls: {text}\n").encode()


def test_each_origin_has_its_tier_built_in() -> None:
    assert {provenance.value: choose_tier(provenance, {}).value for provenance in Provenance} == {
        "ours": 1,
        "expression": 0,
        "agent": 1,
        "approved": 1,
        "third_party": 2,
        "binary": 3,
    }


@pytest.mark.parametrize("provenance", Provenance)
@pytest.mark.parametrize("asked", WallTier)
def test_a_floor_raises_and_never_lowers(provenance: Provenance, asked: WallTier) -> None:
    chosen = choose_tier(provenance, {provenance: asked})
    assert chosen == max(asked, DEFAULT[provenance])
    others = [other for other in Provenance if other is not provenance]
    assert [choose_tier(other, {provenance: asked}) for other in others] == [DEFAULT[other] for other in others]


def test_without_lines_the_built_in_tiers_hold() -> None:
    assert parse_policy(HOME.encode()).walls == {}
    assert parse_policy(HOME.replace("\nwalls: {}\n", "\n").encode()).walls == {}


def test_every_kind_of_code_can_be_raised_to_every_stronger_tier() -> None:
    usual = parse_policy(HOME.encode())
    for key in KEYS:
        for number in range(DEFAULT[Provenance(key)], 4):
            found = parse_policy(with_walls(f"{{{key}: {number}}}"))
            assert found.walls == {Provenance(key): WallTier(number)}
            assert widenings(usual, found) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{third_party: 1}", "write 2 to 3"),
        ("{binary: 2}", "write 3 to 3"),
        ("{agent: 0}", "write 1 to 3"),
        ("{agent: 4}", "write 1 to 3"),
        ("{agent: strong}", "not a whole number"),
        ("{expression: 1}", "not known here"),
        ("{stranger: 1}", "not known here"),
        ("[2]", "must be a map"),
    ],
)
def test_a_lower_or_unknown_line_is_refused_with_its_remedy(text: str, said: str) -> None:
    with pytest.raises(PolicyInvalid, match="walls") as caught:
        parse_policy(with_walls(text))
    assert said in str(caught.value)


def test_a_lowered_raise_is_wider_and_says_so() -> None:
    strong, usual = parse_policy(with_walls("{agent: 3, ours: 2}")), parse_policy(HOME.encode())
    assert widenings(strong, usual) == ("walls.ours falls from tier 2 to 1", "walls.agent falls from tier 3 to 1")
    between = parse_policy(with_walls("{agent: 2, ours: 2}"))
    assert widenings(strong, between) == ("walls.agent falls from tier 3 to 2",)
    assert widenings(between, strong) == ()
