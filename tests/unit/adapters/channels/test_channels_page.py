"""docs/channels.md says of every kind of channel what its manifest and its facts say."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from carapax.adapters.channels.catalogue import FOLDER, Asked, Opening, manifests, open_channel
from carapax.app.channels.posts import WEAK
from carapax.core.channel.commands import CommandName
from carapax.core.channel.queue import QueueMode
from carapax.core.terms.channel import ChannelFacts, Feature

PAGE = (Path(__file__).parents[4] / "docs" / "channels.md").read_text("utf-8")

COLUMNS = (
    Feature.EDIT, Feature.TYPING, Feature.REACT, Feature.THREADS, Feature.REPLY, Feature.BUTTONS, Feature.FILES_IN,
    Feature.FILES_OUT, Feature.GROUPS, Feature.MEMBERS, Feature.IDEMPOTENT,
)  # fmt: skip

GIVEN = (
    "https://chat.example.org", "chat.example.org", "agent@example.org", "mail.example.org:993", "+33123456789", "123456",
    "AC" + "0" * 32, "00000000-0000-0000-0000-000000000000", "/tmp/t.sock", "carapax",
)  # fmt: skip
"""Answers of every form that a manifest asks for; the first that fits is given."""


def rows(columns: int) -> dict[str, list[str]]:
    """The rows of the page's table with so many columns, by kind."""
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("`"): row for row in found if len(row) == columns}


def answer(asked: Asked) -> str:
    return asked.default or next(text for text in GIVEN if re.fullmatch(asked.pattern or ".*", text))


def facts(kind: str) -> ChannelFacts:
    """What a channel of this kind can do when it was given all it may be given that needs no choice."""
    manifest = manifests()[kind]
    opening = Opening(
        name=kind,
        values={
            a.name: answer(a) for a in manifest.asks if not a.secret and (not a.optional or a.name == "public_url")
        },
        secrets={asked.name: f"channel-{kind}-{asked.name}" for asked in manifest.asks if asked.secret},
        egress=cast(Any, SimpleNamespace(client=lambda **words: SimpleNamespace(placeholder="x"))),
        keep=cast(Any, SimpleNamespace()),
        clock=cast(Any, SimpleNamespace()),
    )
    return open_channel(kind, opening).facts()


def test_every_kind_has_its_two_rows_and_no_other() -> None:
    assert len(manifests()) >= 15
    assert list(rows(5)) == list(rows(13))
    assert rows(5).keys() == manifests().keys()
    for kind, row in rows(5).items():
        assert row[1] == manifests()[kind].title
        assert ("call" in row[2]) >= manifests()[kind].hook, f"{kind}: its platform calls, and the page does not say so"


@pytest.mark.parametrize("kind", sorted(manifests()))
def test_the_marks_are_the_facts(kind: str) -> None:
    _, *marks, approvals = rows(13)[kind]
    has = facts(kind).features
    assert dict(zip(COLUMNS, (mark == "●" for mark in marks), strict=True)) == {each: each in has for each in COLUMNS}
    assert approvals == ("no" if kind in WEAK else "yes")


def test_every_package_says_how_it_is_set_up_and_what_is_not_possible() -> None:
    for kind in manifests():
        text = (FOLDER / kind / "README.md").read_text("utf-8")
        assert len(text.splitlines()) <= 60, kind
        assert re.search(r"^1\. ", text, re.MULTILINE), f"{kind} has no first step"
        assert re.search(r"not possible", text, re.IGNORECASE), f"{kind} does not say what is not possible"
        assert f"channels add {kind}" in text, kind


def test_every_command_and_queue_mode_is_named() -> None:
    named = set(re.findall(r"`/(\w+)`", PAGE))
    assert {command.value for command in CommandName} <= named
    assert re.findall(r"^\| `([\w-]+)` \| [^|]+ \|$", PAGE, re.MULTILINE) == [mode.value for mode in QueueMode]
