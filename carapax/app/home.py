"""Carapax's own folder: where everything that the agent may never reach lies.

Layer: app. Light to import: the command line needs nothing else of `app` to find a running gateway.
"""

from __future__ import annotations

import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Home:
    """Paths inside one home. Nothing in it is ever mounted into a sandbox."""

    __slots__ = ("root",)

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def settings(self) -> Path:
        return self.root / "settings.toml"

    @property
    def policy(self) -> Path:
        return self.root / "policy" / "home.yaml"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    @property
    def store(self) -> Path:
        return self.root / "store.sqlite"

    @property
    def engine(self) -> Path:
        """Where the DBOS engine keeps work, when it is chosen without PostgreSQL."""
        return self.root / "engine.sqlite"

    @property
    def channels(self) -> Path:
        """One file for each messenger that was added."""
        return self.root / "channels"

    @property
    def outbox(self) -> Path:
        """Files on their way out, by digest."""
        return self.root / "outbox"

    @property
    def versions(self) -> Path:
        return self.root / "versions"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def vault(self) -> Path:
        return self.root / "vault"

    @property
    def vault_door(self) -> Path:
        return self.run / "vault.sock"

    @property
    def models(self) -> Path:
        return Path(os.environ.get("CARAPAX_MODELS") or self.root / "models")

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def stopped(self) -> Path:
        """While it is there, nothing runs and nothing leaves (`carapax stop --all`)."""
        return self.run / "stopped"

    @property
    def jobs(self) -> Path:
        """One file per running job."""
        return self.run / "jobs"

    @property
    def build(self) -> Path:
        """Programs of our own that were compiled here, by digest."""
        return self.root / "build"

    @property
    def guest(self) -> Path:
        """A kernel package unpacked for the disposable machine; without it this machine's own kernel is used."""
        return Path(os.environ.get("CARAPAX_GUEST_KERNEL") or Path.home() / ".cache" / "carapax-guest")

    @property
    def incidents(self) -> Path:
        return self.root / "incidents"

    @property
    def canaries(self) -> Path:
        return self.root / "canaries.json"

    @property
    def address(self) -> Path:
        return self.run / "gateway.json"

    @property
    def cli_token(self) -> Path:
        return self.run / "cli.token"

    @property
    def log(self) -> Path:
        return self.root / "gateway.log"


def find_home(environ: Mapping[str, str]) -> Home:
    """Where Carapax keeps its state: CARAPAX_HOME, or ~/.carapax."""
    return Home(Path(environ.get("CARAPAX_HOME") or Path.home() / ".carapax").absolute())
