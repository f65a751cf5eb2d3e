"""The door of a running vault: a person's passphrase goes to the process that holds it, and through nobody's hands.

Layer: adapters/vault. A private unix socket; the kernel says who knocks (SO_PEERCRED). Owns both sides.
Absent: reading a secret. Nothing that comes in can make a value go out.
One message each way: four bytes of length, then JSON: `{"ask": "unlock", "passphrase": …}`, `{"ask": "lock"}`,
`{"ask": "state"}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import struct
from collections.abc import Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from carapax.adapters.vault.keysource import MAX_PASSPHRASE_CHARS
from carapax.adapters.vault.private import ensure_private_directory
from carapax.core.terms.error import CarapaxError, NotFound, Refused, StoreUnavailable, Unavailable

MESSAGE_BYTES = 16_384
READ_S = 5.0
ASK_S = 60.0
KNOCKS = 4
"""So many at once; the next one waits in the kernel's queue."""


class Lockable(Protocol):
    """What stands behind the door."""

    @property
    def locked(self) -> bool: ...

    @property
    def source(self) -> str: ...

    def unlock(self, passphrase: str) -> None: ...

    def lock(self) -> None: ...


def open_door(path: Path) -> socket.socket:
    """A listening socket that only its owner and root can reach. Raises StoreUnavailable."""
    ensure_private_directory(path.parent)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise StoreUnavailable(f"{path} is in the way.", next_step=f"Move {path} away.")
            path.unlink()
        os.fchmod(door.fileno(), 0o600)  # before it has a name, so that it is never reachable otherwise
        door.bind(str(path))
        path.chmod(0o600)
        door.listen(KNOCKS)
        door.setblocking(False)
    except OSError as error:
        door.close()
        raise StoreUnavailable(f"The vault's door {path} cannot be opened: {error.strerror}.") from error
    except CarapaxError:
        door.close()
        raise
    return door


async def serve_door(door: socket.socket, vault: Lockable, users: Collection[int]) -> None:
    """Answer at the door until cancelled. Only these users and root are heard."""
    places = asyncio.Semaphore(KNOCKS)
    # A thread of its own: whoever else fills the pool does not hold up a passphrase, and one try is made at a time.
    turn = ThreadPoolExecutor(1, "vault-door")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with places:
                reply = await _reply(reader, writer, vault, users, turn)
                writer.write(_framed(reply))
                async with asyncio.timeout(READ_S):
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # whoever knocked has gone, or the door is closed
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_unix_server(answer, sock=door, limit=MESSAGE_BYTES)
    try:
        async with server:
            await server.serve_forever()
    finally:
        turn.shutdown(wait=False)


async def _reply(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    vault: Lockable,
    users: Collection[int],
    turn: Executor,
) -> dict[str, Any]:
    try:
        if _peer(writer.get_extra_info("socket")) not in (0, *users):
            raise Refused("This user may not speak with the vault.", next_step="Run it as Carapax's own user.")
        async with asyncio.timeout(READ_S):
            (size,) = struct.unpack(">I", await reader.readexactly(4))
            if size > MESSAGE_BYTES:
                raise Refused("The message is too long.")
            asked = _parsed(await reader.readexactly(size))
        return await asyncio.get_running_loop().run_in_executor(turn, _do, asked, vault)
    except CarapaxError as error:
        return {"ok": False, "code": error.code, "what": error.what, "next_step": error.next_step}
    except (TimeoutError, asyncio.IncompleteReadError):
        return {"ok": False, "code": "input.malformed", "what": "The message did not come.", "next_step": ""}


def _do(asked: dict[str, Any], vault: Lockable) -> dict[str, Any]:
    match asked:
        case {"ask": "unlock", "passphrase": str(passphrase)} if len(passphrase) <= MAX_PASSPHRASE_CHARS:
            vault.unlock(passphrase)
        case {"ask": "lock"}:
            vault.lock()
        case {"ask": "state"}:
            pass
        case _:
            raise Refused("The vault's door does not know this question.")
    return {"ok": True, "locked": vault.locked, "source": vault.source}


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _framed(message: dict[str, Any]) -> bytes:
    content = json.dumps(message).encode("ascii")
    return struct.pack(">I", len(content)) + content


def _peer(connection: Any) -> int:
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def ask_door(
    path: Path, ask: str, *, passphrase: str = "", users: Collection[int] = (), timeout_s: float = ASK_S
) -> dict[str, Any]:
    """Ask the running vault to "unlock", "lock", or for its "state"; `locked` and `source` come back. Blocking.

    Nothing is said to a server of another user than root, this one and `users` (whom root gave the vault to).
    Raises NotFound when none runs, Refused (a wrong passphrase; another user behind the door), Unavailable.
    """
    message = {"ask": ask, "passphrase": passphrase} if ask == "unlock" else {"ask": ask}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as knocking:
        knocking.settimeout(timeout_s)
        try:
            knocking.connect(str(path))
            if _peer(knocking) not in (0, os.geteuid(), *users):
                raise Refused("Another user listens at the vault's door; nothing was said.")
            knocking.sendall(_framed(message))
            (size,) = struct.unpack(">I", _exactly(knocking, 4))
            reply = _parsed(_exactly(knocking, min(size, MESSAGE_BYTES)))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotFound("No vault is open now.", next_step="It opens with the gateway: `carapax serve`.") from None
        except (OSError, struct.error) as error:
            raise Unavailable(f"The vault did not answer: {type(error).__name__}.", next_step="Try again.") from None
    if reply.get("ok") is True:
        return {"locked": reply.get("locked"), "source": reply.get("source")}
    what, next_step = str(reply.get("what", "")), str(reply.get("next_step", ""))
    kinds: dict[str, type[CarapaxError]] = {"refused": Refused, "store.unavailable": StoreUnavailable}
    raise kinds.get(str(reply.get("code")), Unavailable)(what or "The vault did not answer.", next_step=next_step)


def _exactly(knocking: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        chunk = knocking.recv(size - len(content))
        if not chunk:
            raise ConnectionResetError
        content += chunk
    return content
