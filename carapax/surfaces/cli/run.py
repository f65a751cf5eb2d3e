"""The entry of the command line: arguments in, exit code out, never a traceback.

Layer: surfaces/cli. Imports a command's module only when it is the one asked for.
"""

from __future__ import annotations

import os
import sys

from carapax import __version__
from carapax.surfaces.cli import codes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping, Sequence

    from carapax.surfaces.cli.context import Context
    from carapax.surfaces.cli.local import Local


def run(argv: Sequence[str], local: Local) -> int:
    """Do what the arguments (without the program's name) say and return the exit code of docs/cli.md."""
    if list(argv) in (["--version"], ["-V"]):
        sys.stdout.write(f"carapax {__version__}\n")
        return codes.OK
    try:
        code = _run(list(argv), local)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader has gone (`| head`): nothing more can be said, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return codes.FAILED
    except KeyboardInterrupt:
        return codes.INTERRUPTED


def _run(argv: list[str], local: Local) -> int:
    from carapax.surfaces.cli.context import Context
    from carapax.surfaces.cli.parser import build_parser
    from carapax.surfaces.cli.texts import Texts, find_language

    t = Texts(find_language(_asked_language(argv), os.environ))
    c = Context(local, t, os.environ, sys.stdin, sys.stdout, sys.stderr)
    parser = build_parser(t)
    try:
        options = parser.parse_args(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else codes.USAGE
    if options.version:
        c.out.line(f"carapax {__version__}")
        return codes.OK
    if options.command is None:
        parser.print_help(sys.stdout)
        return codes.OK
    return _guarded(c, options, os.environ)


def _guarded(c: Context, options: Namespace, env: Mapping[str, str]) -> int:
    from carapax.core.terms.error import CarapaxError

    try:
        return _command(options.command)(c, options)
    except CarapaxError as error:
        c.print_error(error)
        return codes.code_of(error.code, getattr(error, "status", 0))
    except BrokenPipeError:
        raise
    except OSError as error:
        c.err.line(("red", c.t("error.system", what=error.strerror or type(error).__name__, name=error.filename or "")))
        c.err.line(c.t("error.system_next"))
        return codes.FAILED
    except Exception as error:  # broad: the last border before a person; a traceback is for CARAPAX_DEBUG alone
        if env.get("CARAPAX_DEBUG"):
            raise
        c.err.line(("red", c.t("error.defect", what=f"{type(error).__name__}: {error}")))
        c.err.line(c.t("error.defect_next"))
        return codes.FAILED


def _command(name: str) -> Callable[[Context, Namespace], int]:
    from importlib import import_module

    from carapax.surfaces.cli.parser import MODULES

    found: Callable[[Context, Namespace], int] = getattr(import_module(f"carapax.surfaces.cli.{MODULES[name]}"), name)
    return found


def _asked_language(argv: list[str]) -> str:
    """The value of --lang, looked for before the grammar exists, because its help is in that language."""
    for number, word in enumerate(argv):
        if word == "--":
            break
        if word.startswith("--lang="):
            return word[7:]
        if word == "--lang" and number + 1 < len(argv):
            return argv[number + 1]
    return ""
