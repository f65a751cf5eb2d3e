"""The egress proxy's process as the self-test starts it: `python -I -m carapax.app.trial_proxy --trust PEM LINK`.

Layer: app. The very process of `app.proxy`, without a vault, and with a resolver that knows one name.
Law: it looks nothing up, so a self-test sends no packet beyond this machine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from carapax.app.proxy import main

HOST = "service.carapax.example"
ADDRESS = "127.0.0.1"


async def resolve(host: str, port: int) -> Sequence[str]:
    """The one name there is."""
    return [ADDRESS] if host == HOST else []


if __name__ == "__main__":
    sys.exit(main(None, None, resolve))
