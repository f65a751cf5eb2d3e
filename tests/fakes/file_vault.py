"""The vault of the release before: each secret in clear in a private file, or in an environment variable.

What a home may still hold when it is first opened by the sealed vault, and a simple vault for tests of others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from carapax.adapters.vault.private import ensure_private_directory, find_private_bytes, write_private_bytes
from carapax.core.terms.error import Malformed, StoreUnavailable

HANDLE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
SECRET_BYTES = 8192


class FileVault:
    """Implements ports.vault.Vault. `env_names` maps a handle to its environment variable."""

    def __init__(self, directory: Path, *, environ: Mapping[str, str], env_names: Mapping[str, str]) -> None:
        self._directory = directory
        self._environ = environ
        self._env_names = dict(env_names)

    def __repr__(self) -> str:
        return f"FileVault({str(self._directory)!r})"

    def find_secret(self, handle: str) -> str | None:
        """The value, without surrounding white space. Raises Malformed for a bad handle, StoreUnavailable for an unsafe file."""
        path = self._path(handle)
        if value := self._from_environment(handle):
            return value
        content = find_private_bytes(path, SECRET_BYTES)
        if content is None:
            return None
        text = _find_text(content)
        if text is None:
            raise StoreUnavailable(f"{path} is not text.", next_step=f"Move {path} away.")
        return text.strip() or None

    def put_secret(self, handle: str, value: str) -> None:
        """Keep a secret of at most 8,192 bytes. Raises Malformed for an empty, overlong or multi-line one."""
        path = self._path(handle)
        text = value.strip()
        if not text or not text.isprintable() or len(text.encode("utf-8")) > SECRET_BYTES:
            raise Malformed(f"The value for {handle!r} is empty, longer than {SECRET_BYTES} bytes, or not one line.")
        ensure_private_directory(self._directory)
        write_private_bytes(path, text.encode("utf-8"), replace=True)

    def drop_secret(self, handle: str) -> None:
        """Remove the file, if there is one; an environment variable stays. Raises Malformed, StoreUnavailable."""
        path = self._path(handle)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be removed: {error.strerror}.") from error

    def handles(self) -> tuple[str, ...]:
        """The handles that have a value in either place, sorted."""
        named = {handle for handle in self._env_names if self._from_environment(handle)}
        try:
            kept = {entry.name for entry in self._directory.iterdir() if HANDLE.match(entry.name)}
        except FileNotFoundError:
            kept = set()
        except OSError as error:
            raise StoreUnavailable(f"{self._directory} cannot be read: {error.strerror}.") from error
        return tuple(sorted(named | kept))

    def _from_environment(self, handle: str) -> str:
        name = self._env_names.get(handle)
        return self._environ.get(name, "").strip() if name else ""

    def _path(self, handle: str) -> Path:
        if not HANDLE.match(handle):
            raise Malformed(
                "A secret's name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit."
            )
        return self._directory / handle


def _find_text(content: bytes) -> str | None:
    # Apart from the raise: the decoder's own error quotes the bytes and would stay as its context.
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None
