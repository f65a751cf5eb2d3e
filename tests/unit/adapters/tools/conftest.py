"""A sealed call and a workspace for the tool families' tests."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from carapax.adapters.tools.files.adapter import FileTools
from carapax.adapters.tools.shell.adapter import ShellTools
from carapax.core.terms.action import Argument, CanonicalCall, Origin, Receipt
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.ids import CallId, Digest, EntryIndex, SessionId, TurnId
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label
from carapax.core.terms.plain import canonical_json
from carapax.ports.tool import Tool
from tests.fakes.sandbox import UnwalledSandbox

_calls = itertools.count()


def sealed(tool: Tool, name: str, arguments: dict[str, str | int | bool]) -> AuthorizedCall:
    """A call as the guard hands it over, but for the seal, which these tests do not check."""
    manifest = next(m for m in tool.manifests() if m.name == name)
    roles = {spec.name: spec.role for spec in manifest.args}
    label = Label(Integrity.USER, OWNER_ONLY)
    call = CanonicalCall(
        call=CallId(f"call-{next(_calls)}"),
        session=SessionId("session"),
        turn=TurnId("turn"),
        manifest=manifest,
        arguments=tuple(Argument(key, roles[key], value, Origin.MODEL, label) for key, value in arguments.items()),
        arguments_json=canonical_json(arguments).decode(),
        digest=Digest(""),
    )
    return AuthorizedCall(call, EntryIndex(0), Digest(""), 0, b"")


class Bench:
    """A workspace with the file and shell tools over it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sandbox = UnwalledSandbox(root)
        self.files = FileTools(self.sandbox)
        self.shell = ShellTools(self.sandbox)

    def do(self, name: str, **arguments: str | int | bool) -> Receipt:
        tool: Tool = self.shell if name == "run_command" else self.files
        return asyncio.run(tool.perform(sealed(tool, name, arguments)))

    def say(self, name: str, **arguments: str | int | bool) -> str:
        return self.do(name, **arguments).text


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    root = tmp_path / "work"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.txt").write_text("outside secret")
    return Bench(root)
