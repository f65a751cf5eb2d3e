"""The model's weights: one file, known by its digest.

Layer: adapters/providers/embedded; also read by `scripts/fetch_model.py`, so standard library and terms only.
Owns the name, the size, the digest, the marker that says "this file was verified".
Absent: fetching (the script's), loading (the worker's).
Law: a file without a marker of its present size and time is hashed before it is used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from carapax.core.terms.error import ModelMissing

MODEL = "Qwen2.5-Coder-1.5B-Instruct-Q4_K_M"
SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
SIZE_BYTES = 1_117_320_768
FILE_NAME = f"sha256-{SHA256}.gguf"
_STEP_BYTES = 1 << 22


def find_models_dir(environ: Mapping[str, str]) -> Path:
    """The store: `$CARAPAX_MODELS`, else `$CARAPAX_HOME/models`, else `~/.carapax/models`."""
    if environ.get("CARAPAX_MODELS"):
        return Path(environ["CARAPAX_MODELS"])
    if environ.get("CARAPAX_HOME"):
        return Path(environ["CARAPAX_HOME"]) / "models"
    return Path.home() / ".carapax" / "models"


def hash_file(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Lower-case hex SHA-256 of a file; `progress` is told the bytes read so far."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as source:
        while step := source.read(_STEP_BYTES):
            digest.update(step)
            done += len(step)
            if progress is not None:
                progress(done)
    return digest.hexdigest()


def is_marked(path: Path) -> bool:
    """Whether the file has the right size and a marker that fits its present size and time."""
    try:
        return path.stat().st_size == SIZE_BYTES and _marker(path).read_text() == _state(path)
    except (OSError, UnicodeDecodeError):
        return False


def mark_verified(path: Path) -> None:
    """Write the marker beside a file whose digest was just found right."""
    fresh = _marker(path).with_suffix(f".ok.{os.getpid()}")
    fresh.write_text(_state(path))
    os.replace(fresh, _marker(path))


def remove_marker(path: Path) -> None:
    """Forget that the file was verified."""
    _marker(path).unlink(missing_ok=True)


def verify_weights(path: Path) -> Path:
    """The path of weights that may be loaded. Hashes once per file (seconds); raises ModelMissing when absent or altered."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelMissing("The embedded model is not on this machine yet.") from error
    if size != SIZE_BYTES:
        raise ModelMissing(
            f"The embedded model's file has {size:,} bytes instead of {SIZE_BYTES:,}.",
            next_step="Run `make setup` to fetch it again, or choose another model (`carapax model`).",
        )
    if is_marked(path):
        return path
    if hash_file(path) != SHA256:
        raise ModelMissing(
            "The embedded model's file is not the published one: its digest differs.",
            next_step=f"Remove {path} and run `make setup`, or choose another model (`carapax model`).",
        )
    try:
        mark_verified(path)
    except OSError:  # a read-only store: hashed again next time
        return path
    return path


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".ok")


def _state(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}\n"
