"""The store port's suite: accounts, pairings, places and channels' notes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from carapax.core.terms.channel import Place
from carapax.core.terms.error import Malformed, NotFound, TooLarge
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.label import OWNER
from carapax.ports.store import Account, KnownPlace, Pairing, Store
from tests.conformance.store.rig import Drive, Ticks

ANNA = PrincipalId("anna")


def account(sender: str = "1", channel: str = "telegram", **more: object) -> Account:
    return replace(Account(channel, sender, OWNER, "Öwner \0", 5, "code:owner"), **more)  # type: ignore[arg-type]


def pairing(hashed: str = "h1", **more: object) -> Pairing:
    return replace(Pairing(hashed, "telegram", "1", "Stranger", "", 5, 100), **more)  # type: ignore[arg-type]


def known(chat: str = "c", last_ms: int = 5, person: PrincipalId = OWNER, **more: object) -> KnownPlace:
    place = replace(Place("telegram", chat), **more)  # type: ignore[arg-type]
    return KnownPlace(person, place, last_ms)


def test_an_account_belongs_to_whom_was_said_last(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        assert await store.find_account("telegram", "1") is None
        await store.put_account(account())
        await store.put_account(account("2"))
        assert await store.find_account("telegram", "1") == account()
        await store.put_account(account(person=ANNA, name="x", since_ms=9, by="link:mail/a"))
        assert await store.find_account("telegram", "1") == account(person=ANNA, name="x", since_ms=9, by="link:mail/a")
        assert await store.find_account("telegram", "2") == account("2")
        for channel, sender in (("telegram", "3"), ("mail", "1"), ("", "")):
            assert await store.find_account(channel, sender) is None

    drive(scene)


def test_accounts_are_listed_by_channel_and_person(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        assert list(await store.list_accounts()) == []
        made = [account("9"), account("1", "mail"), account("3", person=ANNA), account("2")]
        for one in made:
            await store.put_account(one)
        assert list(await store.list_accounts()) == [made[1], made[2], made[0], made[3]]

    drive(scene)


def test_an_account_is_dropped_once(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await store.put_account(account())
        await store.put_account(account("1", "mail"))
        await store.drop_account("telegram", "1")
        with pytest.raises(NotFound, match="1 on telegram"):
            await store.drop_account("telegram", "1")
        assert list(await store.list_accounts()) == [account("1", "mail")]

    drive(scene)


def test_of_many_who_say_whose_account_it_is_one_stands(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        people = [PrincipalId(f"p{n}") for n in range(30)]
        await asyncio.gather(*[store.put_account(account(person=person)) for person in people])
        assert list(await store.list_accounts()) == [account(person=people[-1])]

    drive(scene)


def test_what_cannot_be_stored_is_refused_and_replaces_nothing(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await store.put_account(account())
        await store.put_place(known())
        for write in (
            store.put_account(account(name="\ud800")),
            store.put_pairing(pairing(name="\ud800")),
            store.put_place(known(thread="\ud800")),
            store.write_note("telegram", "\ud800", b""),
        ):
            with pytest.raises(Malformed):
                await write
        assert list(await store.list_accounts()) == [account()]
        assert list(await store.places_of(OWNER)) == [known()]

    drive(scene)


def test_a_pairing_is_kept_replaced_and_dropped(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        first, second = pairing(), pairing("h2", sender="", person="owner", channel="", made_ms=1)
        await store.put_pairing(first)
        await store.put_pairing(second)
        assert list(await store.list_pairings(now_ms=9)) == [first, second]
        await store.put_pairing(replace(first, tries=3))
        assert list(await store.list_pairings(now_ms=9)) == [replace(first, tries=3), second]
        await store.drop_pairing("h1")
        await store.drop_pairing("h1")
        assert list(await store.list_pairings(now_ms=9)) == [second]

    drive(scene)


def test_an_expired_pairing_is_forgotten_for_good(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        early, late = pairing(), pairing("h2", expires_ms=101)
        await store.put_pairing(early)
        await store.put_pairing(late)
        assert list(await store.list_pairings(now_ms=99)) == [early, late]
        assert list(await store.list_pairings(now_ms=100)) == [late]
        assert list(await store.list_pairings(now_ms=0)) == [late]  # also when a clock goes back

    drive(scene)


def test_places_are_listed_newest_first_and_only_this_persons(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        made = [known("a", 5), known("b", 9), known("c", 7, thread="t", private=False), known("a", 8, ANNA)]
        for one in made:
            await store.put_place(one)
        assert list(await store.places_of(OWNER)) == [made[1], made[2], made[0]]
        assert list(await store.places_of(ANNA)) == [made[3]]
        assert list(await store.places_of(OWNER, limit=2)) == [made[1], made[2]]
        assert list(await store.places_of(OWNER, limit=0)) == []
        assert list(await store.places_of(OWNER, limit=-1)) == []
        assert list(await store.places_of(PrincipalId("nobody"))) == []

    drive(scene)


def test_a_place_is_known_once_and_as_it_was_last(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await store.put_place(known("a", 5))
        await store.put_place(known("b", 6))
        await store.put_place(known("a", 9, private=False))
        await store.put_place(known("a", 7, thread="t"))
        wanted = [known("a", 9, private=False), known("a", 7, thread="t"), known("b", 6)]
        assert list(await store.places_of(OWNER)) == wanted

    drive(scene)


def test_a_note_is_kept_byte_for_byte(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        assert await store.read_note("matrix", "cursor") is None
        every = bytes(range(256))
        await store.write_note("matrix", "cursor", every)
        await store.write_note("matrix", "keys", b"")
        await store.write_note("mail", "cursor", b"other")
        assert await store.read_note("matrix", "cursor") == every
        assert await store.read_note("matrix", "keys") == b""
        await store.write_note("matrix", "cursor", b"next")
        assert await store.read_note("matrix", "cursor") == b"next"
        assert await store.read_note("mail", "cursor") == b"other"

    drive(scene)


def test_a_note_has_a_ceiling(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        most = b"x" * (1 << 20)
        await store.write_note("matrix", "keys", most)
        with pytest.raises(TooLarge):
            await store.write_note("matrix", "keys", most + b"x")
        assert await store.read_note("matrix", "keys") == most

    drive(scene)


def test_a_channel_that_is_removed_leaves_nothing_of_its_own(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        for channel in ("telegram", "mail"):
            await store.put_account(account("1", channel))
            await store.write_note(channel, "cursor", b"c")
            await store.put_place(KnownPlace(OWNER, Place(channel, "c"), 5))
        await store.put_pairing(pairing())
        await store.drop_notes("telegram")
        await store.drop_notes("telegram")
        assert list(await store.list_accounts()) == [account("1", "mail")]
        assert list(await store.places_of(OWNER)) == [KnownPlace(OWNER, Place("mail", "c"), 5)]
        assert await store.read_note("telegram", "cursor") is None
        assert await store.read_note("mail", "cursor") == b"c"
        assert list(await store.list_pairings(now_ms=9)) == [pairing()]

    drive(scene)
