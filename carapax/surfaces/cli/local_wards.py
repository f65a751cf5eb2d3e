"""What the incidents, canaries and the stop of everything need from the machine. `app` implements it.

Layer: surfaces/cli; imported for typing only. Every method may raise leaves of core/terms/error.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol


class LocalWards(Protocol):
    """The home's own files: it works with a gateway and without one."""

    def incidents(self) -> Sequence[Mapping[str, Any]]:
        """Every incident as plain data, the newest first."""
        ...

    def incident(self, number: int) -> Mapping[str, Any]:
        """One with its `processes`. Raises NotFound."""
        ...

    def export(self, number: int, transcript: Iterable[Mapping[str, Any]] | None) -> bytes:
        """The evidence as one tar; without a transcript it is read here, while no gateway runs. Raises NotFound."""
        ...

    def canaries(self) -> Sequence[Mapping[str, Any]]:
        """`name`, `kind`, `place`, `at`, `there`; never a value."""
        ...

    def canary_add(self, kind: str, place: str, at: str) -> Mapping[str, Any]:
        """Plant one in a "file" of the workspace or in the "vault". Raises Malformed, Conflict."""
        ...

    def canary_remove(self, name: str) -> None:
        """Raises NotFound."""
        ...

    def stop_all(self) -> Mapping[str, Any]:
        """`jobs`, `proxy`, `gateway`, `answered`, `turns`, `recorded`, `took_ms`. Within a second, whatever hangs."""
        ...

    def is_stopped(self) -> bool: ...

    def resume_alone(self) -> None:
        """Lift the stop while no gateway runs."""
        ...
