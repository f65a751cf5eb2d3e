"""The guest's kernel, its first file system, and the words that start a machine."""

from __future__ import annotations

import gzip
import lzma
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap.recipe import System
from carapax.adapters.sandbox.vm import guest, kernel
from carapax.adapters.sandbox.vm.guest import build_archive, build_program
from carapax.adapters.sandbox.vm.kernel import Kernel, find_kernel, read_image, read_module
from carapax.adapters.sandbox.vm.qemu import Ends, Machine, Share, plan_shares, render_machine
from carapax.core.terms.error import SandboxUnavailable

SYSTEM = System((("usr/bin", "/bin"),), ("/usr",), "/usr/bin", "/usr/share/zoneinfo/Etc/UTC")
COPY = Ends(monitor=3, control=4, way=5, memory=6, status=7, gate=8, hold=9, state=10)
FIRST = Ends(monitor=3, control=4, way=5, memory=6, status=7, gate=8, hold=9, kernel=11, initial=12)
MACHINE = Machine("/usr/bin/qemu", "/usr/bin/bwrap", "tcg", (Share("system", "/usr"), Share("library", "/a b,c")), ())


def lay_kernel(folder: Path, version: str, names: tuple[str, ...] = kernel.MODULES, end: str = ".ko") -> None:
    (folder / "boot").mkdir(parents=True, exist_ok=True)
    (folder / "boot" / f"vmlinuz-{version}").write_bytes(b"image")
    modules = folder / "lib" / "modules" / version / "kernel" / "deep"
    modules.mkdir(parents=True)
    for name in names:
        (modules / f"{name}{end}").write_bytes(name.encode())
    (modules / "other.ko").write_bytes(b"not wanted")


def test_the_newest_fitting_kernel_is_found(tmp_path: Path) -> None:
    lay_kernel(tmp_path, "6.1.0-9-amd64")
    lay_kernel(tmp_path, "6.1.0-57-amd64", end=".ko.xz")
    lay_kernel(tmp_path, "6.12.1-cloud", names=("virtio_pci",))
    found = find_kernel((tmp_path / "nothing", tmp_path))
    assert found.version == "6.1.0-57-amd64"
    assert [path.name.partition(".")[0] for path in found.modules] == list(kernel.MODULES)


def test_a_module_may_be_built_in_but_not_missing(tmp_path: Path) -> None:
    lay_kernel(tmp_path, "6.1", names=("9pnet_virtio", "9p"))
    with pytest.raises(SandboxUnavailable, match="no module virtio_pci"):
        find_kernel((tmp_path,))
    builtin = tmp_path / "lib" / "modules" / "6.1" / "modules.builtin"
    builtin.write_text("kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/char/virtio_console.ko\n")
    assert len(find_kernel((tmp_path,)).modules) == 2


def test_modules_are_unpacked(tmp_path: Path) -> None:
    for name, content in (("a.ko", b"x"), ("a.ko.gz", gzip.compress(b"x")), ("a.ko.xz", lzma.compress(b"x"))):
        (tmp_path / name).write_bytes(content)
        assert read_module(tmp_path / name) == b"x"
    (tmp_path / "a.ko.zst").write_bytes(b"left to the guest")
    assert read_module(tmp_path / "a.ko.zst") == b"left to the guest"


def test_a_module_larger_than_any_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "MAX_MODULE_BYTES", 3)
    (tmp_path / "a.ko").write_bytes(b"four")
    with pytest.raises(OSError, match="larger"):
        read_module(tmp_path / "a.ko")


def packed_kernel(payload: bytes) -> bytes:
    head = bytearray(1024)
    head[0x1F1], head[0x202:0x206] = 1, b"HdrS"
    head[0x248:0x250] = struct.pack("<II", 16, len(payload))
    return bytes(head) + bytes(16) + payload + b"trailer"


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_a_packed_kernel_is_unpacked_when_it_can_be(tmp_path: Path, pack: object) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(packed_kernel(pack(b"\x7fELF kernel")))  # type: ignore[operator]
    assert read_image(image) == b"\x7fELF kernel"


@pytest.mark.parametrize(
    "payload", [b"\xfd7zXZ broken", b"\x1f\x8b broken", b"\x28\xb5\x2f\xfd zstd", lzma.compress(b"no kernel")]
)
def test_what_cannot_be_unpacked_is_left_to_the_guest(tmp_path: Path, payload: bytes) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(packed_kernel(payload))
    assert read_image(image) == packed_kernel(payload)
    image.write_bytes(b"tiny")
    assert read_image(image) == b"tiny"


def test_the_first_file_system_is_one_that_others_can_read(tmp_path: Path) -> None:
    lay_kernel(tmp_path, "6.1")
    archive = build_archive(b"program", find_kernel((tmp_path,)), SYSTEM)
    assert archive.startswith(b"070701")
    assert len(archive) % 4 == 0
    if shutil.which("cpio") is not None:
        listed = subprocess.run(["cpio", "-t", "--quiet"], input=archive, capture_output=True, check=True).stdout
        names = listed.decode().split()
        assert {"init", "modules/0", "r/etc/passwd", "r/bin", "r/workspace", "r/etc/localtime"} <= set(names)
    for name in (b"init\0", b"r/etc/passwd\0", b"TRAILER!!!\0", b"program"):
        assert name in archive


def test_an_etc_beyond_the_ceiling_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "MAX_ETC_FILES", 0)
    system = System((), ("/etc/ld.so.cache",), "", "")
    with pytest.raises(SandboxUnavailable, match="could not be put together"):
        build_archive(b"", Kernel("6", tmp_path, ()), system)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailable, match="no C compiler") as caught:
        build_program()
    assert "apt install gcc" in caught.value.next_step


def test_a_program_that_does_not_compile_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.c").write_text("int main(void) { return nothing; }")
    monkeypatch.setattr(guest, "_SOURCES", tmp_path)
    with pytest.raises(SandboxUnavailable, match="was not built"):
        build_program()


@pytest.mark.parametrize("ends", [COPY, FIRST])
def test_a_machine_has_nothing_that_leads_out(ends: Ends) -> None:
    words = render_machine(MACHINE, ends, None)
    qemu = words[words.index("--") + 1 :]
    assert qemu[0] == "/usr/bin/qemu"
    assert not {"-netdev", "-nic", "-net", "-drive", "-vnc", "-usb", "-gdb"} & set(qemu)
    kinds = [qemu[n + 1].split(",")[0] for n, word in enumerate(qemu) if word == "-device"]
    assert kinds == ["virtio-serial-pci", *["virtserialport"] * 2, *["virtio-9p-pci"] * 2]
    assert "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny" in qemu
    assert all("readonly=on" in qemu[n + 1] for n, word in enumerate(qemu) if word == "-fsdev")


def test_a_copys_memory_is_its_own_and_the_firsts_is_the_snapshot() -> None:
    copy, first = render_machine(MACHINE, COPY, None), render_machine(MACHINE, FIRST, None)
    assert [word.rpartition(",")[2] for word in copy if "memory-backend-file" in word] == ["share=off"]
    assert [word.rpartition(",")[2] for word in first if "memory-backend-file" in word] == ["share=on"]
    assert "-incoming" in copy
    assert "-kernel" not in copy
    assert "-kernel" in first


def test_the_cell_shows_the_shares_alone_and_has_no_network() -> None:
    words = render_machine(MACHINE, COPY, None)
    cell = words[: words.index("--")]
    assert {"--unshare-net", "--unshare-pid", "--clearenv", "--die-with-parent", "--unshare-user"} <= set(cell)
    assert [cell[n + 1] for n, word in enumerate(cell) if word == "--ro-bind"] == ["/usr", "/usr", "/a b,c"]
    assert not {"--bind", "--dev-bind"} & set(cell)


def test_root_leaves_root_before_qemu_begins() -> None:
    words = render_machine(MACHINE, COPY, 64_300)
    after = words[words.index("--") + 1 :]
    assert after[:6] == (
        "/usr/bin/setpriv",
        "--reuid=64300",
        "--regid=64300",
        "--clear-groups",
        "--inh-caps=-all",
        "--",
    )
    assert [words[n + 1] for n, word in enumerate(words) if word == "--cap-add"] == ["CAP_SETUID", "CAP_SETGID"]


def test_only_descriptors_that_are_there_cross_over() -> None:
    assert COPY.all() == (3, 4, 5, 6, 7, 8, 9, 10)
    assert FIRST.all() == (3, 4, 5, 6, 7, 8, 9, 11, 12)


def test_the_shares_are_the_system_and_what_lies_outside_it() -> None:
    assert plan_shares(None, None) == (Share("system", "/usr"),)
    assert [share.tag for share in plan_shares(Path("/opt/python"), Path("/opt/lib"))] == [
        "system",
        "interpreter",
        "library",
    ]
