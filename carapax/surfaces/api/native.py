"""Our own routes: turns, sessions, approvals, undo, tokens, state, and signing in.

Layer: surfaces/api. Each is a few lines between the parsed call and the gateway; the rules live behind the port.
Law: a token never gives away a scope that it does not have itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import Response, StreamingResponse

import carapax
from carapax.core.terms.approval import Answer, ApprovalState
from carapax.core.terms.conversation import Inbound
from carapax.core.terms.error import CarapaxError, Malformed, NotFound, Refused
from carapax.core.terms.event import Event, Notice
from carapax.core.terms.ids import ApprovalId, SessionId, TokenId, TurnId
from carapax.core.terms.plain import event_plain, plain
from carapax.core.terms.principal import Scope
from carapax.ports.gateway import MintedToken
from carapax.surfaces.api.call import Call, leave
from carapax.surfaces.api.metrics import render_metrics
from carapax.surfaces.api.page import front_page, refused_page, token_page
from carapax.surfaces.api.refusal import TooMany, Unauthenticated, json_answer, render_json, status_of

NDJSON = "application/x-ndjson"


# turns
async def start_turn(call: Call) -> Response:
    body = call.body
    if not body["text"].strip():
        raise Malformed("the message is empty", next_step="Send some text.")
    session = body.get("session")
    if session and body.get("conversation"):
        raise Malformed("session and conversation exclude each other")
    inbound = Inbound(
        body["text"],
        body.get("channel", "api"),
        session=SessionId(session) if session else None,
        conversation=body.get("conversation", ""),
        key=body.get("key") or call.key,
    )
    return ndjson(await call.gateway.submit(call.who, inbound), event_plain)


async def follow_turn(call: Call) -> Response:
    return ndjson(await call.gateway.follow(call.who, TurnId(call.id)), event_plain)


async def show_turn(call: Call) -> Response:
    turn = await call.gateway.find_turn(call.who, TurnId(call.id))
    if turn is None:
        raise NotFound(f"there is no turn {call.id}")
    return json_answer(plain(turn))


async def cancel_turn(call: Call) -> Response:
    await call.gateway.cancel(call.who, TurnId(call.id))
    return json_answer({"cancelled": call.id})


def ndjson(items: AsyncIterator[Any], render: Callable[[Any], Any]) -> Response:
    """An answer of one JSON line for each item, as they come."""
    return StreamingResponse(_lines(items, render), media_type=NDJSON, headers={"X-Accel-Buffering": "no"})


async def _lines(items: AsyncIterator[Any], render: Callable[[Any], Any]) -> AsyncIterator[bytes]:
    try:
        async for item in items:
            yield render_json(render(item)) + b"\n"
    except CarapaxError as error:
        lost: Event = Notice(error.code, error.what, error.next_step)
        yield render_json(event_plain(lost)) + b"\n"
    finally:
        await leave(items)


# sessions
async def list_sessions(call: Call) -> Response:
    query, limit = call.query.get("query", ""), call.query.get("limit", 50)
    found = await call.gateway.list_sessions(call.who, query=query, limit=limit)
    return json_answer({"sessions": plain(list(found))})


async def show_session(call: Call) -> Response:
    session, turns = await call.gateway.get_session(call.who, SessionId(call.id))
    return json_answer({"session": plain(session), "turns": plain(list(turns))})


async def export_session(call: Call) -> Response:
    return ndjson(await call.gateway.export_session(call.who, SessionId(call.id)), plain)


async def name_session(call: Call) -> Response:
    await call.gateway.name_session(call.who, SessionId(call.id), call.body["name"])
    return json_answer({"id": call.id, "name": call.body["name"]})


async def delete_session(call: Call) -> Response:
    await call.gateway.delete_session(call.who, SessionId(call.id))
    return json_answer({"deleted": call.id})


# approvals and undo
async def list_approvals(call: Call) -> Response:
    state = None if call.query.get("state") == "all" else ApprovalState.WAITING
    return json_answer({"approvals": plain(list(await call.gateway.list_approvals(call.who, state)))})


async def answer_approval(call: Call) -> Response:
    body = call.body
    if ("approve" in body) == ("answer" in body):
        raise Malformed("an answer needs `approve`, true or false", next_step='Send {"approve": true} or false.')
    approve = body["approve"] if "approve" in body else body["answer"] == "yes"
    answer = Answer(approve, body.get("typed", ()), body.get("picked", ()), body.get("code", ""))
    settled = await call.gateway.answer(call.who, ApprovalId(call.id), answer, digest=body.get("digest", ""))
    return json_answer(plain(settled))


async def undo(call: Call) -> Response:
    session, turn = call.body.get("session"), call.body.get("turn")
    undone = await call.gateway.undo(
        call.who, session=SessionId(session) if session else None, turn=TurnId(turn) if turn else None
    )
    return json_answer(plain(undone))


# tokens
def _minted(minted: MintedToken) -> dict[str, Any]:
    return {"token": _token(minted.token), "value": minted.value}


def _token(token: Any) -> dict[str, Any]:
    shown: dict[str, Any] = plain(token)
    del shown["hash"]
    return shown


async def list_tokens(call: Call) -> Response:
    return json_answer({"tokens": [_token(t) for t in await call.gateway.list_tokens(call.who)]})


async def create_token(call: Call) -> Response:
    scopes = frozenset(Scope(s) for s in call.body["scopes"])
    beyond = sorted(s.value for s in scopes - call.who.scopes)
    if beyond:
        raise Refused(
            f"this token cannot give the scope {', '.join(beyond)}: it does not have it",
            next_step="Create it with `carapax token create` on the machine itself.",
        )
    minted = await call.gateway.create_token(call.who, call.body["name"], scopes, call.body.get("days", 90))
    return json_answer(_minted(minted), 201)


async def revoke_token(call: Call) -> Response:
    await call.gateway.revoke_token(call.who, TokenId(call.id))
    return json_answer({"revoked": call.id})


# signing in
async def _redeem(call: Call) -> MintedToken:
    codes = call.shared.codes
    wait_s = codes.wait_s(call.peer)
    if wait_s:
        raise TooMany("too many wrong codes came from your address", wait_s)
    minted = await call.gateway.redeem(call.body["code"].strip().upper())
    if minted is None:
        codes.add(call.peer)
        raise Unauthenticated(
            "the code is not valid: wrong, used, or older than 10 minutes",
            next_step="Look at the code again where the gateway was started, or run `carapax token create` there.",
        )
    return minted


async def sign_in(call: Call) -> Response:
    return json_answer(_minted(await _redeem(call)), 201)


async def sign_in_form(call: Call) -> Response:
    try:
        minted = await _redeem(call)
    except CarapaxError as error:
        page = refused_page(f"{error.what[:1].upper()}{error.what[1:]}.", error.next_step, status_of(error))
        if isinstance(error, TooMany):
            page.headers["Retry-After"] = str(error.retry_after_s)
        return page
    return token_page(minted.value, call.address)


async def front(call: Call) -> Response:
    return front_page()


# state
async def healthz(call: Call) -> Response:
    return json_answer({"status": "ok", "version": carapax.__version__})


async def readyz(call: Call) -> Response:
    failed = plain(list(await call.gateway.ready()))
    return json_answer({"ready": not failed, "failed": failed}, 503 if failed else 200)


async def status(call: Call) -> Response:
    return json_answer(plain(await call.gateway.status()))


async def metrics(call: Call) -> Response:
    return Response(render_metrics(call.gateway.metrics()), media_type="text/plain; version=0.0.4; charset=utf-8")


async def stop(call: Call) -> Response:
    await call.gateway.stop(call.who)
    return json_answer({"stopping": True})
