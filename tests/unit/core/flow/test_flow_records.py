"""Records: a result is read as declared; what has another form gives nothing, never a guess."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from carapax.core.flow import records
from carapax.core.flow.records import as_texts, read_places, read_records, source_name
from carapax.core.terms.action import Effect, FieldRole, FieldSpec, RecordSpec, ToolManifest
from carapax.core.terms.ids import ToolName
from carapax.core.terms.label import Integrity

ID = FieldSpec("id", FieldRole.ID, Integrity.CATALOG)
NAME = FieldSpec("name", FieldRole.NAME)
WHO = FieldSpec("from.mail", FieldRole.ADDRESS, Integrity.CATALOG, reader=True)
PLACE = FieldSpec("@room", FieldRole.PLACE)
BARE = FieldSpec("", FieldRole.TEXT)


def manifest(*specs: RecordSpec, readers: str = "owner", domain: str = "") -> ToolManifest:
    return ToolManifest(
        ToolName("tell"), "", Effect.READ, (), Integrity.EXTERNAL, False, False, result_readers=readers, domain=domain, records=specs
    )  # fmt: skip


def read(spec: RecordSpec, content: object, **arguments: Any) -> list[tuple[str, ...]]:
    return [
        tuple(v for _, values in r.fields for v in values) for r in read_records(manifest(spec), arguments, content)
    ]


@pytest.mark.parametrize(
    ("at", "content", "found"),
    [
        ("", [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}], [("1", "a"), ("2", "b")]),
        ("", {"id": "1", "name": "a"}, [("1", "a")]),
        ("items", {"items": [{"id": "1", "name": "a"}], "next": 2}, [("1", "a")]),
        ("a.b", {"a": {"b": {"id": "1", "name": "a"}}}, [("1", "a")]),
        ("a.b", {"a": {"c": 1}}, []),
        ("a.b", {"a": "text"}, []),
        ("a.b", ["a", "b"], []),
        ("items", None, []),
        ("", None, []),
        ("", [], []),
        ("", [{"id": "1"}], [("1",)]),
        ("", [{}], [()]),
        ("", ["a"], [()]),  # no such fields in a bare text
        ("", [{"id": None, "name": "a"}], [("a",)]),
        ("", [{"id": 7, "name": ["a", "b"]}], [("7", "a", "b")]),
    ],
)
def test_where_records_lie(at: str, content: object, found: list[tuple[str, ...]]) -> None:
    assert read(RecordSpec("thing", at=at, fields=(ID, NAME)), content) == found


def test_the_pairs_of_an_object() -> None:
    spec = RecordSpec("thing", at="*", fields=(replace(NAME, name="key"), replace(BARE, name="value")))
    assert read(spec, {"lamp": "on", "door": 3}) == [("lamp", "on"), ("door", "3")]
    assert read(spec, [{"key": "lamp", "value": "on"}]) == []


def test_bare_values_nested_fields_and_arguments() -> None:
    assert read(RecordSpec("t", fields=(BARE,)), ["a", 2, True]) == [("a",), ("2",), ("true",)]
    assert read(RecordSpec("t", fields=(WHO,)), {"from": {"mail": "a@b.example"}}) == [("a@b.example",)]
    assert read(RecordSpec("t", fields=(WHO,)), {"from": "a@b.example"}) == [()]
    assert read(RecordSpec("t", fields=(WHO,)), {"from.mail": "a@b.example"}) == [()]
    assert read(RecordSpec("t", fields=(PLACE, BARE)), ["hi"], room="hall") == [("hall", "hi")]
    assert read(RecordSpec("t", fields=(PLACE, BARE)), ["hi"]) == [("hi",)]


def test_a_result_cannot_say_what_the_call_s_argument_was() -> None:
    assert read(RecordSpec("t", fields=(PLACE,)), [{"@room": "trap", "room": "trap"}], room="hall") == [("hall",)]


def test_a_record_knows_its_tool_its_readers_and_its_domain() -> None:
    spec = RecordSpec("note", ("note", "notes"), fields=(WHO, NAME), directory=True)
    (told,) = read_records(
        manifest(spec, readers="org", domain="diary"), {}, {"from": {"mail": "a@b.example"}, "name": "n"}
    )
    assert (told.kind, told.tool, told.nouns, told.domain) == ("note", "tell", ("note", "notes"), "diary")
    assert (told.org, told.directory, told.readers(), told.of(FieldRole.NAME)) == (True, True, ("a@b.example",), ("n",))
    assert told.of(FieldRole.NAME, FieldRole.ADDRESS) == ("a@b.example", "n")  # in the order of the fields
    assert told.of(FieldRole.URL) == ()
    (other,) = read_records(manifest(replace(spec, directory=False)), {}, {})
    assert (other.org, other.directory, other.readers()) == (False, False, ())


def test_several_kinds_in_one_result() -> None:
    both = manifest(RecordSpec("a", at="as", fields=(ID,)), RecordSpec("b", at="bs", fields=(ID,)))
    assert [r.kind for r in read_records(both, {}, {"as": [{"id": 1}], "bs": [{"id": 2}, {"id": 3}]})] == [
        "a",
        "b",
        "b",
    ]
    assert read_records(manifest(), {}, [{"id": 1}]) == ()


def test_records_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORDS", 3)
    assert len(read(RecordSpec("t", fields=(BARE,)), [*"abc"])) == 3
    assert len(read(RecordSpec("t", fields=(BARE,)), [*"abcdef"])) == 3


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (None, ()),
        ("", ("",)),
        ("a", ("a",)),
        (True, ("true",)),
        (False, ("false",)),
        (0, ("0",)),
        (1.50, ("1.5",)),
        (["a", None, ["b"]], ("a", "b")),
        (("a", 1), ("a", "1")),
        ({"k": "v", "l": 1}, ("k", "l")),
        ([], ()),
    ],
)
def test_values_as_texts(value: object, texts: tuple[str, ...]) -> None:
    assert as_texts(value) == texts


def test_places_that_were_looked_into() -> None:
    spec = RecordSpec("note", fields=(PLACE, replace(PLACE, name="room"), replace(NAME, name="@room")))
    assert read_places(manifest(spec), {"room": "hall"}) == ((spec, "hall"),)
    assert read_places(manifest(spec), {}) == ()
    assert read_places(manifest(), {"room": "hall"}) == ()


def test_a_result_is_named_by_whose_words_it_is_where_all_its_records_say_the_same() -> None:
    spec = RecordSpec("page", fields=(NAME, FieldSpec("host", FieldRole.TEXT, source=True)))

    def named(*hosts: str) -> str:
        return source_name("tell", read_records(manifest(spec), {}, [{"name": "n", "host": host} for host in hosts]))

    assert named("a.example") == named("a.example", "a.example") == "tell at a.example"
    assert named() == named("a.example", "b.example") == "tell"
    assert (
        source_name("tell", read_records(manifest(RecordSpec("page", fields=(NAME,))), {}, [{"name": "n"}])) == "tell"
    )
