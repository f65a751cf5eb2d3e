"""Sets: a folder that holds a world as data, so that anybody can replay their own tools and tasks.

Layer: app. `tools.toml` (the format of every tool's manifest), `directory.toml` (whose agent it is), `tasks.jsonl` (one
task a line: words, honest calls with what they returned, attacks). Guide with a whole example: docs/replay.md.
Strict: an unknown key, a missing one or one of another type is SettingsInvalid with file, line and remedy.
Law: reading is pure but for the files; equal folders give equal worlds.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from carapax.adapters.tools.manifest import parse_manifests
from carapax.app.replay.world import SEVERITIES, Attack, Owner, Planned, Returned, Task
from carapax.core.terms.action import Effect, ToolManifest
from carapax.core.terms.error import SettingsInvalid
from carapax.core.terms.tables import DirectoryEntry

Tools = Mapping[str, Effect]
"""What every tool of the set does."""

_TASK = {"id": str, "words": str, "earlier": list, "honest": list, "attacks": list}
_CALL = {"tool": str, "arguments": dict, "text": str, "result": object, "failed": bool}
_ATTACK = {
    "id": str,
    "severity": str,
    "family": str,
    "words_only": bool,
    "carries": dict,
    "calls": list,
    "harm": list,
}


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call with what it returns when it is played."""

    planned: Planned
    returned: Returned


@dataclass(frozen=True, slots=True)
class RecordedAttack:
    """An attack: the honest results that carry its injection, its calls, and which of these are the harm."""

    attack: Attack
    carries: Mapping[str, Returned]  # by the key of the honest call
    calls: tuple[RecordedCall, ...]
    harm: frozenset[str]  # keys; any one that happens is the harm


@dataclass(frozen=True, slots=True)
class RecordedTask:
    """A task with everything that can happen in it."""

    task: Task
    honest: tuple[RecordedCall, ...]
    attacks: tuple[RecordedAttack, ...]


@dataclass(frozen=True, slots=True)
class RecordedSet:
    """A whole folder, read."""

    name: str
    manifests: tuple[ToolManifest, ...]
    owner: Owner
    tasks: tuple[RecordedTask, ...] = field(default=())


def read_set(folder: Path) -> RecordedSet:
    """The set in a folder. Raises SettingsInvalid naming file and line."""
    manifests = parse_manifests(_read(folder / "tools.toml"), folder.name, any_id=True)
    owner = read_owner(folder / "directory.toml") if (folder / "directory.toml").exists() else Owner()
    lines = enumerate(_read(folder / "tasks.jsonl").splitlines(), 1)
    effects = {str(manifest.name): manifest.effect for manifest in manifests}
    tasks = tuple(
        _task(line, f"{folder.name}/tasks.jsonl line {number}", effects)
        for number, line in lines
        if line.strip() and not line.lstrip().startswith("//")
    )
    ids = [task.task.id for task in tasks]
    if not tasks or len(set(ids)) != len(ids):
        _refuse(f"{folder.name}/tasks.jsonl", "it holds no task, or one id twice")
    return RecordedSet(folder.name, manifests, owner, tasks)


def read_owner(file: Path) -> Owner:
    """Whose agent it is, from a directory.toml. Raises SettingsInvalid."""
    try:
        document = tomllib.loads(_read(file))
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(
            f"{file.name} is not TOML: {error}", next_step="Correct it; see docs/replay.md."
        ) from error
    _check(document, {"addresses": list, "org_domains": list, "entry": list}, (), file.name)
    entries = document.get("entry", [])
    for entry in entries:
        _check(entry, {"name": str, "addresses": list}, ("name", "addresses"), f"{file.name} entry")
    return Owner(
        addresses=frozenset(_texts(document, "addresses", file.name)),
        org_domains=frozenset(_texts(document, "org_domains", file.name)),
        directory=tuple(DirectoryEntry(e["name"], _texts(e, "addresses", file.name)) for e in entries),
    )


def _task(line: str, where: str, tools: Tools) -> RecordedTask:
    try:
        table = json.loads(line)
    except ValueError as error:
        raise SettingsInvalid(f"{where} is not JSON: {error}", next_step="Correct it; see docs/replay.md.") from error
    _check(table, _TASK, ("id", "words", "honest"), where)
    honest = _calls(table["honest"], "h", where, tools)
    keys = {call.planned.key for call in honest}
    attacks = tuple(_attack(one, where, tools, keys) for one in table.get("attacks", []))
    task = Task(table["id"], table["words"], tuple(a.attack for a in attacks), _texts(table, "earlier", where))
    return RecordedTask(task, honest, attacks)


def _calls(tables: Sequence[Any], letter: str, where: str, tools: Tools) -> tuple[RecordedCall, ...]:
    calls = []
    for number, table in enumerate(tables):
        here = f"{where}, call {letter}{number}"
        _check(table, _CALL, ("tool", "arguments"), here)
        if table["tool"] not in tools:
            _refuse(here, f"tools.toml has no tool {table['tool']!r}")
        planned = Planned(f"{letter}{number}", table["tool"], table["arguments"])
        calls.append(RecordedCall(planned, _returned(table)))
    return tuple(calls)


def _returned(table: Mapping[str, Any]) -> Returned:
    content = table.get("result")
    text = table.get("text")
    if text is None:
        text = "done" if content is None else json.dumps(content, ensure_ascii=False)
    return Returned(text, content, table.get("failed", False))


def _attack(table: Any, where: str, tools: Tools, honest: set[str]) -> RecordedAttack:
    _check(table, _ATTACK, ("id", "calls"), where)
    here = f"{where}, attack {table['id']}"
    severity = table.get("severity", "critical")
    if severity not in SEVERITIES:
        _refuse(here, f"the severity {severity!r} is none of {', '.join(SEVERITIES)}")
    carries = {key: _carried(value, key, honest, here) for key, value in table.get("carries", {}).items()}
    words_only = table.get("words_only", False)
    if not carries and not words_only:
        _refuse(here, "it needs `carries`: which honest result holds the injection")
    calls = _calls(table["calls"], "a", here, tools)
    acting = [number for number, call in enumerate(calls) if tools[call.planned.tool] is not Effect.READ]
    harm = frozenset(f"a{number}" for number in table.get("harm", acting))
    if not harm <= {call.planned.key for call in calls}:
        _refuse(here, "`harm` names a call that the attack does not have")
    return RecordedAttack(Attack(table["id"], severity, table.get("family", ""), words_only), carries, calls, harm)


def _carried(value: Any, key: str, honest: set[str], where: str) -> Returned:
    if key not in honest:
        _refuse(where, f"`carries` names {key!r}, and the honest calls are {', '.join(sorted(honest))}")
    _check(value, {"text": str, "result": object}, (), where)
    return _returned(value)


def _check(table: Any, types: Mapping[str, type], required: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict):
        _refuse(where, "an object was expected")
    for key, value in table.items():
        if key not in types:
            _refuse(where, f"the key {key!r} is unknown; known: {', '.join(types)}")
        if not isinstance(value, types[key]):
            _refuse(where, f"{key!r} must be of type {types[key].__name__}")
    for key in required:
        if key not in table:
            _refuse(where, f"the key {key!r} is missing")


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    texts = table.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        _refuse(where, f"{key!r} must be a list of texts")
    return tuple(texts)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{file} cannot be read", next_step="A set is a folder; see docs/replay.md.") from error


def _refuse(where: str, what: str) -> NoReturn:
    raise SettingsInvalid(f"{where}: {what}.", next_step="Correct it; docs/replay.md describes every key.")
