from __future__ import annotations

import json
from pathlib import Path

import pytest

from carapax.adapters.tools import manifest as manifest_module
from carapax.adapters.tools.manifest import family_manifests, load_manifests, parse_manifests
from carapax.agent.small.profile import LEFT_OUT
from carapax.core.terms.action import ArgType, Effect, ToolManifest
from carapax.core.terms.error import SettingsInvalid
from carapax.core.terms.label import Integrity
from carapax.core.terms.tier import Provenance

GOOD = """
id = "demo"
[[tool]]
name = "look"
description = "Look."
effect = "read"
result_integrity = "external"
reversible = true
touches_workspace = false
[[tool.arg]]
name = "path"
role = "path"
type = "text"
description = "Where"
choices = ["a", "b"]
"""


def test_a_manifest_is_read_with_the_terms_own_defaults() -> None:
    (tool,) = parse_manifests(GOOD, "demo")
    assert (tool.name, tool.effect, tool.result_integrity) == ("look", Effect.READ, Integrity.EXTERNAL)
    assert (tool.timeout_ms, tool.output_bytes, tool.ends_turn) == (60_000, 64_000, False)
    assert (tool.args[0].required, tool.args[0].max_bytes, tool.args[0].choices) == (True, 65_536, ("a", "b"))


def test_a_way_out_and_an_author_are_declared_and_are_else_the_worse() -> None:
    (silent,) = parse_manifests(GOOD, "demo")
    assert (silent.online, silent.provenance) == (False, Provenance.THIRD_PARTY)
    (said,) = parse_manifests(
        GOOD.replace("reversible = true", 'reversible = true\nonline = true\nprovenance = "agent"'), "demo"
    )
    assert (said.online, said.provenance) == (True, Provenance.AGENT)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "demo"', 'id = "other"', "its id is"),
        ('id = "demo"', "", "'id' is missing"),
        ('name = "look"', 'name = "look"\nnetwork = true', "'network' is unknown"),
        ('name = "path"', 'name = "path"\nsecret = "x"', "'secret' is unknown"),
        ('effect = "read"', "", "'effect' is missing"),
        ('effect = "read"', 'effect = "harmless"', "no Effect"),
        ('role = "path"', 'role = "anything"', "no ArgRole"),
        ('type = "text"', 'type = "float"', "no ArgType"),
        ('result_integrity = "external"', 'result_integrity = "full"', "no Integrity"),
        ("reversible = true", 'reversible = "yes"', "type bool"),
        ("reversible = true", "reversible = 1", "type bool"),
        ("reversible = true", "reversible = true\ntimeout_ms = true", "type int"),
        ("reversible = true", "reversible = true\ntimeout_ms = 0", "above zero"),
        ('choices = ["a", "b"]', "choices = [1]", "choices must be texts"),
        ('id = "demo"', 'id = "demo"\nextra = 1', "'extra' is unknown"),
        ("reversible = true", "reversible = true\nonline = true\ncontained = true", "cannot be online"),
        ("reversible = true", "reversible = true\nonline = 1", "type bool"),
        ("reversible = true", 'reversible = true\nprovenance = "friend"', "no Provenance"),
        ("[[tool]]", "[tool]", "type list"),
        ("[[tool.arg]]", "[tool.arg]", "type list"),
        ('id = "demo"', "id = ", "is not TOML"),
    ],
)
def test_what_is_not_understood_is_refused(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(SettingsInvalid, match=words):
        parse_manifests(GOOD.replace(old, new, 1), "demo")


def test_the_same_name_twice_is_refused() -> None:
    body = GOOD.split("\n", 2)[2]
    with pytest.raises(SettingsInvalid, match="one twice"):
        parse_manifests(GOOD + body, "demo")
    with pytest.raises(SettingsInvalid, match="named twice"):
        parse_manifests(GOOD + body[body.index("[[tool.arg]]") :], "demo")
    with pytest.raises(SettingsInvalid, match="no tool"):
        parse_manifests('id = "demo"\ntool = []', "demo")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load_manifests(tmp_path)


def test_a_tool_that_two_families_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for family in ("one", "two"):
        (tmp_path / family).mkdir()
        (tmp_path / family / "manifest.toml").write_text(GOOD.replace("demo", family))
    monkeypatch.setattr(manifest_module, "__file__", str(tmp_path / "manifest.py"))
    with pytest.raises(SettingsInvalid, match="two tool families"):
        family_manifests()


def test_every_tool_declares_what_it_does() -> None:
    effects = {tool.name: tool.effect for tool in family_manifests()}
    assert effects == {
        "list_files": Effect.READ,
        "read_file": Effect.READ,
        "search_files": Effect.READ,
        "write_file": Effect.SELF_MODIFY,
        "append_file": Effect.SELF_MODIFY,
        "edit_file": Effect.SELF_MODIFY,
        "move_file": Effect.SELF_MODIFY,
        "delete_file": Effect.DESTROY,
        "run_command": Effect.CODE,
        "run_online": Effect.CODE,
        "show_time": Effect.READ,
        "ask_user": Effect.READ,
        "show_changes": Effect.READ,
        "read_value": Effect.READ,
        "web_fetch": Effect.FETCH,
        "web_search": Effect.FETCH,
        "attach_file": Effect.READ,
        "send_message": Effect.COMMUNICATE,
    }
    away = (Effect.READ, Effect.FETCH, Effect.COMMUNICATE)
    changing = {tool.name for tool in family_manifests() if tool.touches_workspace}
    assert changing == {name for name, effect in effects.items() if effect not in away}
    assert [tool.name for tool in family_manifests() if tool.ends_turn] == ["ask_user"]


def test_what_others_can_write_is_external() -> None:
    above = {
        tool.name: tool.result_integrity for tool in family_manifests() if tool.result_integrity > Integrity.EXTERNAL
    }
    assert above == {
        "show_time": Integrity.SYSTEM,
        "ask_user": Integrity.SYSTEM,  # adds nothing to its argument
        "write_file": Integrity.CATALOG,  # its argument, sizes and counts
        "append_file": Integrity.CATALOG,
        "send_message": Integrity.SYSTEM,  # where it goes, in words of ours
        "read_value": Integrity.CATALOG,  # a bounded value, in words of ours
    }


def test_the_whole_set_is_small_enough_for_a_small_model() -> None:
    assert (
        len(json.dumps([as_function(tool) for tool in family_manifests() if tool.name not in LEFT_OUT]).encode())
        < 5_000
    )


def as_function(tool: ToolManifest) -> dict[str, object]:
    kinds = {ArgType.TEXT: "string", ArgType.INTEGER: "integer", ArgType.BOOLEAN: "boolean"}
    properties = {arg.name: {"type": kinds[arg.type], "description": arg.description} for arg in tool.args}
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": [arg.name for arg in tool.args if arg.required],
                "additionalProperties": False,
            },
        },
    }
