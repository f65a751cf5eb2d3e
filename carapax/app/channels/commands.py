"""Commands in a chat: what each does, for whom.

Layer: app. Absent: reading them (core/channel/commands). Laws: a command acts for its sender alone; what it may do is
checked where it is done, as for every other surface.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from carapax.app.channels.rooms import Rooms
from carapax.app.clock import new_id
from carapax.app.people import People
from carapax.app.turns import Turns
from carapax.core.channel.commands import Command, CommandName, Misread
from carapax.core.channel.pairing import TTL_MS
from carapax.core.channel.people import display
from carapax.core.channel.queue import QueueMode
from carapax.core.channel.shown import Language, render_misread, render_notice, render_queue, render_still, say
from carapax.core.terms.approval import Approval
from carapax.core.terms.channel import Person, Received
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.ids import SessionId
from carapax.core.terms.principal import Principal
from carapax.ports.clock import Clock
from carapax.ports.store import Store


@dataclass(frozen=True, slots=True)
class Commands:
    """Does what a command says; each answer is a text."""

    store: Store
    turns: Turns
    people: People
    rooms: Rooms
    clock: Clock
    waiting: Callable[[Principal], list[Approval]]
    undo: Callable[[Principal, SessionId], Awaitable[str]]
    status: Callable[[], Awaitable[str]]

    async def do(self, command: Command | Misread, principal: Principal, heard: Received, language: Language) -> str:
        """What to answer. Never raises for what a person can do wrong."""
        if isinstance(command, Misread):
            return render_misread(command, language)
        try:
            return await self._do(command, principal, heard, language)
        except CarapaxError as error:
            return render_notice(error.what, error.next_step)

    async def _do(self, command: Command, principal: Principal, heard: Received, language: Language) -> str:
        match command.name:
            case CommandName.HELP:
                return say(language, "help")
            case CommandName.STOP:
                return await self._stop(principal, heard, language)
            case CommandName.NEW:
                await self.rooms.begin_anew(principal, heard.place)
                return say(language, "new")
            case CommandName.UNDO:
                return await self.undo(principal, await self._session(principal, heard))
            case CommandName.APPROVALS:
                cards = self.waiting(principal) if heard.place.private else []
                return render_still(cards, language) if cards else say(language, "nothing_waits")
            case CommandName.STATUS:
                return await self.status()
            case CommandName.WHOAMI:
                return say(
                    language, "whoami", person=principal.id, role=principal.role.value, who=display(heard.sender),
                    channel=heard.place.channel,
                )  # fmt: skip
            case CommandName.QUEUE:
                return await self._queue(command, principal, heard, language)
            case CommandName.LINK | CommandName.PAIR:
                return await self._pair(command, principal, heard, language)

    async def _session(self, principal: Principal, heard: Received) -> SessionId:
        conversation = await self.rooms.conversation(principal, heard.place)
        now_ms = self.clock.now_ms()
        found = await self.store.open_session(SessionId(new_id(now_ms)), principal.id, conversation, now_ms)
        self.rooms.seen(found.id, heard.place)
        return found.id

    async def _stop(self, principal: Principal, heard: Received, language: Language) -> str:
        turn = self.turns.running_in(await self._session(principal, heard))
        if turn is None:
            return say(language, "nothing_runs")
        await self.turns.cancel(turn)
        return say(language, "stopped")

    async def _queue(self, command: Command, principal: Principal, heard: Received, language: Language) -> str:
        session = await self._session(principal, heard)
        if not command.argument:
            return render_queue(await self.rooms.mode(session), language, changed=False)
        mode = QueueMode(command.argument)
        await self.rooms.set_mode(session, mode)
        return render_queue(mode, language, changed=True)

    async def _pair(self, command: Command, principal: Principal, heard: Received, language: Language) -> str:
        """A code for one's other account, or the acceptance of a stranger's. Only where nobody reads along."""
        if not heard.place.private:
            return say(language, "only_private")
        if command.name is CommandName.LINK and not command.argument:
            code = await self.people.make_code(principal, "", principal.id)
            return say(language, "link.code", code=code.code, minutes=TTL_MS // 60_000)
        person = command.person or principal.id
        account = await self.people.accept(principal, command.argument, person)
        who = display(Person(account.sender, account.name))
        return say(language, "pair.accepted", who=who, channel=account.channel, person=account.person)
