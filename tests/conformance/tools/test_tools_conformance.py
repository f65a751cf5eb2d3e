"""What every tool family keeps, seen through ports.tool.Tool alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.adapters.tools.extract.adapter import ExtractTools
from carapax.adapters.tools.files.adapter import FileTools
from carapax.adapters.tools.online.adapter import OnlineTools
from carapax.adapters.tools.shell.adapter import ShellTools
from carapax.adapters.tools.talk.adapter import TalkTools
from carapax.adapters.tools.web.adapter import WebTools
from carapax.core.flow.scalar import Scalar, Wanted
from carapax.core.terms.action import ArgRole, CanonicalCall, Outcome, Receipt
from carapax.core.terms.error import AuthorityInvalid
from carapax.ports.tool import Tool
from tests.fakes.exit import CannedExit, Says
from tests.fakes.sandbox import UnwalledSandbox
from tests.fakes.store import MemoryStore
from tests.unit.adapters.tools.conftest import sealed
from tests.unit.adapters.tools.test_tools_talk import StillClock

Make = Callable[[Path], Tool]


async def say_yes(call: CanonicalCall, text: str, question: str, wanted: Wanted) -> Scalar:
    return Scalar(wanted, True)


FAMILIES: dict[str, Make] = {
    "extract": lambda root: ExtractTools(UnwalledSandbox(root), say_yes, StillClock()),
    "files": lambda root: FileTools(UnwalledSandbox(root)),
    "online": lambda root: OnlineTools(UnwalledSandbox(root), CannedExit(lambda _: Says()), lambda _: ()),
    "shell": lambda root: ShellTools(UnwalledSandbox(root)),
    "talk": lambda _: TalkTools(MemoryStore(StillClock()), StillClock()),
    "web": lambda root: WebTools(UnwalledSandbox(root), CannedExit(lambda request: Says(b"<p>words</p>"))),
}
SAMPLES: dict[str, dict[str, str | int | bool]] = {
    "read_file": {"path": "a.txt"},
    "write_file": {"path": "b.txt", "content": "b"},
    "append_file": {"path": "a.txt", "content": "b"},
    "edit_file": {"path": "a.txt", "old_text": "a", "new_text": "b"},
    "search_files": {"text": "a"},
    "move_file": {"path": "a.txt", "new_path": "c.txt"},
    "delete_file": {"paths": "a.txt"},
    "run_command": {"command": "cat a.txt"},
    "run_online": {"command": "cat a.txt"},
    "ask_user": {"question": "Which?"},
    "read_value": {"path": "a.txt", "question": "Is it an a?", "kind": "yes_no"},
    "web_fetch": {"url": "https://example.org"},
    "web_search": {"query": "words"},
}
NAMES = [(family, m.name) for family, make in FAMILIES.items() for m in make(Path()).manifests()]


def perform(make: Make, root: Path, name: str, arguments: dict[str, str | int | bool]) -> Receipt:
    tool = make(root)
    return asyncio.run(tool.perform(sealed(tool, name, arguments)))


@pytest.mark.parametrize(("family", "name"), NAMES)
def test_a_call_that_works_is_done_and_says_something(family: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\n")
    tool = FAMILIES[family](tmp_path)
    call = sealed(tool, name, SAMPLES.get(name, {}))
    receipt = asyncio.run(tool.perform(call))
    assert receipt.outcome is Outcome.DONE, receipt.text
    assert receipt.call == call.call.call
    assert receipt.text.strip()
    assert receipt.changes == ()


@pytest.mark.parametrize(("family", "name"), [pair for pair in NAMES if pair[0] != "talk"])
def test_a_call_is_handed_to_the_sandbox_once(family: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\n")
    tool = FAMILIES[family](tmp_path)
    call = sealed(tool, name, SAMPLES.get(name, {}))
    asyncio.run(tool.perform(call))
    with pytest.raises(AuthorityInvalid):
        asyncio.run(tool.perform(call))


@pytest.mark.parametrize(("family", "name"), [pair for pair in NAMES if pair[0] in ("files", "extract")])
def test_a_failure_of_the_work_is_a_receipt(family: str, name: str, tmp_path: Path) -> None:
    manifest = next(m for m in FAMILIES[family](tmp_path).manifests() if m.name == name)
    arguments = SAMPLES.get(name, {}) | {a.name: "../x" for a in manifest.args if a.role is ArgRole.PATH}
    receipt = perform(FAMILIES[family], tmp_path, name, arguments)
    assert receipt.outcome is Outcome.FAILED
    assert len(receipt.text) > 10


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_manifests_are_complete_and_stable(family: str, tmp_path: Path) -> None:
    tool = FAMILIES[family](tmp_path)
    assert tuple(tool.manifests()) == tuple(tool.manifests())
    for manifest in tool.manifests():
        assert manifest.description.endswith((".", "py"))
        assert manifest.timeout_ms <= 60_000
        assert manifest.output_bytes <= 64_000
        assert all(arg.description for arg in manifest.args)
