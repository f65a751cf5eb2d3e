"""Days told loosely: "Saturday", "the 18th" in a text mean a day soon after the text was written.

Layer: core/flow. Used only to recognise a date that a model read out of a source; at most 31 days ahead, a weekday at
most 8. English and French. Source: how people write to each other.
"""

from __future__ import annotations

import re
from datetime import date

_ORDINAL = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th|er)\b|\ble (\d{1,2})\b", re.IGNORECASE)
_WEEKDAYS = (
    ("monday", "lundi"),
    ("tuesday", "mardi"),
    ("wednesday", "mercredi"),
    ("thursday", "jeudi"),
    ("friday", "vendredi"),
    ("saturday", "samedi"),
    ("sunday", "dimanche"),
)
MONTH_DAYS, WEEK_DAYS = 31, 8


def names_day_after(text: str, written: str, day: str) -> bool:
    """Whether a text written on one ISO date tells this other one."""
    try:
        ahead = (date.fromisoformat(day) - date.fromisoformat(written)).days
        wanted = date.fromisoformat(day)
    except ValueError:
        return False
    if 0 <= ahead <= MONTH_DAYS and any(int(a or b) == wanted.day for a, b in _ORDINAL.findall(text)):
        return True
    spoken = text.casefold()
    return 0 < ahead <= WEEK_DAYS and any(re.search(rf"\b{name}\b", spoken) for name in _WEEKDAYS[wanted.weekday()])
