"""The example of docs/replay.md, unpacked from the page itself, and a policy that allows the owner everything."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from carapax.app.replay import command
from carapax.app.replay.recorded import RecordedWorld
from carapax.app.replay.sets import read_set
from carapax.core.policy.document import Policy

ROOT = Path(__file__).parents[4]


def example_files() -> dict[str, str]:
    """File name → text, as the page shows them."""
    page = (ROOT / "docs" / "replay.md").read_text("utf-8")
    return dict(re.findall(r"`([a-z]+\.(?:toml|jsonl))`\n\n```[a-z]+\n(.*?)```", page, re.DOTALL))


def write_example(folder: Path, **changed: str) -> Path:
    """The example in a folder, with some files replaced (named without their ending)."""
    folder.mkdir(exist_ok=True)
    for name, text in example_files().items():
        (folder / name).write_text(changed.get(name.split(".")[0], text), "utf-8")
    return folder


def example_world(folder: Path, **changed: str) -> RecordedWorld:
    """The example, read."""
    return RecordedWorld(read_set(write_example(folder, **changed)))


@cache
def open_policy() -> Policy:
    """Everything is the owner's; the rules of information flow decide alone."""
    return command.open_policy()
