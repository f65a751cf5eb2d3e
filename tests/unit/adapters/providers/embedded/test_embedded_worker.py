"""The real worker with the real model: answers within a schema, opens no port, dies with the gateway."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.providers.embedded.adapter import EmbeddedProvider
from carapax.adapters.providers.embedded.weights import FILE_NAME, find_models_dir, is_marked
from carapax.ports.provider import Completion, Message, Prompt, Speaker

MODEL = find_models_dir(os.environ) / FILE_NAME
pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(not is_marked(MODEL), reason="the embedded model is not on this machine (make setup)"),
]
SCHEMA = {"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"], "additionalProperties": False}
GATEWAY = """
import asyncio, sys
from pathlib import Path
from carapax.adapters.providers.embedded.adapter import EmbeddedProvider
from carapax.ports.provider import Message, Prompt, Speaker
async def main():
    provider = EmbeddedProvider(Path(sys.argv[1]), threads=1)
    async for _ in provider.stream(Prompt("", (Message(Speaker.USER, "hi"),), max_output_tokens=1)):
        pass
    print(provider._child.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Path]:
    """The store's model under another folder, so that saved prefixes of the test do not stay in the store."""
    place = tmp_path / FILE_NAME
    place.symlink_to(MODEL)
    yield place


def sockets(pid: int) -> set[str]:
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def tcp_inodes() -> set[str]:
    rows = [
        row.split()
        for name in ("tcp", "tcp6", "udp", "udp6")
        for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {row[9] for row in rows}


def test_answers_keep_to_the_schema_and_no_port_is_opened(link: Path) -> None:
    async def work() -> None:
        provider = EmbeddedProvider(link, threads=2, verify=lambda path: path)
        try:
            fixed = Prompt("You answer with JSON.", (Message(Speaker.USER, "A number?"),))
            await provider.warm(fixed)
            asked = Prompt(fixed.instructions, (*fixed.messages, Message(Speaker.USER, "again")), (), 40, SCHEMA)
            *pieces, end = [answer async for answer in provider.stream(asked)]
            assert isinstance(end, Completion)
            assert json.loads(end.text) == {"n": 7}
            assert "".join(getattr(piece, "text", "") for piece in pieces) == end.text
            assert end.output_tokens > 0
            assert provider._child is not None
            assert len(sockets(provider._child.pid)) > 0
            assert not sockets(provider._child.pid) & tcp_inodes()
            assert len(list((link.parent / "prefixes").glob("*.kv"))) == 1
        finally:
            await provider.close()

    asyncio.run(work())


def test_the_worker_dies_with_the_gateway(link: Path) -> None:
    environ = {**os.environ, "CARAPAX_MODELS": str(MODEL.parent)}
    gateway = subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(MODEL)], stdout=subprocess.PIPE, text=True, env=environ
    )
    try:
        assert gateway.stdout is not None
        worker = int(gateway.stdout.readline())
        assert os.path.exists(f"/proc/{worker}")
        gateway.send_signal(signal.SIGKILL)
        gateway.wait(10)
        for _ in range(500):
            if not _runs(worker):
                return
            time.sleep(0.02)
        pytest.fail("the worker outlived the gateway")
    finally:
        gateway.kill()
        gateway.wait(10)
        assert gateway.stdout is not None
        gateway.stdout.close()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
