"""Place of a server: what an address may hold, what it is never made to repeat, and when a certificate is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from psycopg.conninfo import conninfo_to_dict

from carapax.adapters.store.postgres_place import find_server, names_server
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.error import StoreUnavailable
from tests.unit.adapters.store.test_store_versions import Still

WORD = "hunter2"


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("postgresql:///carapax", True),
        ("postgres://me@127.0.0.1/carapax", True),
        ("PostgreSQL://me@127.0.0.1/carapax", True),
        ("/var/lib/carapax/store.db", False),
        ("sqlite:////a/b.db", False),
        ("postgresql.db", False),
        ("mysql://127.0.0.1/x", False),
    ],
)
def test_an_address_names_a_server_or_a_file(address: str, server: bool) -> None:
    assert names_server(address) is server


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://me:{WORD}@127.0.0.1/x",
        f"postgresql://127.0.0.1/x?user=me&password={WORD}",
        f"postgresql:///x?sslpassword={WORD}",
        f"postgresql:///x?oauth_client_secret={WORD}",
        f"postgresql:///x?scram_client_key={WORD}",
        f"postgresql:///x?scram_server_key={WORD}",
        f"postgres://me:{WORD}@/x?host=%2Ftmp",
    ],
)
def test_a_secret_in_the_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        SqlStore.open(address, Still())
    error = caught.value
    assert "password" in error.what
    for way in ("PGPASSFILE", "peer", "service file"):
        assert way in error.next_step
    assert WORD not in f"{error.what} {error.kept} {error.next_step} {error!r}"


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://me:{WORD}@[::1/x",
        f"postgresql:///x?no_such_word={WORD}",
        f"postgresql:///x%00{WORD}",
        f"postgresql:///x?passfile=%zz{WORD}",
    ],
)
def test_an_address_that_does_not_parse_is_not_repeated(address: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        find_server(address)
    error = caught.value
    assert "postgresql://USER@HOST/DATABASE" in error.next_step
    assert WORD not in f"{error.what} {error.kept} {error.next_step}"
    assert error.__cause__ is None
    assert error.__suppress_context__  # the driver's text repeats the address; no log shows it


@pytest.mark.parametrize(
    ("address", "sslmode"),
    [
        ("postgresql:///x", None),
        ("postgresql:///x?host=%2Frun%2Fpostgresql", None),
        ("postgresql://@localhost/x", None),
        ("postgresql://me@127.0.0.1:5433/x", None),
        ("postgresql://me@[::1]/x", None),
        ("postgresql:///x?service=main", None),
        ("postgresql://me@db.invalid/x", "verify-full"),
        ("postgresql://me@127.0.0.1,db.invalid/x", "verify-full"),
        ("postgresql://me@localhost/x?hostaddr=192.0.2.7", "verify-full"),
        ("postgresql://me@192.0.2.7/x", "verify-full"),
        ("postgresql://me@localhost.invalid/x", "verify-full"),
        ("postgresql://me@db.invalid/x?sslmode=require", "require"),
        ("postgresql://me@db.invalid/x?sslmode=disable", "disable"),
    ],
)
def test_a_far_server_must_show_its_certificate_unless_told_otherwise(address: str, sslmode: str | None) -> None:
    assert conninfo_to_dict(find_server(address).words).get("sslmode") == sslmode


def test_what_the_address_says_stands_and_the_rest_is_bounded() -> None:
    words = conninfo_to_dict(find_server("postgresql://me@127.0.0.1:5433/x?connect_timeout=9").words)
    assert {name: words[name] for name in ("user", "host", "port", "dbname", "connect_timeout")} == {
        "user": "me",
        "host": "127.0.0.1",
        "port": "5433",
        "dbname": "x",
        "connect_timeout": "9",
    }
    assert conninfo_to_dict(find_server("postgresql:///x").words)["connect_timeout"] == "5"
    assert {"keepalives_idle", "tcp_user_timeout", "fallback_application_name"} <= words.keys()


def test_a_server_is_named_for_people_without_its_user() -> None:
    assert find_server("postgresql://me@127.0.0.1/x").name == "x on 127.0.0.1"
    assert find_server("postgresql:///x").name == "x on this machine"
    shown = repr(find_server("postgresql://somebody@127.0.0.1/x"))
    assert "somebody" not in shown


def test_the_driver_is_loaded_for_a_server_only() -> None:
    program = (
        "import sys\n"
        "from carapax.adapters.store.sql_store import SqlStore\n"
        "def loaded(): return any(m.split('.')[0] == 'psycopg' for m in sys.modules)\n"
        "before = loaded()\n"
        "from carapax.adapters.store.postgres_place import find_server\n"
        "find_server('postgresql:///x')\n"
        "print(before, loaded())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False True\n"
