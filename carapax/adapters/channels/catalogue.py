"""The channels there are: every package's manifest, read without importing its code.

Layer: adapters/channels. Owns the manifest's form and the one way to open a channel.
Laws: a kind is a folder with a manifest.toml; code is imported only when a channel of its kind is opened.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from carapax.core.channel import oauth
from carapax.core.terms.error import Malformed, NotFound
from carapax.ports.channel import Channel, Keep
from carapax.ports.clock import Clock
from carapax.ports.egress import Egress

FOLDER = Path(__file__).parent
MAX_VALUE_CHARS = 4_096


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that `carapax channels add` asks for."""

    name: str
    english: str
    french: str
    secret: bool = False  # goes to the vault; the channel only learns a handle
    optional: bool = False
    default: str = ""
    pattern: str = ""  # the whole answer must match
    oauth: Mapping[str, str] = field(default_factory=dict)  # the secret only buys tokens: see `render_oauth`


@dataclass(frozen=True, slots=True)
class ChannelManifest:
    """What a kind of channel is and needs, as its manifest says."""

    kind: str
    title: str
    hosts: tuple[str, ...]  # whom it talks to; "{server}" is the host of that answer
    hook: bool  # the platform calls us
    asks: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """Everything that one channel is made of."""

    name: str
    values: Mapping[str, str]  # the answers that are no secrets
    secrets: Mapping[str, str]  # the handles of those that are, by the asked name
    egress: Egress
    keep: Keep
    clock: Clock
    log: Callable[[str], None] = lambda line: None  # a line for `carapax channels log`; never a secret in it


class _Package(Protocol):
    """What adapter.py of every package offers."""

    def open_channel(self, opening: Opening) -> Channel: ...


@cache
def manifests() -> Mapping[str, ChannelManifest]:
    """Every kind, by its id. Raises Malformed for a manifest that is not one."""
    found = (read_manifest(path) for path in sorted(FOLDER.glob("*/manifest.toml")))
    return {manifest.kind: manifest for manifest in found}


def get_manifest(kind: str) -> ChannelManifest:
    """One kind's. Raises NotFound."""
    try:
        return manifests()[kind]
    except KeyError:
        names = ", ".join(manifests())
        raise NotFound(f"There is no channel {kind[:40]!r}.", next_step=f"There are: {names}.") from None


def open_channel(kind: str, opening: Opening) -> Channel:
    """A channel of this kind; nothing is connected yet. Raises NotFound, Malformed (what an answer lacks)."""
    check_answers(get_manifest(kind), opening.values, opening.secrets)
    package = cast(_Package, importlib.import_module(f"carapax.adapters.channels.{kind}.adapter"))
    return package.open_channel(opening)


def check_answers(manifest: ChannelManifest, values: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Whether the answers are whole. Raises Malformed: which one, and what it should be."""
    for name in (*values, *secrets):
        if not any(asked.name == name and asked.secret is (name in secrets) for asked in manifest.asks):
            raise Malformed(f"{manifest.title} does not ask for {name[:40]!r}.")
    for asked in manifest.asks:
        value = (secrets if asked.secret else values).get(asked.name, "")
        if not value:
            if not asked.optional:
                raise Malformed(f"{manifest.title} needs {asked.name}: {asked.english}")
        elif not asked.secret:
            check_answer(asked, value)


def check_answer(asked: Asked, value: str) -> None:
    """Whether one answer looks right. Raises Malformed; the answer is not in its text."""
    if len(value) > MAX_VALUE_CHARS or not value.isprintable():
        raise Malformed(f"{asked.name} is too long or holds characters that do not show.")
    if asked.pattern and not re.fullmatch(asked.pattern, value):
        raise Malformed(f"This does not look like {asked.name}: {asked.english}")


def render_oauth(asked: Asked, values: Mapping[str, str], secret: str) -> str:
    """What the vault seals where a manifest says how its tokens are got; JSON."""
    return oauth.render_oauth(asked.oauth, values, secret)


def read_manifest(path: Path) -> ChannelManifest:
    """A manifest. Raises Malformed."""
    try:
        given = tomllib.loads(path.read_text("utf-8"))
        asks = tuple(_asked(entry) for entry in given.pop("ask", []))
        made = ChannelManifest(
            kind=given.pop("id"),
            title=given.pop("title"),
            hosts=tuple(given.pop("hosts")),
            hook=given.pop("hook", False),
            asks=asks,
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, re.error) as error:
        raise Malformed(f"{path.parent.name}/manifest.toml is not a channel's manifest: {error}.") from error
    if given or made.kind != path.parent.name or len({asked.name for asked in asks}) != len(asks):
        raise Malformed(f"{path.parent.name}/manifest.toml has an unknown key, another id, or asks twice.")
    return made


def _asked(entry: Mapping[str, Any]) -> Asked:
    asked = Asked(**entry)
    re.compile(asked.pattern)
    return asked
