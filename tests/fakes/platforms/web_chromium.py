"""A headless Chromium over its DevTools protocol: enough to open a page, act in it, and take a picture."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip


def find_chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Tab:
    """One page. `ask` waits for the answer; what the console said is in `console`."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.console: list[str] = []
        self.requests: list[str] = []

    async def listen(self) -> None:
        async for raw in self._socket:
            given = json.loads(raw)
            if "id" in given and given["id"] in self._waiting:
                self._waiting.pop(given["id"]).set_result(given)
            elif given.get("method") == "Network.requestWillBeSent":
                self.requests.append(given["params"]["request"]["url"])
            elif given.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                self.console.append(json.dumps(given["params"])[:500])

    async def ask(self, method: str, **given: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": given}))
        answer = await asyncio.wait_for(self._waiting[number], 20)
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def open(
        self, url: str, *, width: int = 1280, height: int = 800, language: str = "en", dark: bool = False
    ) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.ask(f"{domain}.enable")
        phone = width < 600
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        await self.ask("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.ask("Emulation.setEmulatedMedia", features=scheme)
        await self.ask("Page.navigate", url=url)

    async def until(self, script: str, seconds: float = 15.0) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    if await self.run(f"!!({script})"):
                        return
                except AssertionError:
                    pass  # the page is on its way
                await asyncio.sleep(0.02)

    async def picture(self) -> bytes:
        """A PNG of what is seen."""
        answer = await self.ask("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def chromium() -> AsyncIterator[Tab]:
    """A browser with one tab, ended afterwards."""
    from websockets.asyncio.client import connect

    folder = Path(tempfile.mkdtemp(prefix="carapax-chromium-", dir="/tmp"))
    program = find_chromium()
    assert program is not None
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        program, *FLAGS, f"--user-data-dir={folder}", "about:blank", stdout=quiet, stderr=quiet
    )
    try:
        port = await _port_of(folder)
        address = await _first_tab(port)
        async with connect(address, max_size=32 << 20, proxy=None) as socket:
            tab = Tab(socket)
            listening = asyncio.create_task(tab.listen())
            try:
                yield tab
            finally:
                listening.cancel()
    finally:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _port_of(folder: Path) -> int:
    async with asyncio.timeout(30):
        while True:
            try:
                return int((folder / "DevToolsActivePort").read_text().split("\n")[0])
            except (OSError, ValueError):
                await asyncio.sleep(0.02)


async def _first_tab(port: int) -> str:
    async with asyncio.timeout(20):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /json/list HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            raw = await reader.read(1 << 20)
            writer.close()
            tabs = json.loads(raw.partition(b"\r\n\r\n")[2] or b"[]")
            for each in tabs:
                if each["type"] == "page":
                    return str(each["webSocketDebuggerUrl"])
            await asyncio.sleep(0.02)
