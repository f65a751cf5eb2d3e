"""Place: which PostgreSQL server and database, and whether the address may be used.

Layer: adapters/store. Owns the address in the settings: no secret stands in it, and a server on another machine is
asked for its certificate unless the operator said otherwise in so many words.
Source: postgresql.org/docs/current/libpq-connect.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from carapax.core.terms.error import StoreUnavailable

SCHEMES = ("postgresql://", "postgres://")
CONNECT_S = 5
_SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_DEFAULTS = {
    "connect_timeout": str(CONNECT_S),
    "fallback_application_name": "carapax",
    "client_encoding": "UTF8",
    # a server that vanished without a word is noticed within a minute
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect. `name` is for people; the words of the connection may hold a user's name and no secret."""

    name: str
    words: str = field(repr=False)


def names_server(address: str) -> bool:
    """Whether the address names a PostgreSQL server and not a file."""
    return address.lower().startswith(SCHEMES)


def find_server(address: str) -> Server:
    """The server of a `postgresql://…` address. Raises StoreUnavailable, which never repeats the address."""
    # Imported here: only whoever keeps the store on PostgreSQL pays for the driver.
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        words = {name: str(value) for name, value in conninfo_to_dict(address).items() if value is not None}
    except psycopg.Error:  # its text repeats the address
        words = {}
    if not words:
        raise StoreUnavailable(
            "the address of the database does not parse",
            next_step="Write postgresql://USER@HOST/DATABASE, or postgresql:///DATABASE for this machine's own server.",
        ) from None
    if any(words.get(name) for name in _SECRETS):
        raise StoreUnavailable(
            "the address of the database holds a password; settings are no place for one",
            next_step="Take it out, and use peer authentication, a password file (PGPASSFILE, mode 0600) or a service file.",
        )
    if _is_far(words) and "sslmode" not in words:
        words["sslmode"] = "verify-full"
    database = words.get("dbname", "the user's own")
    return Server(f"{database} on {words.get('host') or 'this machine'}", make_conninfo("", **_DEFAULTS | words))


def _is_far(words: dict[str, str]) -> bool:
    """Whether any host is reached over a network; a service file says for itself."""
    hosts = [h for name in ("host", "hostaddr") for h in words.get(name, "").split(",") if h]
    return any(not _is_near(host) for host in hosts)


def _is_near(host: str) -> bool:
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
