"""Attack: push characters into a terminal, so that a person's shell runs them later."""

from __future__ import annotations

import pytest

from tests.attacks.sealing import Inside


@pytest.mark.parametrize("request_number", [0x5412, 0x541C, 0x5412 | 1 << 32, 0x541C | 1 << 63])
def test_typing_is_refused(inside: Inside, request_number: int) -> None:
    signed = request_number - (1 << 64) if request_number >> 63 else request_number
    code = f"""
    master, worker = os.openpty()
    tried(lambda: raw(16, 29, worker, {signed}, ctypes.c_char_p(b"x")))
    """
    assert inside.met(code) == ["EPERM"]


def test_the_gateways_terminal_is_not_the_jobs(inside: Inside) -> None:
    assert inside.met("tried(lambda: os.open('/dev/tty', os.O_RDWR))") == ["ENXIO"]
    assert inside.met("print(os.getsid(0) == os.getpid() or os.getsid(0) in (1, 2))") == ["True"]
