"""Where it may listen, and that it ends when asked."""

from __future__ import annotations

import asyncio
import http.client
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from carapax.core.terms.error import SettingsInvalid
from carapax.surfaces.api import server
from carapax.surfaces.api.server import AddressTaken, listen, run_server
from carapax.surfaces.api.settings import ApiSettings, check_bind, is_loopback
from tests.fakes.gateway import Ask, Hold
from tests.unit.surfaces.api.served import serving


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_tls(host: str) -> None:
    check_bind(host, None, None)
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.0.2.1", "box.example", "localhost.example", "::ffff:0.0.0.0"]
)
def test_other_addresses_are_refused_without_tls_and_told_how(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="without TLS") as refused:
        check_bind(host, None, None)
    for said in ("ssh -L 18790:127.0.0.1:18790", "tls_cert and tls_key", "hosts"):
        assert said in refused.value.next_step
    pem = tmp_path / "pem"
    pem.write_text("x")
    check_bind(host, pem, pem)


def test_half_of_tls_is_refused(tmp_path: Path) -> None:
    pem = tmp_path / "pem"
    pem.write_text("x")
    with pytest.raises(SettingsInvalid, match="tls_key is not set"):
        check_bind("127.0.0.1", pem, None)
    with pytest.raises(SettingsInvalid, match="tls_cert is not set"):
        check_bind("127.0.0.1", None, pem)
    with pytest.raises(SettingsInvalid, match="there is no file"):
        check_bind("0.0.0.0", pem, tmp_path / "none")


def test_the_server_itself_refuses_too() -> None:
    async def main() -> None:
        await run_server(lambda *_: None, "0.0.0.0", 0, stopping=asyncio.Event())  # type: ignore[arg-type, return-value]

    with pytest.raises(SettingsInvalid):
        asyncio.run(main())


def test_a_taken_address_is_said() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(AddressTaken, match="cannot listen"):
        listen("localhost", first.getsockname()[1])


def test_no_answer_waits_for_nagle() -> None:
    with listen("127.0.0.1", 0) as sock:
        assert sock.proto == socket.IPPROTO_TCP


def test_it_ends_while_a_turn_waits_and_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.05)
    with serving(own=True) as served:
        served.gateway.script("x", Hold())
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request("POST", "/api/turns", '{"text": "x"}', {"Authorization": f"Bearer {served.token}"})
        connection.getresponse().readline()
        served.listener.stop()
        connection.close()
    assert "Traceback" not in caplog.text


def test_a_connection_that_never_asks_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.05)
    with serving(own=True) as served, socket.create_connection(("127.0.0.1", served.port), timeout=20) as idle:
        idle.sendall(b"GET / HT")
        assert idle.recv(100) == b""


def test_a_silent_stream_is_kept_alive() -> None:
    with serving(ApiSettings(keep_alive_ms=5)) as served:
        served.gateway.script(Ask(lives_ms=100), "x")
        streamed = served.chat("x", stream=True).text
        assert ": waiting\n\n" in streamed
        assert streamed.endswith("data: [DONE]\n\n")


def test_a_stream_is_closed_when_the_deadline_is_long_gone() -> None:
    with serving(ApiSettings(keep_alive_ms=5)) as served:
        served.gateway.script(Ask(lives_ms=19_000), "x")
        served.clock.now_ms = iter([*[0] * 12, *[10**15] * 10_000]).__next__  # type: ignore[method-assign]
        streamed = served.chat("x", stream=True).text
        assert streamed.endswith("data: [DONE]\n\n")
        assert '"state":"waiting"' in streamed


def test_importing_the_settings_is_light() -> None:
    code = (
        "import sys, carapax.surfaces.api.settings;"
        "sys.exit(any(m in sys.modules for m in ('starlette', 'uvicorn', 'asyncio', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_surface_imports_no_heavy_package() -> None:
    code = (
        "import sys, carapax.surfaces.api.build, carapax.surfaces.api.server;"
        "print([m for m in ('pydantic', 'httpx2', 'openai', 'websockets', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
