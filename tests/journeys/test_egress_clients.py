"""Real clients through the real proxy: each trusts its way's own authority and has no other way out.

Every client runs in a network namespace of its own without a route; the services are on this machine's loopback, where
only the proxy reaches them.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from carapax.core.terms.egress import Binding, Way
from tests.fakes.egress_room import SECRET, Room
from tests.fakes.web_server import Got, Reply, WebServer

pytestmark = pytest.mark.namespace

INSIDE = Path(__file__).parents[1] / "fakes" / "inside.py"
HOST = "allowed.example"
RUN_S = 60


def environment(way: Way, folder: Path) -> dict[str, str]:
    """What a sandbox sets for a job with a way out."""
    authority = folder / "carapax-ca.pem"
    authority.write_bytes(way.authority)
    proxy = "http://127.0.0.1:3128"
    trust = (
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "GIT_SSL_CAINFO",
        "PIP_CERT",
    )
    names = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"), proxy)
    home = {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    return names | dict.fromkeys(trust, str(authority)) | home


async def run(room: Room, way: Way, argv: Sequence[str], more: Mapping[str, str] = {}) -> tuple[int, str]:
    """Run a program inside; its exit and everything it wrote."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        command = ["unshare", "-rn", sys.executable, "-I", str(INSIDE), str(theirs.fileno()), *argv]
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment(way, room.folder) | dict(more),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=room.folder,
        )
        theirs.close()
        try:
            _, [listener], _, _ = await asyncio.wait_for(asyncio.to_thread(socket.recv_fds, mine, 1, 1), RUN_S)
            await asyncio.to_thread(room.keeper.attach, way, listener)
            os.close(listener)
            mine.send(b"g")
            output, _ = await asyncio.wait_for(process.communicate(), RUN_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode("utf-8", "replace")


def static(files: Mapping[str, bytes]) -> WebServer:
    """A server of these files."""

    def answer(got: Got) -> Reply:
        content = files.get(got.path.partition("?")[0])
        return Reply(b"not here", 404) if content is None else Reply(content)

    return WebServer(answer)


def test_curl_gets_a_page_and_is_told_why_it_gets_no_other(tmp_path: Path) -> None:
    async def play() -> None:
        with static({"/page": b"a page"}) as server:
            async with Room(tmp_path, server, bindings=[Binding("service", "bound.example", server.port)]) as room:
                way = await room.way()
                url = f"https://{HOST}:{server.port}/page"
                assert await run(room, way, ["curl", "-sS", url]) == (0, "a page")
                code, text = await run(room, way, ["curl", "-sS", "https://denied.example/"])
                assert code != 0
                assert "403" in text
                code, text = await run(room, way, ["curl", "-sS", "http://allowed.example/"])
                assert "Plain http:// does not leave" in text
                code, _ = await run(room, way, ["curl", "-sS", "--noproxy", "*", "-m", "5", url])
                assert code == 6  # no name, no route
                word = dict(way.placeholders)["service"]
                bound = [
                    "curl",
                    "-sS",
                    "-H",
                    f"Authorization: Bearer {word}",
                    f"https://bound.example:{server.port}/page",
                ]
                assert await run(room, way, bound) == (0, "a page")
                assert server.requests[-1].header("authorization") == f"Bearer {SECRET}"

    asyncio.run(play())


@pytest.mark.parametrize("library", ["requests", "httpx2", "urllib.request"])
def test_python_gets_a_page(tmp_path: Path, library: str) -> None:
    program = f"import {library} as web, sys\n" + (
        "print(web.urlopen(sys.argv[1]).read().decode())" if "urllib" in library else "print(web.get(sys.argv[1]).text)"
    )

    async def play() -> None:
        with static({"/page": b"a page"}) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                argv = [sys.executable, "-c", program, f"https://{HOST}:{server.port}/page"]
                assert await run(room, way, argv) == (0, "a page\n")

    asyncio.run(play())


def test_git_clones(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    quiet = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for argv in (
        ["git", "init", "-q", str(origin)],
        ["git", "-C", str(origin), "-c", "user.name=t", "-c", "user.email=t@t.example", "commit", "-q", "--allow-empty", "-m", "first words"],
        ["git", "-C", str(origin), "update-server-info"],
    ):  # fmt: skip
        subprocess.run(argv, env=quiet, check=True, timeout=RUN_S)
    git = origin / ".git"
    files = {f"/repo.git/{path.relative_to(git)}": path.read_bytes() for path in git.rglob("*") if path.is_file()}

    async def play() -> None:
        with static(files) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                argv = ["git", "clone", "-q", f"https://{HOST}:{server.port}/repo.git", "copy"]
                code, text = await run(room, way, argv, {"GIT_CONFIG_NOSYSTEM": "1"})
                assert code == 0, text

    asyncio.run(play())
    log = subprocess.run(
        ["git", "-C", str(tmp_path / "copy"), "log", "--format=%s"], env=quiet, capture_output=True, check=True
    )
    assert log.stdout == b"first words\n"


def wheel() -> bytes:
    """The smallest package that can be installed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("tiny_pack.py", "WORD = 'installed'\n")
        archive.writestr("tiny_pack-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-pack\nVersion: 1.0\n")
        archive.writestr(
            "tiny_pack-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_pack-1.0.dist-info/RECORD", "")
    return out.getvalue()


def test_pip_installs(tmp_path: Path) -> None:
    name = "tiny_pack-1.0-py3-none-any.whl"
    files = {"/index/tiny-pack/": f'<a href="/files/{name}">{name}</a>'.encode(), f"/files/{name}": wheel()}

    def answer(got: Got) -> Reply:
        content = files.get(got.path)
        kind = "text/html" if got.path.endswith("/") else "application/zip"
        return Reply(b"", 404) if content is None else Reply(content, headers=[("content-type", kind)])

    async def play() -> None:
        with WebServer(answer) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                argv = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", "packages", "tiny-pack"]
                code, text = await run(
                    room,
                    way,
                    argv,
                    {
                        "PIP_INDEX_URL": f"https://{HOST}:{server.port}/index",
                        "PIP_CONFIG_FILE": os.devnull,
                        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                        "PIP_NO_CACHE_DIR": "1",
                        "PIP_ROOT_USER_ACTION": "ignore",
                    },
                )
                assert code == 0, text

    asyncio.run(play())
    assert "installed" in (tmp_path / "packages" / "tiny_pack.py").read_text()


def tarball() -> bytes:
    out = io.BytesIO()
    content = json.dumps({"name": "tiny-pack", "version": "1.0.0", "main": "index.js"}).encode()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in (("package/package.json", content), ("package/index.js", b"module.exports = 'installed'\n")):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return gzip.compress(out.getvalue())


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_npm_installs(tmp_path: Path) -> None:
    packed = tarball()

    async def play() -> None:
        def answer(got: Got) -> Reply:
            if got.path == "/tiny-pack":
                integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
                dist = {"tarball": f"https://{HOST}:{server.port}/files/tiny-pack.tgz", "integrity": integrity}
                version = {"name": "tiny-pack", "version": "1.0.0", "dist": dist}
                about = {"name": "tiny-pack", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
                return Reply(json.dumps(about).encode(), headers=[("content-type", "application/json")])
            return Reply(packed) if got.path.endswith(".tgz") else Reply(b"{}", 404)

        with WebServer(answer) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                code, text = await run(
                    room,
                    way,
                    ["npm", "install", "--prefix", str(tmp_path / "app"), "--no-audit", "--no-fund", "tiny-pack"],
                    {
                        "npm_config_registry": f"https://{HOST}:{server.port}/",
                        "npm_config_cache": str(tmp_path / "cache"),
                        "npm_config_userconfig": os.devnull,
                        "npm_config_update_notifier": "false",
                        "npm_config_fetch_retries": "0",
                    },
                )
                assert code == 0, text

    asyncio.run(play())
    assert "installed" in (tmp_path / "app" / "node_modules" / "tiny-pack" / "index.js").read_text()


NODE = """
const http = require('http'), https = require('https'), url = new URL(process.argv[1]);
http.request({host: '127.0.0.1', port: 3128, method: 'CONNECT', path: url.host, headers: {host: url.host}}).on('connect', (answer, socket) => {
  if (answer.statusCode !== 200) { console.log(answer.statusCode); process.exit(1); }
  https.get(url, {socket, agent: false, servername: url.hostname}, (page) => page.pipe(process.stdout));
}).end();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_gets_a_page(tmp_path: Path) -> None:
    async def play() -> None:
        with static({"/page": b"a page"}) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                argv = ["node", "-e", NODE, f"https://{HOST}:{server.port}/page"]
                assert await run(room, way, argv) == (0, "a page")

    asyncio.run(play())


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_chromium_shows_a_page(tmp_path: Path) -> None:
    async def play() -> None:
        page = b"<title>t</title><p id=x></p><script>x.textContent = 'writ' + 'ten'</script>"
        with WebServer(lambda _: Reply(page, headers=[("content-type", "text/html")])) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                public = x509.load_pem_x509_certificate(way.authority).public_key()
                spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
                pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
                argv = [
                    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                    "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}",
                    f"--ignore-certificate-errors-spki-list={pin}", "--proxy-server=http://127.0.0.1:3128", "--dump-dom",
                    f"https://{HOST}:{server.port}/",
                ]  # fmt: skip
                code, text = await run(room, way, argv)
                assert code == 0, text
                assert '<p id="x">written</p>' in text
                assert {hop.host for hop in room.gate.hops if hop.host not in ("allowed.example",)} & {
                    "bound.example"
                } == set()

    asyncio.run(play())
