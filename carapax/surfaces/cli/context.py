"""What every command gets: pens, words, the machine, and the gateway when it asks for it.

Layer: surfaces/cli. Absent: parsing (parser) and what a command does (one module per family).
"""

from __future__ import annotations

import io
import json

from carapax.surfaces.cli.client import find_client
from carapax.surfaces.cli.terminal import Pen, declared_charset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

    from carapax.core.terms.error import CarapaxError
    from carapax.surfaces.cli.client import Client
    from carapax.surfaces.cli.local import Local
    from carapax.surfaces.cli.texts import Texts


class Context:
    """One run of the command line."""

    def __init__(
        self, local: Local, t: Texts, env: Mapping[str, str], stdin: TextIO, stdout: TextIO, stderr: TextIO
    ) -> None:
        self.local = local
        self.t = t
        self.env = env
        self.stdin = stdin
        self.stdout = stdout
        charset = declared_charset(env)
        if charset and isinstance(stdin, io.TextIOWrapper):
            stdin.reconfigure(encoding=charset)
        self.out = Pen(stdout, env)
        self.err = Pen(stderr, env)

    def client(self) -> Client:
        """The running gateway. Raises GatewayAbsent."""
        return find_client(self.local.home(), self.env)

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked here."""
        return self.stdin.isatty() and self.err.tty

    def print_json(self, value: Any) -> None:
        """One JSON value on one line, in ASCII, so that it is the same in every terminal."""
        self.out.text(json.dumps(value, default=str) + "\n")

    def print_error(self, error: CarapaxError) -> None:
        """What happened, what was kept, what to do next."""
        self.err.line(("red", _sentence(self.t.known(error.what))))
        for text in (error.kept, error.next_step):
            if text:
                self.err.line(_sentence(self.t.known(text)))

    def confirm(self, question: str) -> bool:
        """Ask yes or no; without a person it is no."""
        if not self.interactive:
            return False
        self.err.text(f"{question} [{self.t('confirm.keys')}] ")
        return self.stdin.readline().strip().lower() in ("y", "yes", "o", "oui")


def _sentence(text: str) -> str:
    """Errors are written as clauses in the code; a person reads sentences."""
    text = text.strip()
    first = text.split(" ", 1)[0]
    if first.isalpha():  # not a file name, a command or an id
        text = text[:1].upper() + text[1:]
    return text + ("" if text.endswith((".", "?", "`", ":")) else ".")
