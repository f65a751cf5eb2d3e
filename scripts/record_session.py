"""Record a first session with the embedded model in a real terminal.   python scripts/record_session.py [--write]

Starts `carapax chat` on a fresh home in a pseudo-terminal, types what a newcomer would, checks that the file was made
and run, then verifies the ledger. With --write it renews docs/first-session.md, otherwise it prints the transcript.
Needs `make setup` with the embedded model.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pexpect

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "first-session.md"
CARAPAX = Path(sys.executable).with_name("carapax")
PROMPT = "you  "
REPLY_S = 300.0
SAID = ("create hello.py that prints hello and run it", "what did you just change?", "/undo", "what is in hello.py?")

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[=>]")


def environment(place: Path) -> dict[str, str]:
    """A home of its own; the model's weights are shared."""
    models = os.environ.get("CARAPAX_MODELS") or str(Path.home() / ".carapax" / "models")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "CARAPAX_HOME": str(place / "home"),
        "CARAPAX_WORKSPACE": str(place / "work"),
        "CARAPAX_PORT": "0",
        "CARAPAX_MODELS": models,
        "CARAPAX_MODEL": "embedded",
    }


def talk(place: Path, said: tuple[str, ...] = SAID) -> str:
    """The terminal's text of one chat. Raises pexpect.TIMEOUT when a reply takes over 5 minutes."""
    child = pexpect.spawn(
        str(CARAPAX), ["chat"], env=environment(place), encoding="utf-8", timeout=REPLY_S, dimensions=(50, 100)
    )
    pieces: list[str] = []
    try:
        child.expect_exact(PROMPT)
        pieces.append(child.before + PROMPT)
        for line in said:
            child.sendline(line)
            child.expect_exact("\n")  # the echo of what was typed
            child.expect_exact(PROMPT)
            pieces.append(f"{line}\n{child.before}{PROMPT}")
        child.sendeof()
        child.expect(pexpect.EOF)
        pieces.append(child.before)
    finally:
        child.close(force=True)
    return tidy("".join(pieces))


def tidy(text: str) -> str:
    """What a person saw, without control sequences."""
    text = ESCAPES.sub("", text).replace("\r\n", "\n")
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def command(place: Path, *argv: str) -> str:
    ran = subprocess.run([str(CARAPAX), *argv], env=environment(place), capture_output=True, text=True, check=False)
    return tidy(ran.stdout + ran.stderr)


def page(transcript: str, verified: str, shown: str) -> str:
    def block(text: str) -> str:
        return "\n".join(f"    {line}".rstrip() for line in text.splitlines())

    return f"""# A first session

Recorded by `python scripts/record_session.py --write`: a real terminal, a fresh home, the embedded model.
`carapax chat` starts a gateway, and ends it when you leave.

    $ carapax chat
{block(transcript)}

Afterwards, what happened can be proved:

    $ carapax ledger verify
{block(verified)}

    $ carapax ledger show
{block(shown)}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carapax-session-") as folder:
        place = Path(folder)
        transcript = talk(place)
        verified, shown = command(place, "ledger", "verify"), command(place, "ledger", "show")
    text = page(transcript, verified, shown).replace(folder, "~")
    if given.write:
        PAGE.write_text(text, "utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
