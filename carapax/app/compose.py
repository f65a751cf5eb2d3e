"""Composition: settings become a running gateway. The one place where every part meets.

Layer: app. Order: home and keys → policy → ledger → store → walls, tools, guard → recovery. Anything that fails on the
way ends the start with an exact error; nothing is served half.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import carapax
from carapax.adapters.egress.keeper import Keeper
from carapax.adapters.egress.kept import KeptEgress
from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.adapters.ledger.reader import read_entries
from carapax.adapters.sandbox.running import kill_recorded
from carapax.adapters.scan.adapter import TextScanner
from carapax.adapters.store.sql_store import SqlStore
from carapax.adapters.tools.extract.adapter import ExtractTools
from carapax.adapters.tools.files.adapter import FileTools
from carapax.adapters.tools.messages.adapter import MessageTools, Post
from carapax.adapters.tools.online.adapter import OnlineTools
from carapax.adapters.tools.shell.adapter import ShellTools
from carapax.adapters.tools.talk.adapter import TalkTools
from carapax.adapters.tools.web.adapter import WebTools
from carapax.adapters.tools.web.engines.choice import find_engine
from carapax.adapters.vault.environ import EnvironVault
from carapax.adapters.vault.keys import load_or_create_seed
from carapax.adapters.workspace.adapter import KeptWorkspace
from carapax.adapters.workspace.labels import WorkspaceLabels
from carapax.app.access import Access
from carapax.app.channel_doors import Channelled
from carapax.app.channels.messengers import Given, Messengers
from carapax.app.clock import SystemClock, spoken_code
from carapax.app.desk import Desk
from carapax.app.engines import database_address, is_shared, open_engine
from carapax.app.extraction import Extraction
from carapax.app.factor import Factor
from carapax.app.gate import EgressGate
from carapax.app.gateway import CarapaxGateway, Parts
from carapax.app.home import Home
from carapax.app.meter import Meter
from carapax.app.model_source import ModelSource
from carapax.app.people import People
from carapax.app.policy_file import PolicyFile
from carapax.app.recover import recover
from carapax.app.run_turn import Means
from carapax.app.sealed import open_changes, open_whole, record_changes, take_in
from carapax.app.settings import Settings
from carapax.app.stopping import sweep_left
from carapax.app.turns import Turns
from carapax.app.walls import Place, Walls, build_walls, open_keeper
from carapax.app.wards import Wards
from carapax.core.policy.channel_section import CLOSED, ChannelRule, find_rule
from carapax.core.terms.action import ToolManifest
from carapax.core.terms.error import CarapaxError, SettingsInvalid
from carapax.core.terms.ids import ApprovalId
from carapax.core.terms.principal import Role
from carapax.core.terms.tables import Tables
from carapax.core.terms.tier import Provenance, WallTier
from carapax.guard.monitor import Guard
from carapax.ports.clock import Clock
from carapax.ports.engine import Engine
from carapax.ports.provider import Provider
from carapax.ports.scanner import Scanner
from carapax.ports.tool import Tool

LOG = logging.getLogger("carapax.compose")
ORIGIN = "carapax.local/ledger"
RECOVERY_ENTRIES = 100_000
"""Entries looked at for the receipts of open calls, from the oldest open one on."""


@dataclass(slots=True)
class Running:
    """A composed gateway."""

    gateway: CarapaxGateway
    access: Access
    walls: Walls
    keeper: Keeper
    model: ModelSource | None
    turns: Turns
    interrupted: int
    _ledger: FileLedger
    _store: SqlStore
    _workspace: KeptWorkspace
    wards: Wards
    _home: Home
    messengers: Messengers

    async def record(self) -> None:
        """Take over into the ledger what the command line changed in the vault meanwhile."""
        try:
            if self._home.vault.exists():
                await record_changes(open_changes(self._home), self._ledger)
        except CarapaxError as error:  # kept in its log; tried again
            LOG.warning("changes of the vault are not in the ledger yet: %s", error.what)

    async def close(self) -> None:
        """Leave turns off where they are, then release everything, last the ledger."""
        await self.messengers.hang_up()
        await self.turns.close()
        await self.messengers.close()
        await self.wards.close()
        await self.access.close()
        if self.model is not None:
            await self.model.close()
        await asyncio.to_thread(self.keeper.close)
        await asyncio.to_thread(self.walls.close)
        await self.record()
        await self._ledger.append("gateway.stopped", {"version": carapax.__version__})
        await self._workspace.close()
        await self._store.close()
        await self._ledger.close()


def prepare_home(home: Home) -> None:
    """Make Carapax's own folder, closed to others. Raises SettingsInvalid."""
    try:
        for folder in (home.root, home.run, home.keys):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
    except OSError as error:
        raise SettingsInvalid(
            f"{home.root} cannot be used: {error.strerror}.", next_step="Set CARAPAX_HOME to a folder of your own."
        ) from error


def open_policy(home: Home, clock: Clock) -> PolicyFile:
    """The policy file with this machine's key; written from the template when there is none yet."""
    policy = PolicyFile(home.policy, load_or_create_seed(home.keys / "policy.seed"), clock)
    policy.begin()
    return policy


@dataclass(frozen=True, slots=True)
class _Base:
    """What everything else stands on."""

    home: Home
    clock: Clock
    policy: PolicyFile
    ledger: FileLedger
    store: SqlStore
    folder: Path  # the workspace's
    key: bytes  # of the guard's seal

    @classmethod
    def open(cls, home: Home, settings: Settings, clock: Clock) -> _Base:
        prepare_home(home)
        policy = open_policy(home, clock)
        ledger = FileLedger.open(home.ledger, load_or_create_seed(home.keys / "ledger.seed"), ORIGIN, clock)
        folder = settings.workspace_path()
        folder.mkdir(parents=True, exist_ok=True)
        store = SqlStore.open(database_address(home, settings), clock)
        return cls(home, clock, policy, ledger, store, folder, secrets.token_bytes(32))


@dataclass(frozen=True, slots=True)
class _Shell:
    """What keeps the rest in: the vault, the wards, the way out and the walls."""

    vault: EnvironVault
    taken: tuple[str, ...]
    wards: Wards
    gate: EgressGate
    keeper: Keeper
    walls: Walls

    @classmethod
    def build(
        cls,
        base: _Base,
        settings: Settings,
        environ: Mapping[str, str],
        manifests: Callable[[], Sequence[ToolManifest]],
    ) -> _Shell:
        home, policy, clock = base.home, base.policy, base.clock
        sweep_left(home.run, kill_recorded)
        vault = open_whole(home, environ)
        taken = take_in(home, vault.sealed)
        wards = Wards.open(home, base.folder, vault, clock, manifests)
        refuse = wards.hold.refuse_run
        gate = EgressGate(
            policy=policy.current, key=base.key, clock=clock, ledger=base.ledger, saw=wards.saw, refuse=refuse
        )
        keeper = open_keeper(home, environ, gate, settings.egress_trust)
        keeper.watch_for(wards.canaries.watched())
        walls = build_walls(
            Place(home, base.folder, base.key, clock, home.root), keeper, lambda: _floor(policy), refuse
        )
        return cls(vault, taken, wards, gate, keeper, walls)

    async def settle(self, ledger: FileLedger) -> None:
        """Record what became of the vault, and let go of it: from here on the proxy's process alone can open it."""
        if self.taken:
            await ledger.append("vault.taken_in", {"handles": list(self.taken)})
        await record_changes(self.vault.sealed, ledger)
        if self.vault.sealed.locked:
            await asyncio.to_thread(self.keeper.begin)  # its door takes the passphrase
        self.vault.sealed.close()

    def tools(self, base: _Base, settings: Settings, reader: Extraction, post: Post) -> tuple[Tool, ...]:
        """Every tool of this release."""
        sandbox = self.walls.sandbox
        engine = find_engine(settings.search_engine, settings.search_address)
        return (
            FileTools(sandbox),
            ExtractTools(sandbox, reader, base.clock),
            ShellTools(sandbox),
            TalkTools(base.store, base.clock),
            OnlineTools(sandbox, self.keeper, self.gate.refusals),
            WebTools(sandbox, self.keeper, engine),
            MessageTools(post, base.clock, base.key),
        )


async def compose(
    home: Home,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    ask_stop: Callable[[], None],
    clock: Clock | None = None,
    provider: Callable[[], Provider] | None = None,
) -> Running:
    """Build a gateway and recover what an earlier one left. Raises leaves of CarapaxError."""
    clock = clock or SystemClock()
    base = _Base.open(home, settings, clock)
    policy, ledger, store = base.policy, base.ledger, base.store
    shell = _Shell.build(base, settings, environ, lambda: guard.manifests())
    wards, keeper = shell.wards, shell.keeper
    workspace = KeptWorkspace(base.folder, home.versions)
    desk = Desk(store, clock, Factor(home.keys, clock), lambda: _approvers(policy))
    model = ModelSource(home, environ, KeptEgress(keeper)) if provider is None else None
    give = provider or (model.current if model is not None else None)
    assert give is not None
    scanner = wards.scanner(TextScanner(classes=lambda: _tables(policy).classes, elsewhere=keeper.find_held))
    labels = WorkspaceLabels(workspace, store, lambda: _tables(policy).places)
    # A tool asks for its turn's meter only when it runs, and then there are turns.
    reader = Extraction(give, labels, lambda: _tables(policy), lambda *paid: turns.charge(*paid))
    engine = await open_engine(home, settings, store, clock)
    people = People(store, ledger, clock, lambda: _roles(policy), lambda: _approvers(policy))
    messengers = _messengers(base, shell, settings, engine, people, desk, scanner)
    guard = Guard(
        policy=policy.current,
        ledger=ledger,
        store=store,
        approver=desk,
        workspace=workspace,
        tools=shell.tools(base, settings, reader, messengers),
        clock=clock,
        key=base.key,
        new_approval=lambda: ApprovalId(spoken_code(5)),
        labels=labels,
        scanner=scanner,
    )
    meter = Meter(store, clock)
    means = Means(store, guard, meter, clock, give, wards.hold, wards.lookout, ledger.append)
    turns = Turns(
        means, ledger=ledger, desk=desk, engine=engine, audience=messengers.audience, mode=messengers.mode,
        who=lambda turn: people.principal(turn.principal, f"resumed:{turn.channel}"),
    )  # fmt: skip
    wards.connect(ledger, shell.walls.sandbox, turns, policy.current, cut=keeper.cut, watch=keeper.watch_for)
    await wards.label_planted(store)
    access = Access(store, ledger, clock, lambda: _roles(policy))
    channelled = Channelled(messengers, people, engine, ledger)
    parts = Parts(
        store, ledger, guard, desk, turns, access, meter, workspace, policy, clock, give, ask_stop, wards, channelled
    )
    gateway = CarapaxGateway(parts)
    interrupted = await _begin(base, shell, settings, workspace, channelled, turns, gateway)
    return Running(
        gateway, access, shell.walls, keeper, model, turns, interrupted, ledger, store, workspace, wards,
        home, messengers,
    )  # fmt: skip


async def _begin(
    base: _Base,
    shell: _Shell,
    settings: Settings,
    workspace: KeptWorkspace,
    channelled: Channelled,
    turns: Turns,
    gateway: CarapaxGateway,
) -> int:
    """Record the start, take up what was left, then work and be reachable; how many turns went on."""
    messengers = channelled.messengers
    messengers.connect(turns, undo=gateway.undo_in_chat, status=gateway.status_in_chat)
    messengers.load()
    await base.ledger.append("gateway.started", _started_body(base.policy))
    await shell.settle(base.ledger)
    interrupted = await _recovered(base, workspace, turns, shared=is_shared(settings))
    await channelled.engine.launch()
    messengers.start(shell.wards.incidents.follow())
    return interrupted


def _messengers(
    base: _Base,
    shell: _Shell,
    settings: Settings,
    engine: Engine,
    people: People,
    desk: Desk,
    scanner: Scanner,
) -> Messengers:
    """Everything about channels; nothing is connected yet."""
    policy = base.policy
    return Messengers(
        Given(
            home=base.home,
            workspace=base.folder,
            store=base.store,
            ledger=base.ledger,
            engine=engine,
            clock=base.clock,
            egress=KeptEgress(shell.keeper),
            hold=shell.wards.hold,
            desk=desk,
            people=people,
            scanner=scanner,
            saw=shell.wards.saw,
            rule=lambda name: _channel_rule(policy, name),
            roles=lambda: _roles(policy),
            approvers=lambda: _approvers(policy),
            transcribe=_transcribe(settings, shell.keeper),
        )
    )


async def _recovered(base: _Base, workspace: KeptWorkspace, turns: Turns, *, shared: bool) -> int:
    """How many turns an earlier gateway left unfinished, now taken up.

    In a database that other gateways write too, what is open may be theirs: the engine takes over what dead ones left.
    """
    if shared:
        await workspace.unfinished()
        return 0
    return await recover(
        base.store,
        base.ledger,
        lambda first: read_entries(base.home.ledger, first, RECOVERY_ENTRIES),
        workspace,
        base.clock,
        turns.resume,
    )


def _tables(policy: PolicyFile) -> Tables:
    """The policy's tables; none without a valid policy, where nothing is allowed anyway."""
    try:
        return policy.current().tables
    except CarapaxError:
        return Tables()


def _roles(policy: PolicyFile) -> Mapping[str, Role]:
    """Who the policy names besides the owner; nobody without a valid one."""
    try:
        return policy.current().roles
    except CarapaxError:
        return {}


def _approvers(policy: PolicyFile) -> frozenset[Role]:
    """Who may answer cards; without a valid policy nothing is asked, so nobody."""
    try:
        return policy.current().approvers
    except CarapaxError:
        return frozenset()


def _floor(policy: PolicyFile) -> Mapping[Provenance, WallTier]:
    """What the policy wants of the walls beyond the usual; nothing without a valid policy, where nothing runs anyway."""
    try:
        return policy.current().walls
    except CarapaxError:
        return {}


def _transcribe(settings: Settings, keeper: Keeper) -> Callable[[bytes], Awaitable[str]] | None:
    """What writes down recordings, when the settings name it."""
    if not settings.transcriber_address:
        return None
    from carapax.adapters.providers.transcriber import Transcriber

    return Transcriber(
        KeptEgress(keeper), settings.transcriber_address, settings.transcriber_model, settings.transcriber_secret
    ).transcribe


def _channel_rule(policy: PolicyFile, name: str) -> ChannelRule:
    """What becomes of strangers and groups of a channel; nobody is answered without a valid policy."""
    try:
        return find_rule(policy.current().channels, name)
    except CarapaxError:
        return CLOSED


def _started_body(policy: PolicyFile) -> dict[str, str]:
    try:
        digest = str(policy.current().digest)
    except CarapaxError as error:
        digest = f"invalid: {error.what}"
    return {"version": carapax.__version__, "policy": digest}


async def abandon(running: Running) -> None:
    """Close after a failed start, whatever fails on the way."""
    await asyncio.gather(running.close(), return_exceptions=True)
