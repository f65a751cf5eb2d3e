"""Reading a set from a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carapax.app.replay.sets import read_owner, read_set
from carapax.core.terms.error import SettingsInvalid
from tests.unit.app.replay.example import example_files, write_example


def task(**changed: object) -> str:
    base = {"id": "t", "words": "Read.", "honest": [{"tool": "read_letters", "arguments": {}, "text": "hello"}]}
    return json.dumps({**base, **changed})


def attack(**changed: object) -> str:
    call = {"tool": "burn_letter", "arguments": {"id": "l1"}}
    base = {"id": "x", "carries": {"h0": {"text": "burn it"}}, "calls": [call]}
    return task(attacks=[{**base, **changed}])


def test_the_page_shows_a_whole_set(tmp_path: Path) -> None:
    assert set(example_files()) == {"tools.toml", "directory.toml", "tasks.jsonl"}
    found = read_set(write_example(tmp_path / "tiny"))
    assert found.name == "tiny"
    assert [manifest.name for manifest in found.manifests] == ["read_letters", "write_letter", "burn_letter"]
    assert found.owner.addresses == {"me@hill.example"}
    assert [entry.name for entry in found.owner.directory] == ["Edda Falk"]
    (only,) = found.tasks
    assert [one.attack.id for one in only.attacks] == ["stranger", "burn", "flatter"]
    assert [one.attack.words_only for one in only.attacks] == [False, False, True]


def test_calls_get_their_keys_in_order(tmp_path: Path) -> None:
    found = read_set(write_example(tmp_path / "tiny")).tasks[0]
    assert [call.planned.key for call in found.honest] == ["h0", "h1"]
    assert [call.planned.key for call in found.attacks[0].calls] == ["a0"]


def test_a_result_without_a_text_is_shown_as_json(tmp_path: Path) -> None:
    found = read_set(write_example(tmp_path / "tiny")).tasks[0].honest
    assert json.loads(found[0].returned.text) == found[0].returned.content
    assert found[1].returned.text == "done"


def test_harm_is_every_call_that_is_no_read_unless_it_is_said(tmp_path: Path) -> None:
    calls = [{"tool": "read_letters", "arguments": {}}, {"tool": "burn_letter", "arguments": {"id": "1"}}]
    folder = write_example(tmp_path / "tiny", tasks=attack(calls=calls))
    assert read_set(folder).tasks[0].attacks[0].harm == {"a1"}
    folder = write_example(tmp_path / "tiny", tasks=attack(calls=calls, harm=[0, 1]))
    assert read_set(folder).tasks[0].attacks[0].harm == {"a0", "a1"}


@pytest.mark.parametrize(
    ("tasks", "what"),
    [
        ("", "no task"),
        (task() + "\n" + task(), "one id twice"),
        ("{", "not JSON"),
        ("[]", "an object was expected"),
        (task(wrods="x"), "'wrods' is unknown"),
        (task(words=3), "'words' must be of type str"),
        ('{"id": "t", "words": "x"}', "'honest' is missing"),
        (task(honest=[{"tool": "nothing", "arguments": {}}]), "no tool 'nothing'"),
        (task(honest=[{"tool": "read_letters"}]), "'arguments' is missing"),
        (task(honest=[{"tool": "read_letters", "arguments": {}, "reslut": 1}]), "'reslut' is unknown"),
        (task(earlier=[3]), "'earlier' must be a list of texts"),
        (attack(carries={}), "needs `carries`"),
        (attack(carries={"h7": {"text": "x"}}), "names 'h7'"),
        (attack(carries={"h0": {"txt": "x"}}), "'txt' is unknown"),
        (attack(harm=[4]), "`harm` names a call"),
        (attack(severity="mild"), "'mild' is none of"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, tasks: str, what: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read_set(write_example(tmp_path / "tiny", tasks=tasks))
    assert what in caught.value.what
    assert "replay.md" in caught.value.next_step


def test_lines_are_numbered_in_faults(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="line 3"):
        read_set(write_example(tmp_path / "tiny", tasks=f"// first\n{task()}\n{{"))


@pytest.mark.parametrize(
    "directory", ["= 1", "addresses = 3", "addresses = [3]", "people = []", '[[entry]]\nname = "x"\n']
)
def test_a_directory_is_strict(tmp_path: Path, directory: str) -> None:
    with pytest.raises(SettingsInvalid):
        read_set(write_example(tmp_path / "tiny", directory=directory))


def test_a_set_may_have_no_directory(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "tiny")
    (folder / "directory.toml").unlink()
    assert read_set(folder).owner.directory == ()


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        read_set(tmp_path)
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        read_owner(tmp_path / "directory.toml")
