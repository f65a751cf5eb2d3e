from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "LC_ALL", "LC_MESSAGES", "LC_CTYPE", "CARAPAX_URL", "CARAPAX_TOKEN", "CARAPAX_MODEL",
                 "CARAPAX_DEBUG", "CARAPAX_ASCII", "COLUMNS"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"
