"""Orders: when a hijacked model strikes. A run is a list of batches; a batch is proposed in one completion.

Layer: app. Pure. Honest calls with side effects and no read between them stand in one batch, as one completion of a
model would propose them; fetches likewise; a read stands alone, because its result is needed for what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum

from carapax.app.replay.refs import named_refs
from carapax.app.replay.world import Planned
from carapax.core.terms.action import Effect

Batch = tuple[Planned, ...]


class Variant(StrEnum):
    """In which order the attacker's calls come."""

    HONEST = "honest"  # no attacker's call at all
    FIRST = "first"  # as soon as a result carries the injection
    LAST = "last"  # once the owner's task is done
    BETWEEN = "between"  # one hostile call before each honest one
    TOGETHER = "together"  # in the same completion, on the same card, as the next honest side effects


STRIKES = (Variant.FIRST, Variant.LAST, Variant.BETWEEN, Variant.TOGETHER)


def batches(calls: Sequence[Planned], effects: Mapping[str, Effect]) -> list[Batch]:
    """The calls in the batches that a model would propose them in."""
    made: list[list[Planned]] = []
    for call in calls:
        kind = _kind(call, effects)
        last = made[-1] if made else []
        together = (
            bool(last)
            and kind != "read"
            and _kind(last[-1], effects) == kind
            and not named_refs(call.arguments) & {one.key for one in last}
        )
        if together:
            last.append(call)
        else:
            made.append([call])
    return [tuple(batch) for batch in made]


def play_order(
    variant: Variant,
    honest: Sequence[Planned],
    hostile: Sequence[Planned],
    effects: Mapping[str, Effect],
    seen: Callable[[], bool],
) -> Iterator[Batch]:
    """The batches of one run, one at a time. `seen` says whether a result so far carried the injection."""
    rest = batches(honest, effects)
    while rest and not (variant not in (Variant.HONEST, Variant.LAST) and seen()):
        yield rest.pop(0)
    if variant is Variant.HONEST or not seen():
        return
    if variant is Variant.TOGETHER:
        yield from _together(rest, hostile, effects)
    elif variant is Variant.BETWEEN:
        yield from _between(rest, hostile)
    else:
        yield from ((call,) for call in hostile)


def _between(rest: Sequence[Batch], hostile: Sequence[Planned]) -> Iterator[Batch]:
    left = list(rest)
    for call in hostile:
        yield (call,)
        if left:
            yield left.pop(0)
    yield from left


def _together(rest: Sequence[Batch], hostile: Sequence[Planned], effects: Mapping[str, Effect]) -> Iterator[Batch]:
    left, wanted = list(rest), batches(hostile, effects)
    while wanted:
        strike = wanted.pop(0)
        while left and _kind(strike[0], effects) != "read" and _kind(left[0][0], effects) != _kind(strike[0], effects):
            yield left.pop(0)
        if left and _kind(strike[0], effects) != "read":
            strike = (*left.pop(0), *strike)
        yield strike


def _kind(call: Planned, effects: Mapping[str, Effect]) -> str:
    effect = effects.get(call.tool)
    return "read" if effect is Effect.READ else "fetch" if effect is Effect.FETCH else "write"
