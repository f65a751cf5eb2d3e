"""The unit and the image take nothing away that the walls are made of, and hold what docs/deploy.md promises."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")
WALLS_NEED = ("PrivateUsers", "RestrictNamespaces", "SystemCallFilter", "ProtectKernelTunables", "ProtectProc",
              "MemoryDenyWriteExecute")  # fmt: skip


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # systemd's keys have capitals
    parser.read(ROOT / "deploy" / "systemd" / "carapax.service")
    return parser


def test_the_unit_delegates_what_the_ceilings_need() -> None:
    assert set(unit()["Service"]["Delegate"].split()) >= {"memory", "pids"}


def test_the_unit_takes_no_wall_away_and_the_page_names_each() -> None:
    service = unit()["Service"]
    for key in WALLS_NEED:
        assert key not in service, key
        assert f"`{key}=`" in PAGE
    assert service["NoNewPrivileges"] == "yes"
    assert service["LimitCORE"] == "0"


def test_the_image_does_not_run_as_root_and_installs_by_hash() -> None:
    lines = (ROOT / "deploy" / "podman" / "Containerfile").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER carapax"]
    assert lines.index("USER carapax") < next(i for i, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
    assert any("--require-hashes -r requirements/run.lock" in line for line in lines)
    assert any("bubblewrap" in line for line in lines)


def test_the_page_s_command_widens_the_container_by_nothing_but_proc() -> None:
    command = re.search(r"podman run (.*?)\n    podman exec", PAGE, re.DOTALL)
    assert command is not None
    words = command[1].split()
    assert "--privileged" not in words and not any(word.startswith("--cap-add") for word in words)
    assert [words[i + 1] for i, word in enumerate(words) if word == "--security-opt"] == [
        "no-new-privileges",
        "unmask=ALL",
    ]
    assert "-p" not in words and "--network" not in words
