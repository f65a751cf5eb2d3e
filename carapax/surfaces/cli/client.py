"""The gateway over HTTP, as the command line sees it: plain JSON in, plain JSON out, NDJSON streams.

Layer: surfaces/cli. Owns finding the local gateway (`run/gateway.json`, `run/cli.token`) and reading answers at a
ceiling. Absent: terms (they are read as plain data), retries, proxies, redirects.
Laws: the local token goes only to a loopback address whose gateway process lives; a token is never in an error.
"""

from __future__ import annotations

import contextlib
import json
import os

from carapax.core.terms.error import CarapaxError, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping
    from http.client import HTTPConnection, HTTPResponse
    from pathlib import Path
    from typing import Any

ANSWER_BYTES = 16 << 20
LINE_BYTES = 4 << 20
CALL_TIMEOUT_S = 60.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class GatewayAbsent(Unavailable):
    """No gateway answers at the address."""

    code = "gateway.absent"
    next_step = "Start it with `carapax serve` or just `carapax chat`."


class GatewaySaid(CarapaxError):
    """The gateway's own refusal, with its status and stable code."""

    def __init__(self, status: int, fields: Mapping[str, Any]) -> None:
        super().__init__(
            str(fields.get("message") or f"The gateway answered with status {status}."),
            kept=str(fields.get("kept") or "Nothing was changed."),
            next_step=str(fields.get("next_step") or "Run `carapax doctor`."),
        )
        self.status = status
        self.code = str(fields.get("code") or "unavailable")


class Stream:
    """An answer of one JSON object per line. Closing it does not end the turn."""

    def __init__(self, connected: socket.socket, response: HTTPResponse) -> None:
        self._connected = connected
        self._response = response

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while line := self.line():
            if line.strip():
                yield _object(line)

    def line(self) -> bytes:
        """The next line, b"" at the end. Raises Unavailable for one over 4 MiB."""
        from http.client import HTTPException

        try:
            line = self._response.readline(LINE_BYTES + 1)
        except (OSError, ValueError, AttributeError, HTTPException):  # closed or cut off while it was read
            return b""
        if len(line) > LINE_BYTES:
            raise Unavailable("The gateway sent a line over 4 MiB.")
        return line

    def end(self) -> None:
        """End the connection, from any thread; whoever reads sees the end and closes."""
        # SHUT_RDWR is 2 everywhere; importing `socket` for its name would cost every command some time.
        with contextlib.suppress(OSError):
            self._connected.shutdown(2)

    def close(self) -> None:
        """Release it, from the thread that reads."""
        self.end()
        self._response.close()
        self._connected.close()


class Client:
    """One gateway and one token. Every call is a connection of its own, so calls may overlap with streams."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._token = token

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request and its JSON object. Raises GatewayAbsent, GatewaySaid, Unavailable."""
        from http.client import HTTPException

        connection, _, response = self._send(method, path, body, CALL_TIMEOUT_S)
        try:
            raw = response.read(ANSWER_BYTES + 1)
            broken = bool(response.length) and len(raw) <= ANSWER_BYTES
        except (OSError, ValueError, HTTPException) as error:
            raise Unavailable("The gateway's answer broke off.") from error
        finally:
            response.close()
            connection.close()
        if broken:
            raise Unavailable("The gateway's answer broke off.")
        if len(raw) > ANSWER_BYTES:
            raise Unavailable("The gateway's answer is over 16 MiB.")
        if response.status >= 300:
            raise GatewaySaid(response.status, _error_fields(raw))
        return _object(raw) if raw.strip() else {}

    def stream(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Stream:
        """One request whose answer arrives line by line, however long it takes. Raises as `call`."""
        connection, connected, response = self._send(method, path, body, None)
        if response.status >= 300:
            raw = response.read(ANSWER_BYTES)
            response.close()
            connection.close()
            raise GatewaySaid(response.status, _error_fields(raw))
        return Stream(connected, response)

    def answers(self) -> bool:
        """Whether a gateway is there and serves."""
        try:
            return self.call("GET", "/healthz").get("status") == "ok"
        except CarapaxError:
            return False

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, read_timeout_s: float | None
    ) -> tuple[HTTPConnection, socket.socket, HTTPResponse]:
        from http.client import HTTPException

        connection = self._connection()
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json, application/x-ndjson"}
        content = None
        if body is not None:
            content = json.dumps(body).encode("ascii")
            headers["Content-Type"] = "application/json"
        try:
            connection.connect()
            connected = connection.sock  # http.client forgets it when the answer ends with the connection
            connected.settimeout(read_timeout_s)
            connection.request(method, path, content, headers)
            return connection, connected, connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise GatewayAbsent("No gateway is running.") from error

    def _connection(self) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        scheme, host, port = split_url(self.url)
        made = HTTPSConnection if scheme == "https" else HTTPConnection
        return made(host, port, timeout=5.0)


def split_url(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises Unavailable for anything else, and for plain HTTP to another machine."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        scheme, host, port = "", "", None
    if scheme not in ("http", "https") or not host:
        raise Unavailable(f"`{url}` is not an address of a gateway.", next_step="Correct CARAPAX_URL.")
    if scheme == "http" and host not in _LOOPBACK:
        raise Unavailable(
            "A token is never sent in clear to another machine.", next_step="Use an https:// address in CARAPAX_URL."
        )
    return scheme, host, port or (443 if scheme == "https" else 18790)


def find_client(home: Path, env: Mapping[str, str]) -> Client:
    """The gateway of this home, or the one that CARAPAX_URL and CARAPAX_TOKEN name. Raises GatewayAbsent."""
    if url := env.get("CARAPAX_URL"):
        return Client(url, env.get("CARAPAX_TOKEN", ""))
    try:
        facts = json.loads((home / "run" / "gateway.json").read_bytes())
        url, pid = str(facts["url"]), int(facts["pid"])
        token = (home / "run" / "cli.token").read_text("ascii").strip()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GatewayAbsent("No gateway is running.") from error
    # Without this a program that took the port of a dead gateway would be handed the token.
    if not _lives(pid):
        raise GatewayAbsent("No gateway is running.")
    return Client(url, token)


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def quoted(segment: str) -> str:
    """A path segment, so that an id from the keyboard stays one."""
    from urllib.parse import quote

    return quote(segment, safe="")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unavailable(
            "What answered there is not a Carapax gateway.", next_step="Look at CARAPAX_URL and the port."
        )
    return found


def _error_fields(raw: bytes) -> dict[str, Any]:
    try:
        found = _object(raw).get("error")
    except CarapaxError:
        return {}
    return found if isinstance(found, dict) else {}
