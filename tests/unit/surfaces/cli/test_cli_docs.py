"""docs/cli.md and the grammar say the same, both ways."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from carapax.surfaces.cli import codes
from carapax.surfaces.cli.parser import MODULES, build_parser, subparsers
from carapax.surfaces.cli.texts import Texts

ROOT = Path(__file__).resolve().parents[4]
DOCS = (ROOT / "docs" / "cli.md").read_text("utf-8")
GENERAL = {"--help", "--lang", "--version"}


def _leaves() -> dict[str, set[str]]:
    """Command path → its long options, for every command that can be typed."""
    found: dict[str, set[str]] = {}

    def walk(path: str, parser: argparse.ArgumentParser) -> None:
        below = subparsers(parser)
        if not below or path == "sessions":
            found[path] = {o for a in parser._actions for o in a.option_strings if o.startswith("--")} - GENERAL
        for name, sub in below.items():
            walk(f"{path} {name}".strip(), sub)

    walk("", build_parser(Texts("en")))
    return found


def _rows() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `carapax ([a-z ]+)` \|.*\|(.*)\|$", DOCS, re.MULTILINE)
    return {name: set(re.findall(r"`(--[a-z-]+)`", options)) for name, options in rows}


def test_every_command_and_option_is_documented_and_no_other() -> None:
    assert len(_leaves()) >= 28
    assert _rows() == _leaves()


def test_every_exit_code_is_documented_and_no_other() -> None:
    section = DOCS.split("## Exit codes")[1].split("##")[0]
    assert tuple(int(n) for n in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)) == codes.ALL


def test_every_chat_command_is_documented_and_no_other() -> None:
    source = (ROOT / "carapax" / "surfaces" / "cli" / "chat.py").read_text("utf-8")
    table = source.split("def _slash")[1].split("}")[0]
    known = set(re.findall(r'"([a-z]+)": self', table)) | {"quit"}
    assert len(known) >= 10
    section = DOCS.split("## In the chat")[1].split("##")[0].split("\n\n")[1]
    assert set(re.findall(r"/([a-z]+)", section.split("`undo`")[0])) == known
    for language in ("en", "fr"):
        assert set(re.findall(r"(?<![a-z\d])/([a-z]+)", Texts(language)("chat.help"))) == known


def test_the_packages_of_the_set_up_are_documented_and_no_other() -> None:
    script = (ROOT / "scripts" / "setup.sh").read_text("utf-8")
    wanted = {name for name in re.findall(r"want (\S+) \"", script) if "$" not in name}
    assert len(wanted) >= 4
    section = DOCS.split("## Set-up")[1]
    assert wanted == {n for n in re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE) if "/" not in n}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_command_teaches_with_examples_of_its_own(language: str) -> None:
    parser = build_parser(Texts(language))
    for name, sub in subparsers(parser).items():
        text = sub.format_help()
        assert f"carapax {name}" in (sub.epilog or ""), name
        assert (sub.description or "") in text
    assert set(subparsers(parser)) == set(MODULES)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_examples_are_understood_by_the_grammar(language: str) -> None:
    import shlex

    parser = build_parser(Texts(language))
    checked = 0
    for sub in (parser, *subparsers(parser).values()):
        for line in (sub.epilog or "").splitlines():
            if not line.startswith("  carapax ") or "COMMAND" in line:
                continue
            words = shlex.split(re.split(r"   |\s[<>|]\s", line.strip())[0])[1:]
            options = parser.parse_args(words)
            assert options.command in MODULES
            checked += 1
    assert checked >= 40


def test_no_examples_line_is_wider_than_a_terminal() -> None:
    for language in ("en", "fr"):
        for sub in subparsers(build_parser(Texts(language))).values():
            for line in (sub.epilog or "").splitlines():
                assert len(line) <= 110, line
