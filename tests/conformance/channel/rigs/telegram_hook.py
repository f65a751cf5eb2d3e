"""Telegram that calls (its webhook), against the local Bot API."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.channel.rig import Rig
from tests.conformance.channel.rigs.telegram import TelegramRig


def make_rig(folder: Path) -> Rig:
    return TelegramRig(hook=True)
