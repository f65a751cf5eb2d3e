"""What every channel does with requests of a platform that calls: what is not proven is refused and never heard."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from carapax.core.terms.channel import HookAnswer, HookRequest
from carapax.core.terms.error import StoreUnavailable
from tests.conformance.channel.rig import Rig, Says
from tests.conformance.channel.stage import Ears, Tap, fresh, needs, wait_for

MINUTES_10_MS = 600_000
Headers = tuple[tuple[str, str], ...]


async def _posted(rig: Rig, ears: Ears, tap: Tap) -> tuple[HookRequest, str]:
    """One genuine request of the platform, which did not get through, and the text in it."""
    text = fresh("signed")
    rig.hooked(tap, ears.hear)  # type: ignore[arg-type]
    tap.closed = True
    with suppress(Exception):
        await rig.say(Says(text))
    found: list[HookRequest] = []

    def there() -> bool:
        found[:] = [request for request in tap.requests if _form(text) in request.body or text.encode() in request.body]
        return bool(found)

    await wait_for(there)
    return found[-1], text


def _form(text: str) -> bytes:
    return text.replace(" ", "+").encode()


async def _ask(tap: Tap, request: HookRequest, ears: Ears) -> HookAnswer:
    tap.closed = False
    answer: HookAnswer = await tap.hook(request, ears.hear)
    tap.closed = True
    return answer


def _wrong(headers: Headers, index: int) -> tuple[Headers, ...]:
    """One header: gone, empty, changed, and there twice."""
    name, value = headers[index]
    rest = headers[:index] + headers[index + 1 :]
    wrong = value[:-1] + ("0" if value[-1:] != "0" else "1")
    return rest, (*rest, (name, "")), (*rest, (name, wrong)), (*headers, (name, wrong))


@needs("hook", "header_signed")
async def test_a_request_without_its_proof_is_refused(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        tap = Tap(channel)
        request, text = await _posted(rig, ears, tap)
        bare = await _ask(tap, replace(request, headers=(), query=""), ears)
        assert bare.status == 401 and not ears.events(text)
        # A proof may stand in the address; most platforms put it in a header.
        proofs = set()
        if request.query:
            queries = "", request.query[:-1], request.query + "0", f"{request.query}&{request.query}"
            changed = [replace((await _posted(rig, ears, tap))[0], query=query) for query in queries]
            if {(await _ask(tap, one, Ears(rig))).status for one in changed} == {401}:
                proofs.add("the address")
        for index, (name, _) in enumerate(request.headers):
            statuses = []
            for turn in range(4):
                # Each try has a request of its own: one that was taken would be refused for that.
                fresh_one, _ = await _posted(rig, ears, tap)
                wrong = replace(fresh_one, headers=_wrong(fresh_one.headers, index)[turn])
                statuses.append((await _ask(tap, wrong, Ears(rig))).status)
            if set(statuses) == {401}:
                proofs.add(name)
        assert proofs, f"no header of {[name for name, _ in request.headers]} matters"
        assert (await _ask(tap, request, ears)).status < 300 and len(ears.events(text)) == 1


@needs("hook", "body_signed")
async def test_a_changed_body_is_refused(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        tap = Tap(channel)
        request, text = await _posted(rig, ears, tap)
        for body in (request.body + b" ", request.body.replace(b"signed", b"forged"), b"", b"{}"):
            answer = await _ask(tap, replace(request, body=body), ears)
            assert answer.status == 401 and not ears.events(text)


@needs("hook", "stale")
async def test_an_old_request_is_refused(rig: Rig) -> None:
    ears = Ears(rig)
    assert rig.traits.advance is not None
    async with ears.on() as channel:
        tap = Tap(channel)
        request, text = await _posted(rig, ears, tap)
        rig.traits.advance(MINUTES_10_MS)
        assert (await _ask(tap, request, ears)).status == 401 and not ears.events(text)


@needs("hook")
async def test_a_request_that_is_replayed_is_no_other_event(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        tap = Tap(channel)
        request, text = await _posted(rig, ears, tap)
        assert (await _ask(tap, request, ears)).status < 300
        for _ in range(3):
            assert (await _ask(tap, request, ears)).status in (200, 401)
    again = Ears(rig)
    async with again.on() as channel:  # and after a restart
        await channel.hook(request, again.hear)
    assert len({*ears.events(text), *again.events(text)}) == 1


@needs("hook")
async def test_what_is_no_request_of_the_platform_harms_nothing(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        tap = Tap(channel)
        request, text = await _posted(rig, ears, tap)
        for changed in (
            replace(request, method="PUT"),
            replace(request, path="/../other"),
            replace(request, method="GET", body=b"", query="a=b"),
            replace(request, headers=(("x-nothing", "\xff"),), body=b"\xff\x00" * 50),
        ):
            answer = await _ask(tap, changed, ears)
            assert answer.status < 500
            if changed.headers != request.headers:
                assert answer.status >= 400 and not ears.events(text)


@needs("hook")
async def test_a_hook_whose_message_cannot_be_stored_is_not_answered_well(rig: Rig) -> None:
    ears = Ears(rig)
    async with ears.on() as channel:
        tap = Tap(channel)
        request, text = await _posted(rig, ears, tap)
        ears.refuse = 1
        with suppress(StoreUnavailable):
            assert (await _ask(tap, request, ears)).status >= 500
        assert (await _ask(tap, request, ears)).status < 300 and len(ears.events(text)) == 1
