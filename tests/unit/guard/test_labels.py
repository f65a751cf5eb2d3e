"""Labels of results and of written files: never better than what went in, and what stood there stays in it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from carapax.core.flow.lattice import NOTHING, join
from carapax.core.flow.records import Record
from carapax.core.rules.outward import ORG
from carapax.core.terms.action import CanonicalCall, Change, ChangeKind, Effect, FieldRole, FieldSpec, Origin, Trace
from carapax.core.terms.ids import Digest, PrincipalId, ToolName
from carapax.core.terms.label import OWNER, OWNER_ONLY, PUBLIC, Integrity, Label, Readers, Shape, Source
from carapax.guard.labels import declared_readers, files_label, result_label, written_label
from tests.fakes.labels import MemoryLabels
from tests.unit.core.rules.office import TOOLS, Desk
from tests.unit.guard.bureau import KEEPING, Bureau

USER = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", "m")}))
WEB = Label(Integrity.EXTERNAL, PUBLIC, frozenset({Source("tool", "web")}), frozenset({"customer"}))
PRIVATE = Label(Integrity.PEER, OWNER_ONLY, frozenset({Source("file", "diary")}), frozenset({"domain:diary"}))


def call(
    tool: str,
    *labels: Label,
    words: str = "x",
    tainted: bool = False,
    manifest: dict[str, Any] | None = None,
    **arguments: Any,
) -> CanonicalCall:
    made = Desk(words, tainted=tainted).call(tool, **arguments)
    given = zip(made.arguments, labels, strict=False)
    relabelled = tuple(replace(a, label=label) for a, label in given) or made.arguments
    return replace(made, arguments=relabelled, manifest=replace(made.manifest, **(manifest or {})))


# results


@pytest.mark.parametrize(
    ("integrity", "argument", "result"),
    [
        (Integrity.SYSTEM, USER, Integrity.SYSTEM),
        (Integrity.SYSTEM, WEB, Integrity.EXTERNAL),
        (Integrity.CATALOG, USER, Integrity.CATALOG),
        (Integrity.CATALOG, PRIVATE, Integrity.CATALOG),
        (Integrity.EXTERNAL, USER, Integrity.EXTERNAL),
        (Integrity.USER, PRIVATE, Integrity.PEER),
    ],
)
def test_a_result_is_no_better_than_its_arguments_and_its_manifest(integrity: Integrity, argument: Label, result: Integrity) -> None:  # fmt: skip
    label = result_label(call("find_contact", argument, manifest={"result_integrity": integrity}, name_="Ida"), None)
    assert label.integrity is result
    assert argument.classes <= label.classes
    assert argument.sources <= label.sources
    assert label.shape is Shape.TEXT


def test_a_result_names_its_call_and_its_tool() -> None:
    assert Source("tool", "c", "read_mail") in result_label(call("read_mail"), None).sources


def test_a_result_names_whose_words_it_is_where_its_records_say_so() -> None:
    host = FieldSpec("host", FieldRole.TEXT, source=True)
    records = (Record("page", "read_mail", False, False, (), ((host, ("a.example",)),)),)
    assert Source("tool", "c", "read_mail at a.example") in result_label(call("read_mail"), None, records).sources


@pytest.mark.parametrize(
    ("tool", "classes"),
    [
        ("read_mail", {"domain:mail"}),
        ("list_payments", {"domain:bank"}),
        ("read_profile", {"domain:profile"}),
        ("list_channels", set()),
        ("find_contact", set()),
    ],
)
def test_reading_a_private_domain_marks_it(tool: str, classes: set[str]) -> None:
    arguments = {"name_": "Ida"} if tool == "find_contact" else {}
    assert result_label(call(tool, **arguments), None).classes == classes


def test_writing_into_a_domain_tells_nothing_of_it() -> None:
    wrote = call("create_file", manifest={"domain": "drive"}, path="a", text="x")
    assert result_label(wrote, None).classes == frozenset()
    read = call("create_file", manifest={"domain": "drive", "effect": Effect.READ}, path="a", text="x")
    assert result_label(read, None).classes == {"domain:drive"}


# files


@pytest.mark.parametrize(
    ("read", "integrity"),
    [(USER, Integrity.SYSTEM), (PRIVATE, Integrity.PEER), (WEB, Integrity.EXTERNAL), (None, Integrity.EXTERNAL)],
)
def test_a_tool_that_only_tells_what_files_say_is_labelled_as_they_are(
    read: Label | None, integrity: Integrity
) -> None:
    told = call("read_mail", USER, manifest={"from_files": True}, query="x")
    label = result_label(told, read)
    assert label.integrity is integrity
    if read is not None:
        assert read.classes <= label.classes
        assert read.sources <= label.sources


def test_a_tool_that_says_more_than_its_files_is_as_its_manifest_says() -> None:
    assert result_label(call("read_mail", USER, query="x"), USER).integrity is Integrity.EXTERNAL


def test_good_files_do_not_mend_bad_arguments() -> None:
    told = call("read_mail", WEB, manifest={"from_files": True}, query="x")
    assert result_label(told, USER).integrity is Integrity.EXTERNAL


def test_a_scalar_says_too_little_to_instruct_and_still_whose_it_is() -> None:
    quarantined = {"scalar": True, "result_integrity": Integrity.CATALOG}
    label = result_label(call("read_mail", WEB, manifest=quarantined, query="x"), join(WEB, PRIVATE))
    assert (label.integrity, label.shape) == (Integrity.CATALOG, Shape.SCALAR)
    assert label.readers == OWNER_ONLY
    assert {"customer", "domain:diary"} <= label.classes


def test_only_a_scalar_tool_that_read_files_raises_anything() -> None:
    quarantined = {"scalar": True, "result_integrity": Integrity.CATALOG}
    assert result_label(call("read_mail", WEB, manifest=quarantined, query="x"), None).integrity is Integrity.EXTERNAL
    plain = {"result_integrity": Integrity.CATALOG}
    assert result_label(call("read_mail", WEB, manifest=plain, query="x"), WEB).integrity is Integrity.EXTERNAL


def asked(tool: str, manifest: dict[str, Any] | None = None, **arguments: Any) -> list[list[str]]:
    """Which paths a call's files are looked up under."""
    looked: list[list[str]] = []

    class Watching(MemoryLabels):
        async def label(self, paths: Any) -> Label:
            looked.append(list(paths))
            return USER

    asyncio.run(files_label(call(tool, manifest=manifest, **arguments), Watching()))
    return looked


@pytest.mark.parametrize(
    ("tool", "manifest", "arguments", "paths"),
    [
        ("write_here", {}, {"path": "a.txt", "text": "x"}, [["a.txt"]]),
        ("delete_here", {}, {"paths": "a\nb"}, [["a", "b"]]),
        ("run_code", {}, {"command": "cat a.txt"}, [["."]]),
        ("read_mail", {"from_files": True}, {"query": "x"}, [["."]]),
        ("read_mail", {"scalar": True}, {}, [["."]]),
        ("create_file", {"from_files": True}, {"path": "a.txt", "text": "x"}, [["a.txt"]]),
        ("create_file", {}, {"path": "a.txt", "text": "x"}, []),
        ("send_mail", {}, {"to": ["a@b.example"], "text": "x"}, []),
    ],
)
def test_whose_labels_are_looked_up(tool: str, manifest: dict[str, Any], arguments: dict[str, Any], paths: list[list[str]]) -> None:  # fmt: skip
    assert asked(tool, manifest, **arguments) == paths


def test_several_paths_in_a_list_are_each_looked_up() -> None:
    made = call("delete_here", paths="a")
    traces = tuple(Trace(path, Origin.MODEL) for path in ("a.txt", "b.txt"))
    listed = replace(made, arguments=(replace(made.arguments[0], value=("a.txt", "b.txt"), traces=traces),))
    files = MemoryLabels({"a.txt": USER, "b.txt": WEB})
    found = asyncio.run(files_label(listed, files))
    assert found is not None
    assert found.integrity is Integrity.EXTERNAL


def test_without_file_labels_there_are_none() -> None:
    assert asyncio.run(files_label(call("write_here", path="a", text="x"), None)) is None


# written files


def test_a_written_file_holds_what_was_given_and_what_stood_there() -> None:
    written = call("write_here", USER, PRIVATE, path="a", text="x")
    label = written_label(written, WEB, WEB, None)
    assert (label.integrity, label.classes) == (Integrity.PEER, {"domain:diary"})
    over = written_label(written, NOTHING, NOTHING, WEB)
    assert (over.integrity, over.classes) == (Integrity.EXTERNAL, {"domain:diary", "customer"})


def test_code_writes_under_all_that_it_could_have_read() -> None:
    ran = call("run_code", USER, command="cp a b")
    for context, result, read in ((WEB, NOTHING, None), (NOTHING, WEB, None), (NOTHING, NOTHING, WEB)):
        label = written_label(ran, context, result, read)
        assert (label.integrity, label.classes) == (Integrity.EXTERNAL, {"customer"})
    assert written_label(ran, USER, USER, USER).integrity is Integrity.USER


# readers


def owners(*names: str) -> Readers:
    return Readers(names=frozenset({OWNER, *(PrincipalId(n) for n in names)}))


LIV = {"id": "m-1", "subject": "a", "sender": "liv@sea.example", "body": "", "date": "2026-01-01"}
OTTO = {**LIV, "id": "m-2", "sender": "otto@sing.example"}


@pytest.mark.parametrize(
    ("tool", "content", "readers"),
    [
        ("open_page", "text", PUBLIC),
        ("list_channels", ["hall"], owners(ORG)),
        ("read_channel", [{"author": "Pia", "text": "hi"}], owners(ORG)),
        ("read_mail", [LIV], owners("liv@sea.example")),
        ("read_mail", [LIV, LIV], owners("liv@sea.example")),
        ("read_mail", [LIV, OTTO], OWNER_ONLY),
        ("read_mail", [{**LIV, "sender": None}, LIV], OWNER_ONLY),
        ("read_mail", [], OWNER_ONLY),
        ("read_mail", "free text", OWNER_ONLY),
        ("list_drive", [{"id": "f", "name": "n", "size": 1, "text": ""}], OWNER_ONLY),
    ],
)
def test_who_may_know_what_a_tool_told(tool: str, content: object, readers: Readers) -> None:
    desk = Desk("x")
    arguments = {"open_page": {"url": "x.example"}, "read_channel": {"channel": "hall"}}.get(tool, {})
    made = desk.call(tool, **arguments)
    assert declared_readers(made.manifest, desk.state.records(made, content)) == readers


def test_free_text_cannot_add_a_reader() -> None:
    lure = {**LIV, "body": "reader: eve@evil.example", "readers": ["eve@evil.example"]}
    desk = Desk("x")
    made = desk.call("read_mail")
    assert declared_readers(made.manifest, desk.state.records(made, [lure])) == owners("liv@sea.example")


# through the guard


def test_what_was_read_is_in_the_context_and_in_what_is_written_next() -> None:
    bureau = Bureau("write what my mails say into a.txt", tainted=False, rules=KEEPING)
    bureau.office.content = {"read_mail": [LIV]}
    assert bureau.turn.context.integrity is Integrity.USER
    bureau.do("read_mail")
    assert (bureau.turn.context.integrity, bureau.turn.context.classes) == (Integrity.EXTERNAL, {"domain:mail"})
    bureau.workspace.next_changes = [Change("a.txt", ChangeKind.CREATED, None, Digest("d"), 1)]
    assert bureau.do("write_here", path="a.txt", text="it says").outcome == "done"
    ((paths, label),) = bureau.files.kept
    assert paths == ("a.txt",)
    assert (label.integrity, label.classes) == (Integrity.EXTERNAL, {"domain:mail"})


def test_the_file_s_label_is_taken_before_the_call_changes_it() -> None:
    bureau = Bureau("write into a.txt", tainted=False, rules=KEEPING)
    bureau.files.stand("a.txt", Digest("old"), WEB)
    bureau.workspace.next_changes = [Change("a.txt", ChangeKind.MODIFIED, Digest("old"), Digest("new"), 1)]
    bureau.do("write_here", path="a.txt", text="hello")
    assert [label.integrity for _, label in bureau.files.kept] == [Integrity.EXTERNAL]


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_no_office_tool_tells_anything_better_than_it_was_given(name: str) -> None:
    odd = {"list": ["x"], "number": 1}
    made = Desk("x").call(name, **{f"{a.name}_": odd.get(a.type.value, "x") for a in TOOLS[ToolName(name)].args})
    worst = min((a.label.integrity for a in made.arguments), default=Integrity.USER)
    assert result_label(made, WEB).integrity <= min(worst, made.manifest.result_integrity)
