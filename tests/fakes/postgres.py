"""PostgresServer: a real PostgreSQL of the test's own, on a UNIX socket only.

No TCP, no password: the socket lies in a folder that only its user enters. As root the server runs as `postgres`.
A watching shell holds a pipe to this process: when the test's process dies, however it dies, the server is stopped.
`shared_server()` is one for the whole test process; `database()` makes an empty database in milliseconds.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

USER = "carapax"
START_S, STOP_S = 60, 30
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
    "timezone": "UTC",
}
# The shell outlives a killed test by a moment: its standard input ends, it stops the server and removes the folder.
_WATCH = (
    'folder=$1; shift; "$@" & pid=$!; echo $pid; read word; kill -INT $pid 2>/dev/null; wait $pid;'
    ' [ "$word" = keep ] || rm -rf -- "$folder"'
)


def find_binaries() -> Path | None:
    """The folder of the newest installed PostgreSQL server."""
    found = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda p: int(p.parent.name), default=None)


def _reachable(folder: Path) -> bool:
    return all(p.stat().st_mode & 0o001 for p in (folder, *folder.parents))


class PostgresServer:
    """One cluster and its server: `start`, `url`, `database`, `stop`; `halt` and `resume` for faults."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self._root = os.geteuid() == 0
        self._folder: Path | None = None
        self._watch: subprocess.Popen[str] | None = None
        self._numbers = itertools.count(1)
        self.pid = 0

    def start(self, folder: Path | None = None) -> PostgresServer:
        """Make a cluster and serve it, in the folder where the server's user can reach that, else in the system's own."""
        binaries = find_binaries()
        if binaries is None:
            raise RuntimeError("no PostgreSQL server is installed (apt package postgresql)")
        self._binaries = binaries
        # A socket's whole path has at most 107 bytes; a test's folder may be longer than that.
        usable = folder is not None and len(str(folder)) < 60 and (not self._root or _reachable(folder))
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir=folder if usable else None))
        if self._root:
            account = pwd.getpwnam("postgres")
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        try:
            self._run(
                "initdb", "-D", str(self.cluster), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"
            )
            self.resume()
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def folder(self) -> Path:
        assert self._folder is not None, "the server was not started"
        return self._folder

    @property
    def url(self) -> str:
        """The address of the database that every cluster has."""
        return self.address("postgres")

    def address(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.folder), safe='')}"

    def database(self, name: str = "") -> str:
        """Make an empty database; its address."""
        name = name or f"d{next(self._numbers)}"
        self.query(f'CREATE DATABASE "{name}"')
        return self.address(name)

    def query(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the superuser; its rows."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def end_backends(self, database: str) -> int:
        """End every connection to a database, as an administrator would; how many."""
        sql = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        return len(self.query(sql))

    def halt(self, *, crash: bool = False) -> None:
        """Stop the server and keep the cluster; with `crash` nothing is written down first."""
        if self._watch is None:
            return
        assert self._watch.stdin is not None
        assert self._watch.stdout is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGQUIT if crash else signal.SIGINT)
        with contextlib.suppress(BrokenPipeError):
            self._watch.stdin.write("keep\n")
            self._watch.stdin.close()
        try:
            self._watch.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGQUIT)
            self._watch.wait(STOP_S)
        self._watch.stdout.close()
        self._watch = None

    def resume(self) -> None:
        """Serve the cluster (again)."""
        settings = _SETTINGS | {
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
        }
        words = [w for name, value in settings.items() for w in ("-c", f"{name}={value}")]
        command = [*self._as_server(), str(self._binaries / "postgres"), "-D", str(self.cluster), *words]
        with (self.folder / "log").open("ab") as log:
            self._watch = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, "watch", str(self.folder), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                text=True,
                start_new_session=True,  # a Ctrl-C for the tests is no order to the server
            )
        assert self._watch.stdout is not None
        self.pid = int(self._watch.stdout.readline())
        self._await_ready()

    def stop(self) -> None:
        """Stop the server and remove what it kept. May be called twice."""
        self.halt()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _await_ready(self) -> None:
        until = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > until or not self._lives():
                    log = (self.folder / "log").read_text(errors="replace")[-2_000:]
                    raise RuntimeError(f"PostgreSQL did not start: {log}") from error
                time.sleep(0.02)

    def _lives(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _as_server(self) -> list[str]:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if self._root else []

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as_server(), str(self._binaries / program), *words]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr[-2_000:]}")


@functools.cache
def shared_server() -> PostgresServer:
    """One server for the whole test process; it is stopped when the process ends."""
    server = PostgresServer().start()
    atexit.register(server.stop)
    return server
