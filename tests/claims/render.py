"""docs/claims.md, made from the two manifests beside this file: `python -m tests.claims.render` writes it.

Layer: tests. A test compares, so the page cannot say anything else than the manifests.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "claims.md"
CLAIMS: dict[str, dict[str, Any]] = tomllib.loads((HERE / "claims.toml").read_text("utf-8"))
CATALOGUES: dict[str, dict[str, dict[str, Any]]] = tomllib.loads((HERE / "catalogues.toml").read_text("utf-8"))

_HEAD = """\
# Claims

Made by `python -m tests.claims.render` from `tests/claims/claims.toml` and `catalogues.toml`; a test compares. Each claim
has the risks that it answers and the tests that hold it (files below `tests/`). Risks: OWASP Top 10 for Agentic
Applications 2026 (ASI) and MITRE ATLAS (AML). A mapping says what a claim works against, not that the risk is gone: what is
not covered stands below, for each of them. docs/threat-model.md says what an adversary can still do.

"""


def render() -> str:
    """The whole page."""
    claims = [
        (claim, body["says"], _list(body["owasp"]), _list(body["atlas"]), _tests(body["tests"]))
        for claim, body in sorted(CLAIMS.items())
    ]
    mitigations = [(key, entry["name"], _list(entry["claims"])) for key, entry in CATALOGUES["mitigations"].items()]
    return (
        "\n".join(
            [
                _HEAD + _table(("id", "claim", "ASI", "ATLAS", "tests"), claims),
                "## OWASP Top 10 for Agentic Applications 2026\n",
                _table(("id", "risk", "claims", "not covered"), _covered("owasp")),
                "## MITRE ATLAS techniques\n",
                _table(("id", "technique", "claims", "not covered"), _covered("atlas")),
                "## MITRE ATLAS mitigations\n",
                _table(("id", "mitigation", "claims that are one"), mitigations),
            ]
        ).rstrip("\n")
        + "\n"
    )


def _covered(catalogue: str) -> list[tuple[str, ...]]:
    return [
        (key, entry["name"], _list(c for c, body in sorted(CLAIMS.items()) if key in body[catalogue]), entry["missing"])
        for key, entry in CATALOGUES[catalogue].items()
    ]


def _list(items: Iterable[str]) -> str:
    return ", ".join(items) or "–"


def _tests(tests: Iterable[str]) -> str:
    split = sorted(tuple(test.removeprefix("tests/").split("::")) for test in tests)
    return "<br>".join(
        f"`{path}`: " + ", ".join(name.removeprefix("test_") for _, name in named)
        for path, named in groupby(split, key=lambda pair: pair[0])
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def unknown(body: Mapping[str, Any]) -> set[str]:
    """Risks that a claim names and no catalogue has."""
    return {key for name in ("owasp", "atlas") for key in body[name] if key not in CATALOGUES[name]}


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
