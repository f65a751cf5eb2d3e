from __future__ import annotations

import dataclasses

import pytest

from carapax.adapters.tools.shell import wire
from carapax.core.terms.action import Outcome
from carapax.ports.sandbox import Mount, Ran
from tests.unit.adapters.tools.conftest import Bench, sealed

RAN = Ran(exit_code=0, output=b"", truncated=False, ended_by="", duration_ms=5)


def said(output: bytes, text_bytes: int = 16_000, **changes: object) -> tuple[Outcome, str, bool]:
    return wire.parse_run(dataclasses.replace(RAN, output=output, **changes), text_bytes, 60_000)  # type: ignore[arg-type]


def test_a_command_runs_in_the_workspace_and_tells_its_exit_code(bench: Bench) -> None:
    (bench.root / "hello.py").write_text("print('hello')")
    receipt = bench.do("run_command", command="cat hello.py && echo && echo made > new")
    assert (receipt.outcome, receipt.exit_code) == (Outcome.DONE, 0)
    assert receipt.text == "print('hello')\n[exit code 0]"
    assert (bench.root / "new").read_text() == "made\n"
    job = bench.sandbox.jobs[-1]
    assert (job.mount, job.timeout_ms, job.argv[1]) == (Mount.WRITE, 60_000, "-c")


def test_a_failure_is_told_with_what_it_wrote(bench: Bench) -> None:
    receipt = bench.do("run_command", command="echo out; echo err >&2; exit 3")
    assert (receipt.outcome, receipt.text) == (Outcome.FAILED, "out\nerr\n[exit code 3]")
    receipt = bench.do("run_command", command="no-such-program-here")
    assert receipt.text.endswith("[exit code 127: command not found]")
    assert bench.say("run_command", command="true") == "(no output)\n[exit code 0]"


def test_the_command_is_one_argument_and_stdin_is_empty(bench: Bench) -> None:
    assert bench.say("run_command", command="cat; echo \"$#\" '; rm -rf /'") == "0 ; rm -rf /\n[exit code 0]"


def test_a_command_that_runs_too_long_is_stopped_and_says_so(bench: Bench) -> None:
    call = sealed(bench.shell, "run_command", {"command": "echo begun; sleep 100"})
    quick = dataclasses.replace(call.call.manifest, timeout_ms=300)
    call = dataclasses.replace(call, call=dataclasses.replace(call.call, manifest=quick))
    import asyncio

    receipt = asyncio.run(bench.shell.perform(call))
    assert receipt.outcome is Outcome.STOPPED
    assert receipt.text == "begun\n[stopped: it ran longer than 0.3 s; what it did before that stays]"


def test_a_flood_is_stopped_and_keeps_head_and_tail(bench: Bench) -> None:
    receipt = bench.do("run_command", command="echo first; yes")
    assert (receipt.outcome, receipt.truncated) == (Outcome.STOPPED, True)
    assert receipt.text.startswith("first\ny\n")
    assert receipt.text.endswith("[stopped: it wrote too much; what it did before that stays]")
    assert len(receipt.text.encode()) < 16_200


def test_long_output_keeps_head_and_tail() -> None:
    outcome, text, cut = said(b"head\n" + b"m" * 5_000 + b"\ntail\n", text_bytes=100)
    assert (outcome, cut) == (Outcome.DONE, True)
    assert text.startswith("head\n")
    assert text.endswith("tail\n[exit code 0]")
    assert "bytes left out …]" in text


def test_cutting_never_breaks_a_character() -> None:
    _, text, _ = said("é".encode() * 400, text_bytes=101)
    assert "\ufffd" not in text


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07shown", "shown"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b" 10%\r 50%\r100%\ndone\r\n", "100%\ndone"),
        (b"a\x00b\x08c\x7f\x1b", "a·b·c··"),
        ("a\u009b2Jb".encode(), "a·2Jb"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"\n\n  kept\tas is \n\n", "  kept\tas is "),
    ],
)
def test_terminal_control_is_taken_out(output: bytes, text: str) -> None:
    assert said(output)[1] == f"{text}\n[exit code 0]"


@pytest.mark.parametrize(
    ("ended_by", "words"),
    [
        ("time", "longer than 60 s"),
        ("output", "too much"),
        ("memory", "too much memory"),
        ("files", "of its files limit"),
    ],
)
def test_a_limit_is_named(ended_by: str, words: str) -> None:
    outcome, text, _ = said(b"", ended_by=ended_by, exit_code=None)
    assert outcome is Outcome.STOPPED
    assert words in text


def test_a_signal_and_a_missing_code_are_named() -> None:
    assert said(b"", exit_code=139)[1].endswith("[exit code 139: ended by signal 11]")
    assert said(b"", exit_code=None)[:2] == (Outcome.FAILED, "(no output)\n[ended without an exit code]")


@pytest.mark.parametrize("junk", [b"\x1b]" * 200_000, b"\r" * 500_000, b"a" * 1_000_000, b"\x1b[" + b"0;" * 300_000])
def test_hostile_output_costs_no_more_than_its_length(junk: bytes) -> None:
    assert said(junk)[1].endswith("[exit code 0]")


def test_a_command_in_a_few_words() -> None:
    assert wire.summary("run_command", {"command": " python3 hello.py\n"}) == "run python3 hello.py"
    long = wire.summary("run_command", {"command": "echo " + "x" * 300 + "\n; rm -rf notes"})
    assert len(long) <= 80
    assert long.endswith("\\n; rm -rf notes")
    assert wire.summary("run_command", {}) == "run "
    assert wire.destroys("run_command", {"command": "rm a b c"}) == 0
