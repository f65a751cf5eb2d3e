"""What the attacks on the strong tier share: one real sandbox, and several tries in one start of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.gvisor import GvisorSandbox
from carapax.ports.sandbox import Mount
from tests.attacks.sealing import KEY, Inside, WallClock


@contextmanager
def strong(folder: Path, *, forbidden: tuple[Path, ...] = (), bounds: Bounds | None = None) -> Iterator[Inside]:
    """A gVisor sandbox over a workspace below `folder`."""
    workspace = folder / "strong-workspace"
    workspace.mkdir(exist_ok=True)
    box = GvisorSandbox(workspace, KEY, WallClock(), forbidden=forbidden, bounds=bounds)
    try:
        yield Inside(box, workspace)
    finally:
        box.close()


def each(inside: Inside, attempts: list[str], mount: Mount = Mount.READ) -> dict[str, str]:
    """What each expression met, all in one sandbox."""
    met = inside.met("\n".join(f"tried(lambda: {attempt})" for attempt in attempts), mount)
    return dict(zip(attempts, met, strict=True))
