"""Driving the real gateway through its public door: `carapax serve` with a home of its own, HTTP on loopback.

Approvals that a request brings are answered with yes, every value that a card wants typed is typed as the call has it,
and each is told of, so that what is measured is the model.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

READY_S = 60.0
TURN_S = 900.0


class Door:
    """A gateway started for the measurement, with its own home and workspace; a context."""

    def __init__(self, models: Path, environ: dict[str, str] | None = None) -> None:
        self._top = Path(tempfile.mkdtemp(prefix="bench-small-"))
        self.root = self._top / "workspace"
        self.root.mkdir()
        self._home = self._top / "home"
        env = {**os.environ, **(environ or {}), "CARAPAX_HOME": str(self._home), "CARAPAX_WORKSPACE": str(self.root)}
        env |= {"CARAPAX_MODELS": str(models), "CARAPAX_PORT": "0"}
        entry = "import sys; from carapax.app.entry import main; sys.exit(main())"
        with (self._top / "serve.log").open("w") as log:
            self._process = subprocess.Popen([sys.executable, "-c", entry, "serve"], env=env, stdout=log, stderr=log)

    def __enter__(self) -> Door:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._url = urlsplit(json.loads((self._home / "run" / "gateway.json").read_text())["url"])
                self._token = (self._home / "run" / "cli.token").read_text().strip()
                return self
            except (OSError, ValueError, KeyError):
                time.sleep(0.1)
        log = (self._top / "serve.log").read_text()[-2000:]
        self.__exit__()
        raise SystemExit(f"the gateway did not start:\n{log}")

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._top, ignore_errors=True)

    def clear(self, files: dict[str, str]) -> None:
        """An empty workspace but for these files."""
        for entry in self.root.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)

    def say(self, text: str, session: str) -> tuple[str, str, list[dict[str, Any]]]:
        """One turn: (reply, session, events)."""
        link, events = self._link(), []
        try:
            body = {"text": text, **({"session": session} if session else {})}
            link.request("POST", "/api/turns", json.dumps(body), self._headers())
            answer = link.getresponse()
            if answer.status != http.HTTPStatus.OK:
                return answer.read().decode("utf-8", "replace"), session, []
            for line in answer:
                event = {**json.loads(line), "at": time.monotonic()}
                events.append(event)
                if event["event"] == "Waiting":
                    self._approve(event["approval"])
        finally:
            link.close()
        last = events[-1] if events else {}
        return str(last.get("reply", "")), str(last.get("session", session)), events

    def _approve(self, card: dict[str, Any]) -> None:
        body: dict[str, Any] = {"answer": "yes"}
        if card.get("blanks"):
            body["typed"] = [blank["shown"] for blank in card["blanks"]]
        if card.get("choices"):
            body["picked"] = list(range(len(card["choices"])))
        link = self._link()
        link.request("POST", f"/api/approvals/{card['id']}", json.dumps(body), self._headers())
        link.getresponse().read()
        link.close()

    def _link(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._url.hostname or "127.0.0.1", self._url.port, timeout=TURN_S)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
