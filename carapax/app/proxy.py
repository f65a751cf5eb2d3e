"""The egress proxy's process: `python -I -m carapax.app.proxy [options] LINK`.

Layer: app. Owns the composition of proxy, vault and the search for held values; and the process's own walls: no core
files, not dumpable, no new privileges, its own user when it was started as root. Absent: settings, ledger, rules.
Laws: what needs the first user's rights is opened before they are given up; it ends with the gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import functools
import os
import resource
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from carapax.adapters.egress.proxy.conversation import Patience
from carapax.adapters.egress.proxy.dial import Dial, Resolver, look_up
from carapax.adapters.egress.proxy.service import Service
from carapax.adapters.vault.door import open_door, serve_door
from carapax.adapters.vault.environ import EnvironVault
from carapax.app.home import Home
from carapax.app.sealed import open_for_proxy
from carapax.ports.vault import Secrets

PROXY_USER = 64_243
"""The user and group that the process becomes when it was started as root."""

OWNER = os.getuid()
"""Whoever started the process; only they and root are heard at the vault's door."""

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def main(arguments: list[str] | None = None, secrets: Secrets | None = None, resolver: Resolver = look_up) -> int:
    """Run until the link ends. `secrets` is for tests; else the vault that the arguments name is opened."""
    parser = argparse.ArgumentParser(prog="carapax.app.proxy")
    parser.add_argument("--home", type=Path, default=None, help="Carapax's folder, whose vault is opened")
    parser.add_argument("--trust", type=Path, default=None, help="a PEM file of further certificate authorities")
    parser.add_argument("link", type=int)
    options = parser.parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    link = socket.socket(fileno=options.link)
    os.set_inheritable(options.link, False)
    extra = options.trust.read_text("ascii") if options.trust is not None else ""
    dial = Dial(resolver=resolver, extra_authority=extra)
    if os.geteuid() == 0:
        dial.trust()
        load_everything()
    beside = None
    if options.home is not None:
        vault, door = open_vault(options.home)
        secrets = secrets or vault
        beside = functools.partial(serve_door, door, vault.sealed, {OWNER})
    give_up_rights()
    run(link, dial, secrets, Patience(), beside)
    return 0


def open_vault(home: Path) -> tuple[EnvironVault, socket.socket]:
    """The vault and its door for a person's passphrase, opened with the first user's rights. Raises StoreUnavailable."""
    place = Home(home)
    user = PROXY_USER if os.geteuid() == 0 else None
    return open_for_proxy(place, os.environ, user), open_door(place.vault_door)


def run(
    link: socket.socket,
    dial: Dial,
    secrets: Secrets | None,
    patience: Patience,
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Serve on uvloop until the gateway is gone; what runs `beside` ends with it."""
    import uvloop

    async def serve() -> None:
        asyncio.get_running_loop().set_exception_handler(tell_kind)
        aside = asyncio.create_task(beside()) if beside is not None else None
        try:
            await Service(link, dial=dial, secrets=secrets, find_held=held_names, patience=patience).run()
        finally:
            if aside is not None:
                aside.cancel()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def tell_kind(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A defect is told by its kind alone: its text could quote what passed by."""
    print(f"carapax proxy: {type(context.get('exception')).__name__} in a task", file=sys.stderr)


def held_names(text: str, values: Mapping[str, str]) -> list[str]:
    """The names of the values that stand in a text, in any disguise."""
    from carapax.adapters.scan.outgoing.held import disguise, find_held

    names = {value: name for name, value in values.items()}
    return [names[value] for value in find_held(text, disguise(values.values()))]


def load_everything() -> None:
    """Load now what is used later: the user that the process becomes may not be able to read Python's own folder."""
    import codecs
    import concurrent.futures.thread
    import unicodedata

    import idna
    import uvloop

    from carapax.adapters.egress.proxy.addresses import own_addresses
    from carapax.adapters.egress.proxy.authority import Authority
    from carapax.adapters.egress.proxy.scrub import Scrubber

    Authority().context("localhost")
    Scrubber([b"nothing"]).feed(b"nothing")
    idna.encode(idna.decode("xn--bcher-kva"))
    import httpx2  # renews tokens

    held_names("", {"": "nothing"})
    for encoding in ("ascii", "latin-1", "utf-8", "idna", "punycode"):
        codecs.lookup(encoding)
    own_addresses()
    _ = (concurrent.futures.thread, unicodedata, uvloop.new_event_loop, httpx2)


def give_up_rights() -> None:
    """Become a user of no rights, and closed to debuggers and core files. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(PROXY_USER, PROXY_USER, PROXY_USER)
        os.setresuid(PROXY_USER, PROXY_USER, PROXY_USER)
    for option, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_DUMPABLE, 0)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "the process cannot be closed to others")


if __name__ == "__main__":
    sys.exit(main())
