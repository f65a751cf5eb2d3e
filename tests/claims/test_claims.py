"""Every promise has its tests and every test named exists; the documents and the manifests say the same words."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from tests.claims.render import CATALOGUES, CLAIMS, PAGE, render, unknown

ROOT = Path(__file__).parents[2]
ASI = [f"ASI{number:02}" for number in range(1, 11)]
ATLAS = [f"AML.T{number}" for number in ("0051", "0053", "0080", "0086", "0098", "0101", "0104", "0110")]
MITIGATIONS = [f"AML.M{number}" for number in ("0029", "0030", "0031", "0032")]


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_claim_has_tests_that_exist() -> None:
    assert len(CLAIMS) >= 52
    for claim, body in CLAIMS.items():
        assert body["tests"], f"{claim} has no test"
        assert len(set(body["tests"])) == len(body["tests"]), f"{claim} names a test twice"
        for test in body["tests"]:
            path, _, name = test.partition("::")
            assert (ROOT / path).is_file(), f"{claim}: {path} is missing"
            assert name.startswith("test_"), f"{claim}: {test}"
            assert name in functions(path), f"{claim}: {test} does not exist"


def test_the_claims_are_numbered_without_a_gap() -> None:
    assert sorted(CLAIMS) == [f"C{number:02}" for number in range(1, len(CLAIMS) + 1)]


def test_every_claim_answers_a_known_risk() -> None:
    for claim, body in CLAIMS.items():
        assert set(body) == {"says", "owasp", "atlas", "tests"}, claim
        assert body["owasp"], f"{claim} answers no risk"
        assert unknown(body) == set(), claim
        for name in ("owasp", "atlas"):
            assert body[name] == sorted(set(body[name])), f"{claim}: {name} is not in order"


def test_the_catalogues_are_whole_and_say_what_is_missing() -> None:
    assert list(CATALOGUES["owasp"]) == ASI
    assert list(CATALOGUES["atlas"]) == ATLAS
    assert list(CATALOGUES["mitigations"]) == MITIGATIONS
    for name in ("owasp", "atlas"):
        for key, entry in CATALOGUES[name].items():
            assert entry["missing"].endswith("."), f"{key} does not say what is not covered"
    for key, entry in CATALOGUES["mitigations"].items():
        assert set(entry["claims"]) <= set(CLAIMS), key
        assert entry["claims"], key


def test_a_risk_that_no_claim_answers_says_so() -> None:
    for name in ("owasp", "atlas"):
        answered = {key for body in CLAIMS.values() for key in body[name]}
        for key, entry in CATALOGUES[name].items():
            assert (key in answered) != entry["missing"].startswith("Nothing is covered"), key


def test_the_page_of_claims_is_what_the_manifests_say() -> None:
    assert PAGE.read_text("utf-8") == render(), "run python -m tests.claims.render"


def test_the_threat_model_says_the_same() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    said = dict(re.findall(r"^\| (C\d\d) \| (.+) \|$", text, re.MULTILINE))
    assert said == {claim: body["says"] for claim, body in CLAIMS.items()}
