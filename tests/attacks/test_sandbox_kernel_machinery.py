"""Attack: the kernel's less travelled doors."""

from __future__ import annotations

import pytest

from tests.attacks.sealing import Inside

CALLS = {
    "io_uring_setup": "425, 425, 1, ctypes.create_string_buffer(120)",
    "io_uring_enter": "426, 426, -1, 0, 0, 0, 0, 0",
    "io_uring_register": "427, 427, -1, 0, 0, 0",
    "add_key": "248, 217, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'canary'), ctypes.c_char_p(b'x'), 1, -3",
    "request_key": "249, 218, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'canary'), 0, -3",
    "keyctl": "250, 219, 0, -3, 1",
    "bpf": "321, 280, 0, 0, 0",
    "perf_event_open": "298, 241, 0, 0, -1, -1, 0",
    "userfaultfd": "323, 282, 1",
    "memfd_create": "319, 279, ctypes.c_char_p(b'canary'), 0",
    "memfd_secret": "447, 447, 0",
    "open_by_handle_at": "304, 265, -100, 0, 0",
    "name_to_handle_at": "303, 264, -100, ctypes.c_char_p(b'/'), ctypes.create_string_buffer(64), ctypes.create_string_buffer(8), 0",
    "personality": "135, 92, 0x0040000",
    "personality with a high bit": "135, 92, 1 << 40",
    "kexec_load": "246, 104, 0, 0, 0, 0",
    "init_module": "175, 105, 0, 0, 0",
    "finit_module": "313, 273, -1, 0, 0",
    "delete_module": "176, 106, 0, 0",
    "quotactl": "179, 60, 0, 0, 0, 0",
    "acct": "163, 89, 0",
    "fanotify_init": "300, 262, 0, 0",
    "sethostname": "170, 161, ctypes.c_char_p(b'x'), 1",
    "clock_settime": "227, 112, 0, 0",
    "settimeofday": "164, 170, 0, 0",
    "vhangup": "153, 58",
    "syslog": "103, 116, 3, 0, 0",
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_call_is_refused(inside: Inside, name: str) -> None:
    assert inside.met(f"tried(lambda: raw({CALLS[name]}))") == ["EPERM"]


def test_a_program_cannot_be_run_from_memory(inside: Inside) -> None:
    code = """
    def attack():
        memory = os.memfd_create("program")
        os.write(memory, open("/usr/bin/true", "rb").read())
        os.execve(memory, ["true"], {})
    tried(attack)
    """
    assert inside.met(code) == ["EPERM"]


def test_a_jobs_input_cannot_be_written_to(inside: Inside) -> None:
    ran = inside.python("tried(lambda: os.write(0, b'x')); tried(lambda: os.ftruncate(0, 1 << 30))", stdin=b"given")
    assert ran.output.split() == [b"EPERM", b"EPERM"]
