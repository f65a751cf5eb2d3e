"""A real gateway in a process of its own, and a small client for its public door."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 30.0
STOP_S = 15.0


class Gate:
    """`carapax serve` over a home of its own. `env` adds to a clean environment."""

    def __init__(self, place: Path, model_url: str, env: Mapping[str, str] | None = None) -> None:
        self.home = place / "home"
        self.workspace = place / "work"
        self.output = place / "serve.log"
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(place),
            "LANG": "C.UTF-8",
            "CARAPAX_HOME": str(self.home),
            "CARAPAX_WORKSPACE": str(self.workspace),
            "CARAPAX_PORT": "0",
            "CARAPAX_MODEL": f"{model_url}#scripted",
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        return dict(self._env)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "carapax.app.entry", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise RuntimeError(f"the gateway ended: {self.said()}")
            if (self.home / "run" / "gateway.json").exists() and self._answers():
                return
            time.sleep(0.02)
        raise RuntimeError(f"the gateway did not start: {self.said()}")

    def said(self) -> str:
        return self.output.read_text("utf-8", "replace") if self.output.exists() else ""

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL."""
        code = self._end(signal.SIGKILL)
        (self.home / "run" / "gateway.json").unlink(missing_ok=True)
        return code

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(STOP_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(STOP_S)

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    @property
    def url(self) -> str:
        return str(json.loads((self.home / "run" / "gateway.json").read_text())["url"])

    @property
    def token(self) -> str:
        return (self.home / "run" / "cli.token").read_text().strip()

    def connect(self, timeout_s: float = 60.0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=timeout_s)

    def request(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        connection = self.connect()
        try:
            content = raw if raw is not None else None if body is None else json.dumps(body).encode()
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            text = answer.read()
            kind = answer.getheader("content-type") or ""
            return answer.status, json.loads(text) if kind.startswith("application/json") else text
        finally:
            connection.close()

    def events(self, text: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """The events of a new turn as they come."""
        connection = self.connect()
        try:
            body = json.dumps({"text": text, "channel": "api", **fields})
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request("POST", "/api/turns", body, headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise AssertionError(f"{answer.status}: {answer.read().decode()}")
            for line in answer:
                yield json.loads(line)
        finally:
            connection.close()

    def turn(self, text: str, **fields: Any) -> dict[str, Any]:
        """Run a turn to its end; the TurnEnded event."""
        return list(self.events(text, **fields))[-1]

    def command(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The command line, against this gateway."""
        return subprocess.run(
            [sys.executable, "-m", "carapax.app.entry", *argv],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env=self._env,
            check=False,
        )


@contextmanager
def running(place: Path, model_url: str, env: Mapping[str, str] | None = None) -> Iterator[Gate]:
    """A gateway that is stopped at the end."""
    gate = Gate(place, model_url, env)
    try:
        gate.start()
        yield gate
    finally:
        gate.stop()
