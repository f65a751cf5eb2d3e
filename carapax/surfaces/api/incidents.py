"""The routes of incidents: what was halted, a person's decision, and lifting the stop of everything.

Layer: surfaces/api. The rules live behind the port; a decision's scope is checked there a second time.
"""

from __future__ import annotations

from starlette.responses import Response

from carapax.core.terms.error import NotFound
from carapax.core.terms.incident import Act
from carapax.core.terms.plain import event_plain, plain
from carapax.surfaces.api.call import Call
from carapax.surfaces.api.native import ndjson
from carapax.surfaces.api.refusal import json_answer

MAX_DIGITS = 9


async def list_incidents(call: Call) -> Response:
    return json_answer({"incidents": plain(list(await call.gateway.list_incidents(call.who)))})


async def show_incident(call: Call) -> Response:
    return json_answer(plain(await call.gateway.get_incident(call.who, _number(call))))


async def decide_incident(call: Call) -> Response:
    decided = await call.gateway.decide_incident(call.who, _number(call), Act(call.body["act"]))
    return json_answer(plain(decided))


async def follow_incidents(call: Call) -> Response:
    return ndjson(await call.gateway.follow_incidents(call.who), event_plain)


async def resume_all(call: Call) -> Response:
    await call.gateway.resume_all(call.who)
    return json_answer({"resumed": True})


def _number(call: Call) -> int:
    if not (call.id.isascii() and call.id.isdigit() and len(call.id) <= MAX_DIGITS):
        raise NotFound(f"there is no incident {call.id[:40]}", next_step="`carapax incident` lists them.")
    return int(call.id)
