"""Approvals in messengers: cards on their way to whoever may answer, and answers on their way to the desk.

Layer: app. Absent: what counts as an answer (core/channel/answer_words), whether it is complete (core/turn/answer).
Laws: a card goes to private places of approvers only; whoever answers is the sender whom the platform vouches for; a
button counts only for the very call that its card showed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from carapax.app.channels.outbox import Outbox
from carapax.app.channels.pack import Letter, lane_of, unpack_back
from carapax.app.channels.posts import Posts
from carapax.app.desk import Desk
from carapax.core.channel.answer_words import Answered, fill, read_answer
from carapax.core.channel.shown import (
    CARD_CHARS,
    Language,
    card_buttons,
    read_pressed,
    render_answered,
    render_card,
    render_notice,
    same_digest,
    say,
)
from carapax.core.terms.approval import Answer, Approval, ApprovalState
from carapax.core.terms.channel import Evidence, Feature, Markup, Place, Received, Sent
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.ids import ApprovalId, PrincipalId
from carapax.core.terms.principal import Principal, Role
from carapax.ports.channel import Channel
from carapax.ports.clock import Clock
from carapax.ports.engine import Engine
from carapax.ports.store import Store

LOG = logging.getLogger("carapax.cards")
STRONG = frozenset({Evidence.PLATFORM, Evidence.SIGNED})


class Cards:
    """Shows cards and takes answers."""

    def __init__(
        self,
        desk: Desk,
        store: Store,
        engine: Engine,
        outbox: Outbox,
        posts: Posts,
        clock: Clock,
        roles: Callable[[], Mapping[str, Role]],
        approvers: Callable[[], frozenset[Role]],
        language: Callable[[Place], Language],
    ) -> None:
        self._desk, self._store, self._engine = desk, store, engine
        self._outbox, self._posts, self._clock = outbox, posts, clock
        self._roles, self._approvers, self._language = roles, approvers, language
        self._shown: dict[str, dict[str, tuple[Place, str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        desk.asked = lambda card: self._spawn(self._show(card))
        desk.answered = lambda card: self._spawn(self._settle(card))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.warning("a card was not shown in a messenger: %s", error)

    # showing

    async def _show(self, card: Approval) -> None:
        for place in await self.places(card):
            language = self._language(place)
            channel = self._channel(place)
            markup = channel is not None and channel.facts().markup is not Markup.PLAIN
            chars = min(CARD_CHARS, channel.facts().text_chars) if channel is not None else CARD_CHARS
            text = render_card(card, language, now_ms=self._clock.now_ms(), chars=chars, markup=markup)
            buttons = card_buttons(card, language) if channel is not None and _has_buttons(channel) else ()
            await self._outbox.post(
                Letter(place, text, buttons=buttons, about=card.id, session=card.session),
                f"card:{card.id}:{lane_of(place)}",
            )

    async def places(self, card: Approval) -> list[Place]:
        """Where a card is shown: where its turn came from if it may be asked there, else where its people can be reached."""
        turn = await self._store.find_turn(card.turn)
        work = await self._engine.find("turn", card.turn)
        back = unpack_back(work.body) if work is not None else None
        if turn is None or back is None:
            return []  # whoever asked sits at another surface, which shows it
        mays = await self._posts.approvers(self._roles(), self._approvers())
        asked = [turn.principal] if turn.principal in mays and card.people == 1 else list(mays)
        places = [await self._place(person, turn.principal, back.place) for person in asked]
        return [place for place in places if place is not None]

    async def _place(self, person: PrincipalId, sender: PrincipalId, origin: Place) -> Place | None:
        if person == sender and self._posts.bears_cards(origin):
            return origin
        return await self._posts.find(person)

    def went(self, letter: Letter, sent: Sent) -> None:
        """A card has arrived: remember its message, so that its buttons can be taken away."""
        if letter.about and sent.message:
            self._shown.setdefault(letter.about, {})[letter.place.key] = (letter.place, sent.message)

    async def _settle(self, card: Approval) -> None:
        if card.state is ApprovalState.WAITING:
            return
        for place, message in self._shown.pop(card.id, {}).values():
            channel = self._channel(place)
            if channel is not None and Feature.EDIT in channel.facts().features:
                text = f"{card.title[:200]}\n{render_answered(card, self._language(place))}"
                await self._outbox.post(Letter(place, text, edits=message), f"answered:{card.id}:{lane_of(place)}")
            elif card.state is ApprovalState.EXPIRED:
                text = render_answered(card, self._language(place))
                await self._outbox.post(Letter(place, text), f"answered:{card.id}:{lane_of(place)}")

    def _channel(self, place: Place) -> Channel | None:
        line = self._posts.board.find(place.channel)
        return line.channel if line is not None else None

    # answering

    def waiting_for(self, principal: Principal) -> Sequence[Approval]:
        """The cards that this person may answer now."""
        return self._desk.waiting() if principal.role in self._approvers() else ()

    async def answer(self, principal: Principal, heard: Received) -> str | None:
        """Take a message as an answer; what to say to it, None when it is none."""
        if not heard.place.private or heard.evidence not in STRONG or not self._posts.bears_cards(heard.place):
            return None
        if heard.pressed:
            return await self._press(principal, heard)
        if heard.forwarded or heard.edited:
            return None
        cards = {card.id: card for card in self.waiting_for(principal)}
        newest = self._outbox.newest_card(heard.place)
        alone = newest if len(cards) == 1 and newest in cards else ""
        said = read_answer(heard.text, ids=tuple(cards), alone=alone)
        if said is None:
            return None
        card = next((card for id, card in cards.items() if id == said.card), None)
        answer = fill(said, card) if card is not None else Answer(said.approve)
        return await self._give(principal, heard.place, said, answer)

    async def _press(self, principal: Principal, heard: Received) -> str | None:
        pressed = read_pressed(heard.pressed)
        if pressed is None:
            return None
        language = self._language(heard.place)
        card = next((card for card in self._desk.waiting() if same_digest(pressed, card)), None)
        if card is None:
            return say(language, "answered.expired", id=pressed.card[:8])
        said = Answered(pressed.approve, card.id)
        return await self._give(principal, heard.place, said, Answer(pressed.approve), digest=card.digest)

    async def _give(
        self, principal: Principal, place: Place, said: Answered, answer: Answer, *, digest: str = ""
    ) -> str:
        edited = self._is_edited(said.card, place)
        try:
            card = await self._desk.answer(principal, ApprovalId(said.card), answer, digest=digest)
        except CarapaxError as error:
            return render_notice(error.what, error.next_step)
        return (
            "" if edited and card.state is not ApprovalState.WAITING else render_answered(card, self._language(place))
        )

    def _is_edited(self, card: str, place: Place) -> bool:
        """Whether the card's own message will say what became of it."""
        channel = self._channel(place)
        return (
            place.key in self._shown.get(card, {}) and channel is not None and Feature.EDIT in channel.facts().features
        )

    async def close(self) -> None:
        """Wait for what is on its way to the outbox."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _has_buttons(channel: Channel) -> bool:
    return Feature.BUTTONS in channel.facts().features
