"""What the sandbox tests share: a clock, a mint for sealed calls, and a way to run a program inside."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import hmac
import itertools
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

from carapax.core.terms.action import CanonicalCall, Effect, ToolManifest
from carapax.core.terms.authority import AuthorizedCall, authority_bytes
from carapax.core.terms.ids import CallId, Digest, EntryIndex, SessionId, ToolName, TurnId
from carapax.core.terms.label import Integrity
from carapax.ports.sandbox import Job, Mount, Ran, Sandbox

KEY = b"k" * 32
_COUNT = itertools.count()
MANIFEST = ToolManifest(
    name=ToolName("shell"),
    description="runs a command",
    effect=Effect.CODE,
    args=(),
    result_integrity=Integrity.EXTERNAL,
    reversible=True,
    touches_workspace=True,
)


class WallClock:
    """The real time."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


def mint(
    *,
    key: bytes = KEY,
    call: str | None = None,
    manifest: ToolManifest = MANIFEST,
    deadline_ms: int | None = None,
) -> AuthorizedCall:
    """A sealed call as the guard would make it; every one has its own id unless told."""
    arguments_json = "{}"
    canonical = CanonicalCall(
        call=CallId(call or f"call-{next(_COUNT)}"),
        session=SessionId("s"),
        turn=TurnId("t"),
        manifest=manifest,
        arguments=(),
        arguments_json=arguments_json,
        digest=Digest(hashlib.sha256(manifest.name.encode() + b"\0" + arguments_json.encode()).hexdigest()),
    )
    until = WallClock().now_ms() + 60_000 if deadline_ms is None else deadline_ms
    entry, policy = EntryIndex(7), Digest("0" * 64)
    mac = hmac.digest(key, authority_bytes(canonical, entry, policy, until), "sha256")
    return AuthorizedCall(canonical, entry, policy, until, mac)


PREAMBLE = """
import ctypes, errno, os, platform, socket, sys
X86 = platform.machine() == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)
def raw(x86, arm, *words):
    words = [ctypes.c_long(w) if isinstance(w, int) else w for w in words]
    if libc.syscall(ctypes.c_long(x86 if X86 else arm), *words) < 0:
        raise OSError(ctypes.get_errno(), "refused")
def tried(attempt):
    try:
        attempt()
    except OSError as refused:
        print(errno.errorcode.get(refused.errno, type(refused).__name__), flush=True)
    else:
        print("open", flush=True)
"""


@dataclass(frozen=True)
class Inside:
    """Runs programs in one sandbox, each under a freshly sealed call."""

    sandbox: Sandbox
    workspace: Path

    def run(self, *argv: str, **wishes: object) -> Ran:
        job = dataclasses.replace(Job(argv), **wishes)  # type: ignore[arg-type]
        return asyncio.run(self.sandbox.run(mint(), job))

    def shell(self, script: str, **wishes: object) -> Ran:
        return self.run("/bin/bash", "-c", script, **wishes)

    def python(self, code: str, **wishes: object) -> Ran:
        return self.run("python3", "-I", "-S", "-c", PREAMBLE + textwrap.dedent(code), **wishes)

    def met(self, code: str, mount: Mount = Mount.READ) -> list[str]:
        """What each `tried` of an attack printed; the attack itself must come to its end."""
        ran = self.python(code, mount=mount)
        assert ran.exit_code == 0, ran.output.decode()
        return ran.output.decode().split()
