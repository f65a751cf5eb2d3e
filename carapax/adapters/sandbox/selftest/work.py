"""Work: what must still work inside a sandbox, since walls that break everything get switched off.

Layer: adapters/sandbox/selftest. Owns the small jobs and their answers; one whose program this machine lacks is
left out. Absent: what works through the way out (`online`).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from carapax.ports.sandbox import Job

_PATH = "/usr/local/bin:/usr/bin:/bin"
_PYTHON = """
import asyncio, multiprocessing, subprocess, threading
async def ticks():
    process = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0]
assert asyncio.run(ticks()) == b"hi\\n"
seen = []
thread = threading.Thread(target=lambda: seen.append(1))
thread.start()
thread.join()
assert seen == [1]
assert subprocess.run(["echo", "x"], capture_output=True).stdout == b"x\\n"
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
print("all")
"""
_SQLITE = """
import sqlite3
base = sqlite3.connect("/tmp/base.db")
base.execute("pragma journal_mode=wal")
base.execute("create table t (x)")
base.execute("insert into t values (1)")
base.commit()
print(base.execute("select count(*) from t").fetchone()[0])
"""
_GIT = (
    "cd /tmp && git init -q r && cd r && git config user.name a && git config user.email a@example.invalid"
    " && echo one > f && git add f && git commit -qm first && git log --oneline | wc -l"
)
_TAR = "cd /tmp && mkdir d && echo x > d/f && ln -s f d/l && tar czf a.tgz d && rm -r d && tar xzf a.tgz && cat d/l"
_NODE = "const c=require('child_process');c.execFile('echo',['1'],(e,o)=>setTimeout(()=>console.log(1+Number(o)),1))"
_WITHIN_MS = 20_000


@dataclass(frozen=True, slots=True)
class Work:
    """A small job and what it says when it works."""

    name: str
    job: Job
    says: bytes


def works(interpreter: str) -> tuple[Work, ...]:
    """Those whose programs are on this machine."""
    python = (interpreter, "-I", "-c")
    found = [
        Work("python", Job((*python, _PYTHON), timeout_ms=_WITHIN_MS), b"all"),
        Work("sqlite", Job((*python, _SQLITE), timeout_ms=_WITHIN_MS), b"1"),
    ]
    for name, argv, says in (
        ("git", ("/bin/sh", "-c", _GIT), b"1"),
        ("tar", ("/bin/sh", "-c", _TAR), b"x"),
        ("node", ("node", "-e", _NODE), b"2"),
    ):
        if shutil.which(name, path=_PATH) is not None:
            found.append(Work(name, Job(argv, timeout_ms=_WITHIN_MS), says))
    return tuple(found)
