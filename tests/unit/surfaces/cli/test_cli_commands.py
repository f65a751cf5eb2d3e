"""Every command, against the real HTTP surface over the fake gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.event import Notice, StepJudged
from carapax.core.terms.ids import CallId, EntryIndex, TurnId
from carapax.core.terms.limit import Budget, Span
from carapax.ports.gateway import Undone
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.local import ServeOptions
from tests.fakes.gateway import Ask, FakeGateway, Stop
from tests.unit.surfaces.cli.stage import SCRIPTS, FakeLocal, call, done, judged, staged

NEEDS_GATEWAY = (["status"], ["ask", "x"], ["sessions"], ["approvals"], ["undo"], ["stop"], ["token", "list"])


@pytest.mark.parametrize("argv", NEEDS_GATEWAY)
def test_without_a_gateway_it_says_how_to_start_one(home: Path, argv: list[str]) -> None:
    ran = call(FakeLocal(home), *argv)
    assert ran.code == codes.NO_GATEWAY
    assert ran.err.splitlines() == [
        "No gateway is running.", "Nothing was changed.", "Start it with `carapax serve` or just `carapax chat`.",
    ]  # fmt: skip
    assert ran.out == ""


@pytest.mark.parametrize(
    "argv", [["nonsense"], ["ask"], ["ask", "--frob"], ["ledger"], ["budget", "week"], ["serve", "--port", "70000"],
             ["approvals", "maybe"], ["ledger", "prove", "-1"], ["serve", "--tls-key", "k.pem"], ["approvals", "yes"],
             ["ask", "  "], ["budget", "day", "lots"], ["budget", "day", "1.5"], ["--lang", "xx", "status"]]
)  # fmt: skip
def test_usage_errors_are_2_and_say_where_help_is(home: Path, argv: list[str]) -> None:
    with staged(home):
        ran = call(FakeLocal(home), *argv)
    assert ran.code == codes.USAGE
    assert ran.err.strip()
    assert "Traceback" not in ran.err


# ask
def test_ask_prints_the_reply_alone_to_stdout(home: Path) -> None:
    with staged(home) as stage:
        SCRIPTS["hello"](stage.fake)
        ran = call(FakeLocal(home), "ask", "create", "hello.py")
        assert stage.fake.inbounds[0].text == "create hello.py"
        assert stage.fake.inbounds[0].channel == "cli"
    assert ran.code == 0
    assert ran.out == "hello.py is written and prints hello.\n"
    first, second = ran.err.splitlines()
    assert first.split() == ["✓", "write", "hello.py", "(15", "B)", "#12"]
    assert second == "  ✓ shell   python3 hello.py → hello                #14   sandbox, 38 ms"


def test_ask_reads_stdin_and_keys_and_sessions(home: Path) -> None:
    with staged(home) as stage:
        assert call(FakeLocal(home), "ask", "-", stdin="où est\nÉlan".encode()).code == 0
        assert call(FakeLocal(home), "ask", "again", "-c", "--key", "k1").code == 0
        assert call(FakeLocal(home), "ask", "third", "--session", "0001").code == 0
        assert [i.text for i in stage.fake.inbounds] == ["où est\nÉlan", "again", "third"]
        assert stage.fake.inbounds[1].key == "k1"
        assert len(stage.fake.sessions) == 1


@pytest.mark.parametrize("stdin", [b"\xff\xfe", b"abc\x80"])
def test_a_message_that_is_no_text(home: Path, stdin: bytes) -> None:
    with staged(home) as stage:
        ran = call(FakeLocal(home), "ask", "-", stdin=stdin)
        assert stage.fake.inbounds == []
    assert (ran.code, "not UTF-8" in ran.err, "Nothing was sent." in ran.err) == (1, True, True)


def test_an_undecodable_argument(home: Path) -> None:
    with staged(home):
        ran = call(FakeLocal(home), "ask", "caf\udce9")
    assert (ran.code, "not valid text" in ran.err) == (1, True)


def test_a_message_of_10_mb_is_refused_with_the_gateways_words(home: Path) -> None:
    with staged(home) as stage:
        ran = call(FakeLocal(home), "ask", "-", stdin=b"x" * 10_000_000)
        assert stage.fake.inbounds == []
    assert ran.code == 1
    assert "larger than" in ran.err
    assert "smaller message" in ran.err


def test_ask_json_gives_one_object(home: Path) -> None:
    with staged(home) as stage:
        SCRIPTS["hello"](stage.fake)
        ran = call(FakeLocal(home), "ask", "--json", "go")
    found = json.loads(ran.out)
    assert ran.err == ""
    assert (found["state"], found["exit"], found["reply"]) == ("done", 0, "hello.py is written and prints hello.")
    assert [s["entry"] for s in found["steps"]] == [12, 14]
    assert found["usage"]["tokens"] == 42


def test_ask_events_gives_each_as_a_line(home: Path) -> None:
    with staged(home) as stage:
        SCRIPTS["hello"](stage.fake)
        ran = call(FakeLocal(home), "ask", "--events", "go")
    kinds = [json.loads(line)["event"] for line in ran.out.splitlines()]
    assert kinds[0] == "TurnStarted"
    assert kinds[-1] == "TurnEnded"
    assert kinds.count("StepDone") == 2


def test_ask_verbose_shows_the_guards_answer(home: Path) -> None:
    with staged(home) as stage:
        SCRIPTS["hello"](stage.fake)
        ran = call(FakeLocal(home), "ask", "-v", "go")
    assert "guard: allow · rule files.write · #12: write hello.py (15 B)" in ran.err


def test_ask_waits_with_4_when_nobody_is_here(home: Path) -> None:
    with staged(home) as stage:
        stage.fake.script("Looking. ", Ask(), "Deleted.")
        ran = call(FakeLocal(home), "ask", "clean up")
        machine = call(FakeLocal(home), "ask", "--json", "clean up")
    assert ran.code == codes.WAITING
    for text in ("◦ waits", "delete 12 files", "old/", "you named it in this message", "deletes more than 10 files",
                 "rule", "files.delete-many · K7M2", "carapax approve K7M2", "carapax deny K7M2"):  # fmt: skip
        assert text in ran.err
    assert ran.out == "Looking. \n"
    # The session's turn still waits, so a second message is a conflict only in the same session; this one is new.
    assert machine.code == 0


def test_ask_json_tells_the_approval(home: Path) -> None:
    with staged(home) as stage:
        stage.fake.script(Ask())
        found = json.loads(call(FakeLocal(home), "ask", "--json", "x").out)
    assert (found["state"], found["exit"], found["approval"]["id"]) == ("waiting", 4, "K7M2")


def test_a_refused_step_is_5_and_says_why(home: Path) -> None:
    refusal = StepJudged(CallId("c"), "mail", "send mail to archive@backup.example", "deny", "intent.unrequested",
                         "You did not ask for this.", EntryIndex(41))  # fmt: skip
    with staged(home) as stage:
        stage.fake.script(refusal, "I could not send it.")
        ran = call(FakeLocal(home), "ask", "x")
    assert ran.code == codes.REFUSED
    assert ran.err.splitlines() == [
        "  ✗ refused   send mail to archive@backup.example",
        "              You did not ask for this.",
        "              #41 · rule intent.unrequested",
    ]
    assert ran.out == "I could not send it.\n"


def test_a_spent_budget_is_6(home: Path) -> None:
    with staged(home) as stage:
        SCRIPTS["stop"](stage.fake)
        ran = call(FakeLocal(home), "ask", "x")
    assert ran.code == codes.BUDGET
    assert "the turn's budget of 100 tokens is used up" in ran.err
    assert "Raise it with `carapax budget`." in ran.err


def test_a_notice_is_not_repeated_as_the_reply(home: Path) -> None:
    with staged(home) as stage:
        stage.fake.script(Stop(text="the model is not here"))
        ended = stage.fake._end

        async def end(run: Any, turn: Any, state: Any, reply: str, code: str) -> None:
            await ended(run, turn, state, "the model is not here Run `make setup`.", code)

        stage.fake._end = end  # type: ignore[method-assign]
        ran = call(FakeLocal(home), "ask", "x")
    assert ran.err.count("the model is not here") == 1
    assert ran.out == ""


def test_a_token_that_is_not_accepted_is_7(home: Path) -> None:
    with staged(home):
        (home / "run" / "cli.token").write_text("cpx_wrong")
        ran = call(FakeLocal(home), "ask", "x")
    assert ran.code == codes.NOT_PERMITTED
    assert "cpx_wrong" not in ran.err


def test_a_question_is_shown_once(home: Path) -> None:
    with staged(home) as stage:
        SCRIPTS["question"](stage.fake)
        ran = call(FakeLocal(home), "ask", "x")
    assert (ran.code, ran.out) == (0, "Which file?\n")


def test_outcomes_are_readable_without_colour(home: Path) -> None:
    from carapax.core.terms.action import Outcome

    with staged(home) as stage:
        stage.fake.script(
            judged("shell false", 3), done("shell false", 4, tool="shell", detail="exit 1", outcome=Outcome.FAILED),
            done("shell yes", 6, tool="shell", outcome=Outcome.STOPPED, call="c2"),
            done("mail bob", 8, outcome=Outcome.UNKNOWN, call="c3"),
            Notice("model.retry", "The model did not answer; asking again.", "Nothing to do."),
        )  # fmt: skip
        ran = call(FakeLocal(home), "ask", "x")
    assert "✗ shell   false (failed) → exit 1" in ran.err
    assert "■ shell   yes (stopped by a limit)" in ran.err
    assert "? mail    bob (outcome unknown; it is not repeated)" in ran.err
    assert "asking again" in ran.err
    assert "\x1b" not in ran.err


# approvals
def test_an_approval_is_answered_and_the_rest_followed(home: Path) -> None:
    with staged(home) as stage:
        stage.fake.script("Looking. ", Ask(), done("delete 12 files", 9), "Deleted.")
        assert call(FakeLocal(home), "ask", "x").code == codes.WAITING
        listed = call(FakeLocal(home), "approvals")
        assert "K7M2" in listed.out
        assert json.loads(call(FakeLocal(home), "approvals", "--json").out)["approvals"][0]["id"] == "K7M2"
        ran = call(FakeLocal(home), "approve", "k7m2")
        assert stage.fake.answers == [("K7M2", True)]
        assert call(FakeLocal(home), "approvals").out == "Nothing waits for you.\n"
        assert "approved" in call(FakeLocal(home), "approvals", "--all").out
    assert ran.code == 0
    assert "Deleted." in ran.out
    assert "✓ delete  12 files" in ran.err


def test_a_no_is_done_and_0(home: Path) -> None:
    with staged(home) as stage:
        stage.fake.script(Ask(), "Deleted.")
        call(FakeLocal(home), "ask", "x")
        ran = call(FakeLocal(home), "deny", "K7M2")
        assert stage.fake.answers == [("K7M2", False)]
    assert ran.code == 0
    assert ran.out == "I did not do it.\n"
    assert "The answer was no; it was not done." in ran.err


def test_an_unknown_approval(home: Path) -> None:
    with staged(home) as stage:
        ran = call(FakeLocal(home), "approve", "Z9Z9")
        assert stage.fake.answers == []
    assert (ran.code, "No approval `Z9Z9` is waiting." in ran.err) == (1, True)


def test_long_values_are_cut_on_the_card_and_whole_when_asked(home: Path) -> None:
    from carapax.core.terms.approval import ArgumentLine

    text = "\n".join(f"line {n}" for n in range(30))
    with staged(home) as stage:
        stage.fake.script(Ask(lines=(ArgumentLine("text", text, "written by the model"),)))
        call(FakeLocal(home), "ask", "x")
        short, whole = call(FakeLocal(home), "approvals").out, call(FakeLocal(home), "approvals", "--whole").out
    assert "line 29" not in short
    assert "152 more characters: [d]" in short
    assert "line 29" in whole
    assert "d" * 64 in whole


# undo
def test_undo_names_every_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def undo(self: FakeGateway, *_: object, **__: object) -> Undone:
        back = (Change("old.txt", ChangeKind.CREATED, None, None, 3), Change("new.txt", ChangeKind.DELETED, None, None, 3),
                Change("mid.txt", ChangeKind.MODIFIED, None, None, 3))  # fmt: skip
        return Undone(TurnId("t"), 3, back, ("later.txt",), ("big.bin",), 21)

    monkeypatch.setattr(FakeGateway, "undo", undo)
    with staged(home):
        ran = call(FakeLocal(home), "undo")
        machine = json.loads(call(FakeLocal(home), "undo", "--json").out)
    assert ran.code == codes.FAILED  # not everything could be put back
    for text in ("turn 3 taken back", "#21", "old.txt: back again", "new.txt: removed", "mid.txt: as it was before",
                 "later.txt: left alone", "big.bin: cannot be put back"):  # fmt: skip
        assert text in ran.out
    assert machine["number"] == 3


def test_undo_finds_a_turn_by_its_number(home: Path) -> None:
    with staged(home) as stage:
        call(FakeLocal(home), "ask", "one")
        call(FakeLocal(home), "ask", "two", "-c")
        assert call(FakeLocal(home), "undo", "--turn", "1").code == 0
        session, turn = stage.fake.undone[-1]
        assert turn == "T" + "1".rjust(25, "0")
        assert session is None
        assert call(FakeLocal(home), "undo", "--turn", "9").code == 1
        assert call(FakeLocal(home), "undo", "--session", "0001").code == 0
        assert stage.fake.undone[-1][0] == "S" + "1".rjust(25, "0")


# sessions
def test_sessions_from_first_to_last(home: Path) -> None:
    local = FakeLocal(home)
    with staged(home) as stage:
        call(local, "ask", "about the invoice")
        call(local, "ask", "about the weather")
        assert "weather" in call(local, "sessions").out.splitlines()[0]
        assert call(local, "sessions", "search", "invoice").out.count("\n") == 1
        assert len(json.loads(call(local, "sessions", "--json").out)["sessions"]) == 2
        assert len(json.loads(call(local, "sessions", "list", "--json").out)["sessions"]) == 2
        assert call(local, "sessions", "name", "0002", "rain", "or", "sun").code == 0
        assert "rain or sun" in call(local, "sessions").out
        shown = call(local, "sessions", "show", "rain or sun").out
        assert "you  about the weather" in shown
        assert "it   You said: about the weather" in shown
        parts = [json.loads(line) for line in call(local, "sessions", "export", "0002").out.splitlines()]
        assert [p["kind"] for p in parts] == ["user", "reply"]
        assert call(local, "sessions", "delete", "0002").code == codes.FAILED  # nobody said yes
        assert len(stage.fake.sessions) == 2
        assert call(local, "sessions", "delete", "0002", "--yes").code == 0
        assert len(stage.fake.sessions) == 1
        assert call(local, "sessions", "show", "gone").code == codes.FAILED
        assert "2 sessions fit" not in call(local, "sessions", "show", "1").err


def test_an_ambiguous_session_is_not_guessed(home: Path) -> None:
    with staged(home) as stage:
        for _ in range(11):
            call(FakeLocal(home), "ask", "x")
        ran = call(FakeLocal(home), "sessions", "delete", "1", "--yes")
        assert len(stage.fake.sessions) == 11
    assert (ran.code, "2 sessions fit `1`." in ran.err) == (1, True)


# tokens, status, stop
def test_tokens(home: Path) -> None:
    local = FakeLocal(home)
    with staged(home):
        made = call(local, "token", "create", "editor", "--scope", "chat,read", "--days", "7")
        assert made.out.startswith("cpx_")
        assert made.out.count("\n") == 1
        assert made.out.strip() not in made.err
        assert "7 days" in made.err
        listed = call(local, "token", "list")
        assert "editor" in listed.out
        assert "chat,read" in listed.out
        assert "cpx_" not in listed.out
        assert call(local, "token", "revoke", "t2").code == 0
        assert json.loads(call(local, "token", "list", "--json").out)["tokens"][1]["revoked"] is True
        assert call(local, "token", "create", "x", "--scope", "everything").code == 1


def test_status_is_readable_whatever_its_fields(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def status(self: FakeGateway) -> dict[str, object]:
        return {"version": "0.1.0", "uptime_ms": 300_000, "model": {"name": "embedded", "small": True},
                "today": {"usage": {"tokens": 1200, "usd_micro": 1_500_000}, "budget": {"tokens": None}},
                "evil": "\x1b[2J", "failed": ["a"]}  # fmt: skip

    monkeypatch.setattr(FakeGateway, "status", status)
    with staged(home):
        ran = call(FakeLocal(home), "status")
        machine = json.loads(call(FakeLocal(home), "status", "--json").out)
    assert "uptime       5 min" in ran.out
    assert "model        name embedded, small True" in ran.out
    assert "today usage  tokens 1,200, USD 1.50" in ran.out
    assert "\x1b" not in ran.out
    assert machine["uptime_ms"] == 300_000


def test_stop_waits_until_it_has_ended(home: Path) -> None:
    with staged(home) as stage:
        ran = call(FakeLocal(home), "stop")
        assert stage.fake.stopped.is_set()
    assert (ran.code, ran.out) == (0, "The gateway has ended.\n")


# serve
def test_serve_shows_its_start_and_runs_the_sample(home: Path) -> None:
    local = FakeLocal(home)
    local.script = SCRIPTS["hello"]
    ran = call(local, "serve", "--sample", "--port", "0")
    assert ran.code == 0
    assert local.calls == [("serve", ServeOptions(port=0))]
    lines = ran.out.splitlines()
    assert lines[:3] == [
        "Carapax 0.1.0 · first start", "  system      bubblewrap 0.8 ✓", "  model       embedded",
    ]  # fmt: skip
    assert lines[3].startswith("you  create hello.py")
    assert "  · guard: allow · rule files.write · #12: write hello.py (15 B)" in lines
    assert any(line.startswith("  ✓ shell   python3 hello.py → hello") for line in lines)
    assert "it   hello.py is written and prints hello." in lines
    assert lines[-2].startswith("  ready       http://127.0.0.1:")
    assert lines[-2].endswith("one-time code  QX4-7RM")


def test_serve_serves_even_when_the_sample_waits(home: Path) -> None:
    local = FakeLocal(home)
    local.script = SCRIPTS["ask"]
    ran = call(local, "serve", "--sample")
    assert "◦ waits" in ran.out
    assert "one-time code" in ran.out


# the machine
def test_doctor_says_what_to_do(home: Path) -> None:
    local = FakeLocal(home)
    assert call(local, "doctor").code == 0
    local.checks = [
        Check("walls", Standing.OK, "31 of 31 refused"),
        Check("skills", Standing.WARNING, "1 waits for review", "carapax skills review weather"),
        Check(
            "clock",
            Standing.FAILED,
            "41 s behind the ledger's last entry",
            "set the clock, then `carapax doctor` again",
        ),
        Check(
            "disk", Standing.FAILED, "a very long sentence about the disk that does not fit in the column", "free space"
        ),
    ]
    ran = call(local, "doctor")
    assert ran.code == codes.FAILED
    lines = ran.out.splitlines()
    assert lines[0] == "walls      31 of 31 refused                                    ✓"
    assert lines[1].endswith("◦")
    assert lines[2] == "           → carapax skills review weather"
    marks = [line.index(m) for line in lines for m in "✓◦✗" if m in line]
    assert len(set(marks)) == 1
    assert [c["standing"] for c in json.loads(call(local, "doctor", "--json").out)["checks"]] == [
        "ok", "warning", "failed", "failed",
    ]  # fmt: skip


def test_ledger(home: Path, tmp_path: Path) -> None:
    local = FakeLocal(home)
    assert "#12" in call(local, "ledger", "show", "--first", "12", "--limit", "5", "--newest").out
    assert local.calls[-1] == ("ledger_show", 12, 5, True)
    assert json.loads(call(local, "ledger", "show", "--json").out)["index"] == 12
    verified = call(local, "ledger", "verify")
    assert verified.out == "12,408 entries, root 9f3c9f3c9f3c…, verified in 0.3 s  ✓\n"
    kept = tmp_path / "kept.txt"
    kept.write_text("note")
    assert "not rewritten" in call(local, "ledger", "verify", "--checkpoint", str(kept)).out
    assert local.calls[-1] == ("ledger_verify", "note")
    assert call(local, "ledger", "verify", "--checkpoint", str(tmp_path / "none")).code == 1
    assert json.loads(call(local, "ledger", "prove", "14").out) == {"index": 14, "hashes": ["aa"]}
    assert call(local, "ledger", "prove", "99").code == codes.FAILED
    assert call(local, "ledger", "export").raw == b"one\ntwo\xff\n"
    target = tmp_path / "copy"
    assert call(local, "ledger", "export", "-o", str(target)).code == 0
    assert target.read_bytes() == b"one\ntwo\xff\n"
    again = call(local, "ledger", "export", "-o", str(target))
    assert (again.code, "exists already" in again.err) == (1, True)
    assert call(local, "ledger", "export", "-o", str(tmp_path / "no" / "copy")).code == 1


def test_a_broken_ledger_is_1_and_says_what_to_keep(home: Path) -> None:
    local = FakeLocal(home)
    local.corrupt = 7
    ran = call(local, "ledger", "verify")
    assert ran.code == codes.FAILED
    assert ran.err.startswith("Entry 7 does not verify.")
    assert "Keep the file as evidence" in ran.err


def test_model(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = FakeLocal(home)
    assert call(local, "model", "--provider").out == "\n"
    assert call(local, "model", "--choose", "--provider").out == "embedded\n"
    assert local.calls == [("set_model", "embedded", "", "", None)]
    call(local, "model", "--choose")
    assert len(local.calls) == 1  # asked once
    assert "▸  1  embedded" in call(local, "model").out
    assert call(local, "model", "openai", "big", "--key-stdin", stdin=b"sk-key\n").code == 0
    assert local.calls[-1] == ("set_model", "openai", "big", "", "sk-key")
    assert call(local, "model", "compatible").code == codes.USAGE
    assert call(local, "model", "compatible", "m", "--url", "http://127.0.0.1:1/v1").code == 0
    unknown = call(local, "model", "skynet")
    assert (unknown.code, "embedded, openai, compatible" in unknown.err) == (1, True)
    monkeypatch.setenv("CARAPAX_MODEL", "openai:gpt:x")
    assert call(local, "model", "--choose", "--provider").out == "openai\n"
    assert local.calls[-1] == ("set_model", "openai", "gpt:x", "", None)
    assert json.loads(call(local, "model", "--json").out)["models"][1]["current"] is True


def test_budget(home: Path) -> None:
    local = FakeLocal(home)
    assert call(local, "budget").out.splitlines() == [
        "turn     100,000 tokens", "session  no bound", "day      200,000 tokens · 2.50 USD",
    ]  # fmt: skip
    assert call(local, "budget", "day").out == "day      200,000 tokens · 2.50 USD\n"
    assert call(local, "budget", "day", "400000").code == 0
    assert local.calls[-1] == ("set_budget", Span.DAY, Budget(tokens=400_000, usd_micro=2_500_000))
    call(local, "budget", "day", "1.25", "--of", "usd")
    assert local.calls[-1][2].usd_micro == 1_250_000
    call(local, "budget", "turn", "90", "--of", "seconds")
    assert local.calls[-1][2].wall_ms == 90_000
    local.live = False
    assert "carapax stop" in call(local, "budget", "day", "none").out
    assert local.calls[-1][2].tokens is None
    assert json.loads(call(local, "budget", "--json").out)["turn"]["tokens"] == 100_000


# the border
def test_a_defect_is_said_without_a_traceback(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = FakeLocal(home)
    monkeypatch.setattr(local, "doctor", lambda: 1 // 0)
    ran = call(local, "doctor")
    assert ran.code == codes.FAILED
    assert "This is a defect in Carapax: ZeroDivisionError" in ran.err
    assert "Traceback" not in ran.err
    monkeypatch.setenv("CARAPAX_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        call(local, "doctor")


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied", "/x"), OSError(28, "No space left on device")]
)
def test_the_system_says_no(home: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def fail() -> None:
        raise error

    local = FakeLocal(home)
    monkeypatch.setattr(local, "doctor", fail)
    ran = call(local, "doctor")
    assert ran.code == 1
    assert error.strerror in ran.err
    assert len(ran.err.splitlines()) == 2


def test_ctrl_c_is_130(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    local = FakeLocal(home)
    monkeypatch.setattr(local, "doctor", interrupt)
    assert call(local, "doctor").code == codes.INTERRUPTED


@pytest.mark.parametrize("argv", [[], ["--help"], ["ask", "-h"], ["ledger", "verify", "--help"], ["--version"], ["-V"]])
def test_help_and_version_are_0(home: Path, argv: list[str]) -> None:
    ran = call(FakeLocal(home), *argv)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out


def test_ascii_terminals_get_ascii_marks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with staged(home) as stage:
        SCRIPTS["hello"](stage.fake)
        ran = call(FakeLocal(home), "ask", "x", encoding="ascii")
        monkeypatch.setenv("LC_ALL", "fr_FR.ISO-8859-1")
        stage.fake.script(done("write a", 1), "Élan ✓ 漢")
        latin = call(FakeLocal(home), "ask", "x", encoding="latin-1")
    assert "  + shell   python3 hello.py -> hello" in ran.err
    assert latin.out == "Élan + ?\n"


def test_narrow_terminals_lose_nothing_of_a_card(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    with staged(home) as stage:
        stage.fake.script(Ask(reason="a reason that is much longer than thirty columns in all"))
        ran = call(FakeLocal(home), "ask", "x")
    assert "a reason that is much longer than thirty columns in all" in " ".join(ran.err.split())


def test_every_exit_code_is_one_of_the_list() -> None:
    assert len(set(codes.ALL)) == len(codes.ALL) == 9
