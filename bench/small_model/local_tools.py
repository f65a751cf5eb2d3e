"""The everyday tools over a scratch folder, for measuring a model without the gateway.

A stand-in with the names and the result texts of the real tools, none of their guards; commands run in bubblewrap
without a network.
"""

from __future__ import annotations

import datetime
import json
import subprocess
from pathlib import Path

from carapax.adapters.tools.files import program
from carapax.adapters.tools.manifest import load_manifests
from carapax.adapters.tools.talk.wire import render_time

_FAMILIES = Path(program.__file__).parent.parent
MANIFESTS = tuple(tool for family in ("files", "shell", "talk") for tool in load_manifests(_FAMILIES / family))
_PROGRAM = Path(program.__file__).read_text("utf-8")


class LocalTools:
    """Performs calls in one folder; remembers each turn's beginning for `show_changes`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._turns: list[tuple[str, dict[str, bytes]]] = []  # what was asked, and the files before it

    def begin_turn(self, text: str) -> None:
        """A new message of the person: changes are told apart by it."""
        self._turns.append((text, self._files()))

    def _files(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.root)): p.read_bytes() for p in self.root.rglob("*") if p.is_file()}

    def _changes(self) -> str:
        told, after = [], self._files()
        for number, (text, before) in reversed(list(enumerate(self._turns, 1))):
            rows = [f"- deleted {name}" for name in sorted(before.keys() - after.keys())]
            for name in sorted(n for n in after if after[n] != before.get(n)):
                rows.append(f"- {'changed' if name in before else 'created'} {name} ({len(after[name])} bytes)")
            if rows:
                told.append(
                    "\n".join([f'Turn {number} ("{text[:60]}"), {len(rows)} change{"s" * (len(rows) > 1)}:', *rows])
                )
            after = before
        return "\n".join(told) or "Nothing was changed yet."

    def perform(self, tool: str, given: dict[str, object]) -> str:
        """What the call says."""
        if tool == "show_time":
            return render_time(datetime.datetime.now().astimezone())
        if tool == "show_changes":
            return self._changes()
        if tool == "run_command":
            code, output = self._run(["sh", "-c", str(given["command"])], "")
            return f"{output or '(no output)'}\n[exit code {code}]"
        return self._run(["python3", "-I", "-S", "-c", _PROGRAM, tool, "0"], json.dumps(given))[1]

    def _run(self, argv: list[str], stdin: str) -> tuple[int, str]:
        wall = [
            "bwrap",
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--ro-bind",
            "/usr",
            "/usr",
            "--ro-bind",
            "/etc",
            "/etc",
        ]
        wall += [x for d in ("bin", "lib", "lib64") for x in ("--symlink", f"usr/{d}", f"/{d}")]
        wall += [
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
            "--bind",
            str(self.root),
            "/workspace",
            "--chdir",
            "/workspace",
        ]
        done = subprocess.run(
            [*wall, *argv], capture_output=True, text=True, timeout=20, errors="replace", input=stdin, check=False
        )
        return done.returncode, (done.stdout + done.stderr).strip()[:4000]
