"""Train the hint at injection and write its weights; or, with --measure, say how it does on families it never saw.

    python scripts/train_hint.py [--measure] [--out FILE]

Plain logistic regression by stochastic steps, in pure Python and in whole order, so that the same source gives the same
file byte for byte. About a minute. The texts come from `hint_texts.py`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import random
import sys
import time
from array import array
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from hint_texts import texts

from carapax.adapters.scan.injection.features import BUCKETS, features, windows
from carapax.adapters.scan.injection.hint import MARK, Weights, hint, parse_weights

WEIGHTS = Path(__file__).parents[1] / "carapax/adapters/scan/injection/weights.txt"
COUNT, ROUNDS, SEED = 8_000, 6, 7
RATE, DECAY, SCALE = 0.5, 2e-6, 16


def digest(made: list[tuple[str, str, int]]) -> str:
    """SHA-256 of the texts."""
    return hashlib.sha256(json.dumps(made, ensure_ascii=False).encode()).hexdigest()


def train(count: int = COUNT, rounds: int = ROUNDS, seed: int = SEED) -> str:
    """The weights' file. A text aimed at a model is learned by the piece of it that scores highest."""
    rng = random.Random(seed)
    pieces = [([features(words) for words in windows(text)], aimed) for _, text, aimed in texts(count, seed, False)]
    weights, bias = [0.0] * BUCKETS, 0.0

    def total(found: list[int]) -> float:
        return bias + sum(weights[each] for each in found) / math.sqrt(len(found) or 1)

    for turn in range(rounds):
        rng.shuffle(pieces)
        rate = RATE / (1 + turn)
        for found_in, aimed in pieces:
            found = max(found_in, key=total)
            step = rate * (aimed - 1 / (1 + math.exp(-max(-30.0, min(30.0, total(found))))))
            share = step / math.sqrt(len(found) or 1)
            for each in found:
                weights[each] += share - rate * DECAY * weights[each]
            bias += step * 0.1
    return render(weights, bias)


def render(weights: list[float], bias: float) -> str:
    """The file: bias and scale, then one signed byte a bucket in base64, in lines."""
    whole = array("b", (max(-127, min(127, round(each * SCALE))) for each in weights))
    body = base64.b64encode(whole.tobytes()).decode("ascii")
    lines = "\n".join(body[start : start + 120] for start in range(0, len(body), 120))
    return f"{round(bias * SCALE)} {SCALE}\n{lines}\n"


def measure(weights: Weights, count: int = 2_000) -> dict[str, object]:
    """Recall and false marks on texts of known families, drawn anew, and of families held out; and the time."""
    result: dict[str, object] = {}
    for name, held_out in (("known families", False), ("held-out families", True)):
        by_family: dict[str, list[bool]] = {}
        marked: dict[int, list[bool]] = {0: [], 1: []}
        size, begun = 0, time.process_time()
        for family, text, aimed in texts(count, SEED + 1, held_out):
            found = hint(text, weights).score >= MARK
            marked[aimed].append(found)
            by_family.setdefault(family, []).append(found)
            size += len(text.encode())
        spent = time.process_time() - begun
        result[name] = {
            "recall": round(sum(marked[1]) / len(marked[1]), 3),
            "false_marks": round(sum(marked[0]) / len(marked[0]), 3),
            "ms_per_kb": round(spent * 1000 / (size / 1024), 3),
            "marked_by_family": {key: round(sum(v) / len(v), 2) for key, v in sorted(by_family.items())},
        }
    return result


def main() -> None:
    """Train or measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(parse_weights(given.out.read_text("ascii"))), indent=2))
        return
    given.out.write_text(train(), "ascii")
    print(f"{given.out.name}: sha256 {hashlib.sha256(given.out.read_bytes()).hexdigest()}")
    print(f"texts: sha256 {digest(texts(COUNT, SEED, False))}")


if __name__ == "__main__":
    main()
