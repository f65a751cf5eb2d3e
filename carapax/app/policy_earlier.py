"""A policy of the earlier format (home.toml): its budgets and serial live on in a fresh home policy.

Layer: app. Absent: its rules. They were the home template's, or an expert's, who finds them in home.toml.old.
Law: nothing of a file is used whose signature by this machine does not fit.
"""

from __future__ import annotations

import base64
import binascii
import tomllib
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carapax.app.policy_signature import DOMAIN
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.limit import Budget, Budgets


class Earlier:
    """The earlier file, if there is one."""

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        self._path = path
        self._signature = path.with_name(path.name + ".sig")
        self._key = key
        self._fields: dict[str, Any] | None = None

    @property
    def exists(self) -> bool:
        return self._path.exists()

    def budgets(self) -> Budgets | None:
        """Its budgets; None when there is no such file. Raises PolicyInvalid when its signature does not fit."""
        if not self.exists:
            return None
        fields = self._read()
        try:
            spans = [Budget(**fields["budgets"][span]) for span in ("turn", "session", "day")]
        except (KeyError, TypeError) as error:
            raise self._invalid("it has no budgets") from error
        return Budgets(*spans)

    def serial(self) -> int:
        """Its serial."""
        serial = self._read().get("serial")
        if not isinstance(serial, int):
            raise self._invalid("it has no serial")
        return serial

    def put_away(self) -> None:
        """Keep it as home.toml.old."""
        self._path.replace(self._path.with_name(self._path.name + ".old"))
        self._signature.replace(self._path.with_name(self._path.name + ".old.sig"))

    def _read(self) -> dict[str, Any]:
        if self._fields is None:
            try:
                document = self._path.read_bytes()
                signature = base64.b64decode(self._signature.read_bytes())
                self._key.public_key().verify(signature, DOMAIN + document)
                self._fields = tomllib.loads(document.decode("utf-8"))
            except (OSError, binascii.Error, InvalidSignature, ValueError) as error:
                raise self._invalid("its signature does not fit") from error
        return self._fields

    def _invalid(self, why: str) -> PolicyInvalid:
        return PolicyInvalid(
            f"The earlier policy {self._path.name} cannot be carried over: {why}.",
            next_step=f"Move {self._path} away, then `carapax policy init`.",
        )
