"""Bad input, a bad model, bad files: each error says what happened, what was kept, what to do next; never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.model_server import Answer, Drop, Endless, ModelServer, Raw, Says, Seen, Status
from tests.journeys.gate import Gate, running


class Model:
    """Answers the next request as the test says; "pong" otherwise."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def __call__(self, seen: Seen) -> Answer:
        return self.answers.pop(0) if self.answers else Says(["pong"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, Model]]:
    model = Model()
    with (
        ModelServer(model, last_repeats=True) as server,
        running(tmp_path_factory.mktemp("gate"), server.openai_url) as gate,
    ):
        yield gate, model


def readable(error: dict[str, str]) -> None:
    assert error["message"]
    assert error["kept"]
    assert error["next_step"]
    assert "Traceback" not in json.dumps(error)


MESSAGES: list[tuple[str, bytes, int]] = [
    ("empty", b'{"text": "", "channel": "api"}', 400),
    ("blank", b'{"text": "  \\n ", "channel": "api"}', 400),
    ("ten megabytes", b'{"text": "' + b"x" * 10_000_000 + b'", "channel": "api"}', 413),
    ("over the message's ceiling", b'{"text": "' + b"x" * 300_000 + b'", "channel": "api"}', 413),
    ("NUL", b'{"text": "a\\u0000b", "channel": "api"}', 400),
    ("lone surrogate", b'{"text": "\\ud800", "channel": "api"}', 400),
    ("invalid UTF-8", b'{"text": "\xff\xfe", "channel": "api"}', 400),
    ("binary", bytes(range(256)) * 10, 400),
    ("half a JSON", b'{"text": "a', 400),
    ("wrong type", b'{"text": 7, "channel": "api"}', 400),
    ("unknown session", b'{"text": "a", "channel": "api", "session": "nope"}', 404),
]


@pytest.mark.parametrize(("what", "body", "status"), MESSAGES, ids=[m[0] for m in MESSAGES])
def test_a_bad_message_is_refused_with_a_reason(stage: tuple[Gate, Model], what: str, body: bytes, status: int) -> None:
    gate, _ = stage
    code, answer = gate.request("POST", "/api/turns", raw=body)
    assert code == status
    readable(answer["error"])
    assert gate.turn("hello")["reply"] == "pong"


FAULTS: list[tuple[str, list[Answer], str]] = [
    ("junk bytes", [Raw(b"\x00\xff junk")] * 3, "stopped"),
    ("half a JSON", [Raw(b'data: {"choices": [{"del')] * 3, "stopped"),
    ("nothing", [Says([])] * 3, "stopped"),
    ("a dropped connection", [Drop(("begun",))] * 3, "stopped"),
    ("the key is refused", [Status(401)], "stopped"),
    ("no such model", [Status(404)], "stopped"),
    ("an unknown tool, then an answer", [Says((), [("1", "fly", "{}")]), Says(["I cannot fly."])], "done"),
    (
        "arguments that are half a JSON, then an answer",
        [Says((), [("1", "run_command", '{"comm')]), Says(["ok"])],
        "done",
    ),
    (
        "arguments of a wrong type, then an answer",
        [Says((), [("1", "run_command", '{"command": 7}')]), Says(["ok"])],
        "done",
    ),
    ("a thousand tool calls", [Says((), [(str(n), "show_time", "{}") for n in range(1_000)])], "stopped"),
    ("a never-ending stream", [Endless("and on " * 1_000)], "stopped"),
]


@pytest.mark.parametrize(("what", "answers", "state"), FAULTS, ids=[f[0] for f in FAULTS])
def test_a_bad_model_ends_the_turn_with_a_sentence(
    stage: tuple[Gate, Model], what: str, answers: list[Answer], state: str
) -> None:
    gate, model = stage
    model.answers = list(answers)
    ended = gate.turn("go")
    model.answers = []
    assert ended["state"] == state
    assert ended["reply"]
    assert "Traceback" not in ended["reply"]
    if state == "stopped":
        assert "kept" in ended["reply"] or "budget" in ended["reply"]
    assert gate.turn("hello")["reply"] == "pong"


def test_a_server_error_is_asked_again_and_the_answer_counts(stage: tuple[Gate, Model]) -> None:
    gate, model = stage
    model.answers = [Status(500), Status(429, headers={"retry-after": "0"}), Says(["at last"])]
    assert gate.turn("go")["reply"] == "at last"


def test_a_model_that_repeats_what_is_refused_is_stopped(stage: tuple[Gate, Model]) -> None:
    gate, model = stage
    model.answers = [Says((), [("1", "read_file", '{"path": "/etc/shadow"}')])] * 10
    ended = gate.turn("go")
    model.answers = []
    assert ended["state"] == "stopped"
    assert "times in a row" in ended["reply"]


def test_calls_are_bounded_per_turn(stage: tuple[Gate, Model]) -> None:
    gate, model = stage
    model.answers = [Says((), [(str(n), "show_time", "{}")]) for n in range(60)]
    ended = gate.turn("go")
    model.answers = []
    assert ended["state"] == "stopped"
    assert "budget of tool calls is used up (40 of 40)" in ended["reply"]
    assert "carapax budget" in ended["reply"]


# files at start


def spoil_text(path: Path) -> None:
    path.write_text("= not toml")


def spoil_bytes(path: Path) -> None:
    path.write_bytes(b"\x00garbage" * 500)


def spoil_ledger(folder: Path) -> None:
    segment = next(
        p for p in sorted(folder.rglob("*")) if p.is_file() and b'"kind":"gateway.started"' in p.read_bytes()
    )
    segment.write_bytes(segment.read_bytes().replace(b'"kind":"gateway.started"', b'"kind":"gateway.spoiled"', 1))


SPOILED: list[tuple[str, str, Callable[[Path], None], str]] = [
    ("settings", "settings.toml", spoil_text, "settings.toml"),
    ("unknown setting", "settings.toml", lambda p: p.write_text("prot = 1\n") and None, "prot"),  # type: ignore[func-returns-value]
    ("database", "store.sqlite", spoil_bytes, "database"),
    ("ledger", "ledger", spoil_ledger, "ntry"),
    ("ledger's key", "keys/ledger.seed", lambda p: p.write_bytes(b"short") and None, "key"),  # type: ignore[func-returns-value]
]


@pytest.mark.parametrize(("what", "name", "spoil", "word"), SPOILED, ids=[s[0] for s in SPOILED])
def test_a_spoiled_file_stops_the_start_with_a_sentence(
    tmp_path: Path, what: str, name: str, spoil: Callable[[Path], None], word: str
) -> None:
    gate = Gate(tmp_path, "http://127.0.0.1:9/v1")
    gate.start()
    gate.stop()
    spoil(gate.home / name)
    done = gate.command("serve")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert word in said
    assert "Traceback" not in said


def test_a_spoiled_policy_stops_every_action_but_not_the_talk(tmp_path: Path) -> None:
    wish = Says((), [("1", "list_files", "{}")])
    with (
        ModelServer(wish, Says(["I may not."]), last_repeats=True) as model,
        running(tmp_path, model.openai_url) as gate,
    ):
        policy = gate.home / "policy" / "home.yaml"
        policy.write_text(policy.read_text().replace("at_most_files: 5", "at_most_files: 500"))
        checked = gate.command("policy", "check")
        assert checked.returncode == 1
        assert "signature" in checked.stdout + checked.stderr
        code, ready = gate.request("GET", "/readyz")
        assert code == 503
        assert ready["failed"][0]["name"] == "policy"
        events = list(gate.events("list my files"))
        denied = [e for e in events if e["event"] == "StepJudged"]
        assert [(e["answer"], e["rule"]) for e in denied] == [("deny", "policy.invalid")]
        assert events[-1]["reply"] == "I may not."


def test_a_changed_ledger_is_found_by_verify_and_by_doctor(tmp_path: Path) -> None:
    with ModelServer(Says(["pong"]), last_repeats=True) as model:
        gate = Gate(tmp_path, model.openai_url)
        gate.start()
        gate.turn("hello")
        gate.stop()
    segment = next(
        p for p in sorted((gate.home / "ledger").rglob("*")) if p.is_file() and b'"kind":"message"' in p.read_bytes()
    )
    segment.write_bytes(segment.read_bytes().replace(b'"kind":"message"', b'"kind":"massage"', 1))
    verified = gate.command("ledger", "verify")
    assert verified.returncode == 1
    assert "Entry 3 " in verified.stderr  # started, canary kept, token, message
    doctor = gate.command("doctor")
    assert doctor.returncode == 1
    assert "Traceback" not in doctor.stdout + doctor.stderr


def test_the_embedded_models_file_is_missing_or_spoiled(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with running(tmp_path, "", {"CARAPAX_MODEL": "embedded", "CARAPAX_MODELS": str(models)}) as gate:
        ended = gate.turn("hello")
        assert ended["code"] == "model.missing"
        assert "make setup" in ended["reply"]
        models.mkdir(exist_ok=True)
        name = "sha256-cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046.gguf"
        (models / name).write_bytes(b"GGUF not really")
        assert gate.turn("hello")["code"] == "model.missing"
