"""The providers that the port's suite runs against. An answer is given as text pieces and tool calls; each subject says it.

To add a provider: a function from answers to a context that gives (provider, how often a request was abandoned).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.providers.catalogue import SECRET_VARIABLES, ModelSettings, choose_model
from carapax.adapters.providers.remote.adapter import RemoteLimits, RemoteProvider
from carapax.core.terms.error import ProviderFailed
from carapax.ports.provider import Completion, Provider, TextChunk, Wish
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.file_vault import FileVault
from tests.fakes.model_server import Endless, ModelServer, Says, Status
from tests.fakes.provider import ScriptedProvider

ENDLESS = "endless"
FAILING = "failing"


@dataclass(frozen=True)
class Good:
    pieces: tuple[str, ...] = ()
    wishes: tuple[Wish, ...] = ()


Planned = Good | str  # ENDLESS and FAILING are the others


@dataclass(frozen=True)
class Subject:
    provider: Provider
    left_early: Callable[[], bool]


Opened = Callable[..., AbstractContextManager[Subject]]


@contextmanager
def scripted(*plan: Planned) -> Iterator[Subject]:
    def answer(planned: Planned) -> list[object]:
        if planned == ENDLESS:
            return [TextChunk("and on "), TextChunk("and on "), asyncio.Event()]
        if planned == FAILING:
            return [ProviderFailed("scripted")]
        assert isinstance(planned, Good)
        text = "".join(planned.pieces)
        return [*(TextChunk(piece) for piece in planned.pieces), Completion(text, planned.wishes, 3, 2, 0)]

    provider = ScriptedProvider(*(answer(planned) for planned in plan))  # type: ignore[arg-type]
    yield Subject(provider, lambda: provider.closed_early > 0)


def remote(wire: str) -> Opened:
    def answer(planned: Planned) -> Says | Endless | Status:
        if planned == ENDLESS:
            return Endless(pause_s=0.005)
        if planned == FAILING:
            return Status(400)
        assert isinstance(planned, Good)
        return Says(planned.pieces, [(w.id, w.tool, w.arguments_json) for w in planned.wishes])

    @contextmanager
    def opened(*plan: Planned) -> Iterator[Subject]:
        vault = FileVault(
            Path("/nonexistent/vault"),
            environ=dict.fromkeys(SECRET_VARIABLES.values(), "a-test-key"),
            env_names=SECRET_VARIABLES,
        )
        with ModelServer(*(answer(planned) for planned in plan)) as server:
            url = server.anthropic_url if wire == "anthropic" else server.openai_url
            choice = choose_model(ModelSettings(provider=wire, model="m1", base_url=url), {})
            yield Subject(
                RemoteProvider(choice, DirectEgress(vault), limits=RemoteLimits(first_ms=20_000)),
                server.left_early.is_set,
            )

    return opened


SUBJECTS: dict[str, Opened] = {
    "scripted": scripted,
    "remote, openai wire": remote("openai"),
    "remote, anthropic wire": remote("anthropic"),
}
