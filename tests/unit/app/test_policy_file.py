"""The policy on disk: in force only as it was signed, by enough people, newer than what was, and until its day."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from carapax.app.policy_file import PolicyFile
from carapax.app.policy_signature import DOMAIN, Signatures, public_text, read_key, read_signatures
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.terms.error import Malformed, NotFound, PolicyInvalid
from carapax.core.terms.tables import Tier

SEED = b"s" * 32
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
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
    made = PolicyFile(tmp_path / "policy" / "home.yaml", SEED, ToldClock())
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
    policy.path.write_text(policy.path.read_text().replace("tool_calls: 40", "tool_calls: 41"))
    assert "signature" in refused(policy)


def test_an_edited_policy_is_in_force_after_it_is_signed(policy: PolicyFile) -> None:
    text = policy.path.read_text().replace("tool_calls: 40", "tool_calls: 41").replace("serial: 1", "serial: 2")
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
    assert "home.yaml.sig" in refused(policy)
    policy.path.unlink()
    assert "home.yaml" in refused(policy)


def test_an_older_policy_is_refused_although_it_is_signed(policy: PolicyFile) -> None:
    old = policy.path.read_bytes(), policy.signature_path.read_bytes()
    policy.set_budget("turn", "tool_calls", 10)
    assert policy.current().serial == 2
    policy.path.write_bytes(old[0])
    policy.signature_path.write_bytes(old[1])
    assert "older" in refused(policy)


def test_an_expired_policy_is_not_in_force(tmp_path: Path) -> None:
    clock = ToldClock()
    policy = PolicyFile(tmp_path / "home.yaml", SEED, clock)
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


# several signers
ANNA, BOB = (Ed25519PrivateKey.from_private_bytes(letter * 32) for letter in (b"a", b"b"))


def edit(policy: PolicyFile, *changes: tuple[str, str]) -> None:
    text = policy.path.read_text()
    serial = int(policy.serial_path.read_text()) + 1
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    policy.path.write_text(re.sub(r"(?m)^serial: .*$", f"serial: {serial}", text))


@pytest.fixture
def watched(policy: PolicyFile) -> PolicyFile:
    """A policy whose widening needs two signatures: two people's, or one person's and the machine's."""
    signers = f"signers: {{anna: {public_text(ANNA)}, bob: {public_text(BOB)}}}"
    edit(policy, ("signers: {}", signers), ("widening_needs: 1", "widening_needs: 2"))
    assert policy.sign().enough
    return policy


WIDER = ("at_most_files: 5", "at_most_files: 500")
NARROWER = ("at_most_files: 5", "at_most_files: 4")


def test_what_widens_needs_two_signatures_and_what_narrows_one(watched: PolicyFile) -> None:
    edit(watched, NARROWER)
    assert watched.sign().enough
    assert watched.current().serial == 3
    edit(watched, ("at_most_files: 4", "at_most_files: 5"))
    first = watched.sign()
    assert (first.enough, first.signed_by, first.needs) == (False, ("this-machine",), 2)
    assert first.wider == ("workspace.delete is allowed and was not before",)
    assert "needs 2 signatures; it has 1 (this-machine)" in refused(watched)
    assert watched.sign(ANNA).signed_by == ("anna", "this-machine")
    assert watched.current().serial == 4


def test_two_people_can_sign_without_the_machine(watched: PolicyFile) -> None:
    edit(watched, WIDER)
    assert not watched.sign(BOB).enough
    assert watched.sign(ANNA).enough
    assert watched.current().serial == 3


def test_one_persons_signature_counts_once(watched: PolicyFile) -> None:
    edit(watched, WIDER)
    watched.sign(ANNA)
    line = watched.signature_path.read_text()
    watched.signature_path.write_text(line + line.replace("anna", "bob") + line)
    assert "it has 1 (anna)" in refused(watched)
    watched.sign(ANNA)
    assert not watched.sign(ANNA).enough


def test_one_key_under_two_names_counts_once() -> None:
    signed = Signatures(b"x").signed("a", ANNA).signed("b", ANNA)
    assert signed.valid({"a": public_text(ANNA), "b": public_text(ANNA)}) == ("a",)


def test_the_machine_does_not_become_two_by_listing_its_own_key(policy: PolicyFile) -> None:
    edit(
        policy,
        ("signers: {}", f"signers: {{also-me: {policy.machine_key}}}"),
        ("widening_needs: 1", "widening_needs: 2"),
    )
    assert policy.sign().enough
    edit(policy, WIDER)
    policy.sign()
    assert policy.sign(KEY).signed_by == ("this-machine",)
    document = policy.path.read_bytes()
    policy.signature_path.write_bytes(Signatures(document).signed("this-machine", KEY).signed("also-me", KEY).text())
    assert "it has 1 (this-machine)" in refused(policy)


def test_a_key_that_the_policy_in_force_does_not_list_signs_nothing(watched: PolicyFile) -> None:
    eve = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
    edit(watched, WIDER, (f"bob: {public_text(BOB)}", f"bob: {public_text(eve)}"))
    with pytest.raises(PolicyInvalid, match="not among the signers"):
        watched.sign(eve)
    watched.sign()
    text = watched.signature_path.read_text()
    forged = read_signatures(b"", watched.path.read_bytes()).signed("bob", eve).text().decode()
    watched.signature_path.write_text(text + forged)
    assert "it has 1 (this-machine)" in refused(watched)


def test_a_signature_over_other_bytes_does_not_count(watched: PolicyFile) -> None:
    edit(watched, WIDER)
    watched.sign(ANNA)
    edit(watched, ("at_most_files: 500", "at_most_files: 501"))
    assert watched.sign().signed_by == ("this-machine",)
    assert "it has 1 (this-machine)" in refused(watched)


def test_the_machine_alone_cannot_raise_trust_or_budgets_or_begin_anew(watched: PolicyFile) -> None:
    before = watched.path.read_bytes()
    for attempt in (
        lambda: watched.set_trust(Tier.ACT),
        lambda: watched.set_budget("day", "tokens", 9_000_000),
        watched.restart,
    ):
        with pytest.raises(PolicyInvalid, match="needs 2 signatures"):
            attempt()
        assert watched.path.read_bytes() == before
    watched.set_trust(Tier.DRAFT)
    watched.set_budget("day", "tokens", 5)
    assert (watched.current().tables.tier, watched.current().budgets.day.tokens) == (Tier.DRAFT, 5)


def test_a_change_without_a_new_serial_is_refused(policy: PolicyFile) -> None:
    policy.path.write_text(policy.path.read_text() + "# a remark\n")
    with pytest.raises(PolicyInvalid, match="its serial did not"):
        policy.sign()
    document = policy.path.read_bytes()
    policy.signature_path.write_bytes(Signatures(document).signed("this-machine", KEY).text())
    assert "its serial did not" in refused(policy)


def test_a_document_that_others_signed_comes_into_force_by_itself_and_cannot_be_rolled_back(
    watched: PolicyFile,
) -> None:
    old = watched.path.read_bytes(), watched.signature_path.read_bytes()
    edit(watched, WIDER)
    document = watched.path.read_bytes()
    signatures = Signatures(document).signed("anna", ANNA).signed("bob", BOB)
    watched.signature_path.write_bytes(signatures.text())
    assert watched.current().serial == 3
    assert watched.in_force_path.read_bytes() == document
    watched.path.write_bytes(old[0])
    watched.signature_path.write_bytes(old[1])
    assert "older" in refused(watched)


@pytest.mark.parametrize("spoil", ["edited", "missing", "unsigned"])
def test_the_copy_in_force_cannot_be_swapped(policy: PolicyFile, spoil: str) -> None:
    edit(policy, NARROWER)
    policy.sign()
    copy = policy.in_force_path
    if spoil == "edited":
        copy.write_text(copy.read_text().replace("at_most_files: 4", "at_most_files: 999"))
    elif spoil == "missing":
        copy.unlink()
    else:
        copy.with_name(copy.name + ".sig").write_text("")
    fresh = PolicyFile(policy.path, SEED, ToldClock())
    assert "in-force.yaml" in refused(fresh) or "signature" in refused(fresh)
    fresh.restart()
    assert fresh.current().serial == 3
    assert policy.path.with_name("home.yaml.old").exists()


def test_the_bytes_judged_are_the_bytes_loaded(policy: PolicyFile) -> None:
    digest = hashlib.sha256(policy.path.read_bytes()).hexdigest()
    assert policy.current().digest == digest
    policy.path.write_bytes(policy.path.read_bytes() + b"#")
    assert "signature" in refused(policy)


def test_nothing_is_read_again_while_nothing_changes(policy: PolicyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    first = policy.current()
    monkeypatch.setattr(Path, "read_bytes", lambda self: 1 // 0)
    assert policy.current() is first


def test_only_its_own_lines_change_with_a_budget_or_the_trust(policy: PolicyFile) -> None:
    before = policy.path.read_text().splitlines()
    policy.set_budget("turn", "tool_calls", 41)
    policy.set_trust(Tier.DRAFT)
    after = policy.path.read_text().splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["serial: 3", "trust: draft", "    tool_calls: 41"]


def test_a_document_that_cannot_be_edited_by_rule_is_left_alone(policy: PolicyFile) -> None:
    edit(policy, ("trust: assist", '"trust": assist'))
    policy.sign()
    with pytest.raises(PolicyInvalid, match="cannot be changed from here"):
        policy.set_trust(Tier.DRAFT)


def test_the_day_of_review_is_a_reminder_and_no_end(tmp_path: Path) -> None:
    clock = ToldClock()
    policy = PolicyFile(tmp_path / "home.yaml", SEED, clock)
    policy.write_home()
    assert not policy.review_due(policy.current())
    clock.ms += 181 * DAY_MS
    assert policy.review_due(policy.current())


# the earlier format
EARLIER = """format = "carapax-policy/1"
name = "home"
serial = 7
issued = 2026-11-21
expires = 2028-11-20
approval_minutes = 15
rules = ""
[budgets.turn]
tokens = 11
[budgets.session]
[budgets.day]
tool_calls = 12
"""


def earlier(folder: Path) -> PolicyFile:
    folder.mkdir(exist_ok=True)
    (folder / "home.toml").write_text(EARLIER)
    (folder / "home.toml.sig").write_bytes(base64.b64encode(KEY.sign(DOMAIN + EARLIER.encode())))
    (folder / "highest-serial").write_text("7\n")
    return PolicyFile(folder / "home.yaml", SEED, ToldClock())


def test_an_earlier_policy_is_carried_over_once(tmp_path: Path) -> None:
    policy = earlier(tmp_path)
    assert "earlier format" in refused(policy)
    policy.begin()
    now = policy.current()
    assert (now.serial, now.budgets.turn.tokens, now.budgets.day.tool_calls) == (8, 11, 12)
    assert now.budgets.session.tokens is None
    assert (tmp_path / "home.toml.old").read_text() == EARLIER
    assert not (tmp_path / "home.toml").exists()
    policy.begin()
    assert policy.current().serial == 8


@pytest.mark.parametrize("spoil", [("home.toml", EARLIER.replace("11", "11000")), ("home.toml.sig", "AAAA")])
def test_an_earlier_policy_that_was_changed_is_not(tmp_path: Path, spoil: tuple[str, str]) -> None:
    policy = earlier(tmp_path)
    (tmp_path / spoil[0]).write_text(spoil[1])
    policy.begin()
    assert "home.toml cannot be carried over: its signature does not fit" in refused(policy)
    assert (tmp_path / "home.toml").exists()


# keys
def test_keys_are_read_as_pem_or_seed(tmp_path: Path) -> None:
    pem = ANNA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (pem, b"a" * 32, base64.b64encode(b"a" * 32) + b"\n"):
        (tmp_path / "key").write_bytes(content)
        assert public_text(read_key(tmp_path / "key")) == public_text(ANNA)
    for content in (b"", b"-----BEGIN nothing", b"x" * 31):
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(Malformed):
            read_key(tmp_path / "key")
    with pytest.raises(NotFound):
        read_key(tmp_path / "none")


def test_a_signature_file_is_read_line_by_line_and_bounded() -> None:
    found = read_signatures(b"\xff junk\n\xff AA==\nanna AA==\nbob !!\n" + b"x AA==\n" * 100, b"")
    assert found.lines[0] == ("anna", b"\0")
    assert len(found.lines) <= 32


def test_a_start_reads_a_document_once_though_the_file_and_its_copy_are_both_asked(
    policy: PolicyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []

    def counted(document: bytes) -> Policy:
        read.append(document)
        return parse_policy(document)

    monkeypatch.setattr("carapax.app.policy_file.parse_policy", counted)
    again = PolicyFile(policy.path, SEED, ToldClock())
    assert again.current().digest == policy.current().digest
    assert read == [policy.path.read_bytes()]
