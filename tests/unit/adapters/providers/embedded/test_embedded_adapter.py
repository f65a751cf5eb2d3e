"""The child's life: started when needed, bounded, started anew after a crash, ended when idle and when closed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from carapax.adapters.providers.embedded import adapter
from carapax.adapters.providers.embedded.adapter import Bounds, EmbeddedProvider, count_cores
from carapax.adapters.providers.embedded.wire import render_prefix
from carapax.core.terms.error import ModelMissing, ProviderFailed
from carapax.ports.provider import Completion, Message, Prompt, Speaker, TextChunk

STUB = Path(__file__).with_name("stub_worker.py")
QUICK = Bounds(load_s=20, first_s=20, token_s=0.3, drain_s=5, leave_s=2)


def make(*words: str, bounds: Bounds = QUICK, idle_s: float = 600.0) -> EmbeddedProvider:
    command = (sys.executable, "-I", "-S", str(STUB), *words)
    return EmbeddedProvider(Path("/nowhere"), idle_s=idle_s, bounds=bounds, command=command, verify=lambda path: path)


def asking(words: str, *, most: int = 100) -> Prompt:
    return Prompt("", (Message(Speaker.USER, words),), max_output_tokens=most)


async def answers(provider: EmbeddedProvider, prompt: Prompt) -> list[TextChunk | Completion]:
    return [answer async for answer in provider.stream(prompt)]


def run(provider: EmbeddedProvider, work: Callable[[EmbeddedProvider], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            await work(provider)
        finally:
            await provider.close()

    asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not become true")


def pid(provider: EmbeddedProvider) -> int:
    assert provider._child is not None
    return provider._child.pid


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_streams_pieces_and_ends_with_one_completion() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        got = await answers(provider, asking("hello"))
        assert got == [TextChunk("Hel"), TextChunk("lo"), Completion("Hello", (), 7, 2, 0)]
        assert (await answers(provider, asking("hello", most=2)))[-1] == Completion("Hello", (), 7, 2, 0, cut=True)

    run(make(), work)


def test_the_child_gets_no_environment_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARAPAX_TEST_SECRET", "x")

    async def work(provider: EmbeddedProvider) -> None:
        text = (await answers(provider, asking("ENV")))[-1]
        assert isinstance(text, Completion)
        assert set(text.text.split(",")) <= {"LC_ALL", "LC_CTYPE", "GOMP_SPINCOUNT"}

    run(make(), work)


def test_a_crash_is_retriable_and_the_next_request_starts_anew() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        with pytest.raises(ProviderFailed) as failed:
            await answers(provider, asking("DIE"))
        assert failed.value.retriable
        assert (await answers(provider, asking("hello")))[-1] == Completion("Hello", (), 7, 2, 0)

    run(make(), work)


def test_a_child_killed_between_requests_is_started_anew() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        await answers(provider, asking("hello"))
        os.kill(first := pid(provider), 9)
        for _ in range(20):
            try:
                await answers(provider, asking("hello"))
                break
            except ProviderFailed as failed:
                assert failed.retriable
        assert pid(provider) != first

    run(make(), work)


@pytest.mark.parametrize("words", ["HANG", "NOISE"])
def test_a_child_that_stalls_or_babbles_is_ended(words: str) -> None:
    async def work(provider: EmbeddedProvider) -> None:
        with pytest.raises(ProviderFailed) as failed:
            await answers(provider, asking(words))
        assert failed.value.retriable
        assert provider._child is None

    run(make(), work)


def test_loading_is_bounded() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        with pytest.raises(ProviderFailed):
            await answers(provider, asking("hello"))
        assert provider._child is None

    run(make("never-ready", bounds=Bounds(load_s=0.2, leave_s=0.05)), work)


def test_a_child_that_ends_while_loading_is_a_failure_not_a_wait() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        with pytest.raises(ProviderFailed):
            await answers(provider, asking("hello"))

    run(make("dead"), work)


def test_a_refused_request_keeps_the_child() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        with pytest.raises(ProviderFailed) as failed:
            await answers(provider, asking("TOO LONG"))
        assert not failed.value.retriable
        assert "context" in failed.value.what
        first = pid(provider)
        await answers(provider, asking("hello"))
        assert pid(provider) == first

    run(make(), work)


def test_closing_early_stops_the_work_and_keeps_the_child() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        stream = provider.stream(asking("HANG"))
        assert await anext(stream) == TextChunk("one")
        first = pid(provider)
        await stream.aclose()
        assert (await answers(provider, asking("hello")))[-1] == Completion("Hello", (), 7, 2, 0)
        assert pid(provider) == first

    run(make(), work)


def test_cancelling_the_asker_frees_the_slot() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        task = asyncio.create_task(answers(provider, asking("HANG")))
        await until(lambda: provider._child is not None and provider._number == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await answers(provider, asking("hello")))[-1] == Completion("Hello", (), 7, 2, 0)

    run(make(bounds=Bounds(first_s=20, token_s=20)), work)


def test_requests_wait_for_each_other() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        both = await asyncio.gather(answers(provider, asking("a")), answers(provider, asking("b")))
        assert both[0] == both[1]

    run(make(), work)


def test_an_idle_child_is_ended() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        await answers(provider, asking("hello"))
        number = pid(provider)
        await until(lambda: provider._child is None)
        await until(lambda: not alive(number))

    run(make(idle_s=0.05), work)


def test_close_ends_the_child() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        await answers(provider, asking("hello"))
        number = pid(provider)
        await provider.close()
        assert not alive(number)

    run(make(), work)


def test_what_was_read_ahead_is_named_in_later_requests_also_to_a_new_child() -> None:
    async def work(provider: EmbeddedProvider) -> None:
        fixed = asking("PREFIX")
        await provider.warm(fixed)
        await provider.close()
        got = await answers(provider, Prompt("", (*fixed.messages, Message(Speaker.USER, "and now"))))
        assert got[0] == TextChunk(str(len(render_prefix(fixed))))
        other = await answers(provider, asking("another PREFIX"))
        assert other[0] == TextChunk("0")

    run(make(), work)


def test_missing_weights_are_said_before_anything_starts(tmp_path: Path) -> None:
    async def work(provider: EmbeddedProvider) -> None:
        with pytest.raises(ModelMissing) as missing:
            await answers(provider, asking("hello"))
        assert "make setup" in missing.value.next_step
        assert provider._child is None

    run(EmbeddedProvider(tmp_path / "absent.gguf"), work)


def test_facts_say_that_nothing_leaves_the_machine() -> None:
    facts = make().facts()
    assert facts.small
    assert facts.remote_host == ""
    assert facts.price_known


def test_the_gateway_process_does_not_import_the_native_library() -> None:
    assert "xllamacpp" not in vars(adapter)
    assert "import xllamacpp" not in Path(str(adapter.__file__)).read_text("utf-8")


def test_twins_of_a_core_count_once(tmp_path: Path) -> None:
    for cpu in os.sched_getaffinity(0):
        place = tmp_path / f"cpu{cpu}" / "topology"
        place.mkdir(parents=True)
        (place / "core_cpus_list").write_text("0-99\n")
    assert count_cores(tmp_path) == 1
    assert count_cores(tmp_path / "absent") == len(os.sched_getaffinity(0))
