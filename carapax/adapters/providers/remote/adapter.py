"""A model over the network: one request at a time is asked, bounded, retried a little and read.

Layer: adapters/providers/remote. Owns time limits, retries and prices; `wire` owns shapes, `faults` owns words.
Absent: the key (the way out puts it in), retries hidden in a library, tools that run at the service's side, and the
model library itself until `warm` or the first request: loading it takes about a second.
Law: a request is sent again only while nothing of an answer has been yielded.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carapax.adapters.providers.catalogue import ModelChoice
from carapax.adapters.providers.remote.faults import Passing, ended_early, failure_of, timed_out, withheld
from carapax.adapters.providers.remote.wire import (
    AnswerBounds,
    Reading,
    read_wishes,
    render_messages,
    render_parameters,
    render_settings,
)
from carapax.core.terms.error import ProviderFailed
from carapax.ports.egress import Egress
from carapax.ports.provider import Completion, Prompt, ProviderFacts, TextChunk

if TYPE_CHECKING:
    from pydantic_ai.models import Model


@dataclass(frozen=True, slots=True)
class RemoteLimits:
    """Time and retry bounds of one answer."""

    first_ms: int = 60_000  # until something arrives
    between_ms: int = 60_000  # between two arrivals
    whole_ms: int = 600_000  # with all retries
    retries: int = 2
    backoff_ms: int = 500  # doubled each time, half of it jitter
    retry_after_ms: int = 20_000  # a longer wish to wait is passed on instead
    answer: AnswerBounds = field(default_factory=AnswerBounds)


def build_remote(choice: ModelChoice, egress: Egress) -> RemoteProvider:
    """The provider for a choice other than the embedded model. Nothing is loaded or dialled yet."""
    return RemoteProvider(choice, egress)


class RemoteProvider:
    """Implements ports.provider.Provider. `sleep` (seconds) and `jitter` (0 to 1) are for tests."""

    def __init__(
        self,
        choice: ModelChoice,
        egress: Egress,
        *,
        limits: RemoteLimits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._choice = choice
        self._egress = egress
        self._limits = limits or RemoteLimits()
        self._sleep = sleep
        self._jitter = jitter
        self._lock = threading.Lock()
        self._client: Any = None
        self._model: Model | None = None
        self._priced = choice.priced

    def __repr__(self) -> str:
        return f"RemoteProvider({self._choice.provider}/{self._choice.model})"

    def facts(self) -> ProviderFacts:
        choice = self._choice
        return ProviderFacts(
            name=choice.provider,
            model=choice.model,
            small=False,
            context_tokens=choice.context_tokens,
            remote_host=choice.host,
            price_known=self._priced or not choice.host,
        )

    def warm(self) -> None:
        """Load the model library and make the client; blocks about a second the first time, for a thread to call.

        Raises Refused for an address the way out does not serve.
        """
        with self._lock:
            if self._model is None:
                limits = self._limits
                # Beyond our own limits, so that those speak first.
                timeout_ms = max(limits.first_ms, limits.between_ms) + 5_000
                self._client = self._egress.client(
                    base_url=self._choice.base_url, secret=self._choice.secret, timeout_ms=timeout_ms
                )
                self._client.event_hooks = {"response": [gather_hook()]}
                self._model = _open_model(self._choice, self._client)
                self._priced = self._usd_micro(1_000_000, 1) is not None

    async def stream(self, prompt: Prompt) -> AsyncIterator[TextChunk | Completion]:
        """Ask once; see the port."""
        deadline = asyncio.get_running_loop().time() + self._limits.whole_ms / 1000
        attempt = 0
        while True:
            begun = False
            try:
                async with aclosing(self._ask(prompt, deadline)) as steps:
                    async for step in steps:
                        begun = True
                        yield step
                return
            except Passing as failure:
                wait_ms = self._pause_ms(failure, attempt)
                over = asyncio.get_running_loop().time() + wait_ms / 1000 >= deadline
                if begun or wait_ms < 0 or over:
                    raise
            attempt += 1
            await self._sleep(wait_ms / 1000)

    async def close(self) -> None:
        """End every connection."""
        client, self._client, self._model = self._client, None, None
        if client is not None:
            await client.aclose()

    def _pause_ms(self, failure: Passing, attempt: int) -> int:
        """How long to wait before the next attempt; -1 for no further attempt."""
        limits = self._limits
        if attempt >= limits.retries or failure.retry_after_ms > limits.retry_after_ms:
            return -1
        backoff = limits.backoff_ms * 2**attempt
        return max(failure.retry_after_ms, int(backoff * (0.5 + 0.5 * self._jitter())))

    async def _ask(self, prompt: Prompt, deadline: float) -> AsyncGenerator[TextChunk | Completion, None]:
        from_start = self._limits.first_ms
        reading = Reading(self._limits.answer)
        try:
            model = self._model
            if model is None:
                await asyncio.to_thread(self.warm)
                model = self._model
                assert model is not None
            async with AsyncExitStack() as stack:
                opening = stack.enter_async_context(self._request(model, prompt))
                answer = await self._within(opening, from_start, deadline, "first byte")
                events = aiter(answer)
                while True:
                    try:
                        event = await self._within(
                            anext(events), self._limits.between_ms, deadline, "between two pieces"
                        )
                    except StopAsyncIteration:
                        break
                    if text := reading.take(event):
                        yield TextChunk(text)
                response = answer.get()
            yield self._completion(response, reading)
        except ProviderFailed:
            raise
        except (
            Exception
        ) as error:  # broad: the model library and two SDKs are plug-ins; any of their errors is a failed answer
            raise failure_of(error, self._choice) from error

    def _request(self, model: Model, prompt: Prompt) -> Any:
        from pydantic_ai.direct import model_request_stream

        return model_request_stream(
            model,
            render_messages(prompt.messages),
            model_settings=render_settings(prompt, self._choice.wire),
            model_request_parameters=render_parameters(prompt, self._choice.wire),
            instrument=False,
        )

    async def _within(self, waiting: Awaitable[Any], limit_ms: int, deadline: float, what: str) -> Any:
        left = deadline - asyncio.get_running_loop().time()
        whole = left < limit_ms / 1000
        try:
            async with asyncio.timeout(max(0.0, min(left, limit_ms / 1000))) as scope:
                return await waiting
        except TimeoutError:
            if not scope.expired():
                raise
            limit, name = (self._limits.whole_ms, "whole answer") if whole else (limit_ms, what)
            raise timed_out(self._choice, name, limit) from None

    def _completion(self, response: Any, reading: Reading) -> Completion:
        finish = response.finish_reason
        if finish is None or finish == "error":
            raise ended_early(self._choice)
        wishes = read_wishes(response.parts, self._limits.answer)
        if finish == "content_filter" and not reading.texts and not wishes:
            raise withheld(self._choice)
        usage = response.usage
        prompt_tokens, output_tokens = max(0, usage.input_tokens or 0), max(0, usage.output_tokens or 0)
        return Completion(
            text="".join(reading.texts),
            wishes=wishes,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            usd_micro=self._usd_micro(prompt_tokens, output_tokens),
            cut=finish == "length",
        )

    def _usd_micro(self, prompt_tokens: int, output_tokens: int) -> int | None:
        """The price in millionths of a dollar, rounded up; 0 on this machine, None when it is not in the list."""
        if not self._choice.host:
            return 0
        if not self._choice.priced:
            return None
        from genai_prices import Usage, calc_price

        used = Usage(input_tokens=prompt_tokens, output_tokens=output_tokens)
        try:
            price = calc_price(used, self._choice.model, provider_id=self._choice.provider)
        except LookupError:
            return None
        return math.ceil(price.total_price * 1_000_000)


def gather_hook() -> Any:
    """The hook that merges small events; its module needs the HTTP client, which is loaded late."""
    from carapax.adapters.providers.remote.gather import gather_events

    return gather_events


def _open_model(choice: ModelChoice, client: Any) -> Model:
    if choice.wire == "anthropic":
        return _open_anthropic(choice, client)
    return _open_openai(choice, client)


def _open_openai(choice: ModelChoice, client: Any) -> Model:
    from openai import AsyncOpenAI, Omit
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    # Otherwise read from the environment and sent to whatever service this is.
    headers: Any = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
    sdk = AsyncOpenAI(
        api_key=client.placeholder,
        base_url=choice.base_url,
        max_retries=0,
        http_client=client,
        default_headers=headers,
    )
    completions: Any = sdk.chat.completions
    completions.create = _plainly(sdk)
    profile = OpenAIModelProfile(
        openai_chat_streaming_requires_finish_reason=True,
        openai_chat_supports_max_completion_tokens=choice.provider == "openai",
        # Our schemas are sent as they are; a service-specific rewrite would cost time and change their meaning.
        json_schema_transformer=None,
        supports_json_schema_output=True,
    )
    return OpenAIChatModel(
        choice.model, provider=OpenAICompatibleProvider(choice.provider, openai_client=sdk, profile=profile)
    )


def _plainly(sdk: Any) -> Callable[..., Awaitable[Any]]:
    """Post a request as it is: it is in wire form, and the SDK's walk over every value costs more than the rest."""
    from openai import AsyncStream, NotGiven, Omit
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    async def plain_create(
        *, extra_headers: Any = None, extra_body: Any = None, timeout: Any = None, stream: bool = False, **given: Any
    ) -> Any:
        body = {name: value for name, value in given.items() if not isinstance(value, Omit | NotGiven)}
        options = {"headers": extra_headers or {}}
        if timeout is not None and not isinstance(timeout, NotGiven):
            options["timeout"] = timeout
        return await sdk.post(
            "/chat/completions",
            cast_to=ChatCompletion,
            body={**body, "stream": stream, **(extra_body or {})},
            options=options,
            stream=stream,
            stream_cls=AsyncStream[ChatCompletionChunk],
        )

    return plain_create


def _open_anthropic(choice: ModelChoice, client: Any) -> Model:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    sdk = AsyncAnthropic(api_key=client.placeholder, base_url=choice.base_url, max_retries=0, http_client=client)
    return AnthropicModel(choice.model, provider=AnthropicProvider(anthropic_client=sdk))
