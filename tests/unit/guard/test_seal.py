"""The seal: whatever is changed under it, or comes late, is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from carapax.core.rules.turn import bare_task
from carapax.core.terms.authority import verify_call
from carapax.core.terms.error import AuthorityInvalid
from carapax.core.terms.ids import CallId, Digest, EntryIndex, SessionId, TurnId
from carapax.core.terms.tables import Tables
from carapax.guard.canonical import canonical_call
from carapax.guard.seal import START_WITHIN_MS, seal
from tests.unit.guard.rig import KEY, TOOLS, Rig

NOW = 1_800_000_000_000


def sealed() -> Any:
    rig = Rig()
    call = canonical_call(
        rig.proposal("read_file", '{"path": "a"}'), TOOLS[0], bare_task("", rig.context, TOOLS, Tables())
    )
    return seal(call, EntryIndex(7), Digest("p" * 64), NOW, KEY)


def test_a_sealed_call_verifies_until_its_deadline() -> None:
    authorized = sealed()
    for now_ms in (NOW, NOW + START_WITHIN_MS):
        assert verify_call(authorized, KEY, now_ms).call == authorized.call


def test_a_late_call_is_refused() -> None:
    with pytest.raises(AuthorityInvalid):
        verify_call(sealed(), KEY, NOW + START_WITHIN_MS + 1)


def test_another_key_is_refused() -> None:
    with pytest.raises(AuthorityInvalid):
        verify_call(sealed(), b"x" * 32, NOW)


CHANGES: dict[str, Any] = {
    "arguments": lambda a: replace(a, call=replace(a.call, arguments_json='{"path":"b"}')),
    "tool": lambda a: replace(a, call=replace(a.call, manifest=replace(a.call.manifest, name="other"))),
    "call": lambda a: replace(a, call=replace(a.call, call=CallId("c2"))),
    "session": lambda a: replace(a, call=replace(a.call, session=SessionId("s2"))),
    "turn": lambda a: replace(a, call=replace(a.call, turn=TurnId("t2"))),
    "digest": lambda a: replace(a, call=replace(a.call, digest=Digest("0" * 64))),
    "entry": lambda a: replace(a, entry=EntryIndex(8)),
    "policy": lambda a: replace(a, policy=Digest("q" * 64)),
    "deadline": lambda a: replace(a, deadline_ms=a.deadline_ms + 1),
    "no seal": lambda a: replace(a, mac=b""),
    "a flipped bit": lambda a: replace(a, mac=bytes([a.mac[0] ^ 1]) + a.mac[1:]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_is_changed_under_the_seal_is_refused(what: str) -> None:
    with pytest.raises(AuthorityInvalid):
        verify_call(CHANGES[what](sealed()), KEY, NOW)
