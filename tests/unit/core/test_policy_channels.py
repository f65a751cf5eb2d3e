"""The section `channels`, and what a line's `channels` mean: groups count only where a line lists them."""

from __future__ import annotations

import pytest

from carapax.core.policy.channel_section import ChannelRule, find_rule
from carapax.core.policy.decide import decide
from carapax.core.policy.document import parse_policy
from carapax.core.policy.widening import widenings
from carapax.core.terms.action import Effect
from carapax.core.terms.decision import Allow, Ask, Deny
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.principal import Role
from tests.unit.core.questions import home, lines_policy, question

PRIVATE, GROUP, OTHER = "telegram", "telegram:group", "slack:group"


def answer(lines: str, channel: str, *, trust: str = "assist", more: str = "") -> type[object]:
    policy = parse_policy(lines_policy(lines, trust=trust, more=more))
    return type(decide(policy, question(Effect.READ, channel=channel)))


def channels(text: str) -> bytes:
    return lines_policy("read: allow\n", more=f"channels: {text}\n")


# the section
def test_a_channel_without_a_line_has_the_default_and_without_one_the_usual_rule() -> None:
    given = "{default: {strangers: silent}, work: {groups: off}, odd: {strangers: pair, groups: mention}}"
    rules = parse_policy(channels(given)).channels
    assert find_rule(rules, "telegram") == ChannelRule("silent", "mention")
    assert find_rule(rules, "work") == ChannelRule("pair", "off")
    assert find_rule(rules, "odd") == ChannelRule("pair", "mention")
    assert parse_policy(lines_policy("read: allow\n")).channels == {}
    assert find_rule({}, "telegram") == ChannelRule("pair", "mention")
    assert find_rule(home().channels, "telegram") == ChannelRule("pair", "mention")


@pytest.mark.parametrize(
    "text", ["{a: {strangers: open}}", "{a: {groups: always}}", "{a: {people: all}}", "{a: pair}", "[a]", "{'b c': {}}"]
)
def test_another_word_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid, match="channels"):
        parse_policy(channels(text))


WIDER = [
    ("{a: {strangers: silent}}", "{a: {strangers: pair}}", "channels.a answers strangers"),
    ("{a: {groups: off}}", "{a: {groups: mention}}", "channels.a answers in groups"),
    ("{default: {strangers: silent, groups: off}}", "{}", "channels.default answers strangers"),
    ("{default: {groups: off}}", "{default: {groups: off}, a: {groups: mention}}", "channels.a answers in groups"),
    ("{default: {}, a: {strangers: silent}}", "{default: {}}", "channels.a answers strangers"),
]


@pytest.mark.parametrize(("old", "new", "said"), WIDER)
def test_answering_more_people_is_wider_and_the_way_back_is_not(old: str, new: str, said: str) -> None:
    before, after = parse_policy(channels(old)), parse_policy(channels(new))
    assert any(said in sentence for sentence in widenings(before, after))
    assert widenings(after, before) == widenings(before, before) == ()


# lines
@pytest.mark.parametrize(
    ("listed", "counts"),
    [
        ("", [PRIVATE, "cli", "api"]),
        ("channels: [telegram], ", [PRIVATE]),
        ("channels: [telegram:group], ", [GROUP]),
        ("channels: [group], ", [GROUP, OTHER]),
        ("channels: [cli, group], ", ["cli", GROUP, OTHER]),
    ],
)
@pytest.mark.parametrize("verdict", ["allow", "ask"])
def test_a_line_that_permits_counts_in_groups_only_where_it_lists_them(
    listed: str, counts: list[str], verdict: str
) -> None:
    line = f"read: {{{listed}answer: {verdict}}}\n"
    for channel in (PRIVATE, "cli", "api", GROUP, OTHER):
        wanted = (Allow if verdict == "allow" else Ask) if channel in counts else Deny
        assert answer(line, channel) is wanted, channel


def test_a_line_that_denies_or_always_asks_counts_everywhere_unless_it_names_channels() -> None:
    allowed = "a: {effects: [read], answer: allow}\ng: {effects: [read], channels: [group], answer: allow}\n"
    for channel in (PRIVATE, GROUP):
        assert answer(f"{allowed}read: deny\n", channel) is Deny
        assert answer(f"{allowed}read: ask-always\n", channel) is Ask
    named = f"{allowed}read: {{channels: [group], answer: deny}}\n"
    assert (answer(named, PRIVATE), answer(named, GROUP)) == (Allow, Deny)


def test_a_grant_that_no_longer_asks_does_not_reach_groups_either() -> None:
    granted = {"trust": "act", "more": "grants: [read]\n"}
    assert answer("read: ask\n", PRIVATE, **granted) is Allow
    assert answer("read: ask\n", GROUP, **granted) is Deny


def test_at_home_a_group_may_ask_back_and_nothing_else_whoever_speaks() -> None:
    for role in (Role.OWNER, Role.GUEST):
        for tool, wanted in (("show_time", Allow), ("ask_user", Allow), ("read_file", Deny)):
            asked = question(Effect.READ, role=role, tool=tool, channel=GROUP, place="none")
            assert isinstance(decide(home(), asked), wanted), (role, tool)
    for effect in set(Effect) - {Effect.READ}:
        assert isinstance(decide(home(), question(effect, tool="show_time", channel=GROUP)), Deny), effect
    asked = question(Effect.READ, role=Role.GUEST, tool="show_time", channel=PRIVATE, place="none")
    assert isinstance(decide(home(), asked), Deny)


LINES = [
    ("read: {channels: [telegram], answer: allow}\n", "read: {channels: [telegram, group], answer: allow}\n"),
    ("read: {channels: [telegram:group], answer: allow}\n", "read: {channels: [group], answer: allow}\n"),
    ("read: allow\n", "read: {channels: [group], answer: allow}\n"),
    ("read: {channels: [telegram], answer: allow}\n", "read: allow\n"),
    ("read: {channels: [group], answer: allow}\n", "read: allow\n"),
]


@pytest.mark.parametrize(("old", "new"), LINES)
def test_a_place_more_is_a_wider_line(old: str, new: str) -> None:
    before, after = (parse_policy(lines_policy(f"fetch: allow\n{text}")) for text in (old, new))
    assert widenings(before, after)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("read: allow\n", "read: {channels: [telegram, slack], answer: allow}\n"),
        ("read: {channels: [group], answer: allow}\n", "read: {channels: [telegram:group], answer: allow}\n"),
        (
            "read: {channels: [telegram:group, slack], answer: allow}\n",
            "read: {channels: [telegram:group], answer: allow}\n",
        ),
    ],
)
def test_a_place_less_is_not(old: str, new: str) -> None:
    before, after = (parse_policy(lines_policy(f"fetch: allow\n{text}")) for text in (old, new))
    assert widenings(before, after) == ()
