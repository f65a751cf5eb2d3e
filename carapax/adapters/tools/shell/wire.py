"""The shell tool's bytes: output to text a person's terminal cannot be fooled by, and a call in a few words.

Layer: adapters/tools/shell. Pure.
Laws: the text ends with what ended the command; it holds no control character but newline and tab.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from carapax.adapters.tools.words import one_line, text_of
from carapax.core.terms.action import Outcome
from carapax.ports.sandbox import Ran

_TERMINAL = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\)|[()*+][0-9A-Za-z]|[=>78cDEHMNOZ])"
)
_CONTROLS = {code: "·" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_LIMITS = {"time": "it ran longer than {seconds} s", "output": "it wrote too much", "memory": "it used too much memory"}


def parse_run(ran: Ran, text_bytes: int, timeout_ms: int) -> tuple[Outcome, str, bool]:
    """What the command left: (outcome, text, cut). The text is at most `text_bytes` of UTF-8 and a last line."""
    output, cut = _clip(_plain(ran.output), text_bytes)
    if ran.ended_by:
        why = _LIMITS.get(ran.ended_by, f"of its {ran.ended_by} limit").format(seconds=f"{timeout_ms / 1000:g}")
        outcome, ending = Outcome.STOPPED, f"[stopped: {why}; what it did before that stays]"
    elif ran.exit_code is None:
        outcome, ending = Outcome.FAILED, "[ended without an exit code]"
    else:
        outcome = Outcome.DONE if ran.exit_code == 0 else Outcome.FAILED
        ending = f"[exit code {ran.exit_code}{_known(ran.exit_code)}]"
    return outcome, f"{output or '(no output)'}\n{ending}", cut or ran.truncated


def _known(exit_code: int) -> str:
    if exit_code == 127:
        return ": command not found"
    if exit_code > 128:
        return f": ended by signal {exit_code - 128}"
    return ""


def _plain(output: bytes) -> str:
    text = _TERMINAL.sub("", output.decode("utf-8", "replace"))
    # What a carriage return wrote over (progress bars) is left out, as on a terminal.
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return text.translate(_CONTROLS).strip("\n")


def _clip(text: str, text_bytes: int) -> tuple[str, bool]:
    """Head and tail of a long text, cut at line ends where there are any near."""
    raw = text.encode("utf-8")
    if len(raw) <= text_bytes:
        return text, False
    half = text_bytes // 2
    head = raw[:half].decode("utf-8", "ignore")
    tail = raw[-half:].decode("utf-8", "ignore")
    left = len(raw) - 2 * half
    return f"{head}\n[… {left:,} bytes left out …]\n{tail}", True


def destroys(tool: str, arguments: Mapping[str, object]) -> int:
    """Always 0: what a command deletes cannot be read off its words."""
    return 0


def summary(tool: str, arguments: Mapping[str, object]) -> str:
    """A call in at most 80 visible characters: "run python3 hello.py"."""
    return one_line(f"run {text_of(arguments, 'command').strip()}")
