"""A real Synapse on loopback, and people who talk through it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from tests.fakes.platforms.forwarder import end_child, free_port, wait_up

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-peers/bin/python"
SERVER = "matrix.test"
API = "/_matrix/client/v3"
_FREELY = {"per_second": 10_000, "burst_count": 10_000}


class Synapse:
    """A homeserver of its own, without federation; stopped by its pid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._secret = secrets.token_hex(16)
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        settings = self.folder / "homeserver.yaml"
        settings.write_text(json.dumps(self._settings()))  # JSON is YAML
        command = [str(PYTHON), "-m", "synapse.app.homeserver", "-c", str(settings)]
        child = await asyncio.to_thread(self._spawn, [*command, "--generate-keys"])
        await asyncio.to_thread(child.wait, 40)
        child = await asyncio.to_thread(self._spawn, command)
        self._child = child
        async with self.client() as client:

            async def answers() -> bool:
                try:
                    return (await client.get("/health")).status_code == 200
                except httpx2.TransportError:
                    return False

            await wait_up(child, answers)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "out").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    async def stop(self) -> None:
        if self._child is not None:
            await asyncio.to_thread(end_child, self._child)

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=40, trust_env=False)

    async def register(self, name: str) -> Account:
        """A new account, by the shared secret."""
        client = self.client()
        path = "/_synapse/admin/v1/register"
        nonce = (await client.get(path)).json()["nonce"]
        password = secrets.token_hex(8)
        words = "\0".join((nonce, name, password, "notadmin")).encode()
        mac = hmac.new(self._secret.encode(), words, hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac}
        about = (await client.post(path, json=body)).raise_for_status().json()
        return Account(client, about["user_id"], about["access_token"], about["device_id"], password)

    def _settings(self) -> dict[str, Any]:
        limits = ("rc_message", "rc_registration", "rc_admin_redaction", "rc_presence")
        listener = {"port": self.port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": False}
        return {
            "server_name": SERVER,
            "listeners": [listener | {"resources": [{"names": ["client", "media"]}]}],
            "database": {"name": "sqlite3", "args": {"database": str(self.folder / "homeserver.db")}},
            "media_store_path": str(self.folder / "media"),
            "signing_key_path": str(self.folder / "signing.key"),
            "log_config": None,
            "registration_shared_secret": self._secret,
            "macaroon_secret_key": secrets.token_hex(16),
            "form_secret": secrets.token_hex(16),
            "report_stats": False,
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "bcrypt_rounds": 4,
            "presence": {"enabled": False},
            **dict.fromkeys(limits, _FREELY),
            "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), _FREELY),
            "rc_joins": dict.fromkeys(("local", "remote"), _FREELY),
            "rc_joins_per_room": _FREELY,
            "rc_invites": dict.fromkeys(("per_room", "per_user", "per_issuer"), _FREELY),
        }


class Account:
    """A person on the homeserver, with plain requests."""

    def __init__(self, client: httpx2.AsyncClient, user: str, token: str, device: str, password: str) -> None:
        self.client, self.user, self.token, self.device, self.password = client, user, token, device, password
        self._count = 0
        self.since = ""

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        headers = {"authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        answer = await self.client.request(method, path, headers=headers, **options)
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.content

    async def make_room(self, *, invite: list[str], direct: bool, encrypted: bool = False) -> str:
        body: dict[str, Any] = {"preset": "private_chat", "is_direct": direct, "invite": invite}
        if encrypted:
            state = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
            body["initial_state"] = [state]
        return str((await self.ask("POST", f"{API}/createRoom", json=body))["room_id"])

    async def join(self, room: str) -> None:
        await self.ask("POST", f"{API}/rooms/{quote(room)}/join", json={})

    async def send(self, room: str, content: dict[str, Any], kind: str = "m.room.message") -> str:
        self._count += 1
        path = f"{API}/rooms/{quote(room)}/send/{kind}/{secrets.token_hex(8)}"
        return str((await self.ask("PUT", path, json=content))["event_id"])

    async def upload(self, content: bytes, kind: str) -> str:
        answer = await self.ask("POST", "/_matrix/media/v3/upload", content=content, headers={"content-type": kind})
        return str(answer["content_uri"])

    async def download(self, mxc: str) -> bytes:
        answer = await self.ask("GET", f"/_matrix/client/v1/media/download/{mxc.removeprefix('mxc://')}")
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    async def events(self, room: str) -> list[dict[str, Any]]:
        """The newest 400 events of a room, oldest first."""
        params = {"dir": "b", "limit": "400"}
        page = await self.ask("GET", f"{API}/rooms/{quote(room)}/messages", params=params)
        return list(reversed(page["chunk"]))

    async def sync(self, *, wait_ms: int = 0) -> dict[str, Any]:
        params = {"timeout": str(wait_ms)} | ({"since": self.since} if self.since else {})
        answer = await self.ask("GET", f"{API}/sync", params=params)
        self.since = answer["next_batch"]
        return dict(answer)

    async def sync_until(self, done: Callable[[dict[str, Any]], Awaitable[bool]], seconds: float = 20) -> None:
        """Sync until an answer holds what is waited for."""
        async with asyncio.timeout(seconds):
            while not await done(await self.sync(wait_ms=1_000)):
                pass

    async def close(self) -> None:
        await self.client.aclose()
