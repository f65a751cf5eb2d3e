"""Which database and which engine: one file of this machine, or PostgreSQL for several.

Layer: app. Law: what is kept is kept in one place: with PostgreSQL both the store and the work lie there, so that
another machine can take both over.
"""

from __future__ import annotations

from carapax.app.home import Home
from carapax.app.settings import Settings
from carapax.core.terms.error import SettingsInvalid
from carapax.ports.clock import Clock
from carapax.ports.engine import Engine
from carapax.ports.store import Store

EMBEDDED, DBOS = "embedded", "dbos"


def is_shared(settings: Settings) -> bool:
    """Whether other gateways may write the same database."""
    return settings.database.startswith(("postgresql:", "postgres:"))


def database_address(home: Home, settings: Settings) -> str:
    """Where the store lies."""
    return settings.database or str(home.store)


async def open_engine(home: Home, settings: Settings, store: Store, clock: Clock) -> Engine:
    """The engine that the settings name. Raises SettingsInvalid, StoreUnavailable."""
    shared = is_shared(settings)
    chosen = settings.engine or (DBOS if shared else EMBEDDED)
    if chosen not in (EMBEDDED, DBOS):
        raise SettingsInvalid(f"{chosen!r} is no engine; there are: {EMBEDDED}, {DBOS}.")
    if chosen == EMBEDDED and shared:
        raise SettingsInvalid(
            "The embedded engine is for a database file of one machine.",
            next_step=f'Set engine = "{DBOS}", or leave it out.',
        )
    if chosen == DBOS:
        from carapax.adapters.engine.dbos.adapter import DbosEngine  # half a second and 50 MB: only when it is wanted

        return await DbosEngine.open(settings.database or str(home.engine), clock)
    from carapax.adapters.engine.embedded.adapter import EmbeddedEngine

    return EmbeddedEngine(store, clock)
