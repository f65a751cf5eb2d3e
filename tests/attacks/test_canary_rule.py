"""Attack: a planted secret in a message that the owner asked for and every rule allows; the guard itself refuses it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from carapax.app.canaries import Canaries, CanaryScanner
from carapax.core.terms.decision import Allow, Deny
from tests.fakes.scanner import MemoryScanner
from tests.unit.guard.test_weigh import weighed


@pytest.fixture
def canaries(tmp_path: Path) -> Canaries:
    (tmp_path / "work").mkdir()
    made = Canaries(tmp_path / "canaries.json", tmp_path / "work", None, lambda: 0)
    made.begin()
    return made


@pytest.mark.parametrize("tainted", [True, False])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("send_mail", {"to": ["bob@x.example"], "text": "{}"}),
        ("send_mail", {"to": ["bob@x.example"], "text": "hi", "attachments": [{"name": "{}"}]}),
        ("web_search", {"query": "{}"}),
        ("publish_page", {"url": "x.example", "text": "{}"}),
    ],
)
def test_it_is_refused_by_a_rule_of_its_own(
    canaries: Canaries, tool: str, arguments: dict[str, object], tainted: bool
) -> None:
    scanner = CanaryScanner(MemoryScanner([]), canaries)
    for canary in canaries.all():
        for value in canary.values:
            for shown in (value, value[::-1], base64.b64encode(value.encode()).decode(), value.encode().hex()):
                given = _filled(arguments, shown)
                words = f"mail, search and publish at x.example for bob@x.example: {shown}"
                decision = weighed(tool, scan=scanner, words=words, tainted=tainted, **given).decision  # type: ignore[arg-type]
                assert isinstance(decision, Deny)
                if decision.rule == "outgoing.canary":
                    assert canary.name in decision.reason
                    assert value not in decision.reason
                else:  # another rule was stricter still, for what it says
                    assert tainted


def test_the_same_message_without_it_passes(canaries: Canaries) -> None:
    scanner = CanaryScanner(MemoryScanner([]), canaries)
    decision = weighed(
        "send_mail", scan=scanner, words="mail bob@x.example: hello", to=["bob@x.example"], text="hello"
    ).decision
    assert isinstance(decision, Allow)


def _filled(value: object, shown: str) -> dict[str, object]:
    assert isinstance(value, dict)
    return {key: _put(inner, shown) for key, inner in value.items()}


def _put(value: object, shown: str) -> object:
    if isinstance(value, str):
        return value.replace("{}", shown)
    if isinstance(value, list):
        return [_put(each, shown) for each in value]
    return _filled(value, shown)
