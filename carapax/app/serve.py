"""Serving: compose, listen, tell where, run until asked to stop.

Layer: app. Law: the address file and the command line's token exist only while the gateway answers, readable by its
owner alone; SIGTERM and SIGINT end it in order.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import carapax
from carapax.app.clock import SystemClock
from carapax.app.compose import Running, compose, prepare_home
from carapax.app.home import Home
from carapax.app.settings import Settings
from carapax.core.terms.check import Check
from carapax.core.terms.principal import Scope
from carapax.surfaces.api.build import build_api
from carapax.surfaces.api.server import listen, run_server
from carapax.surfaces.api.settings import ApiSettings, check_bind
from carapax.surfaces.cli.local import Served

CLI_TOKEN_DAYS = 366
RECORD_EVERY_S = 30.0


def serve(
    home: Home,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    on_composed: Callable[[Running], None],
    on_ready: Callable[[Served], None],
    on_walls: Callable[[list[Check], float], None],
) -> int:
    """Run a gateway in this process until SIGTERM, SIGINT or a stop over HTTP. Raises leaves of CarapaxError."""
    check_bind(settings.host, *_tls(settings))
    prepare_home(home)
    home.log.touch(mode=0o600)
    logging.basicConfig(
        filename=home.log, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    return asyncio.run(_serve(home, settings, environ, on_composed, on_ready, on_walls))


async def _serve(
    home: Home,
    settings: Settings,
    environ: Mapping[str, str],
    on_composed: Callable[[Running], None],
    on_ready: Callable[[Served], None],
    on_walls: Callable[[list[Check], float], None],
) -> int:
    asked, stopping = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    running = await compose(home, settings, environ, ask_stop=asked.set)
    tasks = [loop.create_task(_stop_turns(running, asked, stopping)), loop.create_task(_keep_recording(running))]
    _settle_memory()
    try:
        await _cli_token(home, running)
        on_composed(running)
        cert, key = _tls(settings)
        bound = listen(settings.host, settings.port)
        api = build_api(running.gateway, _api_settings(settings, bound.getsockname()[1]), SystemClock())

        def ready(port: int) -> None:
            scheme = "https" if cert else "http"
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            url = f"{scheme}://{host}:{port}"
            _write_private(home.address, json.dumps(_address(url)))
            tasks.append(loop.create_task(_tell(running, url, on_walls, on_ready)))

        await run_server(
            api,
            settings.host,
            settings.port,
            stopping=stopping,
            tls_cert=cert,
            tls_key=key,
            bound=bound,
            on_ready=ready,
        )
    finally:
        home.address.unlink(missing_ok=True)
        for task in tasks:
            task.cancel()
        await running.close()
    return 0


def _settle_memory() -> None:
    """What is loaded now stays: the collector need not walk it again and again (a tenth of a turn's CPU)."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _stop_turns(running: Running, asked: asyncio.Event, stopping: asyncio.Event) -> None:
    """End the turns first, so that every open stream ends by itself, then the server."""
    await asked.wait()
    await running.turns.close()
    stopping.set()


async def _keep_recording(running: Running) -> None:
    """What people change beside the gateway comes into the ledger within half a minute."""
    while True:
        await asyncio.sleep(RECORD_EVERY_S)
        await running.record()


async def _tell(
    running: Running,
    url: str,
    on_walls: Callable[[list[Check], float], None],
    on_ready: Callable[[Served], None],
) -> None:
    """Show how the walls stand, then where to go. It already answers meanwhile."""
    began = SystemClock().monotonic_ms()
    checks = list(await asyncio.shield(running.walls.prove()))
    on_walls(checks, (SystemClock().monotonic_ms() - began) / 1000)
    served = Served(url, running.access.new_code())
    threading.Thread(target=on_ready, args=(served,), name="ready", daemon=True).start()


def _api_settings(settings: Settings, port: int) -> ApiSettings:
    return ApiSettings(port=port, tls=bool(settings.tls_cert), public_url=settings.public_url)


def _tls(settings: Settings) -> tuple[Path | None, Path | None]:
    cert, key = settings.tls_cert, settings.tls_key
    return Path(cert) if cert else None, Path(key) if key else None


async def _cli_token(home: Home, running: Running) -> None:
    """The command line's own token: kept while it works, made anew when not."""
    try:
        known = await running.gateway.authenticate(home.cli_token.read_text("ascii").strip())
    except (OSError, UnicodeDecodeError):
        known = None
    if known is None:
        minted = await running.access.mint("gateway", "command line", frozenset(Scope), CLI_TOKEN_DAYS)
        _write_private(home.cli_token, minted.value + "\n")


def _address(url: str) -> dict[str, object]:
    started_ms = SystemClock().now_ms()
    return {"url": url, "pid": os.getpid(), "started_ms": started_ms, "version": carapax.__version__}


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
