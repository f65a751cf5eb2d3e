"""Doctor: checks everything Carapax depends on, and says what to do for each failure.

Layer: app. Works with and without a running gateway; changes nothing. Each check is one function that returns Checks
and never raises for what it looks for.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from carapax.app.clock import SystemClock
from carapax.app.engines import database_address
from carapax.app.home import Home
from carapax.app.sealed import examine_vault
from carapax.app.settings import Settings, load_settings
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import CarapaxError, LedgerCorrupt
from carapax.ports.sandbox import Sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carapax.app.walls import Walls
    from carapax.app.way_probe import TrialKeeper

MIN_FREE_BYTES = 1 << 30
CLOCK_SLACK_MS = 2_000
OLD_TOKEN_MS = 30 * 86_400_000


def examine(home: Home, environ: Mapping[str, str]) -> list[Check]:
    """Every check, in the order to read them."""
    clock = SystemClock()
    checks = [_system(), _python()]
    try:
        settings = load_settings(home, environ)
        checks.append(Check("settings", Standing.OK, str(home.settings) if home.settings.exists() else "defaults"))
    except CarapaxError as error:
        return [*checks, Check("settings", Standing.FAILED, error.what, error.next_step)]
    steps: tuple[Callable[[], Sequence[Check]], ...] = (
        lambda: _permissions(home),
        lambda: _disk(home),
        lambda: _policy(home, clock),
        lambda: _ledger(home, clock),
        lambda: _store(home, settings, clock),
        lambda: _model(home, settings, environ),
        lambda: examine_vault(home, environ),
        lambda: _exposure(home, settings),
        lambda: _walls(home, settings, clock),
    )
    for step in steps:
        began = clock.monotonic_ms()
        try:
            found = step()
        except CarapaxError as error:
            found = [Check(error.code.split(".")[0], Standing.FAILED, error.what, error.next_step)]
        took = clock.monotonic_ms() - began
        checks += [Check(c.name, c.standing, c.found, c.next_step, c.duration_ms or took) for c in found]
    return checks


def _system() -> Check:
    found = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if sys.platform != "linux":
        return Check(
            "system",
            Standing.FAILED,
            found,
            "Carapax acts on Linux only: namespaces, seccomp and bubblewrap are missing here. Use a Linux virtual machine.",
        )
    return Check("system", Standing.OK, found)


def _python() -> Check:
    return Check("python", Standing.OK, f"Python {platform.python_version()}")


def _permissions(home: Home) -> list[Check]:
    if not home.root.exists():
        return [Check("home", Standing.WARNING, f"{home.root} does not exist yet", "It is made at the first start.")]
    paths = [
        home.root,
        home.keys,
        *home.keys.glob("*"),
        home.store,
        home.cli_token,
        home.policy,
        *home.secrets.glob("*"),
    ]
    open_to_others = [p for p in paths if p.exists() and stat.S_IMODE(p.stat().st_mode) & 0o077]
    foreign = [p for p in paths if p.exists() and p.stat().st_uid != os.geteuid()]
    if open_to_others:
        path = open_to_others[0]
        return [Check("home", Standing.FAILED, f"others may open {path}", f"chmod go-rwx {path}")]
    if foreign:
        return [
            Check(
                "home",
                Standing.FAILED,
                f"{foreign[0]} belongs to another user",
                f"chown it: chown -R $USER {home.root}",
            )
        ]
    return [Check("home", Standing.OK, f"{home.root}, readable by its owner only")]


def _disk(home: Home) -> list[Check]:
    place = next(p for p in (home.root, *home.root.parents) if p.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / (1 << 30):.1f} GiB free at {place}"
    if free < MIN_FREE_BYTES:
        return [Check("disk", Standing.WARNING, found, "Below 1 GiB; make room, or the next write may be refused.")]
    return [Check("disk", Standing.OK, found)]


def _policy(home: Home, clock: SystemClock) -> list[Check]:
    from carapax.adapters.vault.keys import load_or_create_seed
    from carapax.app.policy_file import PolicyFile

    if not home.policy.exists():
        standing = Standing.FAILED if home.ledger.exists() else Standing.WARNING
        return [
            Check(
                "policy", standing, "there is no policy yet", "`carapax policy init` writes and signs the home policy."
            )
        ]
    file = PolicyFile(home.policy, load_or_create_seed(home.keys / "policy.seed"), clock)
    policy = file.current()
    found = f"{policy.name}, serial {policy.serial}, {len(policy.rules)} rules, signed, until {policy.expires}"
    if file.review_due(policy):
        step = "Read it, write a new `review` date and serial, then `carapax policy sign`."
        return [Check("policy", Standing.WARNING, f"{found}, to be read again since {policy.review}", step)]
    return [Check("policy", Standing.OK, found)]


def _ledger(home: Home, clock: SystemClock) -> list[Check]:
    from carapax.adapters.ledger.reader import read_entries, verify_ledger
    from carapax.app.keys import ledger_public_key

    if not home.ledger.exists():
        return [Check("ledger", Standing.WARNING, "there is none yet", "It is made at the first start.")]
    try:
        verified = verify_ledger(home.ledger, ledger_public_key(home), None)
    except LedgerCorrupt as error:
        return [Check("ledger", Standing.FAILED, error.what, error.next_step)]
    checks = [Check("ledger", Standing.OK, f"{verified.size:,} entries, head {verified.root.hex()[:12]}, verified")]
    newest = read_entries(home.ledger, limit=1, newest=True)
    behind_ms = newest[-1].time_ms - clock.now_ms() if newest else 0
    if behind_ms > CLOCK_SLACK_MS:
        found = f"{behind_ms // 1000} s behind the ledger's last entry"
        return [*checks, Check("clock", Standing.FAILED, found, "Set the clock, then `carapax doctor` again.")]
    return [*checks, Check("clock", Standing.OK, "not behind the ledger")]


def _store(home: Home, settings: Settings, clock: SystemClock) -> list[Check]:
    from carapax.adapters.store.sql_store import SqlStore

    if not settings.database and not home.store.exists():
        return [Check("store", Standing.WARNING, "there is none yet", "It is made at the first start.")]

    async def look() -> list[Check]:
        store = SqlStore.open(database_address(home, settings), clock)
        try:
            checks = [await store.check()]
            now_ms = clock.now_ms()
            tokens = [t for t in await store.list_tokens() if not t.revoked and t.expires_ms > now_ms]
            old = [t for t in tokens if now_ms - t.created_ms > OLD_TOKEN_MS and t.name != "command line"]
            if old:
                found = f"{len(tokens)} tokens, {len(old)} older than 30 days"
                checks.append(
                    Check("tokens", Standing.WARNING, found, "`carapax token list`, then revoke what is not needed.")
                )
            else:
                checks.append(Check("tokens", Standing.OK, f"{len(tokens)}, none older than 30 days"))
            return checks
        finally:
            await store.close()

    return asyncio.run(look())


def _model(home: Home, settings: Settings, environ: Mapping[str, str]) -> list[Check]:
    from carapax.adapters.providers.catalogue import EMBEDDED, SERVICES
    from carapax.adapters.providers.embedded.weights import FILE_NAME, MODEL, is_marked
    from carapax.app.model_source import present_choice
    from carapax.app.sealed import open_whole

    choice = present_choice(settings, environ)
    if choice.provider == EMBEDDED:
        path = home.models / FILE_NAME
        if not path.exists():
            return [Check("model", Standing.FAILED, f"embedded {MODEL}: the file is missing", "Run `make setup`.")]
        if not is_marked(path):
            return [
                Check(
                    "model", Standing.FAILED, f"{path.name} was not verified", "Run `make setup`; it checks the digest."
                )
            ]
        return [Check("model", Standing.OK, f"embedded {MODEL}, digest verified")]
    service = SERVICES[choice.provider]
    needs = service.needs_key and choice.secret not in open_whole(home, environ).handles()
    if needs:
        return [
            Check("model", Standing.FAILED, f"{choice.label} {choice.model}: no key", "`carapax model` asks for it.")
        ]
    return [Check("model", Standing.OK, f"{choice.label} {choice.model}, at {choice.host}")]


def _exposure(home: Home, settings: Settings) -> list[Check]:
    from carapax.surfaces.api.settings import is_loopback

    if is_loopback(settings.host):
        return [Check("exposure", Standing.OK, f"listens on {settings.host} only, port {settings.port}")]
    if settings.tls_cert:
        return [
            Check(
                "exposure",
                Standing.WARNING,
                f"listens on {settings.host} with TLS",
                "Everybody who reaches it can try tokens.",
            )
        ]
    return [
        Check("exposure", Standing.FAILED, f"{settings.host} without TLS", 'Set host = "127.0.0.1" in the settings.')
    ]


def _walls(home: Home, settings: Settings, clock: SystemClock) -> list[Check]:
    with _try_out(home, settings, clock) as walls:
        return summarise(list(asyncio.run(_probe(walls.first))))


def examine_walls(home: Home, environ: Mapping[str, str]) -> list[Check]:
    """Every attempt in every tier of this machine, and what must work through a way out, one check each.

    Takes a minute or two where a machine is emulated.
    """
    from carapax.app.way_probe import trial_way

    with trial_way() as online, _try_out(home, load_settings(home, environ), SystemClock(), online) as walls:
        return list(asyncio.run(_probe(walls.sandbox)))


async def _probe(sandbox: Sandbox) -> Sequence[Check]:
    return await sandbox.probe()


@contextmanager
def _try_out(home: Home, settings: Settings, clock: SystemClock, online: TrialKeeper | None = None) -> Iterator[Walls]:
    """The walls over the workspace, or over a folder that goes again where there is none yet; their records go, too."""
    from carapax.app.walls import Place, build_walls

    workspace = settings.workspace_path()
    with tempfile.TemporaryDirectory(prefix="carapax-doctor-") as scratch:
        own = Home(Path(scratch, "home"))
        folder = workspace if workspace.exists() else Path(scratch, "workspace")
        folder.mkdir(exist_ok=True)
        walls = build_walls(Place(own, folder, secrets.token_bytes(32), clock, home.root), online, dict, online=online)
        try:
            yield walls
        finally:
            walls.close()


def summarise(checks: Sequence[Check]) -> list[Check]:
    """The walls in one line when all hold, else every one that does not."""
    bad = [check for check in checks if check.standing is Standing.FAILED]
    notes = [check for check in checks if check.standing is Standing.WARNING]
    held = len(checks) - len(bad) - len(notes)
    standing = Standing.FAILED if bad else Standing.OK
    total = Check("walls", standing, f"{held} of {len(checks) - len(notes)} hold", bad[0].next_step if bad else "")
    return [total, *bad, *notes]
