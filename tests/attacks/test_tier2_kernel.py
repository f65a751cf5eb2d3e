"""Attack from the strong tier: reach the kernel's machinery, though it is the job's own kernel."""

from __future__ import annotations

from pathlib import Path

from carapax.ports.sandbox import Mount
from tests.attacks.strong import each, strong

NULL = "ctypes.c_char_p(b'none')"
CALLS = {
    "mount": f"165, 40, {NULL}, ctypes.c_char_p(b'/tmp'), ctypes.c_char_p(b'tmpfs'), 0, 0",
    "umount2": "166, 39, ctypes.c_char_p(b'/tmp'), 2",
    "pivot_root": "155, 41, ctypes.c_char_p(b'/tmp'), ctypes.c_char_p(b'/tmp')",
    "chroot": "161, 51, ctypes.c_char_p(b'/tmp')",
    "unshare user": "272, 97, 0x10000000",
    "unshare net": "272, 97, 0x40000000",
    "clone user": "56, 220, 0x10000000 | 17, 0, 0, 0, 0",
    "setns": "308, 268, 0, 0",
    "ptrace": "101, 117, 16, 1, 0, 0",
    "process_vm_readv": "310, 270, 1, 0, 0, 0, 0, 0",
    "io_uring_setup": "425, 425, 1, ctypes.create_string_buffer(120)",
    "fsopen": "430, 430, ctypes.c_char_p(b'tmpfs'), 0",
    "open_tree": "428, 428, -100, ctypes.c_char_p(b'/usr'), 1",
    "add_key": "248, 217, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'c'), ctypes.c_char_p(b'x'), 1, -3",
    "bpf": "321, 280, 0, 0, 0",
    "perf_event_open": "298, 241, 0, 0, -1, -1, 0",
    "userfaultfd": "323, 282, 1",
    "memfd_create": "319, 279, ctypes.c_char_p(b'c'), 0",
    "name_to_handle_at": "303, 264, -100, ctypes.c_char_p(b'/'), 0, 0, 0",
    "pidfd_getfd": "438, 438, 0, 0, 0",
    "personality": "135, 92, 0x00400000",
    "kexec_load": "246, 104, 0, 0, 0, 0",
    "init_module": "175, 105, 0, 0, 0",
    "sethostname": "170, 161, ctypes.c_char_p(b'x'), 1",
    "settimeofday": "170, 170, 0, 0",
    "reboot": "169, 142, 0, 0, 0, 0",
    "iopl": "172, 1000, 3",
}


def test_each_call_is_refused(tmp_path: Path) -> None:
    with strong(tmp_path) as inside:
        met = each(inside, [f"raw({words})" for words in CALLS.values()], Mount.WRITE)
        unrefused = {name: met[f"raw({words})"] for name, words in CALLS.items()}
        assert set(unrefused.values()) <= {"EPERM", "ENOSYS"}, unrefused


def test_a_terminal_is_not_typed_into_and_no_privilege_is_held(tmp_path: Path) -> None:
    with strong(tmp_path) as inside:
        code = """
        import fcntl
        master, worker = os.openpty()
        tried(lambda: fcntl.ioctl(worker, 0x5412, b"x"))
        rows = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
        print(*{rows[name].strip().strip("0") or "none" for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")})
        """
        assert inside.met(code) == ["EPERM", "none"]


def test_nothing_runs_from_folders_of_its_own(tmp_path: Path) -> None:
    code = """
    import shutil, subprocess
    for folder in ("/tmp", "/dev/shm"):
        shutil.copyfile("/usr/bin/true", folder + "/own")
        os.chmod(folder + "/own", 0o700)
        tried(lambda: subprocess.run([folder + "/own"]))
    """
    with strong(tmp_path) as inside:
        assert inside.met(code) == ["EACCES", "EACCES"]


def test_a_set_user_id_program_of_the_system_gives_nothing(tmp_path: Path) -> None:
    with strong(tmp_path) as inside:
        said = inside.shell("su root -c id </dev/null 2>&1; id -u").output
        assert said.splitlines()[-1] == b"1000"
        assert b"uid=0" not in said
