"""What surfaces are told of the kinds of channels that can be added."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from carapax.adapters.channels.catalogue import manifests
from carapax.app.channel_doors import ChannelDoors
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role, Scope


def test_every_kind_is_told_with_everything_it_asks_for() -> None:
    doors = ChannelDoors(cast(Any, SimpleNamespace()))
    told = {
        kind.kind: kind
        for kind in asyncio.run(doors.list_kinds(Principal(OWNER, Role.OWNER, frozenset(Scope), "test")))
    }
    assert told.keys() == manifests().keys()
    for name, manifest in manifests().items():
        for asked, shown in zip(manifest.asks, told[name].asks, strict=True):
            for field in ("name", "english", "french", "secret", "optional", "default", "pattern"):
                assert getattr(shown, field) == getattr(asked, field)
