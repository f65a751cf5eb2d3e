"""Both languages say the same things."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import carapax.surfaces.cli as cli
from carapax.surfaces.cli.client import GatewayAbsent
from carapax.surfaces.cli.english import ENGLISH
from carapax.surfaces.cli.french import FRENCH
from carapax.surfaces.cli.texts import Texts, find_language
from tests.unit.surfaces.cli.stage import FakeLocal, call


def _fields(text: str) -> set[str]:
    if "{" not in text or "'{" in text:  # an example of JSON is shown as it is
        return set()
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_catalogues_have_the_same_keys() -> None:
    assert ENGLISH.keys() == FRENCH.keys()
    assert len(ENGLISH) > 150


@pytest.mark.parametrize("key", ENGLISH)
def test_a_sentence_takes_the_same_values_in_both(key: str) -> None:
    assert _fields(ENGLISH[key]) == _fields(FRENCH[key])
    assert ENGLISH[key].strip() and FRENCH[key].strip()


def test_every_key_in_the_code_exists_and_every_sentence_is_used() -> None:
    sources = [f.read_text("utf-8") for f in Path(cli.__file__).parent.glob("*.py")
               if not f.name.startswith(("english", "french"))]  # fmt: skip
    assert len(sources) >= 15
    used = set(re.findall(r"""\b_?t\(\s*["']([a-z_.]*[a-z_])["']""", "\n".join(sources)))
    assert len(used) > 100
    assert used <= ENGLISH.keys()
    # Keys that are put together, and sentences looked up by their English text.
    composed = ("help.", "about.", "examples.", "outcome.", "undo.", "token.", "error.", "opt.", "usage.", "budget.",
                "stop.", "saved.", "model.", "answered.", "lacking.", "policy.answer.",
                "policy.effect.", "policy.when.", "policy.if.", "trust.tier.", "policy.wid", "policy.needs", "policy.wider",
                "policy.narrower", "policy.cases", "policy.replay_", "policy.session_", "trust.no_grants",
                "policy.no_answers", "redteam.", "vault.", "incident.state.", "incident.confirm_", "incident.done_", "channels.state.",
                "channels.kinds", "channels.no_kinds", "channels.missing_")  # fmt: skip
    assert {key for key in ENGLISH if not key.startswith(composed)} <= used | {"about", "examples"}


@pytest.mark.parametrize(
    ("asked", "env", "language"),
    [
        ("", {}, "en"),
        ("", {"LANG": "fr_FR.UTF-8"}, "fr"),
        ("", {"LANG": "fr_FR.UTF-8", "LC_ALL": "C"}, "en"),
        ("", {"LANG": "de_DE.UTF-8"}, "en"),
        ("", {"LANG": "en_US", "LC_MESSAGES": "fr_CA"}, "fr"),
        ("en", {"LANG": "fr_FR.UTF-8"}, "en"),
        ("fr", {}, "fr"),
    ],
)
def test_the_language_is_asked_or_found(asked: str, env: dict[str, str], language: str) -> None:
    assert find_language(asked, env) == language


def test_known_errors_are_translated() -> None:
    t = Texts("fr")
    assert "passerelle" in t.known(GatewayAbsent("x").next_step).lower() or "carapax serve" in t.known(
        GatewayAbsent("x").next_step
    )
    assert t.known("No gateway is running.") == FRENCH["error.absent"]
    assert t.known("never heard") == "never heard"


def test_french_help_and_errors(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    shown = call(FakeLocal(home), "ask", "--help")
    assert shown.code == 0
    assert shown.out.startswith("usage :")
    assert "exemples" in shown.out
    wrong = call(FakeLocal(home), "ask")
    assert (wrong.code, "Il manque" in wrong.err) == (2, True)
    absent = call(FakeLocal(home), "status")
    assert absent.err.splitlines()[0] == "Aucune passerelle n'est en marche."
    assert call(FakeLocal(home), "status", "--lang", "en").err.startswith("No gateway is running.")
