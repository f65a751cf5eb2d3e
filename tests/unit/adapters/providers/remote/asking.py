"""A remote provider against the fake model server, through the real way out and the real model library."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carapax.adapters.providers.catalogue import SECRET_VARIABLES, ModelChoice, ModelSettings, choose_model
from carapax.adapters.providers.remote.adapter import RemoteLimits, RemoteProvider
from carapax.core.terms.error import ProviderFailed
from carapax.ports.provider import Completion, Message, Prompt, Speaker, TextChunk
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.file_vault import FileVault
from tests.fakes.model_server import ModelServer

KEY = "sk-test-7f3a9c-very-secret"
WIRES = ("openai", "anthropic")
QUICK = RemoteLimits(first_ms=10_000, between_ms=10_000, whole_ms=30_000)
HELLO = Prompt("Be short.", (Message(Speaker.USER, "hello"),))


@dataclass
class Asked:
    """What one request gave: everything yielded, the failure if any, the pauses between attempts (seconds)."""

    yielded: list[TextChunk | Completion] = field(default_factory=list)
    failure: ProviderFailed | None = None
    pauses: list[float] = field(default_factory=list)

    @property
    def completion(self) -> Completion:
        assert self.failure is None, self.failure
        last = self.yielded[-1]
        assert isinstance(last, Completion)
        return last

    @property
    def text(self) -> str:
        return "".join(step.text for step in self.yielded if isinstance(step, TextChunk))


def vault(key: str = KEY) -> FileVault:
    environ = dict.fromkeys(SECRET_VARIABLES.values(), key) if key else {}
    return FileVault(Path("/nonexistent/vault"), environ=environ, env_names=SECRET_VARIABLES)


def choice_for(server: ModelServer, wire: str, model: str = "m1") -> ModelChoice:
    url = server.anthropic_url if wire == "anthropic" else server.openai_url
    return choose_model(ModelSettings(provider=wire, model=model, base_url=url), {})


def ask(
    choice: ModelChoice,
    prompt: Prompt = HELLO,
    *,
    limits: RemoteLimits = QUICK,
    key: str = KEY,
    times: int = 1,
) -> Asked:
    """Ask `times` times with one provider; the answer to the last one."""
    return asyncio.run(_ask(choice, prompt, limits, key, times))[-1]


async def _ask(choice: ModelChoice, prompt: Prompt, limits: RemoteLimits, key: str, times: int) -> Sequence[Asked]:
    asked: list[Asked] = []

    async def pause(seconds: float) -> None:
        asked[-1].pauses.append(seconds)

    provider = RemoteProvider(choice, DirectEgress(vault(key)), limits=limits, sleep=pause, jitter=lambda: 1.0)
    try:
        for _ in range(times):
            asked.append(Asked())
            try:
                async for step in provider.stream(prompt):
                    asked[-1].yielded.append(step)
            except ProviderFailed as failure:
                asked[-1].failure = failure
    finally:
        await provider.close()
    return asked
