"""Kernel: a Linux kernel and the few modules that the guest loads, found on this machine or in a folder.

Layer: adapters/sandbox/vm. Owns the search and the list of modules. Absent: fetching one (`scripts/guest_kernel.sh`).
A folder is laid out as a kernel package is: `boot/vmlinuz-VERSION`, `lib/modules/VERSION/…`.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from carapax.core.terms.error import SandboxUnavailable

MAX_KERNELS = 32
MAX_MODULE_BYTES = 16 << 20
MAX_IMAGE_BYTES = 256 << 20
_SECTORS, _MAGIC, _PAYLOAD = 0x1F1, 0x202, 0x248  # of the kernel's boot protocol
_NEEDED = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p")
_TOGETHER = ("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "netfs", "fscache", "9pnet")
MODULES = (*_TOGETHER, *_NEEDED)
_FILE = re.compile(r"^(?P<name>[\w-]+)\.ko(?P<packed>\.gz|\.xz|\.zst)?$")
_ADVICE = (
    "Install a kernel with the 9p file system (Debian, Ubuntu: `apt install linux-image-amd64` or `linux-image-generic`), "
    "or fetch one into a folder with `sh scripts/guest_kernel.sh FOLDER`."
)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that can be the guest's."""

    version: str
    image: Path
    modules: tuple[Path, ...]


def find_kernel(folders: tuple[Path, ...]) -> Kernel:
    """The newest fitting kernel of the first folder that has one. Raises SandboxUnavailable saying what was lacking."""
    lacking = "no kernel image that may be read lies in " + " or ".join(f"{folder}/boot" for folder in folders)
    for folder in folders:
        images = sorted((folder / "boot").glob("vmlinuz-*"), key=_order, reverse=True)[:MAX_KERNELS]
        for image in images:
            version = image.name.removeprefix("vmlinuz-")
            modules, missing = _find_modules(folder / "lib" / "modules" / version)
            if missing:
                lacking = f"the kernel {version} has no module {missing[0]}"
            elif not os.access(image, os.R_OK):
                lacking = f"{image} may not be read"
            else:
                return Kernel(version, image, modules)
    raise SandboxUnavailable(f"a disposable machine needs a kernel: {lacking}", next_step=_ADVICE)


def _order(image: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", image.name))


def _find_modules(folder: Path) -> tuple[tuple[Path, ...], list[str]]:
    found: dict[str, Path] = {}
    for path in (folder / "kernel").rglob("*.ko*"):
        told = _FILE.match(path.name)
        if told is not None and (name := told["name"].replace("-", "_")) in MODULES:
            found[name] = path
    try:
        built_in = {Path(row).stem.replace("-", "_") for row in (folder / "modules.builtin").read_text().split()}
    except OSError:
        built_in = set()
    missing = [name for name in _NEEDED if name not in found and name not in built_in]
    return tuple(found[name] for name in MODULES if name in found), missing


def read_image(path: Path) -> bytes:
    """The kernel, unpacked here where Python can: an emulated processor takes six times as long. Raises OSError."""
    packed = path.read_bytes()
    if len(packed) < 0x250 or packed[_MAGIC : _MAGIC + 4] != b"HdrS":
        return packed
    offset, length = struct.unpack_from("<II", packed, _PAYLOAD)
    begin = ((packed[_SECTORS] or 4) + 1) * 512 + offset
    payload = packed[begin : begin + length]
    try:
        if payload.startswith(b"\xfd7zXZ"):
            found = lzma.LZMADecompressor().decompress(payload, MAX_IMAGE_BYTES)
        elif payload.startswith(b"\x1f\x8b"):
            found = zlib.decompressobj(wbits=31).decompress(payload, MAX_IMAGE_BYTES)
        else:
            return packed
    except (lzma.LZMAError, zlib.error):
        return packed
    return found if found.startswith(b"\x7fELF") else packed


def read_module(path: Path) -> bytes:
    """A module's bytes, unpacked where Python can; the guest's kernel unpacks .zst. Raises OSError."""
    packed = path.read_bytes()
    match path.suffix:
        case ".gz":
            packed = gzip.decompress(packed)
        case ".xz":
            packed = lzma.decompress(packed)
    if len(packed) > MAX_MODULE_BYTES:
        raise OSError(f"{path} is larger than a module is")
    return packed
