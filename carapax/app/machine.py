"""What the command line needs from this machine: implements surfaces.cli.local.Local.

Layer: app. Every import beyond the standard library and terms is inside the method that needs it, because the command
line must start in 150 ms.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from carapax.app.compose import Running
    from carapax.app.factor import Factor
    from carapax.app.local_egress import EgressDesk
    from carapax.app.local_vault import VaultDesk
    from carapax.app.local_wards import WardsDesk
    from carapax.app.policy_file import PolicyFile
    from carapax.app.policy_local import PolicyDesk
    from carapax.core.terms.check import Check
    from carapax.core.terms.limit import Budget, Budgets, Span
    from carapax.ports.vault import Vault
    from carapax.surfaces.cli.banner import Banner
    from carapax.surfaces.cli.local import ModelChoice, Saved, Served, ServeOptions, Started


class Machine:
    """Implements Local for one environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        from carapax.app.home import find_home

        self._environ = environ
        self._home = find_home(environ)

    def home(self) -> Path:
        return self._home.root

    # the gateway

    def start_gateway(self) -> Started:
        import subprocess

        from carapax.surfaces.cli.local import Started

        self._home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = self._home.root / "start.log"
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "carapax.app.entry", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=dict(self._environ),
            )

        def ended() -> str:
            if process.poll() is None:
                return ""
            lines = log.read_text("utf-8", "replace").strip().splitlines()
            said = " ".join(line.strip() for line in lines[-3:])
            return said or f"it ended with code {process.returncode}"

        return Started(process.pid, ended)

    def serve(self, options: ServeOptions, banner: Banner, on_ready: Callable[[Served], None]) -> int:
        from dataclasses import replace

        import carapax
        from carapax.app.serve import serve
        from carapax.app.settings import load_settings
        from carapax.surfaces.cli.local import ServeOptions

        settings = load_settings(self._home, self._environ)
        default = ServeOptions()
        if options.host != default.host:
            settings = replace(settings, host=options.host)
        if options.port != default.port:
            settings = replace(settings, port=options.port)
        if options.certificate and options.key:
            settings = replace(settings, tls_cert=str(options.certificate), tls_key=str(options.key))
        banner.begin(carapax.__version__, first=not self._home.store.exists())

        def on_composed(running: Running) -> None:
            _introduce(running, self.policy_file(), banner)

        def on_walls(checks: list[Check], seconds: float) -> None:
            from carapax.app.doctor import summarise

            total, *others = summarise(checks)
            banner.checks("walls", [total], f"in {seconds:.1f} s")
            for other in others:
                banner.fact("", other.next_step)

        return serve(
            self._home,
            settings,
            self._environ,
            on_composed=on_composed,
            on_ready=on_ready,
            on_walls=on_walls,
        )

    def doctor(self, *, walls: bool = False) -> Sequence[Check]:
        from carapax.app.doctor import examine, examine_walls

        return (examine_walls if walls else examine)(self._home, self._environ)

    # the ledger

    def ledger_show(self, first: int | None, limit: int, newest: bool) -> Sequence[Mapping[str, Any]]:
        from carapax.adapters.ledger.reader import read_entries
        from carapax.core.terms.plain import plain

        return [plain(entry) for entry in read_entries(self._ledger(), first or 0, limit, newest)]

    def ledger_verify(self, kept_checkpoint: str | None) -> Mapping[str, Any]:
        from carapax.adapters.ledger.reader import verify_ledger
        from carapax.app.keys import ledger_public_key

        verified = verify_ledger(self._ledger(), ledger_public_key(self._home), kept_checkpoint)
        return {
            "entries": verified.size,
            "root": verified.root.hex(),
            "duration_ms": int(verified.seconds * 1000),
            "notes": list(verified.notes),
            "unsigned": verified.unsigned,
            "checkpoint": verified.checkpoint,
        }

    def ledger_prove(self, index: int) -> Mapping[str, Any]:
        from carapax.adapters.ledger.reader import prove_entry, verify_proof
        from carapax.app.keys import ledger_public_key
        from carapax.core.terms.plain import plain

        text = prove_entry(self._ledger(), index)
        proven = verify_proof(text, ledger_public_key(self._home))
        return {"proof": text, "entry": plain(proven.entry), "verified": True}

    def ledger_export(self) -> Iterator[bytes]:
        from carapax.adapters.ledger.reader import export_ledger

        return export_ledger(self._ledger())

    def _ledger(self) -> Path:
        if not self._home.ledger.is_dir():
            from carapax.core.terms.error import NotFound

            raise NotFound("There is no ledger yet.", next_step="It is made at the first start: `carapax chat`.")
        return self._home.ledger

    # the policy

    def policy_file(self) -> PolicyFile:
        """The signed policy of this home."""
        from carapax.adapters.vault.keys import load_or_create_seed
        from carapax.app.clock import SystemClock
        from carapax.app.policy_file import PolicyFile

        return PolicyFile(self._home.policy, load_or_create_seed(self._home.keys / "policy.seed"), SystemClock())

    def policy(self) -> PolicyDesk:
        import time

        from carapax.app.policy_local import PolicyDesk

        return PolicyDesk(self.policy_file(), self._home.ledger, int(time.time() * 1000))

    def redteam(self, folder: str | None, policy_file: str | None, *, open_policy: bool) -> Mapping[str, Any]:
        from carapax.app.replay import command

        given = command.policy_of(policy_file) if policy_file else None
        policy = command.open_policy() if open_policy else given or self.policy_file().current()
        return command.replay_folder(folder, policy, lambda line: print(line, file=sys.stderr))

    # incidents, canaries, the stop of everything

    def wards(self) -> WardsDesk:
        from carapax.app.local_wards import WardsDesk

        def workspace() -> Path:
            from carapax.app.settings import load_settings

            return load_settings(self._home, self._environ).workspace_path()

        def vault() -> Vault:
            from carapax.app.sealed import open_whole

            return open_whole(self._home, self._environ)

        return WardsDesk(self._home, workspace, vault)

    # the secrets

    def vault(self) -> VaultDesk:
        from carapax.app.local_vault import VaultDesk

        return VaultDesk(self._home, self._environ)

    # the way out

    def egress(self) -> EgressDesk:
        import time

        from carapax.app.local_egress import EgressDesk

        return EgressDesk(self.policy_file(), self._home.ledger, int(time.time() * 1000))

    # the owner's second factor

    def factor_offer(self) -> Mapping[str, Any]:
        from dataclasses import asdict

        from carapax.core.terms.label import OWNER

        return asdict(self._factor().offer(OWNER))

    def factor_confirm(self, secret: str, code: str) -> None:
        from carapax.core.terms.label import OWNER

        self._factor().confirm(OWNER, secret, code)

    def factor_remove(self) -> None:
        from carapax.core.terms.label import OWNER

        self._factor().remove(OWNER)

    def factor_status(self) -> Mapping[str, Any]:
        from carapax.core.terms.label import OWNER

        factor = self._factor()
        return {"standing": factor.standing(OWNER).value, "locked_until_ms": factor.locked_until_ms(OWNER)}

    def _factor(self) -> Factor:
        from carapax.app.clock import SystemClock
        from carapax.app.factor import Factor

        return Factor(self._home.keys, SystemClock())

    # settings

    def model_choices(self) -> Sequence[ModelChoice]:
        from carapax.adapters.providers.catalogue import COMPATIBLE, EMBEDDED, SERVICES
        from carapax.app.model_source import present_choice
        from carapax.app.sealed import open_whole
        from carapax.app.settings import load_settings
        from carapax.surfaces.cli.local import ModelChoice

        settings = load_settings(self._home, self._environ)
        chosen = bool(settings.model_provider) or "CARAPAX_MODEL" in self._environ
        current = present_choice(settings, self._environ)
        vault = open_whole(self._home, self._environ)
        first = ModelChoice(
            EMBEDDED, "Qwen2.5-Coder 1.5B, on this machine", "", current=chosen and current.provider == EMBEDDED
        )
        return [first] + [
            ModelChoice(
                service.id,
                service.label,
                current.model if current.provider == service.id else service.model,
                current=current.provider == service.id,
                needs_url=service.id == COMPATIBLE,
                needs_key=service.needs_key,
                key_known=vault.find_secret(service.secret) is not None,
            )
            for service in SERVICES.values()
        ]

    def set_model(self, name: str, *, model: str, url: str, key: str | None) -> Saved:
        from dataclasses import replace

        from carapax.adapters.providers.catalogue import SERVICES
        from carapax.app.model_source import present_choice, with_model
        from carapax.app.sealed import open_whole
        from carapax.app.settings import load_settings, save_settings
        from carapax.surfaces.cli.local import Saved

        settings = with_model(load_settings(self._home, self._environ), name, model, url)
        handle = present_choice(settings, {}).secret or SERVICES[name].secret
        if key:
            open_whole(self._home, {}).put_secret(handle, key)
            settings = replace(settings, model_secret=handle)
        save_settings(self._home, settings)
        return Saved(live=True)

    def budgets(self) -> Budgets:
        return self.policy_file().current().budgets

    def set_budget(self, span: Span, budget: Budget) -> Saved:
        from dataclasses import fields

        from carapax.surfaces.cli.local import Saved

        policy = self.policy_file()
        present = getattr(policy.current().budgets, span.value)
        for field in fields(budget):
            value = getattr(budget, field.name)
            if value != getattr(present, field.name):
                policy.set_budget(span.value, field.name, value)
        return Saved(live=True)


def _introduce(running: Running, policy: PolicyFile, banner: Banner) -> None:
    from carapax.core.terms.error import CarapaxError

    try:
        facts = running.model.current().facts() if running.model else None
        where = "on this machine" if facts and not facts.remote_host else f"at {facts.remote_host}" if facts else ""
        banner.fact("model", f"{facts.name} {facts.model}, {where}" if facts else "")
        present = policy.current()
        banner.fact("policy", f"{present.name}, serial {present.serial}, signed with this machine's key")
    except CarapaxError as error:
        banner.fact("attention", f"{error.what} {error.next_step}")
    if running.interrupted:
        banner.fact("attention", f"{running.interrupted} interrupted, see `carapax sessions`")


def environment() -> dict[str, str]:
    """The process's environment."""
    return dict(os.environ)
