"""Emoji by name."""

from __future__ import annotations

import pytest

from carapax.adapters.channels.emoji import SHORT_NAMES, short_name
from carapax.ports.channel import SendRefused


def test_marks_have_names() -> None:
    assert short_name("❤\ufe0f") == "heart" and short_name("👀") == "eyes"
    assert len(set(SHORT_NAMES.values())) == len(SHORT_NAMES)
    assert all(name.isascii() and "/" not in name for name in SHORT_NAMES.values())
    with pytest.raises(SendRefused):
        short_name("🦥")
