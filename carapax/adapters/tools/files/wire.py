"""The file tools' bytes: arguments to program input, program output to text, and a call in a few words.

Layer: adapters/tools/files. Pure.
Law: the program's input is the canonical call's own bytes, unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from carapax.adapters.tools.words import SUMMARY_CHARS, one_line, text_of
from carapax.core.terms.action import CanonicalCall, Outcome
from carapax.ports.sandbox import Ran

FAILED_EXIT = 4  # as in program.py
INVENTORY, INVENTORY_BYTES = "\0", 300_000  # as in program.py
NOTES = (".txt", ".md", ".markdown", ".org", ".rst")
"""What people call a note: a file of plain words."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
READING = frozenset({"list_files", "read_file", "search_files"})


def render_input(call: CanonicalCall) -> bytes:
    """What the program reads: the bytes that were judged."""
    return call.arguments_json.encode("utf-8")


def parse_run(ran: Ran) -> tuple[Outcome, str]:
    """What the program said. Output of a program that did not end by itself as done or failed is not repeated."""
    if ran.ended_by:
        return Outcome.STOPPED, f"The file tool was ended by its {ran.ended_by} limit; the work may be half done."
    if ran.exit_code not in (0, FAILED_EXIT):
        return Outcome.FAILED, f"The file tool could not run (exit code {ran.exit_code}). Run `carapax doctor`."
    text = ran.output.decode("utf-8", "replace")
    return (Outcome.DONE if ran.exit_code == 0 else Outcome.FAILED), text or "The file tool said nothing."


def split_content(text: str, *, whole: bool) -> tuple[str, dict[str, Any] | None]:
    """The words of an answer, and the workspace's files for look-ups; None when none came with it, or not the whole of it."""
    words, mark, rows = text.partition(INVENTORY)
    if not mark or not rows or not whole:
        return words, None
    files = [_file(*row.split("\t", 2)) for row in rows.split("\n")]
    # A bare name stands for a file only where no other file has it.
    bases = Counter(PurePosixPath(file["path"]).name for file in files)
    named = [file | {"name": base} if bases[base := PurePosixPath(file["path"]).name] == 1 else file for file in files]
    return words, {"files": named, "notes": [f for f in named if f["path"].casefold().endswith(NOTES)]}


def _file(size: str, micros: str, path: str) -> dict[str, Any]:
    try:
        modified = (_EPOCH + timedelta(microseconds=int(micros))).isoformat(timespec="microseconds")
    except OverflowError:  # anybody can set a file's time, also to the year 20000
        modified = None
    return {"path": path, "size": int(size), "modified": modified}


def paths_of(arguments: Mapping[str, object]) -> tuple[str, ...]:
    """The paths that a delete_file call names, each once."""
    lines = (line.strip() for line in text_of(arguments, "paths").split("\n"))
    return tuple(dict.fromkeys(line for line in lines if line))


def destroys(tool: str, arguments: Mapping[str, object]) -> int:
    """How many paths a call says it deletes."""
    return len(paths_of(arguments)) if tool == "delete_file" else 0


def summary(tool: str, arguments: Mapping[str, object]) -> str:
    """A call in at most 80 visible characters: "write hello.py (15 B)"."""
    path = text_of(arguments, "path")
    match tool:
        case "list_files":
            return one_line(f"list {path}" if path not in ("", ".") else "list the workspace")
        case "write_file" | "append_file":
            verb = "write" if tool == "write_file" else "append to"
            size = f" ({len(text_of(arguments, 'content').encode('utf-8', 'surrogatepass')):,} B)"
            return one_line(f"{verb} {path}", SUMMARY_CHARS - len(size)) + size
        case "search_files":
            where = f" in {path}" if path not in ("", ".") else ""
            return one_line(f'search "{text_of(arguments, "text")}"{where}')
        case "move_file":
            return one_line(f"move {path} to {text_of(arguments, 'new_path')}")
        case "delete_file":
            return _delete_summary(paths_of(arguments))
        case _:
            return one_line(f"{tool.removesuffix('_file')} {path}")


def _delete_summary(paths: tuple[str, ...]) -> str:
    whole = "delete " + ", ".join(paths)
    if len(paths) < 2 or len(whole) <= SUMMARY_CHARS:
        return one_line(whole)
    start = f"delete {len(paths):,} paths: "
    return start + one_line(", ".join(paths[:8]), SUMMARY_CHARS - len(start))
