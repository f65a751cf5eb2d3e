"""The egress proxy's process as tests start it: the real one, with a made-up vault, names and addresses.

`python egress_child.py CONFIG LINK`. The configuration is JSON: secrets, bindings, names (host -> addresses), trust
(PEM), log (a file that gets one line per look-up and per dial), patience, locked (a file that locks the vault while it is there).
It dials loopback only, whatever it is told.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from carapax.adapters.egress.proxy.conversation import Patience
from carapax.adapters.egress.proxy.dial import Dial, connect
from carapax.app.proxy import give_up_rights, load_everything, run
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import VaultLocked


class MadeUpSecrets:
    """Secrets from the configuration."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._values: dict[str, str] = config.get("secrets", {})
        self._bindings = tuple(
            Binding(**(binding | {"methods": tuple(binding.get("methods", ()))}))
            for binding in config.get("bindings", ())
        )
        self._locked = Path(config["locked"])

    async def value(self, handle: str) -> str | None:
        if self._is_locked():
            raise VaultLocked("The vault is locked.")
        return self._values.get(handle)

    def _is_locked(self) -> bool:
        return os.path.exists(self._locked)  # False too where the folder cannot be read any more

    def bindings(self) -> tuple[Binding, ...]:
        return self._bindings

    def handles(self) -> tuple[str, ...]:
        return tuple(sorted(self._values))


def main() -> None:
    config = json.loads(Path(sys.argv[1]).read_text())
    log = os.open(config["log"], os.O_WRONLY | os.O_APPEND)
    secrets = MadeUpSecrets(config)
    names: dict[str, list[list[str]]] = {host: list(answers) for host, answers in config.get("names", {}).items()}

    async def resolver(host: str, port: int) -> Sequence[str]:
        os.write(log, f"look-up {host}\n".encode())
        answers = names.get(host, [[]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def dialler(address: str, port: int) -> socket.socket:
        os.write(log, f"dial {address}\n".encode())
        if not address.startswith("127."):
            raise ConnectionRefusedError
        return await connect(address, port)

    link = socket.socket(fileno=int(sys.argv[2]))
    dial = Dial(resolver=resolver, dialler=dialler, extra_authority=config.get("trust", ""))
    if config.get("user", False):
        load_everything()
        dial.trust()
        give_up_rights()
    run(link, dial, secrets, Patience(**config.get("patience", {})))


if __name__ == "__main__":
    main()
