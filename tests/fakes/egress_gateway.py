"""A gateway that uses a secret in every way that channels do, in a process that never had it: for a look into its memory.

`python egress_gateway.py ARGUMENTS` with JSON: argv (of the proxy), host, line, socket and web (ports). It says "done",
then waits for its standard input to end with everything still open.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from carapax.adapters.channels.sockets import open_socket
from carapax.adapters.egress.keeper import Keeper
from carapax.adapters.egress.kept import KeptEgress
from carapax.core.terms.error import Refused
from carapax.ports.egress import Mac, Spot
from tests.fakes.gate import FakeGate


async def use(egress: KeptEgress, given: dict[str, Any]) -> None:
    line = await egress.open_line(host=given["host"], port=given["line"], tls=True, secret="service")
    reader, writer = await asyncio.open_unix_connection(sock=line.sock)
    words = (line.placeholder.encode(), base64.b64encode(f"\0me\0{line.placeholder}".encode()))
    for word in words:
        writer.write(b"AUTH " + word + b"\r\n")
        await asyncio.wait_for(reader.readline(), 10)
    base = f"https://{given['host']}:{given['web']}"
    for spot, path in ((Spot.PATH, "/bot{}/x"), (Spot.QUERY, "/x?key={}"), (Spot.BODY, "/x"), (Spot.HEADER, "/x")):
        async with egress.client(base_url=base, secret="service", timeout_ms=10_000, spot=spot) as client:
            headers = {"authorization": f"Bearer {client.placeholder}"} if spot is Spot.HEADER else {}
            body = {"key": client.placeholder} if spot is Spot.BODY else {}
            answer = await client.post(base + path.format(client.placeholder), json=body, headers=headers)
            assert answer.status_code == 200, answer.text
    message = b"something to sign"
    signature = await egress.make_mac(secret="service", mac=Mac.HMAC_SHA256, message=message)
    await egress.check_mac(secret="service", mac=Mac.HMAC_SHA256, message=message, given=signature)
    for mac in Mac:
        try:
            await egress.check_mac(secret="service", mac=mac, message=message, given=b"wrong")
        except Refused:
            continue
        raise AssertionError(mac)
    url = f"wss://{given['host']}:{given['socket']}/"
    async with open_socket(egress, url, secret="service", headers={"authorization": "Bearer {secret}"}) as (
        socket,
        word,
    ):
        await socket.send(json.dumps({"token": word}))
        await socket.recv()
        print("done", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    writer.close()


def main() -> None:
    given = json.loads(sys.argv[1])
    keeper = Keeper(given["argv"], FakeGate())
    try:
        asyncio.run(use(KeptEgress(keeper), given))
    finally:
        keeper.close()


if __name__ == "__main__":
    main()
