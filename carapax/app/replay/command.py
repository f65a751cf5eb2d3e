"""`carapax redteam replay`: the shipped probes, or a folder, against the policy in force, a file, or the open policy.

Layer: app. The open policy gives the owner every capability, so that the rules of information flow decide alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from carapax.app.replay.recorded import RecordedWorld
from carapax.app.replay.report import plain_result
from carapax.app.replay.score import count, replay, unguarded, words_only_pairs
from carapax.app.replay.sets import read_set
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.terms.error import NotFound

HERE = Path(__file__).parent
PROBES = HERE / "probes"


def open_policy() -> Policy:
    """The policy under which only the rules of information flow decide."""
    return parse_policy((HERE / "open.yaml").read_bytes())


def policy_of(file: str) -> Policy:
    """A policy document that need not be signed: nothing is carried out with it. Raises PolicyInvalid, NotFound."""
    try:
        return parse_policy(Path(file).read_bytes())
    except OSError as error:
        raise NotFound(f"{file} cannot be read", next_step="Give the path of a policy document.") from error


def replay_folder(folder: str | None, policy: Policy, tell: Callable[[str], None]) -> dict[str, Any]:
    """Everything that one replay gave, as plain data. Raises SettingsInvalid for a folder that is no set."""
    world = RecordedWorld(read_set(Path(folder) if folder else PROBES))
    result = asyncio.run(replay(world, policy, tell=tell))
    rows = {world.name: count([result], words_only_pairs(world))}
    done, through = unguarded(world)
    return {
        "set": world.name,
        "policy": policy.name,
        **plain_result([result], rows),
        "unguarded": {"done": done, "through": through},
    }
