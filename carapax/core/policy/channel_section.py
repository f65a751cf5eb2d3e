"""The section `channels` of a document: what becomes of strangers, and whether it answers in groups.

Layer: core/policy. Optional; keys are channels' names, `default` is for those without a line.
What may be done in a group is no setting of a channel: a line of `capabilities` must list it (`capability`).
Format: docs/formats/policy.md. Law: without a line nobody but paired people is ever answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from carapax.core.policy import reading
from carapax.core.policy.tree import Node

DEFAULT = "default"
STRANGERS = ("silent", "pair")
"""What a stranger gets: nothing, or a one-time code; from narrow to wide."""

GROUPS = ("off", "mention")
"""In groups: never, or when it is mentioned by somebody who is paired; from narrow to wide."""


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """How strangers and groups of one channel are treated."""

    strangers: str = "pair"
    groups: str = "mention"


CLOSED = ChannelRule("silent", "off")
"""What holds without a valid policy."""


def read_channels(node: Node | None) -> Mapping[str, ChannelRule]:
    """Every line below `channels`."""
    if node is None:
        return {}
    found = {}
    for key, value in reading.entries(node).items():
        reading.check_name(value, key)
        given = reading.fields(value, ("strangers", "groups"))
        usual = ChannelRule()
        found[key] = ChannelRule(
            reading.word(given["strangers"], STRANGERS) if "strangers" in given else usual.strangers,
            reading.word(given["groups"], GROUPS) if "groups" in given else usual.groups,
        )
    return found


def find_rule(rules: Mapping[str, ChannelRule], channel: str) -> ChannelRule:
    """The rule of one channel."""
    return rules.get(channel) or rules.get(DEFAULT) or ChannelRule()


def channel_widenings(old: Mapping[str, ChannelRule], new: Mapping[str, ChannelRule]) -> Iterator[str]:
    """In what `new` lets more people in than `old`."""
    for name in sorted({DEFAULT, *old, *new}):
        before, after = find_rule(old, name), find_rule(new, name)
        if STRANGERS.index(after.strangers) > STRANGERS.index(before.strangers):
            yield f"channels.{name} answers strangers with a code and did not before"
        if GROUPS.index(after.groups) > GROUPS.index(before.groups):
            yield f"channels.{name} answers in groups and did not before"
