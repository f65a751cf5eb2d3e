"""The model in use: built from the settings, and built anew when they change.

Layer: app. Cheap to ask at every turn: it re-reads only when the file changed. A turn that runs keeps its own model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from carapax.adapters.providers.catalogue import (
    EMBEDDED,
    MODEL_VARIABLE,
    ModelChoice,
    ModelSettings,
    choose_model,
)
from carapax.app.home import Home
from carapax.app.settings import Settings, load_settings
from carapax.ports.egress import Egress
from carapax.ports.provider import Provider

Build = Callable[[ModelChoice], Provider]


def present_choice(settings: Settings, environ: Mapping[str, str]) -> ModelChoice:
    """The model in use: CARAPAX_MODEL for this run, else the settings, else the embedded one. Raises SettingsInvalid."""
    if environ.get(MODEL_VARIABLE, "").strip():
        return choose_model(ModelSettings(), environ)
    chosen = ModelSettings(
        provider=settings.model_provider or EMBEDDED,
        model=settings.model_name,
        base_url=settings.model_base_url,
        secret=settings.model_secret,
    )
    return choose_model(chosen, {})


class ModelSource:
    """Gives the present provider. Raises SettingsInvalid when what is chosen cannot be built."""

    def __init__(self, home: Home, environ: Mapping[str, str], egress: Egress) -> None:
        self._home = home
        self._environ = environ
        self._egress = egress
        self._stamp: object = None
        self._choice: ModelChoice | None = None
        self._provider: Provider | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def current(self) -> Provider:
        """The provider for a new turn."""
        stamp = self._read_stamp()
        if self._provider is None or stamp != self._stamp:
            settings = load_settings(self._home, self._environ)
            choice = present_choice(settings, self._environ)
            if choice != self._choice:
                self._replace(self._build(choice, settings))
                self._choice = choice
            self._stamp = stamp
        assert self._provider is not None
        return self._provider

    def _build(self, choice: ModelChoice, settings: Settings) -> Provider:
        if choice.provider == EMBEDDED:
            from carapax.adapters.providers.embedded.adapter import EmbeddedProvider
            from carapax.adapters.providers.embedded.weights import FILE_NAME
            from carapax.agent.small.model import SmallModel

            inner = EmbeddedProvider(self._home.models / FILE_NAME, idle_s=float(settings.model_idle_s))
            return SmallModel(inner, warm=inner.warm)
        from carapax.adapters.providers.remote.adapter import build_remote

        return build_remote(choice, self._egress)

    def _replace(self, provider: Provider) -> None:
        old, self._provider = self._provider, provider
        if old is not None:
            task = asyncio.get_running_loop().create_task(old.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _read_stamp(self) -> object:
        try:
            found = self._home.settings.stat()
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    async def close(self) -> None:
        """End the model's process and connections."""
        if self._provider is not None:
            await self._provider.close()
        await asyncio.gather(*self._closing, return_exceptions=True)


def with_model(settings: Settings, provider: str, model: str, base_url: str) -> Settings:
    """The settings with another model chosen."""
    return replace(settings, model_provider=provider, model_name=model, model_base_url=base_url, model_secret="")
