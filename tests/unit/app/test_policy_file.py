"""The policy on disk: in force only as it was signed, newer than what was, and until its day."""

from __future__ import annotations

from pathlib import Path

import pytest

from carapax.app.policy_file import PolicyFile
from carapax.core.terms.error import PolicyInvalid

SEED = b"s" * 32
DAY_MS = 86_400_000


class ToldClock:
    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


@pytest.fixture
def policy(tmp_path: Path) -> PolicyFile:
    made = PolicyFile(tmp_path / "policy" / "home.toml", SEED, ToldClock())
    made.write_home()
    return made


def refused(policy: PolicyFile) -> str:
    with pytest.raises(PolicyInvalid) as caught:
        policy.current()
    return caught.value.what


def test_the_home_policy_is_written_signed_and_private(policy: PolicyFile) -> None:
    assert policy.current().name == "home"
    for path in (policy.path, policy.signature_path, policy.serial_path):
        assert path.stat().st_mode & 0o077 == 0


def test_an_edited_policy_is_not_in_force(policy: PolicyFile) -> None:
    policy.path.write_text(policy.path.read_text().replace("tool_calls = 40", "tool_calls = 41"))
    assert "signature" in refused(policy)


def test_an_edited_policy_is_in_force_after_it_is_signed(policy: PolicyFile) -> None:
    text = policy.path.read_text().replace("tool_calls = 40", "tool_calls = 41").replace("serial = 1", "serial = 2")
    policy.path.write_text(text)
    policy.sign()
    assert policy.current().budgets.turn.tool_calls == 41


def test_a_broken_policy_cannot_be_signed_and_the_old_signature_stays(policy: PolicyFile) -> None:
    before = policy.signature_path.read_bytes()
    policy.path.write_text("format = 1")
    with pytest.raises(PolicyInvalid):
        policy.sign()
    assert policy.signature_path.read_bytes() == before


def test_a_policy_signed_by_another_key_is_refused(policy: PolicyFile) -> None:
    other = PolicyFile(policy.path, b"x" * 32, ToldClock())
    assert "signature" in refused(other)


@pytest.mark.parametrize("spoil", ["", "not base64 !!!", "AAAA"])
def test_a_spoiled_signature_is_refused(policy: PolicyFile, spoil: str) -> None:
    policy.signature_path.write_text(spoil)
    assert "signature" in refused(policy)


def test_a_missing_file_is_refused(policy: PolicyFile) -> None:
    policy.signature_path.unlink()
    assert "home.toml.sig" in refused(policy)
    policy.path.unlink()
    assert "home.toml" in refused(policy)


def test_an_older_policy_is_refused_although_it_is_signed(policy: PolicyFile) -> None:
    old = policy.path.read_bytes(), policy.signature_path.read_bytes()
    policy.set_budget("turn", "tool_calls", 10)
    assert policy.current().serial == 2
    policy.path.write_bytes(old[0])
    policy.signature_path.write_bytes(old[1])
    assert "older" in refused(policy)


def test_an_expired_policy_is_not_in_force(tmp_path: Path) -> None:
    clock = ToldClock()
    policy = PolicyFile(tmp_path / "home.toml", SEED, clock)
    policy.write_home()
    clock.ms += 730 * DAY_MS
    assert policy.current().serial == 1
    clock.ms += DAY_MS
    assert "expired" in refused(policy)
    policy.write_home()
    assert policy.current().serial == 2


def test_budgets_are_changed_added_and_taken_away_one_at_a_time(policy: PolicyFile) -> None:
    policy.set_budget("day", "tokens", 400_000)
    policy.set_budget("session", "wall_ms", 60_000)
    policy.set_budget("turn", "usd_micro", None)
    now = policy.current()
    assert now.serial == 4
    assert (now.budgets.day.tokens, now.budgets.day.tool_calls) == (400_000, 5_000)
    assert (now.budgets.session.wall_ms, now.budgets.session.tokens) == (60_000, 4_000_000)
    assert (now.budgets.turn.usd_micro, now.budgets.turn.tokens) == (None, 400_000)


def test_a_budget_that_does_not_fit_changes_nothing(policy: PolicyFile) -> None:
    for span, kind, value in (("day", "tokens", 0), ("day", "tokens", -5), ("year", "tokens", 5), ("day", "moons", 5)):
        with pytest.raises(PolicyInvalid):
            policy.set_budget(span, kind, value)
    assert policy.current().serial == 1


def test_a_spoiled_serial_is_refused(policy: PolicyFile) -> None:
    policy.serial_path.write_text("many")
    fresh = PolicyFile(policy.path, SEED, ToldClock())
    assert "highest-serial" in refused(fresh)
