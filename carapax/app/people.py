"""People: whose account on which channel is whose, and the one-time codes that prove it.

Layer: app. Owns accounts and pairings, and what they make of a sender: a principal with the policy's role.
Absent: how a code is spelled and judged (core/channel/pairing), what a principal may do (policy).
Laws: a person is found by the platform's immutable id and nothing else; every account rests on a code that went from
one proven side to the other; what makes or ends an account is in the ledger first.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from carapax.core.channel.pairing import (
    CODES,
    TTL_MS,
    AskedAlready,
    Matched,
    Offer,
    Pair,
    Silent,
    Wrong,
    decide_code,
    decide_stranger,
    hash_code,
    read_code,
    show_code,
    spell_code,
)
from carapax.core.terms.channel import Evidence, Received
from carapax.core.terms.error import Malformed, NotFound, Refused
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.ports.clock import Clock
from carapax.ports.gateway import PairingCode
from carapax.ports.ledger import Ledger
from carapax.ports.store import Account, Pairing, Store

MOST_REMEMBERED = 10_000
"""Strangers whose tries and answers are remembered; the oldest are forgotten."""

_SCOPES = frozenset({Scope.CHAT, Scope.READ})
NAME_CHARS = 64


class People:
    """Everybody who is known on some channel."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        roles: Callable[[], Mapping[str, Role]],
        approvers: Callable[[], frozenset[Role]],
    ) -> None:
        self._store, self._ledger, self._clock = store, ledger, clock
        self._roles, self._approvers = roles, approvers
        self._told: OrderedDict[tuple[str, str], list[int]] = OrderedDict()
        self._tried: OrderedDict[tuple[str, str], list[int]] = OrderedDict()

    def principal(self, person: str, via: str) -> Principal:
        """A person as the policy sees them: the role it names; a guest otherwise."""
        if person == OWNER:
            return Principal(PrincipalId(person), Role.OWNER, frozenset(Scope), via)
        role = self._roles().get(person, Role.GUEST)
        scopes = _SCOPES | ({Scope.APPROVE} if role in self._approvers() else set())
        return Principal(PrincipalId(person), role, scopes | (set(Scope) if role is Role.OWNER else set()), via)

    async def find(self, heard: Received) -> Principal | None:
        """Who sent this; None for a stranger, and for whomever nothing vouches for."""
        if heard.evidence is Evidence.NONE:
            return None
        account = await self._store.find_account(heard.place.channel, heard.sender.id)
        return self.principal(account.person, f"channel:{account.channel}") if account is not None else None

    async def members(self, channel: str, senders: frozenset[str]) -> frozenset[PrincipalId] | None:
        """Who these accounts are; None when one of them is nobody here."""
        found = [await self._store.find_account(channel, sender) for sender in senders]
        return frozenset(each.person for each in found if each is not None) if all(found) else None

    # strangers

    async def greet(self, heard: Received) -> Pair | AskedAlready | Silent:
        """What a stranger gets; a code is kept before it is told."""
        now_ms, sender = self._clock.now_ms(), heard.sender
        who = (heard.place.channel, sender.id)
        waiting = [each for each in await self._store.list_pairings(now_ms=now_ms) if each.sender]
        here = [each for each in waiting if each.channel == who[0]]
        number = secrets.randbelow(CODES)
        said = decide_stranger(
            number=number,
            vouched=heard.evidence is not Evidence.NONE,
            bot=sender.bot,
            private=heard.place.private,
            waits=any(each.sender == sender.id for each in here),
            pending=len(here),
            told_ms=self._told.get(who, ()),
            now_ms=now_ms,
        )
        if isinstance(said, Pair):
            hash = hash_code(spell_code(number))
            body = {"channel": who[0], "sender": sender.id, "for": ""}
            await self._ledger.append("pairing", body)
            await self._store.put_pairing(Pairing(hash, who[0], sender.id, sender.name, "", now_ms, said.expires_ms))
        if not isinstance(said, Silent):
            _note(self._told, who, now_ms)
        return said

    async def redeem(self, heard: Received, text: str) -> Account | Wrong | Silent:
        """A sender gives a code that was made for a person: this account is theirs from now on."""
        now_ms = self._clock.now_ms()
        who = (heard.place.channel, heard.sender.id)
        if heard.evidence is Evidence.NONE or heard.sender.bot or not heard.place.private:
            return Silent()
        pairings = [each for each in await self._store.list_pairings(now_ms=now_ms) if each.person]
        judged = decide_code(
            text, [_offer(each) for each in pairings], channel=who[0], tried_ms=self._tried.get(who, ()), now_ms=now_ms
        )
        if isinstance(judged, Wrong):
            _note(self._tried, who, now_ms)
        if not isinstance(judged, Matched):
            return judged
        found = pairings[judged.at]
        return await self._join(found, who, heard.sender.name, found.person, f"code:{found.person}")

    # codes that somebody known makes or gives

    async def make_code(self, by: Principal, channel: str, person: str) -> PairingCode:
        """A code that this person sends to the agent from the account that is to be theirs. Raises Refused, Malformed."""
        check_person(person)
        if by.id != person:
            _need_owner(by)
        now_ms, code = self._clock.now_ms(), spell_code(secrets.randbelow(CODES))
        await self._ledger.append("pairing", {"channel": channel, "sender": "", "for": person, "by": by.id})
        await self._store.put_pairing(Pairing(hash_code(code), channel, "", "", person, now_ms, now_ms + TTL_MS))
        return PairingCode(show_code(code), channel, person, now_ms + TTL_MS)

    async def accept(self, by: Principal, text: str, person: str) -> Account:
        """Whoever was given this code is this person. Raises NotFound (wrong, used, expired), Refused, Malformed."""
        _need_owner(by)
        check_person(person)
        now_ms, code = self._clock.now_ms(), read_code(text)
        waiting = [each for each in await self._store.list_pairings(now_ms=now_ms) if each.sender]
        who = ("", by.id)
        judged = decide_code(
            code or "", [_offer(each) for each in waiting], channel="", tried_ms=self._tried.get(who, ()), now_ms=now_ms
        )
        if not isinstance(judged, Matched):
            _note(self._tried, who, now_ms)
            raise NotFound(
                "No such code waits: it is mistyped, used, or older than an hour.",
                next_step="Let them write to the agent again; they get a new one.",
            )
        found = waiting[judged.at]
        return await self._join(found, (found.channel, found.sender), found.name, person, f"accepted:{by.id}")

    async def _join(self, pairing: Pairing, who: tuple[str, str], name: str, person: str, by: str) -> Account:
        account = Account(who[0], who[1], PrincipalId(person), name, self._clock.now_ms(), by)
        await self._ledger.append("paired", {"channel": who[0], "sender": who[1], "person": person, "by": by})
        await self._store.put_account(account)
        await self._store.drop_pairing(pairing.hash)
        self._tried.pop(who, None)
        return account

    async def forget(self, by: Principal, channel: str, sender: str) -> None:
        """They are a stranger again. Raises NotFound, Refused."""
        _need_owner(by)
        if await self._store.find_account(channel, sender) is None:
            raise NotFound("There is no such account.", next_step="See `carapax people`.")
        await self._ledger.append("unpaired", {"channel": channel, "sender": sender, "by": by.id})
        await self._store.drop_account(channel, sender)

    async def accounts(self) -> Sequence[Account]:
        return await self._store.list_accounts()

    async def pairings(self) -> Sequence[Pairing]:
        """Codes that wait."""
        return await self._store.list_pairings(now_ms=self._clock.now_ms())


def check_person(person: str) -> None:
    """Whether this can be a person's name here. Raises Malformed."""
    if not 0 < len(person) <= NAME_CHARS or not all(c.isalnum() or c in "._-@" for c in person):
        raise Malformed("A person's name has 1 to 64 letters, digits and the signs . _ - @.")


def _offer(pairing: Pairing) -> Offer:
    return Offer(pairing.hash, pairing.channel, pairing.expires_ms)


def _need_owner(by: Principal) -> None:
    if by.role is not Role.OWNER:
        raise Refused("Only the owner says who somebody is.", next_step="Ask the owner of this agent.")


def _note(kept: OrderedDict[tuple[str, str], list[int]], who: tuple[str, str], now_ms: int) -> None:
    kept[who] = [*kept.get(who, [])[-9:], now_ms]
    kept.move_to_end(who)
    while len(kept) > MOST_REMEMBERED:
        kept.popitem(last=False)
