"""The online tool's bytes: what `shell` makes of a run, then what was refused on the way out.

Layer: adapters/tools/online. Pure. Absent: control characters; whoever refused may be quoting what the command wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from carapax.adapters.tools.shell.wire import parse_run
from carapax.adapters.tools.words import one_line, text_of, visible
from carapax.core.terms.action import Outcome
from carapax.core.terms.egress import Traffic, Way
from carapax.ports.sandbox import Ran

REASONS = 5
"""Refusals that are told; the others are counted."""

REASON_CHARS = 300
LOST = "[the way out was cut off: the egress proxy ended. The next command has a new one]"
SECRET = "CARAPAX_SECRET_"  # noqa: S105 - the beginning of a name


def parse_online(
    ran: Ran, text_bytes: int, timeout_ms: int, reasons: Sequence[str], traffic: Traffic
) -> tuple[Outcome, str, bool]:
    """What the command left: (outcome, text, cut), with a line for each reason of a refusal."""
    outcome, text, cut = parse_run(ran, text_bytes, timeout_ms)
    told = [f"[refused: {visible(reason)[:REASON_CHARS]}]" for reason in reasons[:REASONS]]
    if traffic.refused and not told:
        told = ["[refused: the way out did not let everything through]"]
    if traffic.refused > len(told):
        told.append(f"[{traffic.refused} requests were refused in all]")
    if traffic.lost:
        told.append(LOST)
    return outcome, "\n".join([text, *told]), cut


def render_variables(way: Way) -> tuple[tuple[str, str], ...]:
    """The way's placeholders as a command finds them: the secret `git-hub` as CARAPAX_SECRET_GIT_HUB."""
    names: dict[str, str] = {}
    for handle, placeholder in way.placeholders:
        names.setdefault(SECRET + re.sub(r"[^A-Z0-9]", "_", handle.upper()), placeholder)
    return tuple(names.items())


def destroys(tool: str, arguments: Mapping[str, object]) -> int:
    """Always 0: what a command deletes cannot be read off its words."""
    return 0


def summary(tool: str, arguments: Mapping[str, object]) -> str:
    """A call in at most 80 visible characters: "run online pip install requests"."""
    return one_line(f"run online {text_of(arguments, 'command').strip()}")
