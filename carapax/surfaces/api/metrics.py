"""Counts as text for Prometheus.

Layer: surfaces/api; pure. Names and labels are the gateway's; a name that is not one is left out rather than breaking
the whole page. Source: Prometheus text exposition format 0.0.4.
"""

from __future__ import annotations

import math
import re

_SERIES = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="([^"\\\n]|\\.)*",?)*\})?')


def render_metrics(counts: dict[str, float]) -> str:
    """One line per series, grouped by name, each group with its type."""
    lines: list[str] = []
    typed = ""
    for series in sorted(counts, key=lambda s: (s.partition("{")[0], s)):
        if not _SERIES.fullmatch(series):
            continue
        name = series.partition("{")[0]
        if name != typed:
            lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
            typed = name
        lines.append(f"{series} {_number(counts[series])}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
