"""The policy's file is edited, rolled back, expires or is swapped while a turn runs: between two calls, and between check and use."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carapax.app.policy_file import PolicyFile
from carapax.core.terms.approval import Approval
from carapax.core.terms.event import Event, StepJudged
from tests.attacks.room import EVERYTHING, Room, ToldClock, clicks, document

SEED = b"s" * 32
MAIL = {"to": ["bob@x.example"], "text": "hi"}
ASKING = EVERYTHING.replace("answer: allow", "answer: ask")
DENYING = EVERYTHING.replace("answer: allow", "answer: deny")


class Office:
    """A room whose policy is a signed file."""

    def __init__(self, folder: Path) -> None:
        self.clock = ToldClock()
        self.file = PolicyFile(folder / "policy" / "home.yaml", SEED, self.clock)
        self.file.write(document(ASKING, 1))
        self.old = {path: path.read_bytes() for path in self.parts()}
        self.file.write(document(EVERYTHING, 2))
        self.room = Room(folder, policy=self.file.current)

    def parts(self) -> list[Path]:
        return [self.file.path, self.file.signature_path]

    def edit(self) -> None:
        """Somebody with a text editor and no key."""
        self.file.path.write_bytes(self.file.path.read_bytes().replace(b"payment_each: 100", b"payment_each: 900000"))

    def roll_back(self) -> None:
        """An earlier policy with its own, good signature."""
        for path, content in self.old.items():
            path.write_bytes(content)

    def foreign(self) -> None:
        """A policy that somebody else's machine signed."""
        other = PolicyFile(self.file.path.parent.parent / "else" / "home.yaml", b"t" * 32, self.clock)
        other.write(document(EVERYTHING, 9))
        self.file.path.write_bytes(other.path.read_bytes())
        self.file.signature_path.write_bytes(other.signature_path.read_bytes())

    def remove(self) -> None:
        self.file.path.unlink()

    def unsign(self) -> None:
        self.file.signature_path.unlink()

    def expire(self) -> None:
        day = datetime.date(2126, 1, 2) - datetime.date(1970, 1, 1)
        self.clock.ms = int(day.total_seconds() * 1000)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.room.close()


CHANGES: list[Callable[[Office], None]] = [
    Office.edit,
    Office.roll_back,
    Office.foreign,
    Office.remove,
    Office.unsign,
    Office.expire,
]
each_change = pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])


@each_change
def test_between_two_calls(office: Office, change: Callable[[Office], None]) -> None:
    turn = office.room.turn("Mail bob@x.example.")
    assert turn.call("send_mail", **MAIL).outcome == "done"
    change(office)
    assert turn.call("send_mail", **MAIL).outcome == "refused"
    assert turn.call("read_mail").outcome == "refused", "without a valid policy there is not even reading"
    assert len(office.room.ran) == 1
    assert office.room.entries()[-1]["kind"] == "denied"


@each_change
def test_between_check_and_use(office: Office, change: Callable[[Office], None]) -> None:
    """The call was judged and recorded; then the file changes, then the tool would start."""

    def strike(event: Event) -> None:
        if isinstance(event, StepJudged):
            change(office)

    office.room.on_event = strike
    step = office.room.turn("Mail bob@x.example.").call("send_mail", **MAIL)
    assert step.outcome == "failed"
    assert office.room.ran == []
    assert office.room.entries()[-1]["kind"] == "receipt"


@each_change
def test_between_the_question_and_the_yes(office: Office, change: Callable[[Office], None]) -> None:
    office.file.write(document(ASKING, 3))

    async def strikes(room: Room, card: Approval) -> None:
        change(office)
        await clicks(room, card)

    office.room.person = strikes
    assert office.room.turn("Mail bob@x.example.").call("send_mail", **MAIL).outcome == "refused"
    assert office.room.ran == []


def test_a_signed_change_counts_from_the_next_call_on(office: Office) -> None:
    turn = office.room.turn("Mail bob@x.example.")
    assert turn.call("send_mail", **MAIL).outcome == "done"
    office.file.write(document(DENYING, 3))
    assert turn.call("send_mail", **MAIL).outcome == "refused"
    office.file.write(document(EVERYTHING, 4))
    assert turn.call("send_mail", **MAIL).outcome == "done"


def test_a_call_runs_under_the_policy_that_judged_it_or_not_at_all(office: Office) -> None:
    """A properly signed, stricter policy comes into force between check and use: what was judged by the old one does not start."""

    def strike(event: Event) -> None:
        if isinstance(event, StepJudged):
            office.file.write(document(DENYING, 3))

    office.room.on_event = strike
    office.room.turn("Mail bob@x.example.").call("send_mail", **MAIL)
    entry = next(entry for entry in office.room.entries() if entry["kind"] == "call")
    assert all(authorized.policy == entry["policy"] for authorized in office.room.authorized)
    assert office.room.ran == []


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: text.replace(b"answer: allow", b"answer: allow "),
        lambda text: text + b"\n",
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text + b"# no more than a remark\n",
        lambda text: text.replace(b"serial: 2", b"serial: 3"),
    ],
    ids=["a blank", "a line's end", "other line ends", "a remark", "only the serial"],
)
def test_the_signature_is_over_every_byte(office: Office, forge: Callable[[bytes], bytes]) -> None:
    turn = office.room.turn("Mail bob@x.example.")
    office.file.path.write_bytes(forge(office.file.path.read_bytes()))
    assert turn.call("send_mail", **MAIL).outcome == "refused"
    assert office.room.ran == []


def test_what_every_call_ran_under_stands_in_the_ledger(office: Office) -> None:
    turn = office.room.turn("Mail bob@x.example.")
    turn.call("send_mail", **MAIL)
    office.file.write(document(EVERYTHING, 3))
    turn.call("send_mail", **MAIL)
    digests = [entry["policy"] for entry in office.room.entries() if entry["kind"] == "call"]
    assert len(set(digests)) == 2
    assert digests == [authorized.policy for authorized in office.room.authorized]
