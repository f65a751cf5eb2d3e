"""Names, places and the like by Presidio, for an operator who installs it: `pip install carapax[presidio]`.

Layer: adapters/scan/outgoing. Owns asking it for one kind of entity. Absent: its models, which the operator installs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from importlib.util import find_spec

from carapax.core.terms.error import PolicyInvalid

_LEAST_SCORE = 0.5


def find_people(entity: str) -> Callable[[str], Iterable[str]]:
    """What finds entities of this kind. Raises PolicyInvalid where Presidio is not installed."""
    if find_spec("presidio_analyzer") is None:
        raise PolicyInvalid(
            f"the policy asks for presidio:{entity}, and Presidio is not installed",
            next_step="Install the extra (`pip install 'carapax[presidio]'`), or take the check out of the policy.",
        )
    analyzer = importlib.import_module("presidio_analyzer").AnalyzerEngine()

    def find(text: str) -> Iterable[str]:
        found = analyzer.analyze(text=text, language="en", entities=[entity], score_threshold=_LEAST_SCORE)
        return [text[each.start : each.end] for each in found]

    return find
