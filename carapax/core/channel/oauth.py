"""Secrets that only buy tokens: what is sealed of one, by the words of a channel's manifest.

Layer: core/channel; pure. Absent: what a vault makes of it (adapters/vault/oauth).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping


def render_oauth(words: Mapping[str, str], values: Mapping[str, str], secret: str) -> str:
    """What the vault seals as a secret of the kind "oauth"; JSON.

    "{name}" in the manifest's words is the answer of that name; the given secret is the client's.
    """
    filled = {name: _filled(word, values) for name, word in words.items()}
    return json.dumps({**filled, "client_secret": secret})


def _filled(word: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{([a-z_]+)\}", lambda found: values.get(found.group(1), ""), word)
