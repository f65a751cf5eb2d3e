"""The weights: found, verified once, refused when they are not the published ones."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from carapax.adapters.providers.embedded import weights
from carapax.core.terms.error import ModelMissing

CONTENT = b"weights of a very small model"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "SIZE_BYTES", len(CONTENT))
    monkeypatch.setattr(weights, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    return path


def test_the_store_is_where_the_environment_says() -> None:
    assert weights.find_models_dir({"CARAPAX_MODELS": "/m", "CARAPAX_HOME": "/h"}) == Path("/m")
    assert weights.find_models_dir({"CARAPAX_HOME": "/h"}) == Path("/h/models")
    assert weights.find_models_dir({}) == Path.home() / ".carapax" / "models"


def test_a_right_file_is_hashed_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights.verify_weights(model) == model
    monkeypatch.setattr(weights, "hash_file", lambda path: pytest.fail("hashed twice"))
    assert weights.verify_weights(model) == model


def test_an_altered_file_is_refused_even_with_the_marker_of_the_right_one(model: Path) -> None:
    weights.verify_weights(model)
    model.write_bytes(CONTENT[::-1])
    os.utime(model, ns=(1, 1))
    with pytest.raises(ModelMissing) as refused:
        weights.verify_weights(model)
    assert str(model) in refused.value.next_step


def test_a_short_file_is_refused(model: Path) -> None:
    model.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelMissing, match="instead of"):
        weights.verify_weights(model)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as missing:
        weights.verify_weights(tmp_path / "absent")
    assert "make setup" in missing.value.next_step


def test_a_forgotten_marker_means_hashing_again(model: Path) -> None:
    weights.mark_verified(model)
    assert weights.is_marked(model)
    weights.remove_marker(model)
    assert not weights.is_marked(model)


def test_a_store_that_cannot_be_written_still_serves(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(weights, "mark_verified", refuse)
    assert weights.verify_weights(model) == model
