from __future__ import annotations

import pytest

from carapax.adapters.workspace.names import parse_path, render_path
from carapax.core.terms.error import Malformed


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("src/hello.py", "src/hello.py"),
        ("été/日本.txt", "été/日本.txt"),
        ("a\nb", "a\\x0ab"),
        ("a\\nb", "a\\\\nb"),
        ("caf\udce9", "caf\\xe9"),
        ("x\x1b[2Jy", "x\\x1b[2Jy"),
        ("gpj.\u202eexe", "gpj.\\u{202e}exe"),
        ("a\u0085b\u2028c", "a\\u{85}b\\u{2028}c"),
    ],
)
def test_a_name_is_shown_without_odd_characters_and_read_back(path: str, shown: str) -> None:
    assert render_path(path) == shown
    assert parse_path(shown) == path


def test_a_folder_ends_with_a_slash() -> None:
    assert render_path("src", folder=True) == "src/"
    assert parse_path("src/") == "src"


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "/",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "./a",
        "a/.",
        "a\\",
        "a\\q",
        "a\\xZZ",
        "\\x2e\\x2e/x",
        "a\\x00",
        "\\u{110000}",
        "\\u{d800}",
    ],
)
def test_a_recorded_path_that_is_not_ours_is_refused(shown: str) -> None:
    with pytest.raises(Malformed):
        parse_path(shown)
