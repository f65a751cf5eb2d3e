"""Both egresses that there are, each with the same secrets and the same trust."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from carapax.adapters.egress.keeper import Keeper
from carapax.adapters.egress.kept import KeptEgress
from carapax.ports.egress import Egress
from tests.conformance.vault.memory import MemoryVault
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.egress_room import child_argv
from tests.fakes.gate import FakeGate
from tests.fakes.web_server import TestAuthority

SECRETS = {
    "service": "sk-very-secret-value",
    "password": 'pass word/with+odd&"chars\u00e9',
    "token": "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"[:24] + "/x",
    "broken": "two\r\nlines",
    "webhook": "whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
}
AUTHORITY = TestAuthority()
KINDS = ("direct", "kept")


def open_egress(kind: str, folder: Path, gate: FakeGate | None = None) -> Iterator[Egress]:
    """One of them, closed at the end."""
    if kind == "direct":
        context = ssl.create_default_context(cadata=AUTHORITY.pem)
        yield DirectEgress(MemoryVault(**SECRETS), trust=context)
        return
    argv = child_argv(folder, secrets=SECRETS, trust=AUTHORITY.pem)
    keeper = Keeper(argv, gate or FakeGate())
    yield KeptEgress(keeper)
    keeper.close()
