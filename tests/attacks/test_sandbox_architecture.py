"""Attack: make the same calls as a 32-bit or x32 program, whose numbers the filter does not read."""

from __future__ import annotations

import platform

import pytest

from tests.attacks.sealing import Inside

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86_64 alone has these")
SIGSYS = 128 + 31


def test_an_x32_call_ends_the_program(inside: Inside) -> None:
    assert inside.python("raw(0x40000000 | 39, 0); print('open')").exit_code == SIGSYS


def test_a_32_bit_call_ends_the_program(inside: Inside) -> None:
    code = r"""
    import mmap
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    print("open")
    """
    ran = inside.python(code)
    assert ran.exit_code == SIGSYS, ran.output
