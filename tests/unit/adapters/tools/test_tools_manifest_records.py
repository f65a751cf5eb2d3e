"""Manifests: what a tool says about the domain, the sink and the records of its results."""

from __future__ import annotations

import pytest

from carapax.adapters.tools.manifest import parse_manifests
from carapax.core.terms.action import ArgRole, ArgType, FieldRole, Sink, ToolManifest
from carapax.core.terms.error import SettingsInvalid
from carapax.core.terms.label import Integrity

HEAD = """
id = "mail"
[[tool]]
name = "find"
description = "Find."
effect = "read"
result_integrity = "external"
reversible = true
touches_workspace = false
"""
ARG = """
[[tool.arg]]
name = "query"
role = "content"
type = "text"
description = "Words"
"""
RECORD = """
[[tool.record]]
kind = "mail"
[[tool.record.field]]
name = "id"
role = "id"
"""


def parse(more: str) -> ToolManifest:
    return parse_manifests(HEAD + more, "mail")[0]


def test_what_is_left_out_is_the_worst_or_nothing() -> None:
    tool = parse("")
    assert (tool.domain, tool.domain_words, tool.words, tool.records) == ("", (), (), ())
    assert (tool.result_readers, tool.sink, tool.contained, tool.from_files) == ("owner", Sink.NONE, False, False)
    assert not tool.scalar


def test_everything_about_the_tool_is_read() -> None:
    tool = parse(
        'domain = "mail"\ndomain_words = ["mail"]\nwords = ["look up"]\nresult_readers = "org"\n'
        'sink = "public"\ncontained = true\nfrom_files = true\nscalar = true\n'
    )
    assert (tool.domain, tool.domain_words, tool.words) == ("mail", ("mail",), ("look up",))
    assert (tool.result_readers, tool.sink, tool.contained, tool.from_files) == ("org", Sink.PUBLIC, True, True)
    assert tool.scalar


@pytest.mark.parametrize("kind", ["text", "integer", "number", "boolean", "list", "json"])
def test_every_type_of_argument_is_known(kind: str) -> None:
    tool = parse(ARG.replace('type = "text"', f'type = "{kind}"\nkey = "id"'))
    assert tool.args[0].type is ArgType(kind)
    assert tool.args[0].key == "id"


def test_an_argument_without_a_role_is_a_recipient() -> None:
    assert parse(ARG.replace('role = "content"\n', "")).args[0].role is ArgRole.RECIPIENT


def test_records_are_read_and_a_field_without_an_integrity_is_external() -> None:
    (record,) = parse(
        ARG
        + '[[tool.record]]\nkind = "mail"\nnouns = ["mail", "mails"]\nat = "a.b"\ndirectory = true\nfound = true\n'
        + '[[tool.record.field]]\nname = "id"\nrole = "id"\nintegrity = "catalog"\nwords = ["number"]\nreader = true\nsource = true\n'
        + '[[tool.record.field]]\nname = "@query"\nrole = "place"\n'
        + '[[tool.record.field]]\nname = ""\nrole = "text"\n'
    ).records
    assert (record.kind, record.nouns, record.at, record.directory) == ("mail", ("mail", "mails"), "a.b", True)
    first, second, third = record.fields
    assert (record.directory, record.found) == (True, True)
    assert (first.role, first.integrity, first.words, first.reader) == (
        FieldRole.ID,
        Integrity.CATALOG,
        ("number",),
        True,
    )
    assert (second.name, second.integrity, second.reader) == ("@query", Integrity.EXTERNAL, False)
    assert (first.source, second.source) == (True, False)
    assert third.name == ""


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('domain = 3\n', "'domain' must be of type str"),
        ('domain_words = [3]\n', "domain_words must be texts"),
        ('words = "send"\n', "'words' must be of type list"),
        ('result_readers = "everybody"\n', "'everybody' is none of"),
        ('sink = "world"\n', "'world' is no Sink"),
        ('contained = "yes"\n', "'contained' must be of type bool"),
        ('scalar = 1\n', "'scalar' must be of type bool"),
        ('trusted = true\n', "'trusted' is unknown"),
        (RECORD.replace('kind = "mail"', 'kind = "mail"\nplural = "x"'), "'plural' is unknown"),
        ('[[tool.record]]\nkind = "mail"\nfield = []\n', "names no field"),
        ('[[tool.record]]\nkind = "mail"\n', "'field' is missing"),
        (RECORD + '[[tool.record.field]]\nname = "id"\nrole = "id"\n', "names no field, or one twice"),
        (RECORD.replace('role = "id"', 'role = "key"'), "'key' is no FieldRole"),
        (RECORD.replace('role = "id"', 'role = "id"\nintegrity = "high"'), "'high' is no Integrity"),
        (RECORD.replace('name = "id"', 'name = "@nothing"'), "names no argument"),
        (RECORD.replace('role = "id"', 'role = "id"\nreader = 1'), "'reader' must be of type bool"),
    ],
)  # fmt: skip
def test_a_fault_is_refused_and_named(more: str, what: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        parse(more)
    assert what in caught.value.what


def test_a_set_of_anybody_may_carry_any_id() -> None:
    with pytest.raises(SettingsInvalid):
        parse_manifests(HEAD, "other")
    assert parse_manifests(HEAD, "other", any_id=True)[0].name == "find"
