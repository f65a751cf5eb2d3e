"""Where people can be reached: the private places in which they were heard, and which of those bear an approval.

Layer: app. Absent: sending (`outbox`) and who somebody is (`people`).
Laws: a word for a person goes only to a private place of theirs; a card goes only where the platform itself vouches for
whoever answers, and never to a place that has others' words in the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from carapax.app.channels.board import Board
from carapax.app.channels.outbox import Outbox
from carapax.app.channels.pack import Blob, Letter
from carapax.core.terms.channel import Place
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Role
from carapax.ports.clock import Clock
from carapax.ports.store import KnownPlace, Store

WEAK = frozenset({"mail", "sms"})
"""Kinds whose senders can be forged by others than their platform: nobody approves anything there."""


@dataclass(frozen=True, slots=True)
class Posts:
    """Finds places and posts the gateway's own words there."""

    store: Store
    board: Board
    outbox: Outbox
    clock: Clock

    async def heard(self, person: PrincipalId, place: Place, known: dict[str, int]) -> None:
        """Remember that somebody was heard in a place; written at most once a minute."""
        now_ms, key = self.clock.now_ms(), f"{person}\0{place.key}"
        if now_ms - known.get(key, 0) > 60_000:
            known[key] = now_ms
            await self.store.put_place(KnownPlace(person, place, now_ms))

    def bears_cards(self, place: Place) -> bool:
        """Whether an approval may be asked and answered in a place."""
        line = self.board.find(place.channel)
        return place.private and line is not None and line.added.kind not in WEAK and line.state != "refused"

    async def find(self, person: PrincipalId, *, but: Iterable[str] = (), weak: bool = False) -> Place | None:
        """The private place where a person was heard last, on a channel that stands; not on channels of `but`."""
        without = set(but)
        for known in await self.store.places_of(person):
            place = known.place
            line = self.board.find(place.channel)
            if place.channel in without or line is None or not place.private or line.state == "refused":
                continue
            if weak or line.added.kind not in WEAK:
                return place
        return None

    async def approvers(self, roles: Mapping[str, Role], wanted: frozenset[Role]) -> Sequence[PrincipalId]:
        """Everybody who is paired somewhere and may answer cards."""
        people = {account.person for account in await self.store.list_accounts()}
        return sorted(p for p in people if (Role.OWNER if p == OWNER else roles.get(p, Role.GUEST)) in wanted)

    async def tell(
        self, person: PrincipalId, text: str, key: str, *, but: Iterable[str] = (), files: tuple[Blob, ...] = ()
    ) -> bool:
        """Post a word to a person, wherever they can be reached; False when nowhere."""
        place = await self.find(person, but=but, weak=True)
        if place is None:
            return False
        await self.outbox.post(Letter(place, text, files=files), key)
        return True
