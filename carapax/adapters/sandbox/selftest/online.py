"""Online: what must work through the way out, what the proxy must refuse, and that nothing gets past it.

Layer: adapters/sandbox/selftest. Owns the jobs and the judgement. The tools are the machine's own, so one that is not
installed is named and left out. Absent: the proxy, the service behind it and their composition (`Online`, made in app).
Law: a refusal that is not exactly the expected one is a failed check; a tool that does not work is a warning.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.selftest.judge import ATTEMPTS, REPAIR, Online, Tried, judge
from carapax.adapters.sandbox.selftest.served import WORD
from carapax.adapters.sandbox.way import WAY_PORT
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.egress import Way
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.ids import CallId
from carapax.ports.sandbox import Job, Mount, Ran

REFUSED_HOST = "refused.example"
REASON = "The self-test allows no request to this host."
_ABSENT = b"carapax: not installed"
_WITHIN_MS = 120_000
_PAST = ("loopback", "route", "route-6", "dns")
_TRIES = itertools.count(1)

_NEEDS = "command -v {name} >/dev/null 2>&1 || {{ echo 'carapax: not installed'; exit 0; }}\n"
_PYTHON = (
    """"$1" -I -c 'import sys, urllib.request as web; print(web.urlopen(sys.argv[1]).read().decode())' "$2/page" """
)
_PIP = """
"$1" -I -c 'import pip' 2>/dev/null || { echo 'carapax: not installed'; exit 0; }
export PIP_INDEX_URL="$2/index"
"$1" -m pip install -q --no-deps --no-cache-dir --no-input --disable-pip-version-check --retries 0 --target /tmp/pack \
  carapax-probe && PYTHONPATH=/tmp/pack "$1" -c 'import carapax_probe; print(carapax_probe.WORD)'
"""
_GIT = 'cd /tmp && git clone -q "$2/repo.git" copy && git -C copy log --format=%s'
_NODE = """node -e '
const http = require("http"), https = require("https"), url = new URL(process.argv[1]);
const way = {host: "127.0.0.1", port: 3128, method: "CONNECT", path: url.host, headers: {host: url.host}};
http.request(way).on("connect", (answer, socket) => {
  if (answer.statusCode !== 200) { console.log(answer.statusCode); process.exit(1); }
  https.get(url, {socket, agent: false, servername: url.hostname}, (page) => page.pipe(process.stdout));
}).end();' "$2/page"
"""
_SCRIPTS = {
    "python": _PYTHON,
    "curl": _NEEDS.format(name="curl") + 'curl -sS --max-time 60 "$2/page"',
    "git": _NEEDS.format(name="git") + _GIT,
    "node": _NEEDS.format(name="node") + _NODE,
    "pip": _PIP,
}
_ASK = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30) as way:
    way.sendall(f"CONNECT {sys.argv[2]}:443 HTTP/1.1\\r\\nHost: {sys.argv[2]}:443\\r\\n\\r\\n".encode())
    for _ in range(64):
        piece = way.recv(4096)
        if not piece:
            break
        sys.stdout.buffer.write(piece)
"""


@dataclass(frozen=True, slots=True)
class _Led:
    """A job that ran with a way of its own, or why it did not."""

    ran: Ran | None
    error: CarapaxError | None = None
    took_ms: int = 0

    def said(self) -> str:
        if self.ran is None:
            return self.error.what if self.error is not None else "no answer"
        text = self.ran.output[-200:].decode("utf-8", "replace").strip().replace("\n", "; ")
        return text or self.ran.ended_by or f"exit {self.ran.exit_code}"


async def try_online(tier: Tried) -> tuple[Check, ...]:
    """One check per tool, one refusal, one attempt to get past; () when the tier was given no `online`."""
    if tier.online is None:
        return ()
    online = tier.online
    with tempfile.TemporaryDirectory(prefix="carapax-canary-") as name:
        folder = Path(name)
        found = await asyncio.gather(
            _refusal(tier, online, folder),
            _past(tier, online, folder),
            *(_tool(tier, online, folder, tool) for tool in _SCRIPTS),
        )
    missing = [tool for tool, check in zip(_SCRIPTS, found[2:], strict=True) if check is None]
    checks = [check for check in found if check is not None]
    if missing:
        words = f"not installed on this machine, so not tried: {', '.join(missing)}"
        checks.append(Check(f"{tier.prefix}other tools through the way out", Standing.OK, words))
    return tuple(checks)


async def _tool(tier: Tried, online: Online, folder: Path, name: str) -> Check | None:
    argv = ("/bin/sh", "-c", _SCRIPTS[name], name, tier.interpreter, online.base)
    led = await _lead(tier, online, folder, argv)
    words = f"{tier.prefix}{name} works through the way out"
    if led.ran is not None and led.ran.exit_code == 0:
        if led.ran.output.strip() == _ABSENT:
            return None
        if led.ran.output.strip() == WORD.encode():
            return Check(words, Standing.OK, "it does", duration_ms=led.took_ms)
    advice = "Nothing gets out unasked, but such commands will fail; run `carapax doctor --walls` after mending it."
    return Check(words, Standing.WARNING, f"it does not: {led.said()}", advice, led.took_ms)


async def _refusal(tier: Tried, online: Online, folder: Path) -> Check:
    words = f"{tier.prefix}a request to a host that no line allows"
    argv = (tier.interpreter, "-I", "-S", "-c", _ASK, str(WAY_PORT), REFUSED_HOST)
    led = await _lead(tier, online, folder, argv)
    if led.ran is None:
        return _unled(words, led)
    if led.ran.output.startswith(b"HTTP/1.1 403 ") and REASON.encode() in led.ran.output:
        return Check(words, Standing.OK, "refused (403, with the reason)", duration_ms=led.took_ms)
    return Check(words, Standing.FAILED, f"an unexpected answer ({led.said()})", REPAIR, led.took_ms)


async def _past(tier: Tried, online: Online, folder: Path) -> Check:
    """With a way open, the host's loopback, a route and a name must be as unreachable as without."""
    words = f"{tier.prefix}a connection past the way out"
    told = (f"port={online.port}", f"only={','.join(_PAST)}")
    argv = (tier.interpreter, "-I", "-S", "-c", ATTEMPTS.read_text(), *told)
    led = await _lead(tier, online, folder, argv)
    if led.ran is None:
        return _unled(words, led)
    met = dict(line.split("\t", 1) for line in led.ran.output.decode("utf-8", "replace").splitlines() if "\t" in line)
    judged = [judge(name, met.get(name), led.took_ms, tier) for name in _PAST]
    failed = [check for check in judged if check.standing is not Standing.OK]
    if failed:
        found = "; ".join(f"{check.name}: {check.found}" for check in failed)
        return Check(words, Standing.FAILED, found, REPAIR, led.took_ms)
    return Check(words, Standing.OK, f"refused ({', '.join(dict.fromkeys(met.values()))})", duration_ms=led.took_ms)


def _unled(words: str, led: _Led) -> Check:
    next_step = led.error.next_step if led.error is not None else ""
    return Check(words, Standing.WARNING, f"not tried: {led.said()}", next_step or "Run `carapax doctor`.", led.took_ms)


async def _lead(tier: Tried, online: Online, folder: Path, argv: tuple[str, ...]) -> _Led:
    """Run one job with a way of its own, which ends with it."""
    began = time.monotonic()
    way: Way | None = None
    try:
        way = await online.open_trial(CallId(f"self-test-way-{next(_TRIES)}"))
        ran = await tier.start(Job(argv, mount=Mount.NONE, timeout_ms=_WITHIN_MS, way=way), folder)
        return _Led(ran, took_ms=int((time.monotonic() - began) * 1000))
    except CarapaxError as error:
        return _Led(None, error, int((time.monotonic() - began) * 1000))
    finally:
        if way is not None:
            await online.close_way(way)
