"""What `scripts/setup.sh` decides, with a PATH of stubs: nothing is really installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
REAL = ("cat", "cksum", "dirname", "basename", "grep", "tail", "mktemp", "rm", "awk", "tee", "sh", "env", "touch",
        "chmod", "mkdir", "cp", "sleep")  # fmt: skip

PYTHON = """#!/bin/sh
echo "python $*" >>"$STATE/log"
case "$*" in
  *version_info\\ \\<*) [ ! -e "$STATE/old-python" ] ;;
  *ctypes*) eval "last=\\${$#}"; [ -e "$STATE/has-$last" ] ;;
  *ensurepip*) [ -e "$STATE/has-venv" ] ;;
  *version_info*) echo 3 11 linux ;;
  "-m venv .venv") mkdir -p .venv/bin; cp "$STATE/venv-python" .venv/bin/python ;;
esac
"""
VENV_PYTHON = """#!/bin/sh
echo "venv $*" >>"$STATE/log"
case "$*" in
  *-e\\ .) cp "$STATE/carapax" .venv/bin/carapax ;;
  *require-hashes*) if [ -e "$STATE/pip-says" ]; then cat "$STATE/pip-says" >&2; exit 1; fi ;;
esac
"""
CARAPAX = """#!/bin/sh
echo "carapax $*" >>"$STATE/log"
echo "${PROVIDER-embedded}"
"""
APT = """#!/bin/sh
echo "apt-get $* ($DEBIAN_FRONTEND)" >>"$STATE/log"
if [ -e "$STATE/apt-says" ]; then cat "$STATE/apt-says" >&2; exit 100; fi
[ "$1" = install ] || exit 0
touch "$STATE/has-libseccomp.so.2" "$STATE/has-libgomp.so.1" "$STATE/has-venv"
cp "$STATE/bwrap" "$STATE/bin/bwrap"
"""
BWRAP = '#!/bin/sh\n[ ! -e "$STATE/no-namespaces" ]\n'
DF = "#!/bin/sh\nprintf 'head\\n/dev/x 1 1 %s 1 /\\n' \"${FREE_KIB:-9000000}\"\n"


class Machine:
    """A checkout and a PATH."""

    def __init__(self, tmp: Path) -> None:
        self.state, self.checkout = tmp / "state", tmp / "a checkout"
        self.bin = self.state / "bin"
        self.bin.mkdir(parents=True)
        (self.checkout / "scripts").mkdir(parents=True)
        (self.checkout / "requirements").mkdir()
        shutil.copy(ROOT / "scripts" / "setup.sh", self.checkout / "scripts" / "setup.sh")
        for name in ("requirements/run.lock", "requirements/dev.lock", "pyproject.toml"):
            (self.checkout / name).write_text(name)
        for name in REAL:
            found = shutil.which(name)
            assert found is not None
            (self.bin / name).symlink_to(found)
        self.stub("python3", PYTHON)
        self.stub("apt-get", APT)
        self.stub("df", DF)
        self.stub("uname", '#!/bin/sh\necho "${SYSTEM:-Linux}"\n')
        self.stub("id", '#!/bin/sh\necho "${USER_ID:-0}"\n')
        self.stub("sudo", '#!/bin/sh\necho "sudo $1" >>"$STATE/log"\nexec "$@"\n')
        for name, text in (("venv-python", VENV_PYTHON), ("carapax", CARAPAX), ("bwrap", BWRAP)):
            (self.state / name).write_text(text)
            (self.state / name).chmod(0o755)

    def stub(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def has(self, *names: str) -> Machine:
        for name in names or ("has-libseccomp.so.2", "has-libgomp.so.1", "has-venv"):
            (self.state / name).touch()
        if not names:
            shutil.copy(self.state / "bwrap", self.bin / "bwrap")
        return self

    def log(self) -> list[str]:
        path = self.state / "log"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, kind: str = "run", **env: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.bin), "STATE": str(self.state), "TMPDIR": str(self.state), **env}
        return subprocess.run(
            ["/bin/sh", str(self.checkout / "scripts" / "setup.sh"), kind],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_bare_machine_as_root(machine: Machine) -> None:
    ran = machine.run()
    assert ran.returncode == 0, ran.stderr
    for name in ("bubblewrap", "libseccomp2", "libgomp1", "python3-venv"):
        assert f"    {name}: " in ran.stdout  # each with its reason
    log = machine.log()
    assert "apt-get update (noninteractive)" in log
    assert (
        "apt-get install -y --no-install-recommends bubblewrap libseccomp2 libgomp1 python3-venv (noninteractive)"
        in log
    )
    order = [next(i for i, line in enumerate(log) if text in line) for text in
             ("apt-get update", "apt-get install", "-m venv", "--require-hashes", "-e .", "carapax model", "fetch_model")]  # fmt: skip
    assert order == sorted(order)
    hashed = next(line for line in log if "--require-hashes" in line)
    assert hashed.endswith("--require-hashes -r requirements/run.lock")
    assert any("--no-deps --no-build-isolation -e ." in line for line in log)


def test_nothing_is_installed_where_nothing_is_missing(machine: Machine) -> None:
    assert machine.has().run().returncode == 0
    assert not [line for line in machine.log() if line.startswith("apt-get")]


def test_a_second_run_installs_nothing(machine: Machine) -> None:
    machine.has().run()
    before = len(machine.log())
    ran = machine.run()
    again = machine.log()[before:]
    assert ran.returncode == 0
    assert not [line for line in again if "pip" in line or "-m venv" in line or "apt-get" in line]
    assert "venv scripts/fetch_model.py" in again  # it looks whether the model is still there


@pytest.mark.parametrize("changed", ["requirements/run.lock", "pyproject.toml"])
def test_a_changed_lock_is_installed_again(machine: Machine, changed: str) -> None:
    machine.has().run()
    before = len(machine.log())
    (machine.checkout / changed).write_text("changed")
    machine.run()
    assert [line for line in machine.log()[before:] if "--require-hashes" in line]


def test_a_moved_checkout_is_set_up_again(machine: Machine) -> None:
    machine.has().run()
    before = len(machine.log())
    moved = machine.checkout.with_name("elsewhere")
    machine.checkout.rename(moved)
    machine.checkout = moved
    machine.run()
    assert [line for line in machine.log()[before:] if "--require-hashes" in line]


def test_the_tests_environment_also_runs(machine: Machine) -> None:
    machine.has().run("test")
    assert any("-r requirements/dev.lock" in line for line in machine.log())
    assert not any(line.startswith("carapax model") for line in machine.log())  # no question before tests
    before = len(machine.log())
    machine.run("run")
    assert not [line for line in machine.log()[before:] if "--require-hashes" in line]


def test_a_broken_environment_is_made_anew(machine: Machine) -> None:
    machine.has().run()
    (machine.checkout / ".venv" / "bin" / "carapax").unlink()
    (machine.checkout / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    machine.run()
    assert machine.log().count("python -m venv .venv") == 2


# who decides
def test_without_root_it_asks_and_nobody_is_here(machine: Machine) -> None:
    ran = machine.run(USER_ID="1000")
    assert ran.returncode == 1
    assert "YES=1" in ran.stderr
    assert not [line for line in machine.log() if line.startswith("apt-get")]


def test_yes_uses_sudo(machine: Machine) -> None:
    ran = machine.run(USER_ID="1000", YES="1")
    assert ran.returncode == 0, ran.stderr
    assert "sudo env" in machine.log()


def test_without_sudo_it_says_the_command(machine: Machine) -> None:
    (machine.bin / "sudo").unlink()
    ran = machine.run(USER_ID="1000", YES="1")
    assert ran.returncode == 1
    assert "apt-get install bubblewrap libseccomp2" in ran.stderr


def test_without_apt_it_names_the_packages(machine: Machine) -> None:
    (machine.bin / "apt-get").unlink()
    ran = machine.run()
    assert ran.returncode == 1
    assert "bubblewrap: the sandbox" in ran.stdout
    assert "own package tool" in ran.stderr


# what is wrong, in words
def test_not_linux(machine: Machine) -> None:
    ran = machine.run(SYSTEM="Darwin")
    assert ran.returncode == 1
    assert "this is Darwin" in ran.stderr
    assert "seccomp" in ran.stderr
    assert machine.log() == []


def test_an_old_python(machine: Machine) -> None:
    ran = machine.has("old-python").run()
    assert ran.returncode == 1
    assert "Python 3.11 or newer was not found." in ran.stderr


def test_a_python_that_is_named(machine: Machine) -> None:
    machine.has()
    (machine.bin / "python3").rename(machine.bin / "python3.13")
    assert machine.run(PYTHON=str(machine.bin / "python3.13")).returncode == 0
    (machine.state / "has-venv").unlink()
    (machine.checkout / ".venv" / ".ready-run").unlink()
    machine.run(PYTHON=str(machine.bin / "python3.13"))
    assert any("python3.13-venv" in line for line in machine.log() if line.startswith("apt-get install"))


def test_no_space(machine: Machine) -> None:
    ran = machine.has().run(FREE_KIB="200000")
    assert ran.returncode == 1
    assert "needs 1 GB" in ran.stderr


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ("E: Temporary failure resolving 'deb.example'", "The network did not answer."),
        ("No space left on device", "The disk is full."),
        ("E: Unable to lock the administration directory", "Unable to lock"),
    ],
)
def test_apt_fails(machine: Machine, says: str, said: str) -> None:
    (machine.state / "apt-says").write_text(says)
    ran = machine.run()
    assert ran.returncode == 1
    assert "apt-get update failed." in ran.stderr
    assert said in ran.stderr


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ("NewConnectionError: Failed to establish a new connection", "The network did not answer."),
        ("OSError: [Errno 28] No space left on device", "The disk is full."),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "not the one that was locked"),
        ("ERROR: something else", "something else"),
    ],
)
def test_pip_fails_and_is_tried_again_the_next_time(machine: Machine, says: str, said: str) -> None:
    machine.has()
    (machine.state / "pip-says").write_text(says)
    ran = machine.run()
    assert ran.returncode == 1
    assert said in ran.stderr
    (machine.state / "pip-says").unlink()
    assert machine.run().returncode == 0


# the model
@pytest.mark.parametrize(("provider", "fetched"), [("embedded", True), ("", True), ("openai", False)])
def test_the_weights_are_fetched_only_for_the_embedded_model(machine: Machine, provider: str, fetched: bool) -> None:
    machine.has().run(PROVIDER=provider)
    assert ("venv scripts/fetch_model.py" in machine.log()) is fetched
    assert "carapax model --choose --provider" in machine.log()


def test_the_weights_can_be_left_out(machine: Machine) -> None:
    machine.has().run("test", NO_MODEL="1")
    assert "venv scripts/fetch_model.py" not in machine.log()


# Ubuntu 24.04
def test_namespaces_are_allowed_where_the_system_asks_for_it(machine: Machine) -> None:
    machine.has().has("no-namespaces")
    machine.stub("apparmor_parser", '#!/bin/sh\necho "parser $*" >>"$STATE/log"\n')
    switch, profiles = machine.state / "switch", machine.state / "apparmor"
    switch.write_text("1\n")
    profiles.mkdir()
    env = {"USER_ID": "1000", "USERNS_SWITCH": str(switch), "APPARMOR_DIR": str(profiles)}
    refused = machine.run(**env)
    assert (refused.returncode, list(profiles.iterdir())) == (1, [])
    ran = machine.run(**env, YES="1")
    assert ran.returncode == 0, ran.stderr
    profile = profiles / "carapax-bwrap"
    assert f"profile carapax-bwrap {machine.bin}/bwrap flags=(unconfined)" in profile.read_text()
    assert f"parser -r {profile}" in machine.log()


def test_namespaces_are_left_alone_where_the_switch_is_off(machine: Machine) -> None:
    machine.has().has("no-namespaces")
    env = {"USER_ID": "1000", "USERNS_SWITCH": str(machine.state / "none"), "APPARMOR_DIR": str(machine.state)}
    assert machine.run(**env).returncode == 0
    assert not (machine.state / "carapax-bwrap").exists()


def test_the_wrong_word(machine: Machine) -> None:
    assert machine.run("frob").returncode == 2


def test_make_run_chooses_chat_or_serve_by_the_terminal() -> None:
    text = (ROOT / "Makefile").read_text()
    assert (
        "if [ -t 0 ] && [ -t 1 ]; then exec .venv/bin/carapax chat; else exec .venv/bin/carapax serve --sample; fi"
        in text
    )


def test_the_machines_entry_asks_nothing_and_runs_make_test() -> None:
    entry = ROOT / ".ci" / "run"
    assert os.access(entry, os.X_OK)
    assert "YES=1 exec make test" in entry.read_text()
    assert "set -eu" in entry.read_text()
