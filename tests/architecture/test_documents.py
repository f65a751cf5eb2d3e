"""Documents that a program can check against the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from carapax.adapters.sandbox.selftest.expected import EXPECTED
from carapax.core.policy import capability, cases, document
from carapax.core.policy.schema import SCHEMA

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def test_the_limits_are_the_codes() -> None:
    rows = re.findall(r"^\| [^|]+ \| ([\d,]+)[^|]*\| `([\w.]+):(\w+)` \|", text("limits.md"), re.MULTILINE)
    assert len(rows) >= 50
    assert len(rows) == len(re.findall(r"^\| .+ \| .+ \| .+ \| .+ \|$", text("limits.md"), re.MULTILINE)) - 1
    for figure, module, name in rows:
        assert int(figure.replace(",", "")) == getattr(importlib.import_module(module), name), name


def test_the_stack_names_every_direct_dependency() -> None:
    listed = set(re.findall(r"^\| ([\w-]+) \|", text("stack.md"), re.MULTILINE)) - {"package"}
    wanted = {
        re.split(r"[\[<>=]", line.strip())[0]
        for name in ("run.in", "dev.in")
        for line in (ROOT / "requirements" / name).read_text("utf-8").splitlines()
        if line.strip() and not line.startswith(("#", "-"))
    }
    assert len(wanted) >= 15
    assert listed == wanted


def test_the_policy_format_names_every_fact() -> None:
    facts = set(re.findall(r"(\w+): (?:String|Bool|Long)", SCHEMA))
    assert len(facts) >= 10
    page = text("formats/policy.md")
    assert {fact for fact in facts if f"`{fact}`" not in page} == set()


def test_the_policy_format_names_every_key_and_no_other() -> None:
    page = text("formats/policy.md")
    rows = page.split("## Keys")[1].split("**Data")[0]
    shown = {key for row in re.findall(r"^\| (`\w+`.*?) \|", rows, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert shown == set(document.KEYS)
    required = {
        key for row in re.findall(r"^\| (.*?\*.*?) \|", rows, re.MULTILINE) for key in re.findall(r"`(\w+)` \*", row)
    }
    assert required == set(document.REQUIRED)
    lines = page.split("## Capabilities")[1].split("Their order")[0]
    assert {key for key in capability.KEYS if f"`{key}`" not in lines} == set()
    assert {
        word for word in (*capability.GROUPS, *capability.PLACES, *capability.Verdict) if f"`{word}`" not in lines
    } == set()
    cases_ = page.split("## Cases")[1].split("## Cedar")[0]
    assert {key for key in cases.GIVEN if f"`{key}`" not in cases_} == set()


def test_every_link_between_documents_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert len(pages) >= 10
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} leads to {target}"


def test_every_room_is_on_the_map_and_no_other() -> None:
    page = text("architecture.md")
    table = page.split("## Rooms")[1].split("## The way")[0]
    shown = set(re.findall(r"^\| `([\w/*]+)` \|", table, re.MULTILINE))
    package = ROOT / "carapax"
    core = {f"core/{folder.name}" for folder in (package / "core").iterdir() if any(folder.glob("*.py"))}
    assert core >= {"core/terms", "core/flow", "core/intent", "core/policy", "core/rules", "core/turn", "core/ledger"}
    assert shown >= core | {"ports", "guard", "agent", "adapters/*", "adapters/scan", "surfaces", "app", "app/replay"}
    for room in shown:
        assert (package / room.removesuffix("/*")).is_dir(), f"{room} is on the map and not in the package"


def test_every_decision_is_short_and_has_its_number() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    assert len(pages) >= 9
    for page in pages:
        lines = page.read_text("utf-8").splitlines()
        assert lines[0].startswith(f"# {int(page.name[:4])}. "), page.name
        assert len(lines) <= 25, page.name


def test_the_walls_page_shows_every_attempt_and_none_that_was_possible() -> None:
    page = text("walls.md")
    rows = {row[0]: row[2] for line in page.splitlines() if len(row := re.split(r" ?\| ?", line.strip("| "))) >= 3}
    for attempt in EXPECTED.values():
        assert re.fullmatch(r"refused(?: \((\w+)\))?", rows[attempt.words]), attempt.words
        answer = re.search(r"\((\w+)\)", rows[attempt.words])
        assert (answer[1] if answer else "none") in attempt.expected, attempt.words
    assert len(EXPECTED) >= 60
    assert "it was possible" not in page and "not stopped" not in page
