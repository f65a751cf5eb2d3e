"""Attack: change what is mounted, the old ways and the new."""

from __future__ import annotations

import pytest

from carapax.ports.sandbox import Mount
from tests.attacks.sealing import Inside

CALLS = {
    "mount": "165, 40, ctypes.c_char_p(b'none'), ctypes.c_char_p(b'/tmp'), ctypes.c_char_p(b'tmpfs'), 0, 0",
    "remount": "165, 40, 0, ctypes.c_char_p(b'/'), 0, 32, 0",
    "bind": "165, 40, ctypes.c_char_p(b'/usr'), ctypes.c_char_p(b'/tmp'), 0, 4096, 0",
    "umount2": "166, 39, ctypes.c_char_p(b'/proc/1'), 2",
    "pivot_root": "155, 41, ctypes.c_char_p(b'/tmp'), ctypes.c_char_p(b'/tmp')",
    "chroot": "161, 51, ctypes.c_char_p(b'/tmp')",
    "open_tree": "428, 428, -100, ctypes.c_char_p(b'/usr'), 1",
    "move_mount": "429, 429, -1, ctypes.c_char_p(b''), -1, ctypes.c_char_p(b''), 0",
    "fsopen": "430, 430, ctypes.c_char_p(b'tmpfs'), 0",
    "fsconfig": "431, 431, -1, 0, 0, 0, 0",
    "fsmount": "432, 432, -1, 0, 0",
    "fspick": "433, 433, -100, ctypes.c_char_p(b'/tmp'), 0",
    "mount_setattr": "442, 442, -100, ctypes.c_char_p(b'/tmp'), 0, 0, 0",
    "swapon": "167, 224, ctypes.c_char_p(b'/tmp/x'), 0",
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_mounting_is_refused(inside: Inside, name: str) -> None:
    assert inside.met(f"tried(lambda: raw({CALLS[name]}))", Mount.WRITE) == ["EPERM"]
