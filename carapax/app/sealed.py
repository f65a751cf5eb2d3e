"""The sealed vault of one home, opened the same way by the gateway, the proxy and the command line.

Layer: app. Owns which folder, which key sources, which known services and which log key. Absent: where it is used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from carapax.adapters.providers.catalogue import SECRET_VARIABLES, SERVICES
from carapax.adapters.tools.web.engines.choice import BINDINGS
from carapax.adapters.vault.binding import service_binding
from carapax.adapters.vault.changes import Change, ChangeLog
from carapax.adapters.vault.environ import EnvironVault
from carapax.adapters.vault.folder import Folder, give_folder
from carapax.adapters.vault.keys import load_or_create_seed
from carapax.adapters.vault.keysource import MACHINE, PASSPHRASE, KeySources
from carapax.adapters.vault.moving import move_in
from carapax.adapters.vault.oauth import OAuthResolver, Post, form_post
from carapax.adapters.vault.sealed import Resolver, SealedVault
from carapax.app.clock import SystemClock
from carapax.app.home import Home
from carapax.app.settings import Settings, load_settings
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import CarapaxError, SettingsInvalid
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger

REMOTE_S = 10.0
"""How long another vault may take to answer."""


def known_bindings() -> dict[str, tuple[Binding, ...]]:
    """Where the keys of the known model services and search engines may be used."""
    found: dict[str, tuple[Binding, ...]] = {binding.handle: (binding,) for binding in BINDINGS}
    for service in SERVICES.values():
        header = "x-api-key" if service.wire == "anthropic" else "authorization"
        binding = (
            service_binding(service.secret, service.base_url, header) if urlsplit(service.base_url).scheme else None
        )
        if binding is not None:
            found[service.secret] = (binding,)
    return found


def _changes_key(home: Home) -> bytes:
    home.root.mkdir(
        mode=0o700, parents=True, exist_ok=True
    )  # before what lies in it, which would make it open to others
    return load_or_create_seed(home.keys / "changes.seed")


def open_sealed(
    home: Home, environ: Mapping[str, str], *, resolvers: Mapping[str, Resolver] | None = None
) -> SealedVault:
    """The vault of this home. Raises StoreUnavailable."""
    changes_key = _changes_key(home)
    keys = KeySources.here(home.keys / "vault.key", environ, changes_key=changes_key)
    return SealedVault.open(
        home.vault, keys, SystemClock(), defaults=known_bindings(), resolvers=resolvers or {}
    )  # fmt: skip


def open_whole(
    home: Home, environ: Mapping[str, str], *, resolvers: Mapping[str, Resolver] | None = None
) -> EnvironVault:
    """The same with the environment's keys before it. Raises StoreUnavailable."""
    sealed = open_sealed(home, environ, resolvers=resolvers)
    return EnvironVault(sealed, environ, SECRET_VARIABLES, known_bindings())


def open_for_proxy(home: Home, environ: Mapping[str, str], user: int | None) -> EnvironVault:
    """The whole vault for the one process that reads it, which then becomes `user` (None: stays). Raises StoreUnavailable.

    All that the user's rights would keep from it is read now: the machine's key, and the folder is given to that user.
    """
    changes_key = _changes_key(home)
    keys = KeySources.here(home.keys / "vault.key", environ, changes_key=changes_key)
    if user is not None:
        give_folder(home.vault, user, user)
        # Not beside another source: the key file would be made anew, and mean nothing.
        if SealedVault.open(home.vault, keys, SystemClock()).source in ("", MACHINE):
            keys = replace(keys, machine_seed=load_or_create_seed(home.keys / "vault.key"))
    clock, settings = SystemClock(), load_settings(home, {})

    async def login() -> str | None:
        return await sealed.value(settings.vault_secret)

    resolvers = _resolvers(settings, login, clock)
    sealed = SealedVault.open(home.vault, keys, clock, defaults=known_bindings(), resolvers=resolvers)
    return EnvironVault(sealed, environ, SECRET_VARIABLES, known_bindings())


def _resolvers(settings: Settings, secret: Callable[[], Awaitable[str | None]], clock: Clock) -> dict[str, Resolver]:
    """What finds the values of tokens that are renewed, and of secrets that another vault keeps."""
    resolvers: dict[str, Resolver] = {"oauth": OAuthResolver(_late_post(), clock)}
    if settings.vault_address:
        import httpx2

        from carapax.adapters.vault.hashicorp import AppRole, KvVault, RemoteResolver

        login = AppRole(settings.vault_role, secret) if settings.vault_role else secret
        client = httpx2.AsyncClient(base_url=_remote(settings.vault_address), trust_env=False, timeout=REMOTE_S)
        kv = KvVault(client, login, clock, mount=settings.vault_mount, namespace=settings.vault_namespace)
        resolvers["remote"] = RemoteResolver(kv)
    return resolvers


def _remote(address: str) -> str:
    """The address of another vault. Raises SettingsInvalid where it would send secrets in clear."""
    parts = urlsplit(address)
    near = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or parts.username or not (parts.scheme == "https" or (parts.scheme == "http" and near)):
        raise SettingsInvalid(
            "The setting vault_address is not an address that a secret may be asked of.",
            next_step="Write it as https://HOST:PORT (http:// only on this machine).",
        )
    return address


def _late_post() -> Post:
    """Posts forms; the client is made when the first token is renewed."""
    posts: list[Post] = []

    async def post(address: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        if not posts:
            import httpx2

            posts.append(form_post(httpx2.AsyncClient(trust_env=False)))
        return await posts[0](address, form)

    return post


def take_in(home: Home, vault: SealedVault) -> tuple[str, ...]:
    """Seal the secrets that an earlier version kept in clear; none while it is locked. Raises StoreUnavailable."""
    return () if vault.locked else move_in(vault, home.secrets)


def open_changes(home: Home) -> ChangeLog:
    """The log of changes alone, for a gateway that does not have the vault open. Raises StoreUnavailable."""
    return ChangeLog(Folder.open(home.vault), _changes_key(home))


async def record_changes(vault: SealedVault | ChangeLog, ledger: Ledger) -> int:
    """Take the changes of the vault over into the ledger, in order; how many. Raises LedgerUnavailable, StoreUnavailable.

    Ended between an entry and the clearing, a change is recorded twice, under the same id; never not at all.
    """
    count = 0
    for change in vault.pending_changes():
        await ledger.append(f"vault.{change.action}", change_body(change))
        vault.clear_changes(1)
        count += 1
    return count


def change_body(change: Change) -> dict[str, object]:
    """A change as the body of a ledger entry."""
    return {"id": change.id, "at_ms": change.time_ms, "handle": change.handle, "detail": change.detail}


def examine_vault(home: Home, environ: Mapping[str, str]) -> list[Check]:
    """The vault's lines of `carapax doctor`; looking makes nothing."""
    if not home.vault.exists():
        return [Check("vault", Standing.OK, "empty")]
    try:
        vault = open_sealed(home, environ)
        source = vault.source
        if not source:
            return [Check("vault", Standing.OK, "empty")]
        if source == PASSPHRASE and vault.locked:
            return [Check("vault", Standing.WARNING, "locked", "`carapax vault unlock` opens it.")]
        handles = vault.handles()
        for handle in handles:
            vault.find_secret(handle)
    except CarapaxError as error:
        return [Check("vault", Standing.FAILED, error.what, error.next_step)]
    found = f"{len(handles)} secret{'s' * (len(handles) != 1)} sealed, key from {source}"
    if source == MACHINE:
        step = "Its key lies on the same disk: `carapax vault protect --systemd`, or `--passphrase`."
        return [Check("vault", Standing.WARNING, found, step)]
    return [Check("vault", Standing.OK, found)]
