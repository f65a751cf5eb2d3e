"""Every promise has its tests and every test named exists; the document and the manifest say the same words."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAIMS = tomllib.loads((ROOT / "tests" / "claims" / "claims.toml").read_text("utf-8"))


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_claim_has_tests_that_exist() -> None:
    assert len(CLAIMS) >= 18
    for claim, body in CLAIMS.items():
        assert body["tests"], f"{claim} has no test"
        for test in body["tests"]:
            path, _, name = test.partition("::")
            assert (ROOT / path).is_file(), f"{claim}: {path} is missing"
            assert name.startswith("test_"), f"{claim}: {test}"
            assert name in functions(path), f"{claim}: {test} does not exist"


def test_the_threat_model_says_the_same() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    said = dict(re.findall(r"^\| (C\d\d) \| (.+) \|$", text, re.MULTILINE))
    assert said == {claim: body["says"] for claim, body in CLAIMS.items()}
