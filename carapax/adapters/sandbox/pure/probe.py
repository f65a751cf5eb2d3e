"""Probe: what an expression must not be able to do, really tried, and what it must still be able to.

Layer: adapters/sandbox/pure. The interpreter has no system calls to refuse, so an attempt counts as refused when it
ends in a fault of the named kind, or at its limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.tier import Provenance
from carapax.ports.sandbox import Job, Mount, Ran

Start = Callable[[Job], Awaitable[Ran]]

_REPAIR = "Do not use computations on this machine; install the locked version of pydantic-monty again."
_WITHIN_MS = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is tried, in words and in code, and how it must end: by a fault naming this, or by this limit."""

    words: str
    code: str
    fault: str = ""
    ended_by: str = ""


ATTEMPTS = (
    Attempt("reading a file", "open('/etc/passwd').read()", "PermissionError"),
    Attempt(
        "reading a file, the other way", "import pathlib\npathlib.Path('/etc/passwd').read_text()", "PermissionError"
    ),
    Attempt("writing a file", "open('/tmp/canary', 'w').write('x')", "PermissionError"),
    Attempt("listing a folder", "import os\nos.listdir('/')", "Error"),
    Attempt("reading the environment", "import os\nos.environ['PATH']", "Error"),
    Attempt("a setting of the gateway's", "import os\nos.getenv('HOME') + 'x'", "Error"),
    Attempt("running a program", "import subprocess", "ModuleNotFoundError"),
    Attempt("running a program, the other way", "import os\nos.system('true')", "AttributeError"),
    Attempt("a socket", "import socket", "ModuleNotFoundError"),
    Attempt("native code", "import ctypes", "ModuleNotFoundError"),
    Attempt("the interpreter's own machinery", "__import__('os')", "NameError"),
    Attempt("climbing through classes", "().__class__.__bases__[0].__subclasses__()", "Error"),
    Attempt("an endless loop", "while True:\n    pass", ended_by="time"),
    Attempt("waiting longer than allowed", "import time\ntime.sleep(60)", "TimeoutError"),
    Attempt("more memory than allowed", "[0] * 10**9", ended_by="memory"),
    Attempt("a number larger than memory", "7 ** 10**9", ended_by="memory"),
    Attempt("endless recursion", "def f():\n    return f()\nf()", "RecursionError"),
    Attempt("more output than allowed", "while True:\n    print('x' * 1000)", ended_by="output"),
)


async def probe_interpreter(start: Start) -> Sequence[Check]:
    """One check per attempt, one for the work that must succeed."""
    return (*[await _try(start, attempt) for attempt in ATTEMPTS], await _work(start), _left())


def _job(code: str) -> Job:
    return Job(
        ("expression", code),
        mount=Mount.NONE,
        timeout_ms=_WITHIN_MS,
        output_bytes=4_096,
        provenance=Provenance.EXPRESSION,
    )


def judge(attempt: Attempt, ran: Ran) -> bool:
    """Was it refused in the expected way? Its text is looked at only where a fault ended it."""
    if attempt.ended_by:
        return ran.ended_by == attempt.ended_by
    last = ran.output.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return ran.ended_by == "" and ran.exit_code == 1 and attempt.fault in last.partition(":")[0]


async def _try(start: Start, attempt: Attempt) -> Check:
    try:
        ran = await start(_job(attempt.code))
    except SandboxUnavailable as error:
        return Check(attempt.words, Standing.FAILED, error.what, error.next_step)
    if judge(attempt, ran):
        return Check(attempt.words, Standing.OK, "refused", duration_ms=ran.duration_ms)
    said = ran.ended_by or ran.output[-120:].decode("utf-8", "replace").strip().replace("\n", "; ")
    return Check(attempt.words, Standing.FAILED, f"an unexpected answer ({said})", _REPAIR, ran.duration_ms)


async def _work(start: Start) -> Check:
    ran = await start(_job("import json, re\nprint(json.dumps({'n': sum(range(10))}))\nre.sub('a', 'b', 'aa')"))
    if (ran.exit_code, ran.output) == (0, b"{\"n\": 45}\n'bb'\n"):
        return Check("computing works", Standing.OK, "it does", duration_ms=ran.duration_ms)
    return Check("computing works", Standing.WARNING, f"it does not: {ran.output[:120]!r}", _REPAIR, ran.duration_ms)


def _left() -> Check:
    return Check(
        "what the interpreter does not stop",
        Standing.OK,
        "not promised by this tier: faults of the interpreter that hold against bubblewrap and its filter too",
    )
