"""The routes of channels, of the people on them, and of messages that were given up.

Layer: surfaces/api. The rules live behind the port; who may do what is checked there a second time.
Laws: a code's digest and a message's body never leave; a secret's value never comes in, only its handle.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from carapax.core.terms.label import OWNER
from carapax.core.terms.plain import plain
from carapax.core.terms.work import Work
from carapax.ports.store import Pairing
from carapax.surfaces.api.call import Call
from carapax.surfaces.api.refusal import json_answer


async def list_kinds(call: Call) -> Response:
    return json_answer({"kinds": plain(list(await call.gateway.list_kinds(call.who)))})


async def list_channels(call: Call) -> Response:
    return json_answer({"channels": plain(list(await call.gateway.list_channels(call.who)))})


async def add_channel(call: Call) -> Response:
    body = call.body
    state, facts = await call.gateway.add_channel(
        call.who, body["name"], body["kind"], body.get("values", {}), body.get("secrets", {})
    )
    return json_answer({"channel": plain(state), "facts": list(facts)}, 201)


async def test_channel(call: Call) -> Response:
    return json_answer({"facts": list(await call.gateway.test_channel(call.who, call.id))})


async def channel_log(call: Call) -> Response:
    found = await call.gateway.channel_log(call.who, call.id, limit=call.query.get("limit", 100))
    return json_answer({"lines": plain(list(found))})


async def remove_channel(call: Call) -> Response:
    await call.gateway.remove_channel(call.who, call.id)
    return json_answer({"removed": call.id})


# people
async def list_pairings(call: Call) -> Response:
    return json_answer({"pairings": [_pairing(each) for each in await call.gateway.list_pairings(call.who)]})


async def make_pairing(call: Call) -> Response:
    made = await call.gateway.make_pairing(call.who, call.body.get("channel", ""), call.body.get("person") or OWNER)
    return json_answer(plain(made), 201)


async def accept_pairing(call: Call) -> Response:
    account = await call.gateway.accept_pairing(call.who, call.body["code"], call.body.get("person") or OWNER)
    return json_answer(plain(account), 201)


async def list_accounts(call: Call) -> Response:
    return json_answer({"accounts": plain(list(await call.gateway.list_accounts(call.who)))})


async def drop_account(call: Call) -> Response:
    channel, sender = call.query["channel"], call.query["sender"]
    await call.gateway.drop_account(call.who, channel, sender)
    return json_answer({"forgotten": {"channel": channel, "sender": sender}})


def _pairing(pairing: Pairing) -> dict[str, Any]:
    found: dict[str, Any] = plain(pairing)
    del found["hash"]
    return found


# what was given up
async def list_dead(call: Call) -> Response:
    return json_answer({"messages": [_work(each) for each in await call.gateway.list_dead(call.who)]})


async def retry_dead(call: Call) -> Response:
    return json_answer(_work(await call.gateway.retry_dead(call.who, call.id)))


async def drop_dead(call: Call) -> Response:
    return json_answer(_work(await call.gateway.drop_dead(call.who, call.id)))


def _work(work: Work) -> dict[str, Any]:
    found: dict[str, Any] = plain(work)
    del found["body"], found["key"]  # they hold what people wrote, and their ids
    return {"id": work.short, **found}


# the door
async def hook(call: Call) -> Response:
    return await _door(call)


async def hook_below(call: Call) -> Response:
    return await _door(call)


async def _door(call: Call) -> Response:
    if call.raw is None:
        raise RuntimeError("the door was opened without a request")
    return await call.shared.door.answer(call.raw, call.peer)
