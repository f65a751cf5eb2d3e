"""Settings: defaults, environment, exact errors, and a round trip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from carapax.app.home import Home, find_home
from carapax.app.settings import Settings, load_settings, save_settings
from carapax.core.terms.error import SettingsInvalid


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    assert load_settings(Home(tmp_path), {}) == Settings()


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    wanted = replace(Settings(), workspace='a "quoted" \\ path', port=0, model_provider="ollama", model_idle_s=5)
    save_settings(Home(tmp_path), wanted)
    assert load_settings(Home(tmp_path), {}) == wanted


def test_the_environment_is_on_top(tmp_path: Path) -> None:
    save_settings(Home(tmp_path), replace(Settings(), workspace="/a", port=1))
    found = load_settings(Home(tmp_path), {"CARAPAX_WORKSPACE": "/b", "CARAPAX_PORT": "2"})
    assert (found.workspace, found.port) == ("/b", 2)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("= 1", "TOML"),
        ("prot = 1", "'prot' is not a setting"),
        ('port = "1"', "port must be of type int"),
        ("port = true", "port must be of type int"),
        ("port = 70000", "is not a port"),
        ("port = -1", "is not a port"),
        ("workspace = 3", "workspace must be of type str"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, content: str, word: str) -> None:
    Home(tmp_path).settings.write_text(content)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(Home(tmp_path), {})
    assert word in caught.value.what
    assert caught.value.next_step


def test_binary_settings_are_refused(tmp_path: Path) -> None:
    Home(tmp_path).settings.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsInvalid):
        load_settings(Home(tmp_path), {})


def test_a_bad_port_in_the_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="'many' is not a port"):
        load_settings(Home(tmp_path), {"CARAPAX_PORT": "many"})


def test_the_home_is_where_the_environment_says(tmp_path: Path) -> None:
    assert find_home({"CARAPAX_HOME": str(tmp_path)}).root == tmp_path
    assert find_home({}).root.name == ".carapax"
