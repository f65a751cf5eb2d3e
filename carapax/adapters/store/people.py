"""People: whose account it is, pairings, places where somebody was heard, and channels' own notes.

Layer: adapters/store. Reads and writes together, because a list of pairings forgets the expired ones.
Absent: what a code is, and who may pair (`app`); a code is here only as its SHA-256.
"""

from __future__ import annotations

from carapax.adapters.store import rows, rules, sqlite_text
from carapax.adapters.store.link import Link
from carapax.core.terms.error import NotFound
from carapax.core.terms.ids import PrincipalId
from carapax.ports.store import Account, KnownPlace, Pairing


def put_account(link: Link, account: Account) -> None:
    """Store whose account it is, or replace it."""
    link.write(
        sqlite_text.put_account,
        channel=account.channel,
        sender=account.sender,
        person=account.person,
        name=account.name,
        since_ms=account.since_ms,
        by=account.by,
    )


def find_account(link: Link, channel: str, sender: str) -> Account | None:
    """The account, or None."""
    found = link.row(sqlite_text.account_of_sender, channel=channel, sender=sender)
    return None if found is None else rows.account_of(found)


def list_accounts(link: Link) -> list[Account]:
    """At most 10,000, by channel and person."""
    return [rows.account_of(r) for r in link.rows(sqlite_text.all_accounts, limit=rules.ACCOUNTS)]


def drop_account(link: Link, channel: str, sender: str) -> None:
    """Forget an account."""
    if not link.write(sqlite_text.drop_account, channel=channel, sender=sender):
        raise NotFound(f"nobody is paired as {sender} on {channel}", next_step="See `carapax people`.")


def put_pairing(link: Link, pairing: Pairing) -> None:
    """Store a code's hash, or what became of it after a try."""
    link.write(
        sqlite_text.put_pairing,
        hash=pairing.hash,
        channel=pairing.channel,
        sender=pairing.sender,
        name=pairing.name,
        person=pairing.person,
        made_ms=pairing.made_ms,
        expires_ms=pairing.expires_ms,
        tries=pairing.tries,
    )


def list_pairings(link: Link, now_ms: int) -> list[Pairing]:
    """What has not expired, in the order it was stored, at most 10,000; the expired ones are removed."""
    link.write(sqlite_text.forget_pairings, now_ms=now_ms)
    return [rows.pairing_of(r) for r in link.rows(sqlite_text.all_pairings, limit=rules.ACCOUNTS)]


def drop_pairing(link: Link, hashed: str) -> None:
    """Forget a code; one that is not there is forgotten already."""
    link.write(sqlite_text.drop_pairing, hash=hashed)


def put_place(link: Link, known: KnownPlace) -> None:
    """Store where a person was heard, or when they were heard there last."""
    link.write(
        sqlite_text.put_place,
        person=known.person,
        channel=known.place.channel,
        chat=known.place.chat,
        thread=known.place.thread,
        private=known.place.private,
        last_ms=known.last_ms,
    )


def places_of(link: Link, person: PrincipalId, limit: int) -> list[KnownPlace]:
    """Newest first."""
    found = link.rows(sqlite_text.places_of_person, person=person, limit=max(0, limit))
    return [rows.known_place_of(r) for r in found]


def read_note(link: Link, channel: str, name: str) -> bytes | None:
    """The note, or None."""
    found = link.row(sqlite_text.note_by_name, channel=channel, name=name)
    return None if found is None else rows.note_of(found, channel, name)


def write_note(link: Link, channel: str, name: str, value: bytes) -> None:
    """Store a note, or replace it."""
    link.write(sqlite_text.put_note, channel=channel, name=name, value=value)


def drop_notes(link: Link, channel: str) -> None:
    """Forget what a channel kept, whose accounts were on it, and where people were heard."""
    for statement in (sqlite_text.drop_notes, sqlite_text.drop_accounts, sqlite_text.drop_places):
        link.write(statement, channel=channel)
