"""What the gateway says of channels that can be added: every manifest, whole."""

from __future__ import annotations

import asyncio

import pytest

from carapax.adapters.channels.catalogue import manifests
from carapax.app.channel_doors import ChannelDoors, Channelled
from carapax.core.channel.oauth import render_oauth
from carapax.core.terms.error import Refused
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.plain import plain
from carapax.core.terms.principal import Principal, Role, Scope

OWNER = Principal(PrincipalId("owner"), Role.OWNER, frozenset(Scope), "test")
ROLES = [Role.GUEST, Role.MEMBER]


def test_every_kind_is_told_with_all_it_asks_for() -> None:
    doors = ChannelDoors(Channelled(None, None, None, None))  # type: ignore[arg-type]
    kinds = {kind.kind: kind for kind in asyncio.run(doors.list_kinds(OWNER))}
    assert len(kinds) == len(manifests()) >= 15
    for name, manifest in manifests().items():
        for told, asked in zip(plain(kinds[name].asks), plain(manifest.asks), strict=True):
            assert told == asked


@pytest.mark.parametrize("role", ROLES)
def test_others_are_told_nothing(role: Role) -> None:
    doors = ChannelDoors(Channelled(None, None, None, None))  # type: ignore[arg-type]
    with pytest.raises(Refused):
        asyncio.run(doors.list_kinds(Principal(PrincipalId("x"), role, frozenset(Scope), "test")))


def test_what_is_sealed_of_a_secret_that_buys_tokens_has_the_answers_in_it() -> None:
    words = {"endpoint": "https://login.example/{tenant}/{absent}x", "client_id": "{app}"}
    made = render_oauth(words, {"tenant": "t1", "app": "a1"}, "invented")
    assert made == '{"endpoint": "https://login.example/t1/x", "client_id": "a1", "client_secret": "invented"}'
