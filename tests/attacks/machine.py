"""One booted original for the whole test run: booting takes seconds, a copy of it half a second."""

from __future__ import annotations

import atexit
import functools
import os
import tempfile
from pathlib import Path

import pytest

from carapax.adapters.sandbox.vm import VmSandbox
from carapax.adapters.sandbox.vm.original import Original
from tests.attacks.sealing import KEY, Inside, WallClock

KERNELS = Path(os.environ.get("CARAPAX_GUEST_KERNEL", Path("~/.cache/carapax-guest").expanduser()))
"""Where `sh scripts/guest_kernel.sh` put the guest's kernel, which the set-up for tests does."""


@functools.cache
def original() -> Original:
    """The shared original, booted at the first job."""
    if not [*KERNELS.glob("boot/vmlinuz-*")]:
        pytest.fail(f"no kernel for disposable machines in {KERNELS}: run `sh scripts/guest_kernel.sh {KERNELS}`")
    folder = tempfile.TemporaryDirectory(prefix="carapax-original-")
    first = VmSandbox(Path(folder.name), KEY, WallClock(), kernels=(KERNELS,))
    atexit.register(folder.cleanup)
    atexit.register(first.close)
    return first.original


def machine(workspace: Path, forbidden: tuple[Path, ...] = ()) -> VmSandbox:
    """A tier-3 sandbox whose copies come from the shared original."""
    return VmSandbox(workspace, KEY, WallClock(), forbidden=forbidden, kernels=(KERNELS,), original=original())


def inside_machine(folder: Path) -> Inside:
    """A workspace below the folder, and the sandbox for it."""
    workspace = folder / "workspace"
    workspace.mkdir()
    return Inside(machine(workspace), workspace)
