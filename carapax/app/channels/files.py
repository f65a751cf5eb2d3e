"""Files that come with a message: fetched within bounds, known by their bytes, kept in the workspace.

Layer: app. Owns names, types and the checks. Absent: reading what is inside (tools, in the sandbox).
Laws: a file's name and type are never the sender's word; nothing is unpacked here; a file lies below `inbox/` and is
written through no link; it counts as written by strangers, because no call of Carapax wrote it.
"""

from __future__ import annotations

import asyncio
import datetime
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from carapax.adapters.workspace.beneath import look, replace_file
from carapax.core.channel.people import revealed
from carapax.core.channel.shown import Language, say
from carapax.core.terms.channel import Attached, Received
from carapax.core.terms.error import StoreUnavailable, TooLarge
from carapax.ports.channel import Channel
from carapax.ports.clock import Clock
from carapax.ports.scanner import Scanner

MOST_FILES = 10
MOST_BYTES = 25 << 20
FOLDER = "inbox"
STEM_CHARS = 60
MOST_UNPACKED = 1 << 30
MOST_RATIO = 200
SCANNED_BYTES = 1 << 20
HINT_SCORE = 50

_TEXT = "text/plain"
_SUFFIX = re.compile(r"[a-z0-9]{1,8}\Z")


@dataclass(frozen=True, slots=True)
class Came:
    """What became of a message's files: paths in the workspace, and what to tell the sender of those that were not taken."""

    paths: tuple[str, ...] = ()
    voice: tuple[bytes, ...] = ()
    notes: tuple[str, ...] = ()  # for the model and the person: what a file is
    refused: tuple[str, ...] = ()


class Files:
    """Takes in attachments. `transcribes`: recordings are handed back instead of kept."""

    def __init__(self, root: Path, clock: Clock, scanner: Scanner, transcribes: Callable[[], bool]) -> None:
        self._root, self._clock, self._scanner, self._transcribes = root, clock, scanner, transcribes

    async def take(self, channel: Channel, heard: Received, language: Language) -> Came:
        """Fetch and keep what came with a message. Raises ChannelFailed (try again), StoreUnavailable."""
        paths: list[str] = []
        voice: list[bytes] = []
        notes: list[str] = []
        refused: list[str] = []
        for attached in heard.files[:MOST_FILES]:
            name = _shown(attached)
            try:
                content = await channel.fetch(attached, min(MOST_BYTES, channel.facts().file_bytes))
            except TooLarge:
                refused.append(say(language, "file.large", name=name, most=MOST_BYTES >> 20))
                continue
            if attached.voice and self._transcribes():
                voice.append(content)
                continue
            type_ = find_type(content)
            if (bomb := find_bomb(content)) and type_ == "application/zip":
                refused.append(f"{name}: {bomb}")
                continue
            path = await asyncio.to_thread(self._keep, attached, type_, content)
            paths.append(path)
            notes.append(f"{path}: {type_}, {len(content):,} bytes{self._hinted(type_, content)}")
        return Came(tuple(paths), tuple(voice), tuple(notes), tuple(refused))

    def _keep(self, attached: Attached, type_: str, content: bytes) -> str:
        """Write it under a name of its own. Raises StoreUnavailable."""
        day = datetime.datetime.fromtimestamp(self._clock.now_ms() / 1000, datetime.UTC).date().isoformat()
        stem, suffix = safe_name(attached.name, type_)
        try:
            for number in range(1, 1_000):
                again = f"-{number}" if number > 1 else ""
                path = f"{FOLDER}/{day}/{stem}{again}{suffix}"
                if look(self._root, path) is None:
                    replace_file(self._root, path, content, 0o644)
                    return path
        except OSError as error:
            raise StoreUnavailable(f"{FOLDER}/ cannot be written: {error.strerror}.") from error
        raise StoreUnavailable(f"{FOLDER}/{day} holds a thousand files of one name.")

    def _hinted(self, type_: str, content: bytes) -> str:
        if not type_.startswith("text/"):
            return ""
        hint = self._scanner.hint(content[:SCANNED_BYTES].decode("utf-8", "replace"))
        return "; it reads like instructions to a model" if hint.score >= HINT_SCORE else ""


def _shown(attached: Attached) -> str:
    return revealed(attached.name)[:STEM_CHARS] or "the file"


def find_type(content: bytes) -> str:
    """A file's type by its bytes: what its signature says, text, or octets."""
    import filetype  # type: ignore[import-untyped]  # a table of signatures; loaded with the first file

    kind = filetype.guess(content[:8_192])
    if kind is not None:
        return str(kind.mime)
    try:
        text = content[:65_536].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(content[:65_536]) - 4:
            return "application/octet-stream"
        text = ""
    if "\0" in text:
        return "application/octet-stream"
    return "text/html" if re.match(r"\s*<(!doctype html|html)", text, re.IGNORECASE) else _TEXT


def find_bomb(content: bytes) -> str:
    """Why an archive would be a bomb for whoever unpacks it, by its own table; "" when it is none, or no archive."""
    if content[:4] != b"PK\3\4":
        return ""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return "it is a damaged archive and was not taken."
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MOST_UNPACKED or unpacked > MOST_RATIO * max(len(content), 4_096) or len(entries) > 20_000:
        return f"unpacked it would have {unpacked >> 20:,} MiB in {len(entries):,} files; it was not taken."
    return ""


def safe_name(name: str, type_: str) -> tuple[str, str]:
    """A name of ours for a file: letters, digits and dashes, and a suffix that goes with its bytes."""
    import filetype

    stem, _, given = name.replace("\\", "/").rpartition("/")[2].rpartition(".")
    if not stem:
        stem, given = given, ""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:STEM_CHARS] or "file"
    kind = filetype.get_type(mime=type_)
    if kind is not None:
        return stem, f".{kind.extension}"
    given = given.lower()
    known = type_.startswith("text/") and _SUFFIX.match(given) and given not in ("exe", "com", "bat", "scr", "lnk")
    return stem, f".{given}" if known else ".txt" if type_.startswith("text/") else ".bin"
