"""Doctor: finds what is wrong and says what to do; changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.app.doctor import examine, summarise
from carapax.app.home import Home
from carapax.core.terms.check import Check, Standing
from tests.journeys.gate import Gate

NAMES = {
    "system",
    "python",
    "settings",
    "home",
    "disk",
    "policy",
    "ledger",
    "clock",
    "store",
    "tokens",
    "model",
    "exposure",
    "walls",
}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    gate = Gate(tmp_path_factory.mktemp("doctor"), "http://127.0.0.1:9/v1")
    gate.start()
    gate.stop()
    return gate


def look(gate: Gate, **environ: str) -> dict[str, Check]:
    found = examine(Home(gate.home), {**gate.env, **environ})
    for check in found:
        assert check.standing is Standing.OK or check.next_step, check
    return {check.name: check for check in found}


def test_a_home_in_order_has_every_check_and_no_failure(lived: Gate) -> None:
    found = look(lived)
    assert set(found) >= NAMES
    assert [check for check in found.values() if check.standing is Standing.FAILED] == []
    assert "hold" in found["walls"].found


def test_a_home_that_does_not_exist_yet_is_no_failure(tmp_path: Path) -> None:
    env = {"CARAPAX_WORKSPACE": str(tmp_path / "work"), "CARAPAX_MODEL": "ollama/qwen3"}
    found = examine(Home(tmp_path / "home"), env)
    assert [check for check in found if check.standing is Standing.FAILED] == []
    assert not (tmp_path / "home").exists()


def expose(path: Path) -> Callable[[], None]:
    mode = path.stat().st_mode
    path.chmod(0o644)
    return lambda: path.chmod(mode)


def rewrite(path: Path, content: bytes) -> Callable[[], None]:
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)

    def restore() -> None:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)

    return restore


WRONG: list[tuple[str, Callable[[Home], Callable[[], None]], dict[str, str], str]] = [
    ("home", lambda home: expose(home.keys / "ledger.seed"), {}, "chmod"),
    ("settings", lambda home: rewrite(home.settings, b"prot = 1"), {}, "Correct"),
    ("policy", lambda home: rewrite(home.policy, home.policy.read_bytes() + b"# x"), {}, "carapax policy"),
    ("store", lambda home: rewrite(home.store, b"garbage" * 1000), {}, ""),
    ("exposure", lambda home: rewrite(home.settings, b'host = "0.0.0.0"'), {}, "127.0.0.1"),
    ("model", lambda home: lambda: None, {"CARAPAX_MODEL": "embedded", "CARAPAX_MODELS": "/nonexistent"}, "make setup"),
    ("model", lambda home: lambda: None, {"CARAPAX_MODEL": "openai"}, "carapax model"),
]


@pytest.mark.parametrize(("name", "spoil", "environ", "word"), WRONG, ids=[f"{w[0]}-{n}" for n, w in enumerate(WRONG)])
def test_what_is_wrong_is_found_with_a_next_step(
    lived: Gate,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    spoil: Callable[[Home], Callable[[], None]],
    environ: dict[str, str],
    word: str,
) -> None:
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    restore = spoil(Home(lived.home))
    try:
        found = look(lived, **environ)
    finally:
        restore()
    assert found[name].standing is Standing.FAILED
    assert word in found[name].next_step


def test_the_walls_are_one_line_when_they_hold_and_more_when_not() -> None:
    ok, bad = Check("a", Standing.OK, "refused"), Check("b", Standing.FAILED, "open", "mend it")
    assert [c.found for c in summarise([ok, ok])] == ["2 of 2 hold"]
    total, named = summarise([ok, bad])
    assert (total.standing, total.found, total.next_step) == (Standing.FAILED, "1 of 2 hold", "mend it")
    assert named is bad
