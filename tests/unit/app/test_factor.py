"""One-time codes: each once, five wrong ones lock, and the secret is nowhere but in its file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pyotp
import pytest

from carapax.app.factor import LOCK_MS, Factor, Kept, Offer, Standing
from carapax.core.terms.error import Conflict, Malformed, NotFound, StoreUnavailable
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.label import OWNER
from carapax.core.turn.answer import Code

START_MS = 1_800_000_000_000
STEP_MS = 30_000


class Clock:
    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


class Bench:
    """A factor that is set up, a step ago."""

    def __init__(self, keys: Path) -> None:
        self.clock = Clock()
        self.factor = Factor(keys, self.clock)
        self.secret = self.factor.offer(OWNER).secret
        self.factor.confirm(OWNER, self.secret, self.code())
        self.clock.ms += STEP_MS

    def code(self, steps: int = 0) -> str:
        return str(pyotp.TOTP(self.secret).at(self.clock.ms // 1000 + 30 * steps))

    def wrong(self) -> str:
        good = {self.code(n) for n in range(-3, 4)}
        return next(
            c for c in ("000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777") if c not in good
        )

    def check(self, code: str) -> Code:
        return self.factor.check(OWNER, code)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def bench(keys: Path) -> Bench:
    return Bench(keys)


def test_the_codes_are_those_of_the_rfc() -> None:
    # RFC 6238, appendix B, SHA-1, its last six digits; the secret is "12345678901234567890".
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert pyotp.TOTP(secret).at(seconds) == code


def test_a_code_counts_once_also_after_a_restart(bench: Bench, keys: Path) -> None:
    code = bench.code()
    assert bench.check(code) is Code.RIGHT
    assert bench.check(code) is Code.WRONG
    assert Factor(keys, bench.clock).check(OWNER, code) is Code.WRONG


def test_a_code_before_the_used_one_is_spent_too(bench: Bench) -> None:
    bench.clock.ms += 2 * STEP_MS
    assert bench.check(bench.code(1)) is Code.RIGHT
    assert bench.check(bench.code(0)) is Code.WRONG
    assert bench.check(bench.code(-1)) is Code.WRONG


def test_the_confirming_code_is_used_up(keys: Path) -> None:
    bench = Bench(keys)
    bench.clock.ms -= STEP_MS
    assert bench.check(bench.code()) is Code.WRONG


@pytest.mark.parametrize(
    ("steps", "found"), [(-2, Code.WRONG), (-1, Code.RIGHT), (0, Code.RIGHT), (1, Code.RIGHT), (2, Code.WRONG)]
)
def test_one_step_either_side(bench: Bench, steps: int, found: Code) -> None:
    bench.clock.ms += 5 * STEP_MS
    assert bench.check(bench.code(steps)) is found


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "١٢٣٤٥٦", "-12345", "12 34 5"])
def test_what_is_no_code_is_wrong(bench: Bench, code: str) -> None:
    assert bench.check(code) is Code.WRONG


def test_spaces_in_a_code_are_no_matter(bench: Bench) -> None:
    code = bench.code()
    assert bench.check(f" {code[:3]} {code[3:]} ") is Code.RIGHT


def test_an_absent_code_is_missing_and_no_wrong_try(bench: Bench) -> None:
    for _ in range(9):
        assert bench.check(" ") is Code.MISSING
    assert bench.check(bench.code()) is Code.RIGHT


def test_five_wrong_codes_lock_it_and_then_no_code_is_looked_at(bench: Bench, keys: Path) -> None:
    assert [bench.check(bench.wrong()) for _ in range(5)] == [Code.WRONG] * 5
    assert bench.check(bench.code()) is Code.LOCKED
    assert bench.factor.standing(OWNER) is Standing.LOCKED
    assert bench.factor.locked_until_ms(OWNER) == bench.clock.ms + LOCK_MS
    assert Factor(keys, bench.clock).check(OWNER, bench.code()) is Code.LOCKED
    bench.clock.ms += LOCK_MS
    assert bench.factor.locked_until_ms(OWNER) == 0
    assert bench.check(bench.code()) is Code.RIGHT


def test_wrong_codes_far_apart_do_not_lock_it(bench: Bench) -> None:
    for _ in range(8):
        assert bench.check(bench.wrong()) is Code.WRONG
        bench.clock.ms += LOCK_MS // 4 + 1
    assert bench.check(bench.code()) is Code.RIGHT


def test_each_person_has_their_own(bench: Bench) -> None:
    assert bench.factor.check(PrincipalId("anna"), bench.code()) is Code.NONE_SET
    with pytest.raises(Malformed):
        bench.factor.check(PrincipalId("../owner"), "123456")


def test_nothing_is_set_up_until_a_code_confirms_it(keys: Path) -> None:
    clock = Clock()
    factor = Factor(keys, clock)
    offer = factor.offer(OWNER)
    assert offer.uri.startswith("otpauth://totp/Carapax:owner?secret=")
    assert factor.standing(OWNER) is Standing.NONE
    for secret, code in ((offer.secret, "000"), ("not base32", "123456")):
        with pytest.raises(Malformed):
            factor.confirm(OWNER, secret, code)
    assert factor.check(OWNER, pyotp.TOTP(offer.secret).at(clock.ms // 1000)) is Code.NONE_SET
    assert not keys.exists()


def test_a_second_one_does_not_replace_the_first(bench: Bench) -> None:
    with pytest.raises(Conflict):
        bench.factor.offer(OWNER)
    other = pyotp.random_base32(32)
    with pytest.raises(Conflict):
        bench.factor.confirm(OWNER, other, pyotp.TOTP(other).at(bench.clock.ms // 1000))
    assert bench.check(bench.code()) is Code.RIGHT


def test_removing(bench: Bench) -> None:
    bench.factor.remove(OWNER)
    assert bench.check(bench.code()) is Code.NONE_SET
    with pytest.raises(NotFound):
        bench.factor.remove(OWNER)


def test_the_secret_rests_in_a_private_file_and_in_no_repr(bench: Bench, keys: Path) -> None:
    path = keys / "factor.owner"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["secret"] == bench.secret
    assert [p.name for p in keys.iterdir()] == ["factor.owner"]
    assert bench.secret not in repr(Kept(bench.secret)) + repr(Offer(bench.secret, bench.secret)) + repr(bench.factor)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"secret": "x"}', b"\xff", b"[]",
    b'{"secret":"short","used_step":0,"wrong_ms":[],"locked_until_ms":0}'])  # fmt: skip
def test_a_broken_file_refuses(bench: Bench, keys: Path, content: bytes) -> None:
    (keys / "factor.owner").write_bytes(content)
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        bench.check("123456")


def test_a_file_that_others_can_read_refuses(bench: Bench, keys: Path) -> None:
    (keys / "factor.owner").chmod(0o644)
    with pytest.raises(StoreUnavailable, match="Others can read"):
        bench.check(bench.code())
