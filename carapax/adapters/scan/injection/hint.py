"""How much a text looks like instructions to a model: 0 to 100, and the words that weighed most.

Layer: adapters/scan/injection. Owns the model's use; `scripts/train_hint.py` makes the weights from texts it writes.
Absent: any decision. Such detectors miss most of what is aimed at them: this marks a card and the ledger, no more.
Laws: never raises on a text; work is bounded by MAX_HINT_CHARS; the weights are read with the first hint.
"""

from __future__ import annotations

import base64
import math
from array import array
from dataclasses import dataclass
from functools import cache
from importlib import resources

from carapax.adapters.scan.injection.features import BUCKETS, features, windows
from carapax.ports.scanner import Hint

MAX_HINT_CHARS = 200_000
"""Looked at from both ends of a longer text."""

MARK = 70
"""A score from which a text is worth a mark."""

_PHRASE_CHARS = 120


@dataclass(frozen=True, slots=True)
class Weights:
    """One weight a bucket, in 1/scale; the bias in the same unit."""

    values: array[int]
    bias: int
    scale: int


def parse_weights(text: str) -> Weights:
    """The weights of a file: a line of bias and scale, then one signed byte a bucket in base64. Raises ValueError."""
    head, _, body = text.partition("\n")
    bias, scale = (int(part) for part in head.split())
    values = array("b", base64.b64decode("".join(body.split()), validate=True))
    if len(values) != BUCKETS or scale <= 0:
        raise ValueError("the weights do not fit the features")
    return Weights(values, bias, scale)


@cache
def own_weights() -> Weights:
    """The weights that come with Carapax."""
    return parse_weights(resources.files(__package__).joinpath("weights.txt").read_text("ascii"))


def hint(text: str, weights: Weights | None = None) -> Hint:
    """The score of the text's most suspicious piece, and that piece."""
    weights = weights or own_weights()
    if len(text) > MAX_HINT_CHARS:
        text = text[: MAX_HINT_CHARS // 2] + "\n" + text[-MAX_HINT_CHARS // 2 :]
    best, phrase = -math.inf, ""
    for words in windows(text):
        found = features(words)
        # Divided by the root of their number, so that short and long pieces compare.
        total = weights.bias + sum(weights.values[each] for each in found) / math.sqrt(len(found) or 1)
        if total > best:
            best, phrase = total, " ".join(words)
    if not phrase:
        return Hint(0, "")
    score = round(100 / (1 + math.exp(-max(-30.0, min(30.0, best / weights.scale)))))
    return Hint(score, phrase if len(phrase) <= _PHRASE_CHARS else phrase[: _PHRASE_CHARS - 1] + "…")
