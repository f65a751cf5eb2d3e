"""Secrets that lie in clear, taken into the vault: the private files of earlier versions, and `.env` files.

Layer: adapters/vault. Owns the order: sealed durably, read back, and only then overwritten where it lay in clear.
Absent: undoing what somebody read before. Overwriting does not reach copies, backups and worn flash cells.
Laws: a value is never in a message; ended in the middle, every value is sealed, in clear, or both, never neither.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.vault.folder import erase, overwrite
from carapax.adapters.vault.index import HANDLE
from carapax.adapters.vault.private import find_private_bytes
from carapax.adapters.vault.sealed import SECRET_BYTES, SealedVault
from carapax.core.terms.error import Conflict, Malformed, NotFound, StoreUnavailable

ENV_BYTES = 262_144
REFERENCE = "vault:"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LINE = re.compile(r"(?P<head>\s*(?:export\s+)?(?P<name>[^\s=]+)\s*=[ \t]*)(?P<rest>.*)\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "`": "`"}


def move_in(vault: SealedVault, old: Path) -> tuple[str, ...]:
    """Take the private files of an earlier version into the vault and erase them; the handles that were moved.

    What is no single line of text stays. Raises VaultLocked, StoreUnavailable.
    """
    try:
        names = sorted(entry.name for entry in old.iterdir() if HANDLE.match(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StoreUnavailable(f"{old} cannot be read: {error.strerror}.") from error
    moved = []
    for name in names:
        content = find_private_bytes(old / name, SECRET_BYTES)
        value = _text(content or b"").strip()
        if not value or not value.isprintable():
            continue
        _seal(vault, name, value)
        erase(old / name)
        moved.append(name)
    with suppress(OSError):  # what does not belong to it stays, and so the folder
        old.rmdir()
    return tuple(moved)


def _seal(vault: SealedVault, handle: str, value: str) -> None:
    if vault.find_secret(handle) != value:
        vault.put_secret(handle, value)
    if vault.find_secret(handle) != value:
        raise StoreUnavailable(f"{handle!r} was sealed and does not read back; its clear copy was left.")


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return ""


@dataclass(frozen=True, slots=True)
class EnvLine:
    """One line of a `.env` file. `name` is "" for a comment or an empty line."""

    number: int
    text: str
    head: str = ""  # "export NAME="
    name: str = ""
    value: str = ""
    tail: str = ""  # " # a comment"

    def __repr__(self) -> str:
        return f"EnvLine({self.number}, {self.name!r})"

    @property
    def moves(self) -> bool:
        """Whether there is a value to move."""
        return bool(self.value) and not self.value.startswith(REFERENCE)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: (variable, handle) of what moved, and the variables that stayed as they were."""

    moved: tuple[tuple[str, str], ...]
    stayed: tuple[str, ...]


def parse_env(text: str) -> tuple[EnvLine, ...]:
    """The lines. Raises Malformed with every line number that is not understood, and never a part of a line."""
    lines, bad, seen = [], [], set[str]()
    for number, line in enumerate(text.split("\n"), 1):
        found = _parse_line(number, line.removesuffix("\r"))
        if found is None or found.name in seen:
            bad.append(str(number))
            continue
        if found.name:
            seen.add(found.name)
        lines.append(found)
    if bad:
        raise Malformed(
            f"Not understood: line {', '.join(bad[:20])}.",
            next_step=(
                "A line is NAME=value, with quotes closed on it; values over several lines, ${…}, $(…) and a name "
                "given twice are not taken. Move those by hand: `carapax vault set NAME`."
            ),
        )
    return tuple(lines)


def _parse_line(number: int, text: str) -> EnvLine | None:
    if not text.strip() or text.lstrip().startswith("#"):
        return EnvLine(number, text)
    found = _LINE.match(text)
    if found is None or not _NAME.match(found["name"]) or found["name"] == "export":
        return None
    value = _parse_value(found["rest"])
    if value is None:
        return None
    return EnvLine(number, text, found["head"], found["name"], *value)


def _parse_value(rest: str) -> tuple[str, str] | None:
    """The value and what follows it; None when it is not one on this line."""
    quote = rest[:1]
    if quote in ("'", '"'):
        end = _closing(rest, quote)
        if end < 0:
            return None
        inner, tail = rest[1:end], rest[end + 1 :]
        if tail.strip() and not re.match(r"\s+#", tail):
            return None
        value = inner if quote == "'" else _unescaped(inner)
        return None if value is None else (value, tail)
    bare = re.match(r"(.*?)(\s+#.*|\s*)\Z", rest, re.DOTALL)
    value = bare[1] if bare else rest
    if value.startswith("#"):
        return "", rest
    if re.search(r"\$[({]|[`'\"\\]", value):  # a shell would make something else of it
        return None
    return value, bare[2] if bare else ""


def _closing(rest: str, quote: str) -> int:
    place = 1
    while place < len(rest):
        if rest[place] == "\\" and quote == '"':
            place += 2
            continue
        if rest[place] == quote:
            return place
        place += 1
    return -1


def _unescaped(inner: str) -> str | None:
    if re.search(r"(?<!\\)(\$[({]|`)", inner):
        return None
    value = re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], "\\" + found[1]), inner)
    return None if "\n" in value or "\r" in value else value


def handle_of(name: str) -> str:
    """The handle of a variable: OPENAI_API_KEY becomes openai-api-key. Raises Malformed when that is none."""
    handle = name.lower().replace("_", "-").strip("-")
    if not HANDLE.match(handle):
        raise Malformed(f"No handle can be made of {name[:64]!r}.", next_step="Set it by hand: `carapax vault set`.")
    return handle


def import_env(vault: SealedVault, path: Path, *, keep: Collection[str] = (), delete: bool = False) -> Imported:
    """Move every value of a `.env` file into the vault, except the variables in `keep`.

    Each value is replaced by `vault:HANDLE`; with `delete` its line goes. The old bytes are overwritten.
    Raises NotFound, Malformed, Conflict (a handle holds another value), VaultLocked, StoreUnavailable; the file is
    as it was then.
    """
    descriptor = _open_env(path)
    try:
        lines = parse_env(_read_env(descriptor, path))
        moving = [line for line in lines if line.moves and line.name not in keep]
        handles = {line.name: handle_of(line.name) for line in moving}
        _check_all(vault, moving, handles)
        for line in moving:
            _seal(vault, handles[line.name], line.value)
        if moving:
            _rewrite(path, descriptor, _rendered(lines, handles, delete=delete))
    finally:
        os.close(descriptor)
    stayed = tuple(line.name for line in lines if line.name and line.name not in handles)
    return Imported(tuple((line.name, handles[line.name]) for line in moving), stayed)


def _check_all(vault: SealedVault, moving: list[EnvLine], handles: dict[str, str]) -> None:
    if len(set(handles.values())) != len(handles):
        raise Malformed("Two variables would get the same handle.", next_step="Rename one, or leave it with --keep.")
    unfit = [str(line.number) for line in moving if not line.value.isprintable() or line.value != line.value.strip()]
    unfit += [str(line.number) for line in moving if len(line.value.encode("utf-8", "replace")) > SECRET_BYTES]
    if unfit:
        raise Malformed(
            f"The value on line {', '.join(unfit[:20])} is no secret that the vault takes.",
            next_step="It is one line of at most 8,192 bytes without space around it. Leave it with --keep NAME.",
        )
    for line in moving:
        if vault.find_secret(handles[line.name]) not in (None, line.value):
            raise Conflict(
                f"The vault has another value for {handles[line.name]!r} than {line.name}.",
                next_step=f"Leave it with --keep {line.name}, or remove the vault's own first.",
            )


def _rendered(lines: tuple[EnvLine, ...], handles: dict[str, str], *, delete: bool) -> str:
    shown = []
    for line in lines:
        if line.name not in handles:
            shown.append(line.text)
        elif not delete:
            shown.append(f"{line.head}{REFERENCE}{handles[line.name]}{line.tail}")
    return "\n".join(shown)


def _open_env(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.", next_step="Name a .env file.") from None
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error.strerror}.") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise StoreUnavailable(f"{path} is not a plain file of its own.", next_step="Name the file itself, not a link.")
    return descriptor


def _read_env(descriptor: int, path: Path) -> str:
    content = b""
    while len(content) <= ENV_BYTES and (chunk := os.read(descriptor, ENV_BYTES + 1 - len(content))):
        content += chunk
    text = _text(content)
    if len(content) > ENV_BYTES or (content and not text):
        raise Malformed(f"{path} is longer than {ENV_BYTES} bytes or not UTF-8.", next_step="Name a .env file.")
    return text


def _rewrite(path: Path, old: int, text: str) -> None:
    status = os.fstat(old)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(draft, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
                if os.geteuid() == 0:
                    os.fchown(descriptor, status.st_uid, status.st_gid)
                os.fsync(descriptor)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be rewritten: {error.strerror}.", kept="The values are sealed and still in the file."
        ) from error
    try:
        overwrite(old)
    except OSError as error:
        raise StoreUnavailable(
            f"The old bytes of {path} cannot be overwritten: {error.strerror}.",
            kept="The values are sealed, and the file names them.",
        ) from error
