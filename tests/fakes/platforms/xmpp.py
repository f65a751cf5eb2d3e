"""A real Prosody on loopback, and people who talk through slixmpp."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import slixmpp

from tests.fakes.platforms.forwarder import end_child, free_port, listens, wait_up

DOMAIN, ROOMS, UPLOAD = "xmpp.test", "rooms.xmpp.test", "upload.xmpp.test"
_count = itertools.count(1)


class Prosody:
    """A server without federation; stopped by its pid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = self.http_port = 0
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.http_port = free_port(), free_port()
        settings = self.folder / "prosody.cfg.lua"
        settings.write_text(self._settings())
        self._child = await asyncio.to_thread(self._spawn, ["prosody", "-F", "--config", str(settings)])
        await wait_up(self._child, lambda: listens(self.port))

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "out").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    async def stop(self) -> None:
        if self._child is not None:
            await asyncio.to_thread(end_child, self._child)

    def set_password(self, name: str, password: str) -> None:
        """Make an account, or give it another password."""
        accounts = self.folder / "data" / DOMAIN.replace(".", "%2e") / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        (accounts / f"{name}.dat").write_text(f'return {{ ["password"] = "{password}"; }};\n')

    def _settings(self) -> str:
        return f"""
run_as_root = true
daemonize = false
data_path = "{self.folder}/data"
certificates = "{self.folder}"
pidfile = "{self.folder}/pid"
log = {{ warn = "{self.folder}/log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.port} }}
c2s_direct_tls_ports = {{}}
s2s_ports = {{}}
http_ports = {{ {self.http_port} }}
http_interfaces = {{ "127.0.0.1" }}
https_ports = {{}}
modules_enabled = {{ "roster"; "saslauth"; "disco"; "smacks"; "offline"; "ping"; "mam"; "carbons" }}
modules_disabled = {{ "s2s"; "tls"; "posix" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
smacks_hibernation_time = 60
limits = {{}}
VirtualHost "{DOMAIN}"
disco_items = {{ {{ "{UPLOAD}", "files" }} }}
Component "{ROOMS}" "muc"
modules_enabled = {{ "muc_mam" }}
muc_room_default_public_jids = true
Component "{UPLOAD}" "http_file_share"
http_host = "{UPLOAD}"
http_external_url = "https://{UPLOAD}/"
http_file_share_access = {{ "{DOMAIN}" }}
"""


class Client:
    """A person at a client of their own."""

    def __init__(self, name: str, password: str, port: int) -> None:
        self.name, self.port = name, port
        self.jid = f"{name}@{DOMAIN}"
        self.messages: list[Any] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.client = slixmpp.ClientXMPP(f"{self.jid}/client", password)
        self.client.loop = asyncio.get_running_loop()
        self.client.enable_plaintext, self.client.enable_starttls, self.client.enable_direct_tls = True, False, False
        self.client.plugin["feature_mechanisms"].unencrypted_plain = True
        for plugin in ("xep_0045", "xep_0085"):
            self.client.register_plugin(plugin)
        self._started = asyncio.Event()
        self.client.add_event_handler("session_start", lambda event: self._started.set())
        handler = slixmpp.xmlstream.handler.Callback(
            "all", slixmpp.xmlstream.matcher.MatchXPath("{jabber:client}message"), self.messages.append
        )
        self.client.register_handler(handler)

    async def start(self) -> None:
        self.client.connect("127.0.0.1", self.port)
        await asyncio.wait_for(self._started.wait(), 20)
        self.client.send_presence()

    async def stop(self) -> None:
        await asyncio.wait_for(self.client.disconnect(wait=1.0), 10)
        task = self.client._run_out_filters
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def join(self, room: str, nick: str) -> None:
        self.client.send_raw(f"<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        for _ in range(1_000):
            if any(m["from"].bare == room and m.xml.find("{jabber:client}subject") is not None for m in self.messages):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the room was not joined")

    async def unlock(self, room: str) -> None:
        form = "<x xmlns='jabber:x:data' type='submit'/>"
        query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
        await self.ask(room, "set", query)

    async def ask(self, to: str, kind: str, inner: str) -> Any:
        iq = self.client.make_iq(ito=to, itype=kind)
        iq.append(ElementTree.fromstring(inner))
        return await iq.send(timeout=10)

    def say(self, to: str, inner: str, *, room: bool = False, ident: str = "") -> str:
        """Send a message with this XML inside; its id."""
        ident = ident or f"{self.name}-{next(_count)}"
        self.client.send_raw(
            f"<message to='{to}' type='{'groupchat' if room else 'chat'}' id='{ident}'>{inner}</message>"
        )
        return ident
