"""The inbox: what comes in from messengers, kept before it is acknowledged, and taken for what it is.

Layer: app. Owns the order in which a message is looked at: who sent it, whether it is for the agent, an answer to a
card, a command, or words for a turn. Absent: each of these themselves.
Laws: nothing of a stranger is kept or shown to a model; the same event is one message; what is kept is looked at in
the order of its conversation; of two bots that answer each other, the agent stops first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from carapax.agent.small.language import find_language
from carapax.app.channels.board import Line
from carapax.app.channels.cards import Cards
from carapax.app.channels.commands import Commands
from carapax.app.channels.files import Came, Files
from carapax.app.channels.live import Live
from carapax.app.channels.outbox import Outbox
from carapax.app.channels.pack import (
    Back,
    Blob,
    Letter,
    event_key,
    fit_received,
    lane_of,
    pack_back,
    pack_received,
    unpack_back,
    unpack_received,
)
from carapax.app.channels.posts import Posts
from carapax.app.channels.rooms import Rooms
from carapax.app.people import People
from carapax.app.run_turn import PRIVATE, was_taken
from carapax.app.turns import MAX_TEXT_BYTES, MAX_WAITING, Crowded, Turns
from carapax.core.channel.commands import read_command
from carapax.core.channel.loops import Exchange, decide_bot, digest_words
from carapax.core.channel.pairing import TTL_MS, AskedAlready, Pair, Wrong, read_code
from carapax.core.channel.people import display
from carapax.core.channel.shown import Language, render_notice, render_request, say
from carapax.core.policy.channel_section import ChannelRule
from carapax.core.terms.channel import Feature, Heard, Place, Received, Removed
from carapax.core.terms.conversation import Inbound, Turn, TurnState
from carapax.core.terms.error import CarapaxError, Unavailable
from carapax.core.terms.event import TurnEnded
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal
from carapax.core.terms.work import Work
from carapax.ports.channel import ChannelFailed
from carapax.ports.clock import Clock
from carapax.ports.engine import Engine, RetryLater
from carapax.ports.store import Account

LOG = logging.getLogger("carapax.inbox")
KIND = "inbound"
TRIES = 5
MOST_PLACES = 10_000
SHED_MS = 60_000
TAKEN = "👀"


@dataclass(slots=True)
class _Seen:
    """What is remembered of a place, in memory only."""

    bots: deque[Exchange] = field(default_factory=lambda: deque(maxlen=32))
    language: Language = "en"
    shed_ms: int = 0


class Inbox:
    """Takes in what channels hear."""

    def __init__(
        self,
        *,
        engine: Engine,
        people: People,
        turns: Turns,
        outbox: Outbox,
        posts: Posts,
        cards: Cards,
        commands: Commands,
        rooms: Rooms,
        files: Files,
        clock: Clock,
        rule: Callable[[str], ChannelRule],
        transcribe: Callable[[bytes], Awaitable[str]],
    ) -> None:
        self._engine, self._people, self._turns = engine, people, turns
        self._outbox, self._posts, self._cards, self._commands = outbox, posts, cards, commands
        self._rooms, self._files, self._clock, self._rule = rooms, files, clock, rule
        self._transcribe = transcribe
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._met: dict[str, int] = {}
        self._tongue: dict[str, Language] = {}
        self._marks: set[asyncio.Task[None]] = set()
        self._live: dict[str, tuple[Live, asyncio.Task[None]]] = {}
        engine.register(KIND, self._work, tries=TRIES)
        turns.begun = self._begun
        turns.ended = self._ended

    # hearing

    async def listen(self, line: Line, heard: Heard) -> None:
        """Take what a channel heard; durable when it returns. Raises StoreUnavailable."""
        if isinstance(heard, Removed):
            await self._rooms.left(heard)
            return
        if not heard.pressed and not heard.place.private and not heard.addressed:
            return
        principal = await self._people.find(heard)
        if principal is None:
            await self._stranger(heard)
            return
        if not heard.place.private and self._rule(heard.place.channel).groups == "off":
            return
        fitting = fit_received(heard)
        await self._engine.start(KIND, event_key(heard), pack_received(fitting), lane=lane_of(heard.place))
        if fitting.text != heard.text:
            text = say(self._learn(heard), "cut", count=len(fitting.text))
            await self._say(heard, text, "cut")

    async def _stranger(self, heard: Received) -> None:
        """Pair or be silent. What a stranger writes is nobody's, so nothing of it is kept."""
        if heard.edited or not heard.place.private:
            return
        language = self._learn(heard)
        code = _code_of(heard.text)
        if code is not None:
            said = await self._people.redeem(heard, code)
            if isinstance(said, Account):
                await self._welcome(heard, said, language)
                return
            if isinstance(said, Wrong):
                await self._say(heard, say(language, "pair.wrong", left=said.left), "wrong")
            return
        if self._rule(heard.place.channel).strangers != "pair":
            return
        greeted = await self._people.greet(heard)
        match greeted:
            case Pair(code=shown):
                await self._say(heard, say(language, "pair.stranger", code=shown, minutes=TTL_MS // 60_000), "pair")
                asked = render_request(heard.sender, heard.place.channel, self._language_of(OWNER))
                await self._posts.tell(OWNER, asked, f"request:{event_key(heard)}")
            case AskedAlready():
                await self._say(heard, say(language, "pair.waits"), "waits")

    async def _welcome(self, heard: Received, account: Account, language: Language) -> None:
        await self._posts.heard(account.person, heard.place, self._met)
        await self._say(heard, say(language, "pair.done", person=account.person), "paired")
        if account.person != OWNER:
            who = display(heard.sender)
            text = say(
                self._language_of(OWNER), "pair.accepted", who=who, channel=heard.place.channel, person=account.person
            )
            await self._posts.tell(OWNER, text, f"joined:{event_key(heard)}")

    # taking it for what it is

    async def _work(self, work: Work) -> None:
        heard = unpack_received(work.body)
        principal = await self._people.find(heard)
        line = self._posts.board.find(heard.place.channel)
        if principal is None or line is None:  # forgotten or removed meanwhile
            return
        language = self._learn(heard)
        if heard.place.private:
            self._tongue[principal.id] = language
            await self._posts.heard(principal.id, heard.place, self._met)
        if heard.sender.bot and not self._answers_bot(heard):
            return
        said = await self._cards.answer(principal, heard)
        if said is not None:
            await self._say(heard, said, "answer")
            return
        if heard.pressed:
            return
        self._outbox.heard(heard.place)
        if heard.edited:
            return  # what was taken stays as it was taken: an edit changes nothing that was approved or done
        if not heard.forwarded and (command := read_command(heard.text)) is not None:
            await self._say(heard, await self._commands.do(command, principal, heard, language), "command")
            return
        await self._take(line, principal, heard, language)

    async def _take(self, line: Line, principal: Principal, heard: Received, language: Language) -> None:
        """Make a turn of it."""
        came = await self._fetch(line, heard, language)
        for number, refused in enumerate(came.refused):
            await self._say(heard, refused, f"file:{number}")
        words, quoted = await self._words(heard, came, language)
        if not words:
            return
        conversation = await self._rooms.conversation(principal, heard.place)
        inbound = Inbound(
            text=words,
            channel=heard.place.channel if heard.place.private else f"{heard.place.channel}:group",
            conversation=conversation,
            key=event_key(heard),
            quoted=quoted,
            files=came.paths,
            readers=await self._rooms.readers(heard.place),
            source=heard.place.key,
            waits=True,
            back=pack_back(Back(heard.place, heard.message)),
        )
        try:
            turn = await self._turns.accept(principal, inbound)
        except Crowded:
            await self._shed(heard, language)
            return
        except Unavailable as error:  # it is taken up again by the next process
            raise RetryLater(error.what, counts=False) from error
        except CarapaxError as error:
            await self._say(heard, render_notice(f"{error.what} {error.kept}".strip(), error.next_step), "error")
            return
        self._rooms.seen(turn.session, heard.place)
        # Aside: a platform that is slow to set a mark must not hold up what is said next.
        mark = asyncio.create_task(self._acknowledge(line, heard))
        self._marks.add(mark)
        mark.add_done_callback(self._marks.discard)

    async def _fetch(self, line: Line, heard: Received, language: Language) -> Came:
        if not heard.files:
            return Came()
        try:
            return await self._files.take(line.channel, heard, language)
        except ChannelFailed as error:
            raise RetryLater(error.what, after_ms=error.retry_after_ms) from error
        except CarapaxError as error:
            return Came(refused=(render_notice(error.what, ""),))

    async def _words(self, heard: Received, came: Came, language: Language) -> tuple[str, str]:
        """The sender's own words, and others'. A forwarded text is others' words, whoever forwards it."""
        own, quoted = (
            (heard.text, heard.quoted) if not heard.forwarded else ("", f"{heard.text}\n{heard.quoted}".strip())
        )
        for recording in came.voice:
            own = f"{own}\n{await self._transcribe(recording)}".strip()
        if any(attached.voice for attached in heard.files) and not came.voice and not own.strip():
            await self._say(heard, say(language, "voice"), "voice")
            return "", ""
        if came.notes:
            quoted = "\n".join([quoted, "Files that came with it:", *came.notes]).strip()
        if not own.strip() and (quoted or came.paths):
            own = "Look at what I sent you." if language == "en" else "Regarde ce que je t'ai envoyé."
        cut = own.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore").replace("\0", "")
        return cut.strip(), quoted

    async def _shed(self, heard: Received, language: Language) -> None:
        seen, now_ms = self._place(heard.place), self._clock.now_ms()
        if now_ms - seen.shed_ms > SHED_MS:
            seen.shed_ms = now_ms
            await self._say(heard, say(language, "shed", count=MAX_WAITING), "shed")

    async def _acknowledge(self, line: Line, heard: Received) -> None:
        """A mark on the message, where the platform has them; nothing depends on it."""
        if Feature.REACT in line.channel.facts().features and heard.message:
            try:
                async with asyncio.timeout(10):
                    await line.channel.react(heard.place, heard.message, TAKEN)
            except (CarapaxError, TimeoutError) as error:
                LOG.info("no mark on %s: %s", heard.place.channel, error)

    def _answers_bot(self, heard: Received) -> bool:
        seen, said = self._place(heard.place), digest_words(heard.text)
        answers = decide_bot(
            tuple(seen.bots),
            said=said,
            own=self._outbox.own_words(heard.place),
            paired=True,
            addressed=heard.addressed,
            now_ms=self._clock.now_ms(),
        )
        seen.bots.append(Exchange(self._clock.now_ms(), heard.sender.id, said, answers))
        return answers

    # the turn, and its reply

    def _begun(self, turn: Turn, packed: str) -> None:
        back = unpack_back(packed)
        line = self._posts.board.find(back.place.channel) if back is not None else None
        if back is None or line is None:
            return
        live = Live(line.channel, back.place, f"live:{turn.id}", lambda: self._rooms.held(turn.session))
        self._live[turn.id] = live, asyncio.create_task(self._follow(turn, live))

    async def _follow(self, turn: Turn, live: Live) -> None:
        await live.follow(await self._turns.follow(turn.id))

    async def _ended(self, turn: Turn, ended: TurnEnded, packed: str) -> None:
        """Post the reply. Called again after a crash: the key makes it one letter."""
        back = unpack_back(packed)
        message = await self._grown(turn)
        if back is None or ended.code == "paused":
            return
        text = ended.reply
        if was_taken(ended):
            return
        # A file was read for this reply, so it goes where the reply goes, and nowhere when there is none.
        files = await self._rooms.attached(turn) if ended.state is TurnState.DONE else ()
        if ended.code == PRIVATE:
            text, files = await self._privately(turn, text, files), ()
        letter = Letter(
            back.place, text or "…", reply_to="" if back.place.private else back.message, files=files, edits=message,
            session=turn.session,
        )  # fmt: skip
        await self._outbox.post(letter, f"reply:{turn.id}")

    async def _grown(self, turn: Turn) -> str:
        """The message that already grew for this reply."""
        live, task = self._live.pop(turn.id, (None, None))
        if live is None or task is None:
            return ""
        await live.finish()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return live.message

    async def _privately(self, turn: Turn, text: str, files: tuple[Blob, ...]) -> str:
        """Send a reply that not everybody in a group may read to the person who asked; what the group reads instead."""
        told = await self._posts.tell(turn.principal, text, f"private:{turn.id}", files=files)
        return say(self._language_of(turn.principal), "private.told" if told else "private.untold")

    # words of the gateway's own

    async def _say(self, heard: Received, text: str, what: str) -> None:
        if text:
            reply_to = "" if heard.place.private else heard.message
            await self._outbox.post(Letter(heard.place, text, reply_to=reply_to), f"{what}:{event_key(heard)}")

    def _place(self, place: Place) -> _Seen:
        seen = self._seen.setdefault(place.key, _Seen())
        self._seen.move_to_end(place.key)
        while len(self._seen) > MOST_PLACES:
            self._seen.popitem(last=False)
        return seen

    def _learn(self, heard: Received) -> Language:
        """The language of a place, by what was last said there."""
        seen = self._place(heard.place)
        if len(heard.text.split()) > 2 and not heard.forwarded and not heard.text.startswith("/"):
            seen.language = find_language([heard.text]).value
        return seen.language

    def language(self, place: Place) -> Language:
        """The language in which the gateway speaks in a place."""
        found = self._seen.get(place.key)
        return found.language if found is not None else "en"

    def _language_of(self, person: str) -> Language:
        return self._tongue.get(person, "en")

    async def close(self) -> None:
        """End what follows turns."""
        for live, _ in self._live.values():
            live.cancel()
        tasks = [*self._marks, *(task for _, task in self._live.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _code_of(text: str) -> str | None:
    """A code that a message is, alone or behind /link, /start or /pair."""
    words = text.strip().split(maxsplit=1)
    if len(words) == 2 and words[0].lower().split("@")[0] in ("/link", "/start", "/pair", "/lier"):
        return read_code(words[1])
    return read_code(text)
