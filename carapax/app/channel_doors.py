"""What surfaces may ask about channels, people, and messages that were given up: a part of the gateway.

Layer: app; implements those methods of ports.gateway.Gateway. Laws: adding, removing, pairing and dropping are the
owner's; each is in the ledger before it happens; a hook is answered by its channel alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from carapax.adapters.channels.catalogue import Asked, get_manifest, manifests
from carapax.app.channels.board import Added
from carapax.app.channels.messengers import Messengers
from carapax.app.people import People
from carapax.core.terms.channel import HookAnswer, HookRequest
from carapax.core.terms.error import CarapaxError, Conflict, NotFound, Refused
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.terms.work import Work
from carapax.ports.engine import Engine
from carapax.ports.gateway import AskedFor, ChannelKind, ChannelState, LogLine, PairingCode
from carapax.ports.ledger import Ledger
from carapax.ports.store import Account, Pairing

HOOK_BYTES = 1 << 20
FILE_HOOK_BYTES = 12 << 20
_WITH_FILES = frozenset({"web"})


@dataclass(frozen=True, slots=True)
class Channelled:
    """What these doors open on."""

    messengers: Messengers
    people: People
    engine: Engine
    ledger: Ledger


class ChannelDoors:
    """The gateway's methods about channels."""

    def __init__(self, channelled: Channelled) -> None:
        self._c = channelled

    async def list_kinds(self, principal: Principal) -> Sequence[ChannelKind]:
        _look(principal)
        return [
            ChannelKind(m.kind, m.title, m.hook, tuple(_asked_for(asked) for asked in m.asks))
            for m in manifests().values()
        ]

    async def list_channels(self, principal: Principal) -> Sequence[ChannelState]:
        _look(principal)
        return self._c.messengers.board.states(self._c.messengers.outbox.queued)

    async def add_channel(
        self, principal: Principal, name: str, kind: str, values: Mapping[str, str], secrets: Mapping[str, str]
    ) -> tuple[ChannelState, Sequence[str]]:
        _own(principal)
        get_manifest(kind)
        body = {"channel": name, "kind": kind, "values": sorted(values), "secrets": dict(secrets), "by": principal.id}
        await self._c.ledger.append("channel.added", body)
        line, said = await self._c.messengers.board.add(Added(name, kind, values, secrets))
        return self._c.messengers.board.state(line), said

    async def test_channel(self, principal: Principal, name: str) -> Sequence[str]:
        _own(principal)
        return await self._c.messengers.board.test(name)

    async def remove_channel(self, principal: Principal, name: str) -> None:
        _own(principal)
        self._c.messengers.board.get(name)
        await self._c.ledger.append("channel.removed", {"channel": name, "by": principal.id})
        await self._c.messengers.board.remove(name)

    async def channel_log(self, principal: Principal, name: str, *, limit: int = 100) -> Sequence[LogLine]:
        _look(principal)
        return list(self._c.messengers.board.get(name).log)[-min(max(limit, 1), 200) :]

    def hook_bytes(self, name: str) -> int:
        line = self._c.messengers.board.find(name)
        if line is None:
            return 0
        return FILE_HOOK_BYTES if line.added.kind in _WITH_FILES else HOOK_BYTES

    async def hook(self, name: str, request: HookRequest) -> HookAnswer:
        board = self._c.messengers.board
        line = board.find(name)
        if line is None:
            return HookAnswer(404)
        try:
            return await line.channel.hook(request, lambda heard: board.hear(line, heard))
        except Refused as error:
            board.note(name, f"a call was refused: {error.what}")
            return HookAnswer(401)
        except CarapaxError as error:
            board.note(name, f"a call was not taken: {error.what}")
            return HookAnswer(503)

    # people

    async def make_pairing(self, principal: Principal, channel: str, person: str) -> PairingCode:
        _own(principal)
        if channel:
            self._c.messengers.board.get(channel)
        return await self._c.people.make_code(principal, channel, person)

    async def accept_pairing(self, principal: Principal, code: str, person: str) -> Account:
        _own(principal)
        return await self._c.people.accept(principal, code, person)

    async def list_pairings(self, principal: Principal) -> Sequence[Pairing]:
        _look(principal)
        return await self._c.people.pairings()

    async def list_accounts(self, principal: Principal) -> Sequence[Account]:
        _look(principal)
        return await self._c.people.accounts()

    async def drop_account(self, principal: Principal, channel: str, sender: str) -> None:
        _own(principal)
        await self._c.people.forget(principal, channel, sender)

    # what was given up

    async def list_dead(self, principal: Principal) -> Sequence[Work]:
        _look(principal)
        return await self._c.engine.dead()

    async def retry_dead(self, principal: Principal, short: str) -> Work:
        _own(principal)
        work = await self._dead(short)
        await self._c.ledger.append("message.retried", {"work": work.short, "kind": work.kind, "by": principal.id})
        await self._c.engine.retry(work.kind, work.key)
        return work

    async def drop_dead(self, principal: Principal, short: str) -> Work:
        _own(principal)
        work = await self._dead(short)
        await self._c.ledger.append("message.dropped", {"work": work.short, "kind": work.kind, "by": principal.id})
        await self._c.engine.drop(work.kind, work.key)
        return work

    async def _dead(self, short: str) -> Work:
        wanted = short.strip().lower()
        found = [work for work in await self._c.engine.dead(limit=1_000) if wanted and work.short.startswith(wanted)]
        if not found:
            raise NotFound(
                f"No message that was given up is called {short[:20]!r}.", next_step="See `carapax messages dead`."
            )
        if len(found) > 1:
            raise Conflict(f"{len(found)} begin with {short[:20]!r}.", next_step="Write more of it.")
        return found[0]


def _asked_for(asked: Asked) -> AskedFor:
    return AskedFor(**{field.name: getattr(asked, field.name) for field in fields(AskedFor)})


def _look(principal: Principal) -> None:
    if Scope.READ not in principal.scopes or principal.role not in (Role.OWNER, Role.OPERATOR):
        raise Refused("Only the owner and operators look at channels.")


def _own(principal: Principal) -> None:
    if Scope.ADMIN not in principal.scopes or principal.role is not Role.OWNER:
        raise Refused("Only the owner, with a token of scope admin, changes channels.")
