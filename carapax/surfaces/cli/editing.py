"""Reading a line in the chat: editing, history, several lines by a trailing backslash.

Layer: surfaces/cli. The history is a file of this home, readable by its owner alone, without what looks like a
secret and without lines that start with a space.
"""

from __future__ import annotations

import os
import re

from carapax.core.terms.error import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

    from carapax.surfaces.cli.terminal import Pen

HISTORY_LINES = 1000
MESSAGE_LINES = 1000
LINE_CHARACTERS = 16 << 20
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|ghp|gho|ghs|xox[a-z]|cpx|glpat|AKIA|AIza)[-_A-Za-z0-9]{12,}|-----BEGIN|"
    r"\b(?:pass(?:word|wd|phrase)?|mot de passe|secret|token|api[ _-]?key|clé)\b\s*(?:[:=]|is\b|est\b)|://[^/\s:@]+:[^/\s@]+@|"
    r"\b[A-Za-z0-9+/_-]{40,}",
    re.IGNORECASE,
)


def keeps(line: str) -> bool:
    """Whether a line may be kept in the history."""
    return bool(line.strip()) and not line.startswith(" ") and _SECRET.search(line) is None


class Lines:
    """Messages from the person, one after another. With a terminal, readline; without, plain lines."""

    def __init__(self, stdin: TextIO, pen: Pen, history: Path, prompt: str) -> None:
        self._stdin = stdin
        self._pen = pen
        self._history = history
        self._prompt = prompt
        self._editing = stdin.isatty() and pen.tty
        if self._editing:
            self._open_history()

    def read(self) -> str | None:
        """The next message, None at the end of input. Raises KeyboardInterrupt."""
        lines: list[str] = []
        while len(lines) < MESSAGE_LINES:
            line = self._line(self._prompt if not lines else " " * (len(self._prompt) - 2) + "· ")
            if line is None:
                return "\n".join(lines) if lines else None
            if not line.endswith("\\"):
                lines.append(line)
                break
            lines.append(line[:-1])
        if self._editing:
            self._keep(lines)
        return "\n".join(lines)

    def _line(self, prompt: str) -> str | None:
        if not self._editing:
            try:
                line = self._stdin.readline(LINE_CHARACTERS)
            except UnicodeDecodeError as error:
                raise Malformed("The line is not text in this terminal's character set.") from error
            return line.rstrip("\n") if line else None
        self._pen.text("")
        try:
            # The prompt is ours alone, so it may go past the pen: readline must know it to redraw the line.
            return input(prompt if self._pen.unicode else prompt.encode("ascii", "replace").decode("ascii"))
        except EOFError:
            self._pen.text("\n")
            return None

    def _open_history(self) -> None:
        import readline

        readline.set_auto_history(False)
        readline.parse_and_bind("set enable-bracketed-paste on")
        try:
            if self._history.is_file():
                readline.read_history_file(self._history)
        except OSError:
            return  # an unreadable history is no reason not to chat

    def _keep(self, lines: list[str]) -> None:
        import readline

        kept = [line for line in lines if keeps(line)]
        if len(kept) != len([line for line in lines if line.strip()]):
            return
        for line in kept:
            readline.add_history(line)
        readline.set_history_length(HISTORY_LINES)
        try:
            self._history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._history, os.O_CREAT | os.O_WRONLY, 0o600))
            os.chmod(self._history, 0o600)
            readline.write_history_file(self._history)
        except OSError:
            return
