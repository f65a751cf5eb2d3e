"""The OpenAI routes: chat completions, responses, models.

Layer: surfaces/api. A plain request returns at once when its turn waits for a person, and the turn goes on when it is
answered; a streamed one shows the question and stays open. `yes ID` as a message answers, from a token that may.
Laws: leaving a stream never ends a turn; a message that answers an approval is not also given to the agent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from starlette.responses import Response, StreamingResponse

from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.conversation import Inbound, PartKind
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, Refused, TooLarge, Unavailable
from carapax.core.terms.event import Event
from carapax.core.terms.ids import SessionId, TurnId
from carapax.core.terms.principal import Scope
from carapax.core.turn.answer import AnsweredWrongly, Lacking, NoFactor
from carapax.surfaces.api import compat_out as out
from carapax.surfaces.api.call import Call, leave, paced
from carapax.surfaces.api.compat_in import Wish, parse_chat, parse_responses
from carapax.surfaces.api.refusal import json_answer
from carapax.surfaces.api.spoken import read_spoken, spoken_code
from carapax.surfaces.api.telling import Telling, ask_text, waits_words
from carapax.surfaces.api.threads import Thread


@dataclass(frozen=True, slots=True)
class Running:
    """A turn to read, as far as it is told."""

    events: AsyncIterator[Event]
    telling: Telling


@dataclass(frozen=True, slots=True)
class Said:
    """An answer without a turn of its own: words of ours about an approval."""

    text: str
    approval: Approval


async def chat_completions(call: Call) -> Response:
    wish = parse_chat(call.body, call.shared.settings.text_bytes)
    began = await _begin(call, wish)
    created_s = call.shared.clock.now_ms() // 1000
    if wish.stream:
        return _streamed(call, began, wish, out.ChatStream(created_s, wish.usage))
    return json_answer(out.chat_whole(await _whole(call, began, wish)))


async def responses(call: Call) -> Response:
    wish = parse_responses(call.body, call.shared.settings.text_bytes)
    began = await _begin(call, wish)
    created_s = call.shared.clock.now_ms() // 1000
    if wish.stream:
        return _streamed(call, began, wish, out.ResponseStream(created_s, wish.previous, wish.conversation))
    return json_answer(out.response_whole(await _whole(call, began, wish)))


async def models(call: Call) -> Response:
    one = {"id": out.MODEL, "object": "model", "created": 0, "owned_by": "carapax"}
    return json_answer({"object": "list", "data": [one]})


# beginning
async def _begin(call: Call, wish: Wish) -> Running | Said:
    answered = await _spoken_answer(call, wish.text)
    if answered is not None:
        return answered
    inbound = await _inbound(call, wish)
    try:
        events = await call.gateway.submit(call.who, inbound)
    except Conflict as conflict:
        waiting = await _waiting_here(call, wish, inbound)
        if not waiting:
            raise
        return _explained(call, conflict, waiting)
    return Running(events, Telling(_may_answer(call)))


def _may_answer(call: Call) -> bool:
    return Scope.APPROVE in call.who.scopes


async def _spoken_answer(call: Call, text: str) -> Running | Said | None:
    """The continued turn when the message is exactly an answer to an approval that exists."""
    id = spoken_code(text)
    if not id:
        return None
    every = await _visible(call, None)
    found = next((a for a in every if a.id.upper() == id), None)
    answer = read_spoken(text, found) if found is not None else None
    if found is None or answer is None:
        return None
    if not _may_answer(call):
        raise Refused("this token may not answer approvals", next_step=f"Run `carapax approve {found.id}`.")
    if found.state is not ApprovalState.WAITING:
        return Said(f"{found.id} was already {found.state.value}; nothing was changed.", found)
    events = await call.gateway.follow(call.who, found.turn)  # before the answer, so that nothing is missed
    try:
        settled = await call.gateway.answer(call.who, found.id, answer)
    except CarapaxError as error:
        await leave(events)
        return _unanswered(call, error, found)
    if settled.state is ApprovalState.WAITING:
        await leave(events)
        return Said(waits_words(settled), settled)
    return Running(events, Telling(reply_here=True, session=found.session, turn=found.turn))


def _unanswered(call: Call, error: CarapaxError, card: Approval) -> Said:
    """Why the words did not answer. Raises the error when it is not one of an answer."""
    if isinstance(error, Lacking | NoFactor):
        again = ask_text(card, call.shared.clock.now_ms(), reply_here=True)
        return Said(f"{error.what} {error.next_step}\n\n{again}", card)
    if not isinstance(error, Conflict):
        raise error
    ended = replace(card, state=ApprovalState.DENIED) if isinstance(error, AnsweredWrongly) else card
    return Said(f"{error.what.removesuffix('.')}; nothing was changed.", ended)


async def _inbound(call: Call, wish: Wish) -> Inbound:
    if len(call.key.encode("utf-8")) > 200:
        raise Malformed("the Idempotency-Key is longer than 200 bytes")
    if wish.previous:
        turn = await call.gateway.find_turn(call.who, TurnId(wish.previous))
        if turn is None:
            raise NotFound(f"there is no response resp_{wish.previous[:80]}")
        return Inbound(_joined(call, wish), "api", session=turn.session, key=call.key)
    if wish.conversation:
        known = call.shared.threads.find(call.who.id, wish.conversation)
        same = known is not None and known.instructions == wish.instructions
        text = wish.text if same else _joined(call, wish)
        return Inbound(text, "api", conversation=wish.conversation, key=call.key)
    seed = ((PartKind.USER, wish.instructions),) if wish.instructions else ()
    return Inbound(wish.text, "api", key=call.key, seed=seed + wish.seed)


def _joined(call: Call, wish: Wish) -> str:
    text = f"{wish.instructions}\n\n{wish.text}" if wish.instructions else wish.text
    if len(text.encode("utf-8")) > call.shared.settings.text_bytes:
        raise TooLarge("the message is too large together with its instructions")
    return text


async def _waiting_here(call: Call, wish: Wish, inbound: Inbound) -> Sequence[Approval]:
    every = await _visible(call, ApprovalState.WAITING)
    known = call.shared.threads.find(call.who.id, wish.conversation) if wish.conversation else None
    session = inbound.session or (known.session if known is not None else None)
    return [a for a in every if session is None or a.session == session]


async def _visible(call: Call, state: ApprovalState | None) -> Sequence[Approval]:
    try:
        return await call.gateway.list_approvals(call.who, state)
    except Refused:
        return ()


def _explained(call: Call, conflict: Conflict, waiting: Sequence[Approval]) -> Said:
    now_ms = call.shared.clock.now_ms()
    asks = "\n\n".join(ask_text(a, now_ms, _may_answer(call)) for a in waiting)
    return Said(
        f"{conflict.what[:1].upper()}{conflict.what[1:]}; your new message was not taken.\n\n{asks}", waiting[0]
    )


# answering
def _answer(call: Call, wish: Wish, telling: Telling, text: str) -> out.Answer:
    return out.Answer(
        turn=telling.turn or "unknown",
        text=text,
        created_s=call.shared.clock.now_ms() // 1000,
        session=telling.session,
        state=telling.state,
        code=telling.code,
        usage=telling.usage,
        approval=telling.waiting,
        previous=wish.previous,
        conversation=wish.conversation,
    )


def _said(call: Call, wish: Wish, said: Said) -> out.Answer:
    still = said.approval if said.approval.state is ApprovalState.WAITING else None
    told = Telling(_may_answer(call), session=said.approval.session, turn=said.approval.turn, waiting=still)
    return _answer(call, wish, told, said.text)


def _remember(call: Call, wish: Wish, session: SessionId) -> None:
    if wish.conversation and session:
        call.shared.threads.keep(call.who.id, wish.conversation, Thread(session, wish.instructions))


async def _whole(call: Call, began: Running | Said, wish: Wish) -> out.Answer:
    if isinstance(began, Said):
        return _said(call, wish, began)
    telling, clock = began.telling, call.shared.clock
    try:
        async for event in began.events:
            telling.feed(event, clock.now_ms())
            _remember(call, wish, telling.session)
            if telling.waiting is not None:
                break
    finally:
        await leave(began.events)
    if telling.waiting is not None:
        text = ask_text(telling.waiting, clock.now_ms(), telling.reply_here)
    elif telling.ended is None:
        raise Unavailable("the turn broke off", kept="Your message is kept.", next_step="See `carapax sessions`.")
    else:
        text = telling.final_text()
    return _answer(call, wish, telling, text)


Stream = out.ChatStream | out.ResponseStream


def _streamed(call: Call, began: Running | Said, wish: Wish, stream: Stream) -> Response:
    chunks = _said_chunks(call, began, wish, stream) if isinstance(began, Said) else _chunks(call, began, wish, stream)
    return StreamingResponse(chunks, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _said_chunks(call: Call, said: Said, wish: Wish, stream: Stream) -> AsyncIterator[bytes]:
    answer = _said(call, wish, said)
    yield b"".join([*stream.opening(answer.turn), *stream.piece(answer.turn, answer.text), *stream.closing(answer)])


async def _chunks(call: Call, began: Running, wish: Wish, stream: Stream) -> AsyncIterator[bytes]:
    telling, opened = began.telling, False
    async with aclosing(_pieces(call, began)) as pieces:
        async for piece in pieces:
            if piece is None:
                yield out.BEAT
                continue
            _remember(call, wish, telling.session)
            parts = [] if opened else [*stream.opening(telling.turn or "unknown")]
            opened = True
            parts += stream.piece(telling.turn or "unknown", piece) if piece else ()
            if parts:
                yield b"".join(parts)
    opening = () if opened else stream.opening(telling.turn or "unknown")
    yield b"".join([*opening, *stream.closing(_answer(call, wish, telling, telling.final_text()))])


async def _pieces(call: Call, began: Running) -> AsyncGenerator[str | None, None]:
    """The text to add, event by event; None for silence. Ends when an approval's deadline has long passed."""
    telling, clock, settings = began.telling, call.shared.clock, call.shared.settings
    try:
        async with aclosing(paced(began.events, settings.keep_alive_ms)) as events:
            async for event in events:
                if event is not None:
                    yield telling.feed(event, clock.now_ms())
                elif telling.waiting and clock.now_ms() > telling.waiting.deadline_ms + settings.grace_ms:
                    return
                else:
                    yield None
    except CarapaxError as error:
        yield f"\n\n{error.what}. {error.kept} {error.next_step}"
